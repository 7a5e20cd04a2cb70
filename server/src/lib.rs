//! The OpenStack Placement API, microversions 1.0 to 1.39, over Berth's in-memory index.
//!
//! [`Service`] holds the index and the settings; [`Server`] serves it over HTTP, [`Grpc`] over gRPC. A request passes through one pipeline
//! (request id, CORS, authentication, microversion, route, policy) and is answered by one handler under `rest/`, which
//! reads the index without a lock or changes it by one atomic command of the core.

#![forbid(unsafe_code)]

mod amounts;
mod auth;
mod custom;
mod error;
mod fleet;
mod grpc;
mod http;
mod json;
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
pub mod store;
mod transfer;
mod utc;

pub use auth::{Auth, Identity, InvalidKeystone, Keystone, KeystoneSettings, Secret, Unauthenticated};
pub use error::{Code, Failure};
pub use fleet::{FleetOptions, State as FleetState};
pub use grpc::{BindError, Grpc, InvalidTls, Tls};
pub use http::cors::Cors;
pub use limits::Limits;
pub use memory::keep_freed_memory;
pub use microversion::{InvalidMicroversion, Microversion};
pub use policy::{InvalidCheck, InvalidFile, InvalidPolicy, Policy};
pub use server::Server;
pub use service::{CandidateOptions, Options, Service};
pub use store::{
    Contents, DataDir, DataError, DurabilityMode, DurabilityOptions, Keeper, StartError, StateFileError,
    StateReader, Written, write_state,
};
