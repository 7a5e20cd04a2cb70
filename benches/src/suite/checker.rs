//! Checks the deciders' grants against the index: every grant is real, and was granted once.

use std::collections::BTreeMap;

use berth_placement::{Allocations, ClassId, ConsumerId, HOST_CLASSES, Index, Row};

/// A claim that was granted to a decider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) consumer: ConsumerId,
    pub(super) allocations: Allocations,
}

/// A violation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("consumer {:032x} was granted to two deciders", .0.0)]
    Doubled(ConsumerId),
    #[error("the grant of consumer {:032x} is not in the index", .0.0)]
    Lost(ConsumerId),
    #[error("{row} class {}: {used} is used, grants sum to {granted}", class.0)]
    Used { row: Row, class: ClassId, used: i64, granted: i64 },
    #[error("{row} class {}: {over} more is granted than there is", class.0)]
    OverCommitted { row: Row, class: ClassId, over: i64 },
}

/// The use of every host before the deciders start.
pub(super) struct Checker {
    before: Vec<[i64; 3]>,
}

impl Checker {
    pub(super) fn new(index: &Index, hosts: u32) -> Self {
        Self { before: (0..hosts).map(|row| used(index, Row(row))).collect() }
    }

    /// Compares the grants with the index, while no decider runs.
    pub(super) fn check(&self, index: &Index, held: &[Grant]) -> Result<(), Fault> {
        let mut seen = BTreeMap::new();
        let mut granted: BTreeMap<Row, [i64; 3]> = BTreeMap::new();
        for grant in held {
            if seen.insert(grant.consumer, ()).is_some() {
                return Err(Fault::Doubled(grant.consumer));
            }
            if index.allocations(grant.consumer).as_ref() != Some(&grant.allocations) {
                return Err(Fault::Lost(grant.consumer));
            }
            for allocation in &grant.allocations {
                let sums = granted.entry(allocation.row).or_default();
                sums[allocation.class.index()] += i64::from(allocation.amount);
            }
        }
        for (row, before) in (0..).map(Row).zip(&self.before) {
            let sums = granted.get(&row).copied().unwrap_or_default();
            let now = used(index, row);
            for (position, class) in HOST_CLASSES.into_iter().enumerate() {
                let (used, granted) = (now[position], before[position] + sums[position]);
                if used != granted {
                    return Err(Fault::Used { row, class, used, granted });
                }
                let free = index.free(row, class).unwrap_or(0);
                if free < 0 {
                    return Err(Fault::OverCommitted { row, class, over: -free });
                }
            }
        }
        Ok(())
    }
}

fn used(index: &Index, row: Row) -> [i64; 3] {
    HOST_CLASSES.map(|class| index.used(row, class))
}

#[cfg(test)]
mod tests {
    use berth_placement::Allocation;

    use super::*;
    use crate::fleet::{FilledFleet, FilledFleetSpec};

    #[test]
    fn every_fault_is_found() {
        let fleet = FilledFleet::build(FilledFleetSpec { hosts: 4, fill: 50, seed: 1 }).unwrap();
        let index = &*fleet.index;
        let checker = Checker::new(index, 4);
        let allocation = |amount| Allocation { row: Row(1), class: ClassId::VCPU, amount };
        let grant = |consumer, amount| Grant {
            consumer: ConsumerId(consumer),
            allocations: [allocation(amount)].into_iter().collect(),
        };
        assert_eq!(checker.check(index, &[]), Ok(()));
        index.claim(ConsumerId(7), &[allocation(1)]).unwrap();
        assert_eq!(checker.check(index, &[grant(7, 1)]), Ok(()));
        assert_eq!(checker.check(index, &[grant(7, 1), grant(7, 1)]), Err(Fault::Doubled(ConsumerId(7))));
        assert_eq!(checker.check(index, &[grant(8, 1)]), Err(Fault::Lost(ConsumerId(8))));
        assert_eq!(checker.check(index, &[grant(7, 2)]), Err(Fault::Lost(ConsumerId(7))));
        assert!(matches!(checker.check(index, &[]), Err(Fault::Used { row: Row(1), .. })));
    }
}
