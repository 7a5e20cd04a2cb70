//! The claims of server groups that are evacuated.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::{ConsumerId, ConsumerWrite, ExpectedGeneration, Member, Owner, Timestamp};
use uuid::Uuid;

use crate::Fleet;
use crate::group::ServerGroupPolicy;
use crate::instance::Instance;

impl Fleet {
    /// Whether the evacuation of an instance has claimed a target.
    #[must_use]
    pub fn has_refuge(&self, instance: &Instance) -> bool {
        let migration = instance.migration();
        migration.is_some_and(|of| self.holds_capacity(of.uuid)) && self.holds_capacity(instance.uuid)
    }

    /// Lets the members of affinity groups leave their host together: each one alone would be bound
    /// to the host by the others. Their migrations get what they hold, before the first of them
    /// claims a target. Going back exchanges that again.
    pub fn part_from_host(&self, instances: &[Arc<Instance>], now: Timestamp) {
        let mut groups = BTreeMap::<Uuid, Vec<&Arc<Instance>>>::new();
        for instance in instances {
            let is_new = instance.migration().is_some_and(|of| !self.holds_capacity(of.uuid));
            if let Some(group) = self.state.membership(instance.uuid).filter(|_| is_new) {
                groups.entry(group).or_default().push(instance);
            }
        }
        for (group, members) in groups {
            let policy = self.state.group(group).map(|group| group.policy);
            if policy == Some(ServerGroupPolicy::Affinity) && members.len() > 1 {
                self.part_members(group, &members, now);
            }
        }
    }

    fn part_members(&self, group: Uuid, instances: &[&Arc<Instance>], now: Timestamp) {
        let topology = self.index.topology();
        let (mut writes, mut kept) = (Vec::new(), Vec::new());
        for instance in instances {
            let Some(migration) = instance.migration() else { continue };
            let [own, other]: [ConsumerId; 2] = [instance.uuid.into(), migration.uuid.into()];
            let Some(held) = self.index.consumer(own) else { continue };
            let Some(host) = topology.host_of(&held.allocations) else { continue };
            let Some(owner) = held.owner.clone() else { continue };
            let keeper = Owner { consumer_type: Some("MIGRATION".into()), ..Owner::clone(&owner) };
            kept.push(Member::kept(other, host, own));
            writes.push(ConsumerWrite {
                consumer: own,
                generation: ExpectedGeneration::Exactly(held.generation),
                owner,
                allocations: berth_placement::Allocations::default(),
            });
            writes.push(ConsumerWrite {
                consumer: other,
                generation: ExpectedGeneration::New,
                owner: Arc::new(keeper),
                allocations: held.allocations,
            });
        }
        // If another request changes a claim in this moment, the members get no target, and the
        // refusal says so.
        if let Err(error) = self.index.claim_group(group.into(), &kept, &writes, now) {
            tracing::warn!(%group, %error, "the members of an affinity group cannot leave their host together");
        }
    }
}
