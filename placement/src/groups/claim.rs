//! Changing what consumers hold and which groups they are in, as one change.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::consumers::{Allocation, ConsumerId, Locked};
use crate::groups::roster::Change;
use crate::groups::{Group, GroupError, GroupId, Member, Roster};
use crate::ids::{Row, Timestamp};
use crate::index::Index;
use crate::sync::MutexGuard;
use crate::topology::Topology;
use crate::transfer::{TransferError, Write};

impl Index {
    /// [`Self::transfer`] by members of a group: those named in `members` join it, or move within it. The policy is judged
    /// with all members, those of claims side by side too, and holds afterwards.
    ///
    /// A multi-create names each new instance. A move names the instance on its new host and the migration that
    /// [keeps](Member::kept) the old place. Under anti-affinity nobody can come there meanwhile who would be in the way of
    /// going back. Under affinity whoever joins the instance where it is now binds it there.
    ///
    /// # Errors
    /// What [`Self::transfer`] refuses; an unknown group; a member that is in another group, is not written or is not on
    /// its host; a policy that would be broken. Nothing was changed then.
    pub fn claim_group(
        &self,
        group: GroupId,
        members: &[Member],
        writes: &[Write],
        now: Timestamp,
    ) -> Result<(), TransferError> {
        let group = self.group(group).ok_or(GroupError::Unknown(group))?;
        let joining = Joining::new(group, members)?;
        self.transfer_joining(writes, now, Some(&joining))
    }
}

impl Index {
    /// Makes a consumer that was put back a member of a group again, on the host where its allocations are. Nobody may claim
    /// meanwhile: the policy is not asked, and nothing is counted or recorded. Returns whether it holds anything; if not, it is
    /// no member.
    ///
    /// # Errors
    /// An unknown group.
    pub fn rejoin(&self, group: GroupId, consumer: ConsumerId) -> Result<bool, GroupError> {
        let group = self.group(group).ok_or(GroupError::Unknown(group))?;
        let mut locked = self.consumers.lock([consumer]);
        let held = locked.get(consumer).map(|entry| entry.allocations.clone());
        let Some(host) = held.and_then(|allocations| self.topology().host_of(&allocations)) else {
            return Ok(false);
        };
        let _alone = group.lock();
        let roster = group.roster().ok_or(GroupError::Unknown(group.id()))?;
        group.publish(roster.with(&[(consumer, Some(Member::new(consumer, host)))]));
        if let Some(entry) = locked.get_mut(consumer) {
            entry.group = Some(Arc::clone(&group));
        }
        Ok(true)
    }
}

/// Who joins a group, or moves within it.
pub(crate) struct Joining {
    group: Arc<Group>,
    /// In order of their consumers.
    members: SmallVec<[Member; 2]>,
}

impl Joining {
    fn new(group: Arc<Group>, members: &[Member]) -> Result<Self, GroupError> {
        let mut members: SmallVec<[Member; 2]> = SmallVec::from_slice(members);
        members.sort_unstable();
        match members.windows(2).find(|pair| pair[0].consumer == pair[1].consumer) {
            Some(pair) => Err(GroupError::NamedTwice(pair[0].consumer)),
            None => Ok(Self { group, members }),
        }
    }

    fn get(&self, consumer: ConsumerId) -> Option<Member> {
        let place = self.members.binary_search_by_key(&consumer, |member| member.consumer).ok()?;
        Some(self.members[place])
    }

    fn check_written(&self, writes: &[Write]) -> Result<(), GroupError> {
        let mut written: SmallVec<[ConsumerId; 4]> = writes.iter().map(|write| write.consumer).collect();
        written.sort_unstable();
        let missing = self.members.iter().find(|member| written.binary_search(&member.consumer).is_err());
        missing.map_or(Ok(()), |member| Err(GroupError::NotWritten(member.consumer)))
    }
}

/// A group that is locked, and its roster after the change.
struct Regrouped<'g> {
    group: &'g Arc<Group>,
    /// None when the group has been removed: then there is nothing to keep.
    roster: Option<Roster>,
    _alone: MutexGuard<'g, ()>,
}

/// The groups of written consumers, locked until the change stands or has been refused.
pub(crate) struct Regrouping<'g> {
    groups: SmallVec<[Regrouped<'g>; 1]>,
    joining: Option<&'g Joining>,
}

impl<'g> Regrouping<'g> {
    /// The groups that writes are about, in the order in which they are locked.
    pub(crate) fn groups(
        locked: &Locked<'_>,
        writes: &[Write],
        joining: Option<&Joining>,
    ) -> SmallVec<[Arc<Group>; 1]> {
        let held = writes.iter().filter_map(|write| locked.get(write.consumer)?.group.as_ref());
        let mut groups: SmallVec<[_; 1]> =
            held.chain(joining.map(|joining| &joining.group)).cloned().collect();
        groups.sort_unstable_by_key(Group::precedence);
        groups.dedup_by_key(|group| group.precedence());
        groups
    }

    /// Locks the groups and judges their policies as they will be.
    ///
    /// # Errors
    /// A member that cannot be one, or a policy that would be broken.
    pub(crate) fn prepare(
        groups: &'g [Arc<Group>],
        locked: &Locked<'_>,
        writes: &[Write],
        joining: Option<&'g Joining>,
        index: &Index,
    ) -> Result<Self, GroupError> {
        let lock = |group: &'g Arc<Group>| Regrouped { _alone: group.lock(), group, roster: None };
        let mut regrouping = Self { groups: groups.iter().map(lock).collect(), joining };
        if groups.is_empty() {
            return Ok(regrouping);
        }
        if let Some(joining) = joining {
            joining.check_written(writes)?;
        }
        let topology = index.topology();
        for regrouped in &mut regrouping.groups {
            let change = Changes { group: regrouped.group, locked, joining, topology: &topology };
            regrouped.roster = change.roster(writes)?;
        }
        Ok(regrouping)
    }

    /// Makes the new rosters public, and tells consumers which group they are in.
    pub(crate) fn publish(self, locked: &mut Locked<'_>) {
        if let Some(joining) = self.joining {
            for member in &joining.members {
                if let Some(entry) = locked.get_mut(member.consumer) {
                    entry.group = Some(Arc::clone(&joining.group));
                }
            }
        }
        for Regrouped { group, roster, .. } in self.groups {
            roster.into_iter().for_each(|roster| group.publish(roster));
        }
    }
}

/// What writes change in one group, which is locked.
struct Changes<'a, 'table> {
    group: &'a Arc<Group>,
    locked: &'a Locked<'table>,
    joining: Option<&'a Joining>,
    topology: &'a Topology,
}

impl Changes<'_, '_> {
    /// The roster afterwards, by which the policy holds; none when the group has been removed.
    fn roster(&self, writes: &[Write]) -> Result<Option<Roster>, GroupError> {
        let joined = self.joining.filter(|joining| Arc::ptr_eq(&joining.group, self.group));
        let Some(roster) = self.group.roster() else {
            return if joined.is_some() { Err(GroupError::Unknown(self.group.id())) } else { Ok(None) };
        };
        let change = |write| self.change(&roster, joined, write).transpose();
        let mut changes: SmallVec<[Change; 4]> =
            writes.iter().filter_map(change).collect::<Result<_, _>>()?;
        changes.sort_unstable();
        let hosts: SmallVec<[Row; 4]> = changes.iter().filter_map(|change| Some(change.1?.host)).collect();
        let roster = roster.with(&changes);
        self.group.policy().judge(self.group.id(), &roster, &hosts)?;
        Ok(Some(roster))
    }

    fn change(
        &self,
        roster: &Roster,
        joined: Option<&Joining>,
        write: &Write,
    ) -> Result<Option<Change>, GroupError> {
        let Write { consumer, allocations, .. } = write;
        if let Some(member) = joined.and_then(|joining| joining.get(*consumer)) {
            return self.join(member, allocations).map(|member| Some((*consumer, Some(member))));
        }
        let Some(member) = roster.get(*consumer) else { return Ok(None) };
        Ok(Some((*consumer, self.follow(*member, allocations))))
    }

    fn join(&self, member: Member, allocations: &[Allocation]) -> Result<Member, GroupError> {
        let Member { consumer, host, .. } = member;
        let other = self.locked.get(consumer).and_then(|entry| entry.group.as_ref());
        let other = other.filter(|other| !Arc::ptr_eq(other, self.group) && other.roster().is_some());
        if let Some(other) = other {
            return Err(GroupError::InAnotherGroup { consumer, group: other.id() });
        }
        if !self.topology.is_on(host, allocations) {
            return Err(GroupError::NotOnHost { consumer, host });
        }
        Ok(member)
    }

    /// A member that is written without being named stays where it is, or goes with its allocations. Without any, it
    /// leaves.
    fn follow(&self, member: Member, allocations: &[Allocation]) -> Option<Member> {
        if self.topology.is_on(member.host, allocations) {
            return Some(member);
        }
        self.topology.host_of(allocations).map(|host| Member { host, ..member })
    }
}
