//! Instances that hold something already: their host is lost, and they are evacuated.

use berth_placement::{Allocations, ConsumerId, ExpectedGeneration, Index, TransferError, Write};
use berth_scheduler::select::{Claimant, Selection, allocations};

/// Whether one of the instances has allocations. Resizes and migrations move those of the instance to the migration first.
pub(crate) fn hold_something(index: &Index, instances: &[ConsumerId]) -> bool {
    let holds = |instance: &ConsumerId| index.allocations(*instance).is_some_and(|held| !held.is_empty());
    instances.iter().any(holds)
}

/// Adds what the instances need on their hosts to what they hold, for all of them or for none. A provider that an instance
/// holds something of already, such as shared storage, keeps what it has, as in Nova.
pub(crate) fn claim_besides(
    index: &Index,
    claimant: &Claimant,
    instances: &[ConsumerId],
    selections: &[Vec<Selection>],
) -> Result<(), TransferError> {
    let write = |(&consumer, hosts): (&ConsumerId, &Vec<Selection>)| {
        let chosen = hosts.first()?.allocation_request.as_ref()?;
        let wanted = allocations(index, chosen).ok()?;
        let held = index.consumer(consumer);
        let generation = held
            .as_ref()
            .map_or(ExpectedGeneration::New, |held| ExpectedGeneration::Exactly(held.generation));
        let held = held.map(|held| held.allocations).unwrap_or_default();
        let allocations = joined(held, wanted);
        Some(Write { consumer, generation, owner: claimant.owner.clone(), allocations })
    };
    let writes: Vec<Write> = instances.iter().zip(selections).filter_map(write).collect();
    index.transfer(&writes, claimant.now)
}

fn joined(mut held: Allocations, wanted: Allocations) -> Allocations {
    let new: Vec<_> =
        wanted.into_iter().filter(|one| held.iter().all(|other| other.row != one.row)).collect();
    held.extend(new);
    held
}
