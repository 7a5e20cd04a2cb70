//! Server groups.

use std::num::NonZeroU32;

use berth_placement::{GroupId, GroupPolicy};
use uuid::Uuid;

use crate::Fleet;
use crate::error::{FleetError, IN_USE, check_name, check_project};
use crate::named::{Named, Owned};
use crate::state::State;

/// A server group, without its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The policy of its members' hosts.
    pub policy: ServerGroupPolicy,
    /// With [`ServerGroupPolicy::AntiAffinity`], the members that a host may have; 0 for one.
    pub max_server_per_host: u32,
    /// The project that it belongs to.
    pub project: String,
    /// The key of the request that created it; empty for none.
    pub idempotency_key: String,
}

/// A policy of Nova's server groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerGroupPolicy {
    /// All members on one host.
    #[default]
    Affinity,
    /// Members on different hosts.
    AntiAffinity,
    /// On few hosts, if possible.
    SoftAffinity,
    /// On many hosts, if possible.
    SoftAntiAffinity,
}

impl Group {
    /// The policy as the index enforces it.
    #[must_use]
    pub fn index_policy(&self) -> GroupPolicy {
        match self.policy {
            ServerGroupPolicy::Affinity => GroupPolicy::Affinity,
            ServerGroupPolicy::AntiAffinity => {
                let max_per_host = NonZeroU32::new(self.max_server_per_host).unwrap_or(NonZeroU32::MIN);
                GroupPolicy::AntiAffinity { max_per_host }
            }
            ServerGroupPolicy::SoftAffinity => GroupPolicy::SoftAffinity,
            ServerGroupPolicy::SoftAntiAffinity => GroupPolicy::SoftAntiAffinity,
        }
    }
}

impl Fleet {
    /// The groups of a project, or all for an empty name; each with its UUID.
    #[must_use]
    pub fn groups(&self, project: &str) -> Vec<(Uuid, Group)> {
        let of_project = |group: &Group| project.is_empty() || group.project == project;
        let groups = self.state.groups.iter().filter(|(_, group)| of_project(group));
        let mut groups: Vec<_> = groups.map(|(&uuid, group)| (uuid, group.clone())).collect();
        groups.sort_by(|a, b| (&a.1.name, a.0).cmp(&(&b.1.name, b.0)));
        groups
    }

    /// The group that a request names, with its UUID.
    ///
    /// # Errors
    /// No such group, or an ambiguous name.
    pub fn group(&self, named: Named<'_>) -> Result<(Uuid, Group), FleetError> {
        named.resolve(&self.state.groups).map(|(uuid, group): (Uuid, &Group)| (uuid, group.clone()))
    }

    /// Checks that the group exists and belongs to the project.
    ///
    /// # Errors
    /// The project has no such group.
    pub fn check_group(&self, uuid: Uuid, project: &str) -> Result<(), FleetError> {
        let is_visible = |group: &&Group| project.is_empty() || group.project == project;
        let group = self.state.groups.get(&uuid).filter(is_visible);
        group.map(drop).ok_or_else(|| FleetError::not_found(Group::KIND, uuid.to_string()))
    }

    /// The members of a group: instances, and other consumers that hold capacity.
    #[must_use]
    pub fn group_members(&self, uuid: Uuid) -> Vec<Uuid> {
        self.state.members(uuid).filter(|&member| self.is_member(member, uuid)).collect()
    }

    /// Whether a recorded member is an instance, or holds what it claimed as a member. The capacity
    /// of other consumers can be released through Placement.
    fn is_member(&self, member: Uuid, group: Uuid) -> bool {
        let roster = || self.index.group(GroupId::from(group))?.roster();
        self.state.instances.contains_key(&member)
            || roster().is_some_and(|roster| roster.get(member.into()).is_some())
    }

    /// Whether there are recorded members that are members no longer.
    #[must_use]
    pub fn has_released_members(&self) -> bool {
        !self.released_members().is_empty()
    }

    /// Removes the memberships of consumers that are members no longer. The caller holds the
    /// decider: nobody is between joining a group and claiming capacity then.
    pub fn forget_released_members(&mut self) {
        for member in self.released_members() {
            self.state.set_membership(member, None);
        }
    }

    fn released_members(&self) -> Vec<Uuid> {
        // A group that has lost no member has as many as its roster: most groups are skipped.
        let roster_len = |group: &Uuid| {
            let roster = self.index.group(GroupId::from(*group)).and_then(|group| group.roster());
            roster.map_or(0, |roster| roster.members().len())
        };
        let groups = self.state.members.iter().filter(|(group, members)| members.len() > roster_len(group));
        let members = groups.flat_map(|(&group, members)| members.iter().map(move |&member| (member, group)));
        members.filter(|&(member, group)| !self.is_member(member, group)).map(|(member, _)| member).collect()
    }

    /// Records those of the consumers that hold no capacity yet as members of the group, or of
    /// none. Returns the members that changed, each with its group before. A membership without a
    /// claim is forgotten at the next start.
    pub fn join_group(&mut self, consumers: &[Uuid], group: Option<Uuid>) -> Vec<(Uuid, Option<Uuid>)> {
        let new = consumers.iter().copied().filter(|&uuid| !self.holds_capacity(uuid));
        let before = new.map(|uuid| (uuid, self.state.membership(uuid)));
        let changed: Vec<_> = before.filter(|(_, before)| *before != group).collect();
        changed.iter().for_each(|&(uuid, _)| self.state.set_membership(uuid, group));
        changed
    }

    /// Restores memberships that [`Self::join_group`] changed.
    pub fn leave_group(&mut self, joined: &[(Uuid, Option<Uuid>)]) {
        joined.iter().for_each(|&(uuid, before)| self.state.set_membership(uuid, before));
    }

    /// Adds a group, or returns that of an earlier request with the same key.
    ///
    /// # Errors
    /// An invalid group.
    pub fn create_group(&mut self, group: Group, uuid: Uuid) -> Result<(Uuid, Group), FleetError> {
        check_name("name", &group.name, 255)?;
        check_project(&group.project)?;
        if group.max_server_per_host > 1 && group.policy != ServerGroupPolicy::AntiAffinity {
            return Err(FleetError::field("max_server_per_host", "is for the policy ANTI_AFFINITY only"));
        }
        let is_same =
            |known: &Group| known.idempotency_key == group.idempotency_key && known.project == group.project;
        if !group.idempotency_key.is_empty()
            && let Some((&uuid, known)) = self.state.groups.iter().find(|(_, known)| is_same(known))
        {
            return Ok((uuid, known.clone()));
        }
        let added = self.index.add_group(GroupId::from(uuid), group.index_policy());
        added.map_err(|error| FleetError::precondition("GROUP", error.to_string()))?;
        self.state.put_group(uuid, group.clone());
        Ok((uuid, group))
    }

    /// Removes a group.
    ///
    /// # Errors
    /// An unknown group, or one with members. Call [`Self::forget_released_members`] first.
    pub fn delete_group(&mut self, named: Named<'_>) -> Result<(), FleetError> {
        let (uuid, _) = self.group(named)?;
        let members = self.state.members(uuid).len();
        if members > 0 {
            let message = format!("{members} instances are in the server group {:?}", named.name);
            return Err(FleetError::precondition(IN_USE, message));
        }
        // A claim that began a moment ago is refused, or its consumer is a member of no group.
        let _ = self.index.remove_group(GroupId::from(uuid));
        self.state.remove_group(uuid);
        Ok(())
    }

    /// Adds the recorded groups to the index, with those of their members that hold capacity, and
    /// removes memberships that are none any longer. An instance stays a member, whatever it holds.
    pub(crate) fn restore_groups(&mut self) {
        for (&uuid, group) in &self.state.groups {
            if let Err(error) = self.index.add_group(GroupId::from(uuid), group.index_policy()) {
                tracing::error!(%uuid, %error, "a server group cannot be restored");
            }
        }
        let State { groups, instances, memberships, .. } = &self.state;
        for (&migration, instance) in &self.state.migrations {
            if let Some(&group) = memberships.get(instance) {
                // A migration without allocations keeps no place.
                let _ = self.index.rejoin_kept(group.into(), migration.into(), (*instance).into());
            }
        }
        let is_member = |(consumer, group): (&Uuid, &Uuid)| {
            self.index.rejoin(GroupId::from(*group), (*consumer).into()).unwrap_or(false)
                || (groups.contains_key(group) && instances.contains_key(consumer))
        };
        let released = memberships.iter().filter(|&member| !is_member(member));
        let released: Vec<Uuid> = released.map(|(&consumer, _)| consumer).collect();
        released.into_iter().for_each(|consumer| self.state.set_membership(consumer, None));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_placement::{Allocation, Index, Inventory, Timestamp};

    use super::*;
    use crate::FleetOptions;
    use crate::time::Monotonic;

    #[test]
    fn a_released_consumer_is_no_member() {
        let index = Index::with_holders();
        let mut writer = index.write_at(Timestamp(0));
        let row = writer.add_provider(Uuid::from_u128(1), "h1", None).unwrap();
        let class = writer.resource_class("CUSTOM_X").unwrap();
        writer.set_inventories(row, None, vec![(class, Inventory::of(10))]).unwrap();
        drop(writer);
        let index = Arc::new(index);
        let mut fleet =
            Fleet::new(Arc::clone(&index), State::default(), FleetOptions::default(), Monotonic(0));
        let group = Group { name: "g".to_owned(), project: "p".to_owned(), ..Group::default() };
        let (group, _) = fleet.create_group(group, Uuid::from_u128(9)).unwrap();
        let named = Named { name: "g", project: "p" };
        let [holds, released] = [2, 3].map(Uuid::from_u128);
        let allocation = Allocation { row, class, amount: 1 };
        for member in [holds, released] {
            index.claim(member.into(), &[allocation]).unwrap();
            fleet.state.set_membership(member, Some(group));
            index.rejoin(group.into(), member.into()).unwrap();
        }
        fleet.forget_released_members();
        assert_eq!(fleet.group_members(group), [holds, released]);
        index.release_uncounted(released.into()).unwrap();
        // It belongs to another consumer now, and to no group.
        index.claim(released.into(), &[allocation]).unwrap();
        assert_eq!(fleet.group_members(group), [holds]);
        fleet.forget_released_members();
        assert_eq!(fleet.state.memberships, [(holds, group)].into());
        assert!(matches!(fleet.delete_group(named), Err(FleetError::Precondition { reason: IN_USE, .. })));
        index.release_uncounted(holds.into()).unwrap();
        fleet.forget_released_members();
        fleet.delete_group(named).unwrap();
        assert!(fleet.state.is_empty());
    }
}
