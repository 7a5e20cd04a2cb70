//! Claims and their release.

use berth_placement::ConsumerId;

use super::AllocationCandidate;
use crate::hosts::HostRow;

/// Claims resources for instances and releases them. Reading hosts is advisory: a claim may be refused because another client
/// was faster.
pub trait Claims {
    /// Takes what the candidate says, for the instance on the host. False if it is not there any more.
    fn claim(&mut self, instance: ConsumerId, row: HostRow, candidate: &AllocationCandidate) -> bool;

    /// Releases what was claimed for the instance.
    fn release(&mut self, instance: ConsumerId);
}
