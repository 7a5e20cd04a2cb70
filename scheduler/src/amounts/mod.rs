//! Decisions on amounts alone: prepare, filter, weigh, select, claim.
//!
//! `engine.rs` decides on a ranking of the hosts, or exhaustively: `filter.rs`, `weigh.rs` and
//! `select.rs` are column passes over every host, which `parts.rs` splits over the cores on very
//! large fleets.

pub(crate) mod conflicts;
pub(crate) mod engine;
pub(crate) mod exhaustive;
pub(crate) mod filter;
pub(crate) mod parts;
pub(crate) mod prepare;
pub(crate) mod request;
pub(crate) mod select;
pub(crate) mod weigh;
