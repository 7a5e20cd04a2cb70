//! The OpenStack Placement API, microversions 1.0 to 1.39, over Berth's in-memory index.
//!
//! [`Service`] holds the index and the settings; [`Server`] serves it over HTTP, [`Grpc`] over gRPC. A request passes through one pipeline
//! (request id, CORS, authentication, microversion, route, policy) and is answered by one handler under `rest/`, which
//! reads the index without a lock or changes it by one atomic command of the core.

#![forbid(unsafe_code)]

mod amounts;
mod auth;
mod control;
mod custom;
mod error;
mod fleet;
mod grpc;
mod http;
mod json;
mod keeper;
mod limits;
mod memory;
mod metrics;
mod microversion;
pub mod migrate;
mod pipeline;
mod policy;
mod query;
mod rest;
mod server;
mod service;
mod standard;
mod transfer;
mod utc;

pub use auth::{Auth, Identity, InvalidKeystone, Keystone, KeystoneSettings, Secret, Unauthenticated};
pub use control::{Control, ControlError, backup_online};
pub use error::{Code, Failure};
pub use fleet::{FleetOptions, State as FleetState};
pub use grpc::{BindError, Grpc, InvalidTls, Tls};
pub use http::cors::Cors;
pub use keeper::{Keeper, StartError};
pub use limits::Limits;
pub use memory::keep_freed_memory;
pub use microversion::{InvalidMicroversion, Microversion};
pub use policy::{InvalidCheck, InvalidFile, InvalidPolicy, Policy};
pub use server::Server;
pub use service::{CandidateOptions, Options, Service};

/// What [`Keeper`] takes and refuses.
pub use berth_store::{DataError, DurabilityMode, DurabilityOptions};

/// The state of a service: an index and a fleet.
pub type Contents = berth_store::Contents<FleetState>;

/// The directory with the state of a service.
pub type DataDir = berth_store::DataDir<FleetState>;

/// A reader of state files.
pub type StateReader<R> = berth_store::StateReader<R, FleetState>;
