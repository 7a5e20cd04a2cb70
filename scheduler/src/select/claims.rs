//! Claims of resources, and their release.

use berth_placement::ConsumerId;

use super::AllocationCandidate;
use crate::hosts::HostRow;

/// Claims resources for instances and releases them. The host table is advisory: a claim is refused
/// if a concurrent claim took the capacity.
pub trait Claims {
    /// Claims the candidate's allocations for the instance on the host; returns false if the
    /// capacity is no longer free.
    fn claim(&mut self, instance: ConsumerId, row: HostRow, candidate: &AllocationCandidate) -> bool;

    /// Releases the allocations of the instance.
    fn release(&mut self, instance: ConsumerId);
}
