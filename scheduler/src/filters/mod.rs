//! Filters: which hosts may take the instance.
//!
//! Each filter is one type in the file that bears its name. It says why it refuses one host
//! ([`Filter::judge`]), and the pass over many hosts ([`Survivors::narrow`]) calls exactly that,
//! once for each class of hosts where the answer depends on nothing else. So a count of removed
//! hosts and an explanation can never disagree.
//!
//! [`FilterName::prepare`] compiles a filter for one request. [`run`] is the whole
//! pipeline.

use crate::hosts::HostRow;
mod affinity;
mod aggregate_image_properties;
mod aggregate_instance_extra_specs;
mod aggregate_multi_tenancy;
mod aggregate_type_affinity;
mod all_hosts;
mod availability_zone;
mod compute;
mod compute_capabilities;
mod core;
mod destination;
mod disk;
mod extra_spec_match;
mod host_limits;
mod image_properties;
mod isolated_hosts;
mod json;
mod json_query;
mod metrics;
mod name;
mod network;
mod numa_topology;
mod pci_passthrough;
mod pipeline;
mod ram;
mod reason;
mod retry;
mod scene;
mod server_group;
mod simple_cidr_affinity;
mod survivors;

pub use destination::Restriction;
pub use extra_spec_match::{MatchError, matches};
pub use json_query::JsonQueryError;
pub use name::{FilterName, UnknownFilter};
pub use pipeline::{FilterFailure, FilterOutcome, Step, explain, filters_are_skipped, run, steps};
pub use reason::{FilterError, Reason};
pub use scene::{NumaLimits, RequestState, Scene};
pub use survivors::Survivors;

pub(crate) use compute::steady;
pub(crate) use numa_topology::cell_allocation;

/// The verdict of a filter on one host: it passes, or the reason why not. An error fails the whole
/// request, as in Nova.
pub type Verdict = Result<Result<(), Reason>, FilterError>;

/// The scope of a filter's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It passes every host, for this request.
    Everything,
    /// All hosts of a class get the same answer.
    Class,
    /// Each host gets its own.
    Host,
}

/// A filter, prepared for one request.
pub trait Filter {
    /// The scope of its verdict.
    fn scope(&self) -> Scope {
        Scope::Host
    }

    /// The verdict on one host. `state` holds the remaining allocation candidates of the host.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if the request cannot be judged.
    fn judge(&self, row: HostRow, state: &mut RequestState) -> Verdict;
}

/// The host stays.
pub(crate) const PASS: Verdict = Ok(Ok(()));

/// The host stays if the condition holds.
pub(crate) fn pass_if(condition: bool, reason: impl FnOnce() -> Reason) -> Verdict {
    Ok(if condition { Ok(()) } else { Err(reason()) })
}
