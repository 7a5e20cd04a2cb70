//! From a request to a claimed host: prepare → filter → weigh → select → claim.
//!
//! A [`Scheduler`] is one decider: it owns a private view of the fleet and rankings of its hosts, and any number
//! of deciders may work on one index. [`Search::Ranked`] finds the best host by skipping blocks that cannot hold
//! it; [`Search::Exhaustive`] runs the same filters and weighs as column passes over every host. Both give the same
//! answer, and tests compare them.
//!
//! This crate performs no I/O, reads no clock, draws no random number and spawns no thread of its own: passes over large
//! fleets are split over rayon's.

#![forbid(unsafe_code)]

mod best;
mod bounds;
mod conflicts;
mod exhaustive;
mod extremes;
mod filter;
mod forest;
mod group;
mod kinds;
mod leaf;
mod mask;
pub mod nova;
mod objective;
mod order;
mod parts;
mod policy;
mod prepare;
mod ranking;
mod request;
mod scheduler;
mod search;
mod select;
mod spans;
mod summary;
mod tuning;
mod weigh;
mod witnesses;

pub use filter::{Capacity, Eligible, Filter, OtherClasses};
pub use mask::HostMask;
pub use objective::{Objective, Weights};
pub use policy::{Policy, Rank, UnknownPolicy};
pub use prepare::Prepared;
pub use request::Request;
pub use scheduler::{NoValidHost, PlaceError, Scheduler, Search, Statistics};
