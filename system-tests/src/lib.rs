//! What the tests that start processes share.
//!
//! | module | |
//! |---|---|
//! | [`service`] | `berth serve` as a process: start, addresses, log, kill |
//! | [`http`] | a client that keeps its connection, and notices when it is cut off |
//! | [`resources`] | memory, threads and descriptors of a process |
//! | [`books`] | instances, allocations and guests, and whether they agree |
//! | [`crash_run`] | cycles and seed of a test that kills processes |
//! | [`probe`] | a client that sends a cheap request all the time, and its latencies |
//!
//! `tests/attack` attacks a service and checks what other clients notice, and what it costs.
//! `tests/crash` kills a service under load and checks that its history is linearizable.
//! `tests/cuts` and `tests/kills` kill services and agents, at every step and at random, and check
//! that instances, allocations and guests agree afterwards.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "for tests alone: they run in real time, and a test that fails panics"
)]

pub mod books;
pub mod crash_run;
pub mod http;
pub mod probe;
pub mod resources;
pub mod service;
