//! The OpenStack Placement API, microversions 1.0 to 1.39, over Berth's in-memory index.
//!
//! [`Service`] holds the index and the settings; [`Server`] serves it over HTTP, [`Grpc`] over
//! gRPC. A request passes through one pipeline (request id, CORS, authentication, microversion,
//! route, policy) and is answered by one handler under `rest/`, which reads the index without a
//! lock or changes it by one atomic command of the core.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `server.rs` | the socket: connections, graceful shutdown, `/metrics`, `/healthz`, `/readyz` |
//! | `pipeline.rs` | the path of a request: identity, body, CORS, microversion, route, response, request id |
//! | `pipeline/request_line.rs`, `audit.rs` | the line of a request in the log; those of changes are the audit log |
//! | `service.rs` | the state that all requests share: index, options, metrics; `Service::answer` serves without a socket |
//! | `limits.rs` | limits per request: `docs/limits.md` |
//! | `budget.rs` | amounts that callers share, with a bound for one and for all |
//! | `in_flight.rs` | the bound of bytes in flight, and its message |
//! | `task.rs` | tasks that run as long as the service, for its health |
//! | `turns.rs`, `searches.rs` | callers take turns; searches for candidates and other lengthy requests on threads of their own |
//! | `lengthy.rs` | which requests are lengthy |
//! | `arriving.rs` | a message that arrives in parts |
//! | `clock.rs` | the monotonic clock; which use needs which clock: `docs/clocks.md` |
//! | `memory.rs` | keeps freed memory for the next large response |
//! | `microversion.rs`, `query.rs`, `error.rs` | microversions, query strings, errors with their codes |
//! | `rest/` | one file per kind of resource: its URLs, handlers and error responses |
//! | `rest/route.rs`, `rest/schemas.rs` | the table of URLs and methods; the schemas of bodies and queries by microversion |
//! | `rest/candidates/` | allocation candidates: the response (`document.rs`), allocation requests copied from equal ones (`request.rs`), cached names (`text.rs`) |
//! | `json/` | bodies parsed within limits and validated by schema; responses written directly to bytes |
//! | `http/` | connections, bodies, content negotiation, CORS, responses, a guard for invalid heads |
//! | `auth/` | the identity of clients: `noauth2.rs`, and `keystone/`, which validates each token once |
//! | `policy/` | permissions: the language of checks, policy files, the defaults |
//! | `standard.rs` | adds the standard names to an index |
//! | `keeper.rs`, `home.rs`, `control.rs` | the state of a running service in its store, through failures of the store; a directory or etcd as its place; the socket for commands to the service that uses a directory |
//! | `grpc/` | the services of `berth.v1` on their own socket: identity and access table (`guard.rs`, `identity.rs`, `access.rs`, `tls.rs`), lines in the audit log (`audit/`), the path of a unary call (`call.rs`, `deadline.rs`), errors, fields and pages (`status.rs`, `field.rs`, `page.rs`), one directory per service, the stream of each agent (`agents.rs`) |
//! | `fleet/` | the surroundings of the crate `fleet`: its owner, records, decisions, messages of agents (`docs/fleet.md`) |
//! | `request/` | shared by REST and gRPC, which do not import each other: admission, waiting for durability, the query of allocation candidates, messages of the index's errors, allocation writes with retries |
//! | `amounts.rs` | inventories and allocations as protobuf messages |
//! | `migrate/` | from a Placement database (`query.rs`, `rows.rs`, `dump.rs`) and back (`script.rs`), with a digest as proof (`digest.rs`) |
//! | `request_log.rs`, `decision_log.rs` | recent requests of Nova's conductors, for operators; decisions and releases in the log, for simulations |
//! | `metrics.rs`, `gauges.rs` | the metrics for operators: what is counted as it happens, and when it is read |
//! | `health.rs` | whether the service can do all of its work |
//!
//! # Invariants
//!
//! - A handler changes state by one call of the core, which applies everything or nothing. The core
//!   checks again what the handler looked up before, so a handler takes no lock. It retries only an
//!   allocation write that was refused because of capacity that another claim held briefly.
//! - A gRPC method that the table in `grpc/access.rs` does not list cannot be called.
//! - A fleet changes by commands whose records are committed together. An agent receives a
//!   desired guest after it is on disk. Capacity is released when no host has any remains of its
//!   instance.
//! - A response is written from the index to bytes, without a tree in between. A body becomes a
//!   tree only within the limits.
//! - Handlers get the time as a value and do no I/O. The clock, sockets and new UUIDs are at the
//!   edge, each exception marked. Waiting (for Keystone, for the disk) happens outside of handlers.
//! - A token is stored and logged as a hash only, and a password comes from a file, so no displayed
//!   configuration can reveal it.

#![forbid(unsafe_code)]

mod amounts;
mod arriving;
mod audit;
mod auth;
mod budget;
mod clock;
mod control;
mod decision_log;
mod error;
mod files;
mod fleet;
mod gauges;
mod grpc;
mod health;
mod home;
mod http;
mod in_flight;
mod json;
mod keeper;
mod lengthy;
mod limits;
mod memory;
mod metrics;
mod microversion;
pub mod migrate;
mod pipeline;
mod policy;
mod query;
mod request;
mod request_log;
mod rest;
mod searches;
mod server;
mod service;
mod standard;
mod task;
mod turns;
mod utc;
mod uuids;

pub use auth::{Auth, Identity, InvalidKeystone, Keystone, KeystoneSettings, Secret, Unauthenticated};
pub use control::{Control, ControlError, backup_online};
pub use error::{Code, Failure};
pub use files::raise_file_limit;
pub use fleet::{FleetOptions, FleetState, LiveLimits, StoredHost, StoredInstance};
pub use grpc::{BindError, Grpc, InvalidTls, Tls};
pub use health::{Health, HealthCheck};
pub use home::{EtcdHome, OpenedHome, StateHome};
pub use http::cors::Cors;
pub use http::forwarded::{InvalidNetwork, TrustedProxies};
pub use keeper::{Keeper, StartError};
pub use limits::Limits;
pub use memory::keep_freed_memory;
pub use microversion::{InvalidMicroversion, Microversion};
pub use policy::{AccessPolicy, InvalidCheck, InvalidFile, InvalidPolicy};
pub use request_log::{RequestLog, ServedRequest};
pub use server::Server;
pub use service::{CandidateOptions, Service, ServiceOptions, Subsystem};

/// The data directories of [`Keeper`], and their errors.
pub use berth_store::{DataError, DurabilityMode, DurabilityOptions};

/// The state of a service: an index and a fleet.
pub type Contents = berth_store::Contents<FleetState>;

/// The directory with the state of a service.
pub type DataDir = berth_store::DataDir<FleetState>;

/// A reader of state files.
pub type StateReader<R> = berth_store::StateReader<R, FleetState>;
