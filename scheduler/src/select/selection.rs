//! A destination in a result.

use super::AllocationCandidate;
use crate::filters::{NumaLimits, RequestState, Scene};
use crate::hosts::HostRow;

/// A chosen host or an alternate.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The host.
    pub row: HostRow,
    /// The claimed allocations, or those that an alternate would claim; `None` without Placement.
    pub allocation_request: Option<AllocationCandidate>,
    /// The host's zone.
    pub availability_zone: String,
    /// The NUMA limits that the decision used. The compute service of the host checks them again.
    pub limits: Option<NumaLimits>,
}

impl Selection {
    pub(super) fn new(
        scene: &Scene<'_>,
        state: &RequestState,
        row: HostRow,
        allocation_request: Option<AllocationCandidate>,
    ) -> Self {
        let zone = scene.hosts.class(row).aggregates.zone();
        let availability_zone = zone.unwrap_or(&scene.options.general.default_availability_zone).to_owned();
        Self { row, allocation_request, availability_zone, limits: state.limits(row) }
    }
}
