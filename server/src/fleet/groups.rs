//! Server groups.

use std::num::NonZeroU32;
use std::sync::PoisonError;

use berth_placement::{GroupId, GroupPolicy};
use uuid::Uuid;

use super::ask::Ask;
use super::entry::{Group, Policy};
use super::error::{FleetError, IN_USE};
use super::quotas::check_project;
use super::state::State;
use super::{Fleet, Named, check_name};

/// What the index is to hold members to.
pub(super) fn policy_of(group: &Group) -> GroupPolicy {
    match group.policy() {
        Policy::Affinity => GroupPolicy::Affinity,
        Policy::AntiAffinity => {
            let max_per_host = NonZeroU32::new(group.max_server_per_host).unwrap_or(NonZeroU32::MIN);
            GroupPolicy::AntiAffinity { max_per_host }
        }
        Policy::SoftAffinity => GroupPolicy::SoftAffinity,
        Policy::SoftAntiAffinity => GroupPolicy::SoftAntiAffinity,
    }
}

impl Fleet {
    /// All of a project, or of all; each with its UUID.
    pub(crate) fn groups(&self, project: &str) -> Vec<(Uuid, Group)> {
        let state = self.state();
        let of_project = |group: &Group| project.is_empty() || group.project == project;
        let groups = state.groups.iter().filter(|(_, group)| of_project(group));
        let mut groups: Vec<_> = groups.map(|(&uuid, group)| (uuid, group.clone())).collect();
        groups.sort_by(|a, b| (&a.1.name, a.0).cmp(&(&b.1.name, b.0)));
        groups
    }

    pub(crate) fn group(&self, named: Named<'_>) -> Result<(Uuid, Group), FleetError> {
        named.resolve(&self.state().groups).map(|(uuid, group)| (uuid, group.clone()))
    }

    /// Who is in it now: instances, and consumers of others that hold something.
    pub(crate) fn group_members(&self, uuid: Uuid) -> Vec<Uuid> {
        let state = self.state();
        state.members(uuid).filter(|&member| self.is_there(&state, member, uuid)).collect()
    }

    /// Whether a member is an instance, or holds what it claimed with the group. Of others, room was released through Placement.
    fn is_there(&self, state: &State, member: Uuid, group: Uuid) -> bool {
        let roster = || self.index.group(GroupId::from(group))?.roster();
        state.instances.contains_key(&member)
            || roster().is_some_and(|roster| roster.get(member.into()).is_some())
    }

    /// Forgets the memberships of consumers that are there no more.
    pub(super) fn forget_released(&self) {
        if self.released(&self.state()).is_empty() {
            return;
        }
        // Nobody is between joining a group and claiming room while the decider is held.
        let _decider = self.decider.lock().unwrap_or_else(PoisonError::into_inner);
        self.transact(|fleet| {
            let released = self.released(fleet.state);
            released.iter().for_each(|&member| fleet.set_membership(member, None));
        });
    }

    /// Members that are there no more.
    fn released(&self, state: &State) -> Vec<Uuid> {
        // A group that has lost nobody has as many members as its roster: most of them are passed over.
        let roster_len = |group: &Uuid| {
            let roster = self.index.group(GroupId::from(*group)).and_then(|group| group.roster());
            roster.map_or(0, |roster| roster.members().len())
        };
        let groups = state.members.iter().filter(|(group, members)| members.len() > roster_len(group));
        let members = groups.flat_map(|(&group, members)| members.iter().map(move |&member| (member, group)));
        let gone = members.filter(|&(member, group)| !self.is_there(state, member, group));
        gone.map(|(member, _)| member).collect()
    }

    pub(crate) fn create_group(&self, group: Group) -> Result<(Uuid, Group), FleetError> {
        check_name("name", &group.name, 255)?;
        check_project(&group.project)?;
        if group.max_server_per_host > 1 && group.policy() != Policy::AntiAffinity {
            return Err(FleetError::field("max_server_per_host", "is for the policy ANTI_AFFINITY only"));
        }
        self.transact(|fleet| {
            let same = |known: &Group| {
                known.idempotency_key == group.idempotency_key && known.project == group.project
            };
            let earlier =
                fleet.state.groups.iter().find(|(_, known)| !group.idempotency_key.is_empty() && same(known));
            if let Some((&uuid, known)) = earlier {
                return Ok((uuid, known.clone()));
            }
            #[expect(clippy::disallowed_methods, reason = "a new UUID has to be unlike all others")]
            let uuid = Uuid::new_v4();
            let group = Group { uuid: uuid.into_bytes().to_vec(), ..group };
            let added = self.index.add_group(GroupId::from(uuid), policy_of(&group));
            added.map_err(|error| FleetError::precondition("GROUP", error.to_string()))?;
            fleet.put_group(uuid, group.clone());
            Ok((uuid, group))
        })
    }

    pub(crate) fn delete_group(&self, named: Named<'_>) -> Result<(), FleetError> {
        let (uuid, _) = self.group(named)?;
        self.forget_released();
        self.transact(|fleet| {
            let members = fleet.state.members(uuid).len();
            if members > 0 {
                let message = format!("{members} instances are in the server group {:?}", named.name);
                return Err(FleetError::precondition(IN_USE, message));
            }
            // Whoever joined a moment ago is told that there is no such group, or is no member of any.
            let _ = self.index.remove_group(GroupId::from(uuid));
            fleet.remove_group(uuid);
            Ok(())
        })
    }

    /// The group that is asked for. It has to be one of the project.
    pub(super) fn group_asked(&self, ask: &Ask) -> Result<Option<GroupId>, FleetError> {
        let Some(uuid) = ask.group()? else { return Ok(None) };
        self.group(Named { name: &uuid.to_string(), project: &ask.project })?;
        Ok(Some(uuid.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_placement::{Allocation, Index, Inventory, Timestamp};

    use super::*;
    use crate::fleet::FleetOptions;

    /// A fleet over one provider.
    fn fleet() -> Fleet {
        let index = Index::with_holders();
        let mut writer = index.write_at(Timestamp(0));
        let row = writer.add_provider(Uuid::from_u128(1), "h1", None).unwrap();
        let class = writer.resource_class("CUSTOM_X").unwrap();
        writer.set_inventories(row, None, vec![(class, Inventory::of(10))]).unwrap();
        drop(writer);
        Fleet::new(Arc::new(index), None, State::default(), FleetOptions::default())
    }

    #[test]
    fn a_member_that_was_released_is_one_no_more() {
        let fleet = fleet();
        let group = Group { name: "g".to_owned(), project: "p".to_owned(), ..Group::default() };
        let (group, _) = fleet.create_group(group).unwrap();
        let named = Named { name: "g", project: "p" };
        let [holds, released] = [2, 3].map(Uuid::from_u128);
        let row = fleet.index.find(Uuid::from_u128(1)).unwrap();
        let class = fleet.index.topology().class("CUSTOM_X").unwrap();
        let allocation = Allocation { row, class, amount: 1 };
        for member in [holds, released] {
            fleet.index.claim(member.into(), &[allocation]).unwrap();
            fleet.transact(|fleet| fleet.set_membership(member, Some(group)));
            fleet.index.rejoin(group.into(), member.into()).unwrap();
        }
        fleet.forget_released();
        assert_eq!(fleet.group_members(group), [holds, released]);
        fleet.index.remove_consumer(released.into()).unwrap();
        // It is somebody else's now, and in no group.
        fleet.index.claim(released.into(), &[allocation]).unwrap();
        assert_eq!(fleet.group_members(group), [holds]);
        fleet.forget_released();
        assert_eq!(fleet.state().memberships, [(holds, group)].into());
        assert!(matches!(fleet.delete_group(named), Err(FleetError::Precondition { reason: IN_USE, .. })));
        fleet.index.remove_consumer(holds.into()).unwrap();
        fleet.delete_group(named).unwrap();
        assert!(fleet.state().is_empty());
    }
}
