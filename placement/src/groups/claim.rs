//! Changes consumers' allocations and group memberships as one change.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::consumers::{Allocation, ConsumerId, Entry, Locked};
use crate::groups::roster::Change;
use crate::groups::{ConsumerGroup, GroupError, GroupId, Member, Roster};
use crate::ids::{Row, Timestamp};
use crate::index::Index;
use crate::sync::MutexGuard;
use crate::topology::Topology;
use crate::transfer::{ConsumerWrite, TransferError};

impl Index {
    /// Runs [`Self::transfer`] for members of a group: those in `members` join it, or move within
    /// it. The policy is checked against all members, including those of concurrent claims, and
    /// holds afterwards.
    ///
    /// A multi-create lists each new instance. A move lists the instance on its new host and the
    /// migration that [keeps](Member::kept) the old place. Under anti-affinity, no other member can
    /// take a host that the instance may have to return to. Under affinity, a member that joins on
    /// the instance's current host binds it to that host.
    ///
    /// # Errors
    /// The errors of [`Self::transfer`]; an unknown group; a member that is in another group, has
    /// no write or is not on its host; a policy violation. Nothing has changed then.
    pub fn claim_group(
        &self,
        group: GroupId,
        members: &[Member],
        writes: &[ConsumerWrite],
        now: Timestamp,
    ) -> Result<(), TransferError> {
        let group = self.group(group).ok_or(GroupError::Unknown(group))?;
        let joining = Joining::new(group, members)?;
        self.transfer_joining(writes, now, Some(&joining))
    }
}

impl Index {
    /// Makes a restored consumer a member of a group again, on the host of its allocations. Only
    /// for a restore without concurrent claims: the policy is not checked, and nothing is counted
    /// or recorded. Returns whether the consumer holds any allocation; if not, it is not a member.
    ///
    /// # Errors
    /// An unknown group.
    pub fn rejoin(&self, group: GroupId, consumer: ConsumerId) -> Result<bool, GroupError> {
        self.rejoin_kept(group, consumer, consumer)
    }

    /// [`Self::rejoin`] for a migration, which keeps a place for an instance.
    ///
    /// # Errors
    /// An unknown group.
    pub fn rejoin_kept(
        &self,
        group: GroupId,
        consumer: ConsumerId,
        instance: ConsumerId,
    ) -> Result<bool, GroupError> {
        let group = self.group(group).ok_or(GroupError::Unknown(group))?;
        let mut locked = self.consumers.lock([consumer]);
        let held = locked.get(consumer).map(Entry::allocations);
        let Some(host) = held.and_then(|allocations| self.topology().host_of(&allocations)) else {
            return Ok(false);
        };
        let _alone = group.lock();
        let roster = group.roster().ok_or(GroupError::Unknown(group.id()))?;
        group.publish(roster.with(&[(consumer, Some(Member::kept(consumer, host, instance)))]));
        if let Some(entry) = locked.get_mut(consumer) {
            entry.join(&group);
        }
        Ok(true)
    }
}

/// The consumers that join a group or move within it.
pub(crate) struct Joining {
    group: Arc<ConsumerGroup>,
    /// In order of their consumers.
    members: SmallVec<[Member; 2]>,
}

impl Joining {
    fn new(group: Arc<ConsumerGroup>, members: &[Member]) -> Result<Self, GroupError> {
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

    fn check_written(&self, writes: &[ConsumerWrite]) -> Result<(), GroupError> {
        let mut written: SmallVec<[ConsumerId; 4]> = writes.iter().map(|write| write.consumer).collect();
        written.sort_unstable();
        let missing = self.members.iter().find(|member| written.binary_search(&member.consumer).is_err());
        missing.map_or(Ok(()), |member| Err(GroupError::NotWritten(member.consumer)))
    }
}

/// A locked group and its roster after the change.
struct Regrouped<'g> {
    group: &'g Arc<ConsumerGroup>,
    /// `None` when the group has been removed: no policy applies then.
    roster: Option<Roster>,
    _alone: MutexGuard<'g, ()>,
}

/// The groups of written consumers, locked until the change is applied or refused.
pub(crate) struct Regrouping<'g> {
    groups: SmallVec<[Regrouped<'g>; 1]>,
    joining: Option<&'g Joining>,
}

impl<'g> Regrouping<'g> {
    /// The groups that the writes affect, in locking order.
    pub(crate) fn groups(
        locked: &Locked<'_>,
        writes: &[ConsumerWrite],
        joining: Option<&Joining>,
    ) -> SmallVec<[Arc<ConsumerGroup>; 1]> {
        let held = writes.iter().filter_map(|write| locked.get(write.consumer)?.group());
        let mut groups: SmallVec<[_; 1]> =
            held.chain(joining.map(|joining| &joining.group)).cloned().collect();
        groups.sort_unstable_by_key(ConsumerGroup::precedence);
        groups.dedup_by_key(|group| group.precedence());
        groups
    }

    /// Locks the groups and checks their policies against the rosters after the change.
    ///
    /// # Errors
    /// An invalid member, or a policy violation.
    pub(crate) fn prepare(
        groups: &'g [Arc<ConsumerGroup>],
        locked: &Locked<'_>,
        writes: &[ConsumerWrite],
        joining: Option<&'g Joining>,
        index: &Index,
    ) -> Result<Self, GroupError> {
        let lock = |group: &'g Arc<ConsumerGroup>| Regrouped { _alone: group.lock(), group, roster: None };
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

    /// Publishes the new rosters and sets the consumers' groups.
    pub(crate) fn publish(self, locked: &mut Locked<'_>) {
        if let Some(joining) = self.joining {
            for member in &joining.members {
                if let Some(entry) = locked.get_mut(member.consumer) {
                    entry.join(&joining.group);
                }
            }
        }
        for Regrouped { group, roster, .. } in self.groups {
            roster.into_iter().for_each(|roster| group.publish(roster));
        }
    }
}

/// The changes of the writes in one locked group.
struct Changes<'a, 'table> {
    group: &'a Arc<ConsumerGroup>,
    locked: &'a Locked<'table>,
    joining: Option<&'a Joining>,
    topology: &'a Topology,
}

impl Changes<'_, '_> {
    /// The roster after the change, for which the policy holds; `None` when the group has been
    /// removed.
    fn roster(&self, writes: &[ConsumerWrite]) -> Result<Option<Roster>, GroupError> {
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
        write: &ConsumerWrite,
    ) -> Result<Option<Change>, GroupError> {
        let ConsumerWrite { consumer, allocations, .. } = write;
        if let Some(member) = joined.and_then(|joining| joining.get(*consumer)) {
            return self.join(member, allocations).map(|member| Some((*consumer, Some(member))));
        }
        let Some(member) = roster.get(*consumer) else { return Ok(None) };
        Ok(Some((*consumer, self.follow(*member, allocations))))
    }

    fn join(&self, member: Member, allocations: &[Allocation]) -> Result<Member, GroupError> {
        let Member { consumer, host, .. } = member;
        let other = self.locked.get(consumer).and_then(Entry::group);
        let other = other.filter(|other| !Arc::ptr_eq(other, self.group) && other.roster().is_some());
        if let Some(other) = other {
            return Err(GroupError::InAnotherGroup { consumer, group: other.id() });
        }
        if !self.topology.is_on(host, allocations) {
            return Err(GroupError::NotOnHost { consumer, host });
        }
        Ok(member)
    }

    /// A written member that is not listed stays on its host, or follows its allocations. Without
    /// allocations, it leaves the group.
    fn follow(&self, member: Member, allocations: &[Allocation]) -> Option<Member> {
        if self.topology.is_on(member.host, allocations) {
            return Some(member);
        }
        self.topology.host_of(allocations).map(|host| Member { host, ..member })
    }
}
