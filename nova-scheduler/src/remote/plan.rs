//! Claims that are to be made, judged by what Placement answered.

use std::collections::BTreeMap;

use berth_placement::ConsumerId;
use berth_scheduler::hosts::HostRow;
use berth_scheduler::select::{AllocationCandidate, Claims};

use super::candidates::RemoteCandidates;

/// The new allocations of the instances of a request. Placement grants all of it together, or
/// nothing.
pub(super) struct RemotePlan<'a> {
    candidates: &'a RemoteCandidates,
    planned: Vec<(ConsumerId, AllocationCandidate)>,
}

impl<'a> RemotePlan<'a> {
    pub(super) const fn new(candidates: &'a RemoteCandidates) -> Self {
        Self { candidates, planned: Vec::new() }
    }

    pub(super) fn into_planned(self) -> Vec<(ConsumerId, AllocationCandidate)> {
        self.planned
    }

    /// The amounts of the planned instances, by provider and class.
    fn taken(&self) -> BTreeMap<(&str, &str), i64> {
        let mut taken = BTreeMap::new();
        for (_, candidate) in &self.planned {
            for (provider, class, amount) in RemoteCandidates::amounts(candidate) {
                *taken.entry((provider, class)).or_default() += amount;
            }
        }
        taken
    }
}

impl Claims for RemotePlan<'_> {
    fn claim(&mut self, instance: ConsumerId, _: HostRow, candidate: &AllocationCandidate) -> bool {
        let taken = self.taken();
        let is_free = RemoteCandidates::amounts(candidate).into_iter().all(|(provider, class, amount)| {
            let free = self.candidates.free(provider, class).unwrap_or_default();
            free - taken.get(&(provider, class)).copied().unwrap_or_default() >= amount
        });
        if is_free {
            self.planned.push((instance, candidate.clone()));
        }
        is_free
    }

    fn release(&mut self, instance: ConsumerId) {
        self.planned.retain(|(planned, _)| *planned != instance);
    }
}

#[cfg(test)]
mod tests {
    use berth_scheduler::HostTable;
    use berth_scheduler::options::GeneralOptions;

    use super::super::candidates::tests::{records, two_hosts};
    use super::*;

    #[test]
    fn instances_of_one_request_share_what_is_free() {
        let table = HostTable::load(&records(), &[], &GeneralOptions::default(), 0).expect("loads");
        let candidates = two_hosts();
        let state = candidates.state(&table);
        let mut plan = RemotePlan::new(&candidates);
        let mut claim = |number: u128, host: usize| {
            let row = state.hosts()[host];
            plan.claim(
                ConsumerId::from(uuid::Uuid::from_u128(number)),
                row,
                state.first(row).expect("a candidate"),
            )
        };
        assert_eq!([claim(1, 1), claim(2, 1)], [true, false], "one vCPU is free");
        assert_eq!(
            [claim(3, 0), claim(4, 0), claim(5, 0), claim(6, 0), claim(7, 0)],
            [true, true, true, true, false]
        );
        plan.release(ConsumerId::from(uuid::Uuid::from_u128(1)));
        assert_eq!(plan.into_planned().len(), 4);
    }
}
