//! What the tests that start processes share.
//!
//! | module | |
//! |---|---|
//! | [`service`] | `berth serve` as a process: start, addresses, log, kill |
//! | [`http`] | a client that keeps its connection, and notices when it is cut off |
//! | [`resources`] | memory, threads and descriptors of a process |
//! | [`probe`] | a client that sends a cheap request all the time, and its latencies |
//!
//! `tests/attack` attacks a service and checks what other clients notice, and what it costs.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "for tests alone: they run in real time, and a test that fails panics"
)]

pub mod http;
pub mod probe;
pub mod resources;
pub mod service;
