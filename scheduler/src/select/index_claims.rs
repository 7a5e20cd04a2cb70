//! Claims on an index, one instance at a time.

use std::sync::Arc;

use berth_placement::{
    Allocation, Allocations, ConsumerId, ConsumerWrite, ExpectedGeneration, GroupId, Index, Member, Owner,
    Timestamp, TransferError,
};

use super::translate::{IndexClaimError, Translated, translate};
use super::{AllocationCandidate, Claims};
use crate::hosts::HostRow;

/// The owner of claims.
#[derive(Debug, Clone)]
pub struct Claimant {
    /// The owner of the instances.
    pub owner: Arc<Owner>,
    /// Their server group in the index.
    pub group: Option<GroupId>,
    /// Whether an instance that has allocations keeps them beside the claim, as one does whose host
    /// is lost. Its claim is refused otherwise.
    pub keeps_allocations: bool,
    /// The migration of the one instance, which moves: it gets what the instance holds, unless it
    /// holds something already, and the instance gets the target. Both are in the server group.
    /// `None` for instances that hold nothing yet.
    pub migration: Option<ConsumerId>,
    /// The time in microseconds since 1970.
    pub now: Timestamp,
}

/// A claim that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedClaim {
    /// The instances.
    pub instances: Vec<ConsumerId>,
    /// The row in the host table; `None` for a claim of several instances.
    pub row: Option<HostRow>,
    /// The reason.
    pub error: IndexClaimError,
}

/// Implements [`Claims`] on an index. The host table is advisory; the index decides.
///
/// An instance that has allocations already is refused, unless the claimant says that it keeps
/// them. With a server group, its policy is judged inside each claim, with the members of all
/// claims side by side. Instances of one request appear one by one; where they have to appear
/// together, use [`SelectDestinations::decide_as_one`](super::SelectDestinations::decide_as_one).
pub struct IndexClaims<'a> {
    index: &'a Index,
    claimant: Claimant,
    refused: Vec<RefusedClaim>,
}

impl<'a> IndexClaims<'a> {
    /// Creates it without claims.
    #[must_use]
    pub const fn new(index: &'a Index, claimant: Claimant) -> Self {
        Self { index, claimant, refused: Vec::new() }
    }

    /// The refused claims, in order.
    #[must_use]
    pub fn refused(&self) -> &[RefusedClaim] {
        &self.refused
    }

    fn take(&self, instance: ConsumerId, candidate: &AllocationCandidate) -> Result<(), IndexClaimError> {
        let translated = translate(self.index, instance, candidate)?;
        Ok(self.claimant.claim(self.index, &[translated])?)
    }
}

impl Claims for IndexClaims<'_> {
    fn claim(&mut self, instance: ConsumerId, row: HostRow, candidate: &AllocationCandidate) -> bool {
        let outcome = self.take(instance, candidate);
        let refused =
            |error| self.refused.push(RefusedClaim { instances: vec![instance], row: Some(row), error });
        outcome.map_err(refused).is_ok()
    }

    fn release(&mut self, instance: ConsumerId) {
        // Another client may have deleted the instance meanwhile. Then there is nothing to release.
        let _ = self.index.release(instance);
    }
}

impl Claimant {
    /// Claims all of the instances, or none.
    pub(super) fn claim(&self, index: &Index, instances: &[Translated]) -> Result<(), TransferError> {
        let mut writes: Vec<ConsumerWrite> =
            instances.iter().map(|instance| self.write(index, instance)).collect();
        let mut members: Vec<Member> = instances.iter().map(Translated::member).collect();
        if let (Some(migration), [instance]) = (self.migration, &mut writes[..])
            && let Some((kept, place)) = self.keep_source(index, migration, instance)
        {
            writes.push(kept);
            members.extend(place);
        }
        let Some(group) = self.group else { return index.transfer(&writes, self.now) };
        index.claim_group(group, &members, &writes, self.now)
    }

    /// The write that gives the migration what the instance holds, and its place in a server group.
    /// The instance's own write then expects the entry that was read here.
    fn keep_source(
        &self,
        index: &Index,
        migration: ConsumerId,
        instance: &mut ConsumerWrite,
    ) -> Option<(ConsumerWrite, Option<Member>)> {
        let held = index.consumer(instance.consumer)?;
        instance.generation = ExpectedGeneration::Exactly(held.generation);
        if index.consumer(migration).is_some() {
            return None; // another target was claimed before
        }
        let host = index.topology().host_of(&held.allocations);
        let owner = Owner { consumer_type: Some("MIGRATION".into()), ..Owner::clone(&self.owner) };
        let write = ConsumerWrite {
            consumer: migration,
            generation: ExpectedGeneration::New,
            owner: Arc::new(owner),
            allocations: held.allocations,
        };
        Some((write, host.map(|host| Member::kept(migration, host, instance.consumer))))
    }

    fn write(&self, index: &Index, instance: &Translated) -> ConsumerWrite {
        let Translated { consumer, allocations, .. } = instance.clone();
        let owner = Arc::clone(&self.owner);
        let held =
            index.consumer(consumer).filter(|held| self.keeps_allocations && !held.allocations.is_empty());
        match held {
            None => ConsumerWrite { consumer, generation: ExpectedGeneration::New, owner, allocations },
            Some(held) => ConsumerWrite {
                consumer,
                generation: ExpectedGeneration::Exactly(held.generation),
                owner,
                allocations: joined(held.allocations, allocations),
            },
        }
    }
}

/// Both allocations. A provider of the first, such as shared storage, keeps what is held there, as
/// in Nova.
fn joined(mut held: Allocations, wanted: Allocations) -> Allocations {
    let is_new = |one: &Allocation| held.iter().all(|other| other.row != one.row);
    let new: Vec<Allocation> = wanted.into_iter().filter(is_new).collect();
    held.extend(new);
    held
}
