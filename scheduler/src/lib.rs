//! From a request to a claimed host: prepare → filter → weigh → select → claim.
//!
//! A [`decider::Decider`] makes every decision of the service and of replays. Its
//! [`Rules`](decider::Rules) select Nova's filters with an objective, or an objective on amounts
//! alone. It owns a private view of the fleet and rankings of its hosts; any number of deciders may
//! work on one index. [`Search::Ranked`] finds the best host by skipping blocks that cannot hold
//! it; [`Search::Exhaustive`] runs the same filters and weighs as column passes over every host.
//! Both give the same answer, and tests compare them.
//!
//! This crate performs no I/O, reads no clock, draws no random number and spawns no thread of its
//! own: passes over large fleets are split over rayon's.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `request.rs`, `prepare.rs` | a request; a request compiled for many decisions |
//! | `mask.rs`, `filter.rs` | host sets as bits, 64 per word; constraints that narrow a mask |
//! | `policy.rs`, `objective.rs` | orders of hosts (best fit, first fit, worst fit); the objective: a policy, or Nova's weights |
//! | `exhaustive.rs`, `weigh.rs`, `select.rs`, `best.rs`, `parts.rs` | the exhaustive search: filter, weigh and select over every host, split over the cores on very large fleets |
//! | `ranking.rs`, `leaf.rs`, `group.rs`, `summary.rs`, `order.rs`, `forest.rs`, `kinds.rs` | hosts in an order, in leaves and groups with summaries; one ranking per kind of hosts |
//! | `search.rs`, `bounds.rs`, `extremes.rs`, `spans.rs`, `tuning.rs`, `witnesses.rs` | the ranked search: branch and bound, extremes of the amounts, when to rank again |
//! | `decider/` | the decider: a request spec in, rows and amounts out (`placement.rs`) |
//! | `decider/pipeline.rs` | decisions by Nova's rules: follows an index and a `HostSource` (`source.rs`, `known.rs`), locates consumers that a request refers to (`consumers.rs`), caches prepared requests (`cache.rs`) |
//! | `decider/amounts.rs`, `conflicts.rs` | decisions on amounts alone: refresh, decide, claim, retry; how often it loses claims |
//! | `nova/` | Nova's filter scheduler with the same decisions |
//!
//! `docs/search.md` describes the search.
//!
//! Invariants: the bans of `placement` apply, except that exhaustive passes over half a million
//! hosts or more run on rayon's threads, without an effect on the result. A decider takes no lock
//! while it decides on vCPUs, memory and disk. The exhaustive and the ranked search give the same
//! result.

#![forbid(unsafe_code)]

mod best;
mod bounds;
mod conflicts;
pub mod decider;
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
mod search;
mod select;
mod spans;
mod summary;
mod tuning;
mod weigh;
mod witnesses;

pub use decider::amounts::{AmountEngine, NoValidHost, PlaceError, Search, Statistics};
pub use filter::{Capacity, Eligible, Filter, OtherClasses};
pub use mask::HostMask;
pub use objective::{Objective, Weights};
pub use policy::{Policy, Rank, UnknownPolicy};
pub use prepare::Prepared;
pub use request::Request;
