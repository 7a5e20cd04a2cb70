//! What tests of several crates share.
//!
//! | module | |
//! |---|---|
//! | [`process`] | programs under test, without settings from the environment |
//! | [`setting`] | numbers that `cargo xtask` passes in environment variables |
//! | [`published_trace`] | traces that others have published, where they are present |
//! | [`skip`] | tests that cannot run here, with the reason |
//! | `rabbit`, `mariadb`, `postgres`, `etcd`, `port` | RabbitMQ, MariaDB, PostgreSQL and clusters of etcd, each with a directory and ports of its own (feature `servers`) |
//! | `certificates` | certificates for connections to them (feature `servers`) |
//! | `nova` | random fleets and requests for Nova's scheduler (feature `nova`) |
//! | `replay` | recorded results of Nova and where Berth's differ (feature `replay`) |
//! | `agents_service` | a service for agents under test (feature `agents`) |

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "for tests alone: they read the environment, and a test that fails panics"
)]

#[cfg(feature = "agents")]
pub mod agents_service;
#[cfg(feature = "servers")]
pub mod certificates;
#[cfg(feature = "servers")]
pub mod etcd;
#[cfg(feature = "servers")]
pub mod mariadb;
#[cfg(feature = "nova")]
pub mod nova;
#[cfg(feature = "servers")]
pub mod port;
#[cfg(feature = "servers")]
pub mod postgres;
pub mod process;
pub mod published_trace;
#[cfg(feature = "servers")]
pub mod rabbit;
#[cfg(feature = "replay")]
pub mod replay;
pub mod setting;
pub mod skip;
