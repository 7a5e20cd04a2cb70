//! A destination as it is reported.

use super::AllocationCandidate;
use crate::filters::{NumaLimits, RequestState, Scene};
use crate::hosts::HostRow;

/// A chosen host or an alternate.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The host.
    pub row: HostRow,
    /// What was, or would be, claimed there; none when placement is not asked.
    pub allocation_request: Option<AllocationCandidate>,
    /// The host's zone.
    pub availability_zone: String,
    /// What the host was judged by, for its compute service to check again.
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
