//! Taking and giving back room.

use super::AllocationCandidate;
use crate::hosts::HostRow;

/// Takes room for instances and gives it back. Reading hosts is advisory: a claim may be refused because somebody else
/// was faster.
pub trait Claims {
    /// Takes what the candidate says, for the instance on the host. False if it is not there any more.
    fn claim(&mut self, instance: &str, row: HostRow, candidate: &AllocationCandidate) -> bool;

    /// Gives back what was claimed for the instance.
    fn release(&mut self, instance: &str);
}
