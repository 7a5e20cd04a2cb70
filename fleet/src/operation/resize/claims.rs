//! The claims of an instance that moves and of its migration.

use std::sync::Arc;

use berth_placement::{Consumer, ConsumerId, ConsumerWrite, ExpectedGeneration, Member, Owner, Timestamp};
use uuid::Uuid;

use crate::Fleet;
use crate::error::FleetError;
use crate::instance::Instance;
use crate::migration::Migration;

impl Fleet {
    /// Releases what the open migration of an instance holds.
    pub(crate) fn release_migration(&self, uuid: Uuid) {
        let instance = self.state.instance(uuid);
        if let Some(migration) = instance.and_then(|instance| instance.migration()) {
            self.release(migration.uuid);
        }
    }

    /// Whether the claims of an instance and its open migration were exchanged.
    pub(crate) fn has_exchanged_claims(&self, migration: &Migration) -> bool {
        self.index.consumer(migration.uuid.into()).is_some_and(|held| held.generation > 1)
    }

    /// Gives the instance what its migration holds, and the migration what the instance holds, in
    /// one step. Both stay in their server group.
    ///
    /// # Errors
    /// A policy of the server group forbids it by now.
    pub(crate) fn exchange_claims(&self, instance: &Instance, now: Timestamp) -> Result<(), FleetError> {
        let Some(migration) = instance.migration() else { return Ok(()) };
        let [own, other]: [ConsumerId; 2] = [instance.uuid.into(), migration.uuid.into()];
        let Some(kept) = self.index.consumer(other).filter(|_| !self.has_exchanged_claims(migration)) else {
            return Ok(());
        };
        let held = self.index.consumer(own);
        let held_nothing = held.is_none();
        let writes = [
            write(own, held.as_ref(), &kept),
            ConsumerWrite {
                allocations: held.map(|held| held.allocations).unwrap_or_default(),
                ..write(other, Some(&kept), &kept)
            },
        ];
        // A member of an affinity group that has left its host together with the others holds
        // nothing, and is in no group.
        let topology = self.index.topology();
        let joins = self.state.membership(instance.uuid).filter(|_| held_nothing);
        let exchanged = match (joins, topology.host_of(&kept.allocations)) {
            (Some(group), Some(host)) => {
                self.index.claim_group(group.into(), &[Member::new(own, host)], &writes, now)
            }
            _ => self.index.transfer(&writes, now),
        };
        exchanged.map_err(|error| {
            let source = &migration.source;
            FleetError::precondition(
                "GROUP",
                format!("the instance cannot go back to host {source:?}: {error}"),
            )
        })
    }
}

/// A write that gives a consumer, as it is, the allocations of another.
fn write(consumer: ConsumerId, held: Option<&Consumer>, of: &Consumer) -> ConsumerWrite {
    let as_instance = |owner: &Arc<Owner>| {
        Arc::new(Owner { consumer_type: Some("INSTANCE".into()), ..Owner::clone(owner) })
    };
    let owner = match held {
        Some(held) => held.owner.clone(),
        None => of.owner.as_ref().map(as_instance), // a migration has held everything
    };
    let nobody = || Arc::new(Owner { project: "".into(), user: "".into(), consumer_type: None });
    ConsumerWrite {
        consumer,
        generation: held.map_or(ExpectedGeneration::New, |held| ExpectedGeneration::Exactly(held.generation)),
        owner: owner.unwrap_or_else(nobody),
        allocations: of.allocations.clone(),
    }
}
