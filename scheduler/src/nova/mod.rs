//! Nova's filter scheduler: the same survivors, weights and order as Nova gives for the same
//! request.
//!
//! A [`request_spec`] comes before the [`hosts`]. [`filters`] remove hosts, [`weighers`] order the
//! others, and [`select`] claims the best for one instance after the other. [`numa`] fits an
//! instance's virtual NUMA cells to a host's cells, [`pci`] matches requests for passthrough
//! devices with a host's pools of them. [`explain`] says which hosts each constraint removed, and
//! what would have found one.
//!
//! All of it gives the answers of Nova 34, oddities included where they can be observed; tests
//! replay recorded answers of Nova itself. Where Berth decides otherwise on purpose,
//! `docs/nova-differences.md` says so.
//!
//! # Files
//!
//! Each filter and each weigher is one type in a file of its name.
//!
//! | directory | content |
//! |---|---|
//! | `request_spec/` | the request: flavor, typed image properties, hints, server group, destination |
//! | `options/` | the options of `nova.conf` for scheduling |
//! | `hosts/` | hosts as columns; properties shared by many hosts form a *class* |
//! | `filters/` | filters, verdicts on one host with reasons, the pipeline |
//! | `weighers/` | weighers, multipliers of aggregates, sums in Nova's order |
//! | `preference.rs` | the objective: Nova's weighers, or a placement policy among the hosts that pass the filters |
//! | `select/` | `select_destinations`: instances one after the other, or all as one; claims; alternates |
//! | `numa/`, `pci/` | NUMA cells and passthrough devices |
//! | `placement_query/` | pre-filters and the query for allocation candidates, as text or against the index |
//! | `ranked/` | the best hosts without examining all of them; the cached counts of each constraint |
//! | `filter_scheduler/` | the whole decision on an index: eligible hosts, the best of them, claims |
//! | `explain/` | the reasons for a result: counts, verdicts, weights, changes that would help |
//! | `python/`, `version.rs`, `time.rs` | Python's conversion of texts and numbers, versions, times |
//!
//! From a request to a claimed host on an index, by `FilterScheduler`:
//!
//! ```text
//! request ─► pre-filters ─► query ─► eligible ───────► ranked ─────────► candidate ─► claim ─► next
//!            once per request        a mask of hosts   best k by         of these k,  on the   if refused:
//!                                    and the amounts   filters and       from their   index    the next
//!                                    they need         weighers          trees                 host
//! ```
//!
//! The eligible hosts are computed once per request and follow changes of the topology. For a
//! request of one group with vCPUs, memory and disk that only hosts have, the mask and the free
//! amounts are exact. Otherwise they only exclude hosts, and the index finds the candidates of a
//! host when it could win (`TreeQuery` in `placement`). Candidates of all hosts are generated where
//! filters examine candidates (NUMA cells, devices), where hosts share resources, and for several
//! instances that need more than their host.
//!
//! Invariants: a decision on an index equals the naive one: candidates of all hosts, all filters
//! and all weighers over them, claims in that order. A filter has one predicate, which returns the
//! reason of a refusal; the pass over all hosts, the counts and the explanation call it. `nova/`
//! gives Nova's results, except for the differences in `docs/nova-differences.md`.

pub mod aggregates;
pub mod exception;
pub mod explain;
pub mod filter_scheduler;
pub mod filters;
pub mod hosts;
pub mod numa;
pub mod options;
pub mod pci;
pub mod placement_query;
mod preference;
pub mod python;
pub mod ranked;
pub mod request_spec;
pub mod select;
pub mod time;
pub mod version;
pub mod weighers;

pub use aggregates::Aggregate;
pub use filter_scheduler::{FilterScheduler, PreparedRequest};
pub use filters::FilterName;
pub use hosts::HostTable;
pub use options::Options;
pub use preference::Preference;
pub use ranked::{RankedHosts, RankedRequest};
pub use request_spec::RequestSpec;
pub use select::SelectDestinations;
pub use weighers::WeigherName;
