//! Decisions: which host an instance gets.
//!
//! A [`decider::Decider`] decides for the service, and for replays and plans with a policy or with
//! Nova's filters. Its [`Rules`](decider::Rules) select Nova's filters with an objective, or an
//! objective on amounts alone. It owns a private view of the fleet and rankings of its hosts; any
//! number of deciders may work on one index. [`Search::Ranked`] finds the best host by skipping
//! blocks that cannot hold it; [`Search::Exhaustive`] runs the same filters and weighs as column
//! passes over every host. Both give the same answer, and tests compare them.
//!
//! Two kinds of decisions do without a decider: where another service is Placement, [`select`] runs
//! the same filters and weighers over its candidates; [`packing`] has published policies for
//! simulations, and the model behind the weigher of lifetimes.
//!
//! This crate performs no I/O, reads no clock, draws no random number and spawns no thread of its
//! own: passes over large fleets are split over rayon's.
//!
//! # From a request to a claimed host
//!
//! ```text
//! request ─► pre-filters ─► query ─► eligible ───────► ranked ─────────► candidate ─► claim
//!            once per request        a mask of hosts   best k by         of these k,  on the
//!                                    and the amounts   filters and       from their   index;
//!                                    they need         weighers          trees        refused:
//!                                                                                     the next
//! ```
//!
//! The eligible hosts are computed once per request and follow changes of the topology. For a
//! request of one group with vCPUs, memory and disk that only hosts have, the mask and the free
//! amounts are exact. Otherwise they only exclude hosts, and the index finds the candidates of a
//! host when it could win (`TreeQuery` in `placement`). Candidates of all hosts are generated where
//! filters examine candidates (NUMA cells, devices), where hosts share resources, and for several
//! instances that need more than their host.
//!
//! # Files
//!
//! In the order of the pipeline. Each filter and each weigher is one type in a file of its name.
//!
//! | directory | content |
//! |---|---|
//! | `decider/` | the decider: a request spec in, rows and amounts out (`placement.rs`). `pipeline.rs` decides by Nova's rules: it follows an index and a `HostSource` (`source.rs`, `known.rs`), locates consumers that a request refers to (`consumers.rs`) and caches prepared requests (`cache.rs`) |
//! | `request_spec/` | the request: flavor, typed image properties, hints, server group, destination |
//! | `options/` | the options of `nova.conf` for scheduling |
//! | `placement_query/` | pre-filters and the query for allocation candidates, as text or against the index |
//! | `hosts/`, `aggregates.rs` | hosts as columns; properties shared by many hosts form a *class* |
//! | `filter_scheduler/` | Nova's whole decision on an index: eligible hosts, the best of them, claims |
//! | `filters/` | filters, verdicts on one host with reasons, the pipeline |
//! | `weighers/` | weighers, multipliers of aggregates, sums in Nova's order |
//! | `ranked/` | the best hosts of a table without examining all of them; the cached counts of each constraint |
//! | `select/` | `select_destinations`: instances one after the other, or all as one; claims; alternates |
//! | `numa/`, `pci/` | NUMA cells and passthrough devices |
//! | `explain/` | the reasons for a result: counts, verdicts, weights, changes that would help |
//! | `policy/` | objectives: placement policies (best fit, first fit, worst fit), Nova's weighers, weights of free amounts |
//! | `ranking/` | hosts in an order, in leaves and groups with summaries; the search by branch and bound |
//! | `amounts/` | decisions on amounts alone, ranked or exhaustive |
//! | `packing/` | decisions by lifetimes of instances, and by the shapes that are requested |
//! | `mask.rs` | host sets as bits, 64 per word |
//! | `python/`, `version.rs`, `time.rs`, `exception.rs` | Python's conversion of texts and numbers, versions, times; the exceptions that Nova would raise |
//!
//! Everything under Nova's rules gives the results of Nova 34, oddities included where they can be
//! observed; tests replay recorded results of Nova itself. `docs/nova-differences.md` lists where
//! Berth decides otherwise on purpose. `docs/search.md` describes the search.
//!
//! # Invariants
//!
//! The bans of `placement` apply, except that exhaustive passes over half a million hosts or more
//! run on rayon's threads, without an effect on the result. A decider takes no lock while it
//! decides on vCPUs, memory and disk. The exhaustive and the ranked search give the same result. A
//! decision on an index equals the naive one: candidates of all hosts, all filters and all weighers
//! over them, claims in that order. A filter has one predicate, which returns the reason of a
//! refusal; the pass over all hosts, the counts and the explanation call it.

#![forbid(unsafe_code)]

mod aggregates;
mod amounts;
pub mod decider;
pub mod exception;
pub mod explain;
pub mod filter_scheduler;
pub mod filters;
pub mod hosts;
mod mask;
pub mod numa;
pub mod options;
pub mod packing;
pub mod pci;
pub mod placement_query;
mod policy;
pub mod python;
pub mod ranked;
mod ranking;
pub mod request_spec;
pub mod select;
pub mod time;
mod version;
pub mod weighers;

pub use aggregates::AggregateRecord;
pub use amounts::engine::{AmountEngine, NoValidHost, PlaceError, Search, Statistics};
pub use amounts::filter::{Capacity, Eligible, MaskFilter, OtherClasses};
pub use amounts::prepare::Prepared;
pub use amounts::request::Request;
pub use filter_scheduler::{FilterScheduler, PreparedRequest};
pub use filters::FilterName;
pub use hosts::HostTable;
pub use mask::HostMask;
pub use options::Options;
pub use policy::objective::{Objective, Weights};
pub use policy::preference::Preference;
pub use policy::{Policy, Rank, UnknownPolicy};
pub use ranked::{RankedHosts, RankedRequest};
pub use request_spec::RequestSpec;
pub use select::SelectDestinations;
pub use weighers::WeigherName;
