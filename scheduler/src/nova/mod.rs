//! Nova's filter scheduler: the same survivors, weights and order as Nova gives for the same request.
//!
//! A [`request_spec`] comes before the [`hosts`]. [`filters`] remove hosts, [`weighers`] order the others, and
//! [`select`] claims the best for one instance after the other. [`numa`] fits an instance's virtual NUMA cells to a
//! host's cells, [`pci`] matches requests for passthrough devices with a host's pools of them.
//! [`explain`] says which hosts each constraint removed, and what would have found one.
//!
//! All of it gives the answers of Nova 34, oddities included where they can be observed; tests replay recorded answers
//! of Nova itself. Where Berth decides otherwise on purpose, `docs/nova-differences.md` says so.

pub mod aggregates;
pub mod explain;
pub mod filter_scheduler;
pub mod filters;
pub mod hosts;
pub mod numa;
pub mod options;
pub mod pci;
pub mod placement_query;
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
pub use ranked::{RankedHosts, RankedRequest};
pub use request_spec::RequestSpec;
pub use select::SelectDestinations;
pub use weighers::WeigherName;
