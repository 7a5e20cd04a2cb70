//! The groups of an index.

use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwapOption;
use dashmap::{DashMap, Entry};
use rustc_hash::FxHasher;

use crate::consumers::ConsumerId;
use crate::groups::{GroupError, GroupId, GroupPolicy, Roster};
use crate::index::Index;
use crate::sync::{Mutex, MutexGuard};

/// A server group. The holder of its lock replaces the roster as a whole.
pub struct ConsumerGroup {
    id: GroupId,
    policy: GroupPolicy,
    changing: Mutex<()>,
    /// `None` after the group has been removed.
    roster: ArcSwapOption<Roster>,
}

impl ConsumerGroup {
    fn new(id: GroupId, policy: GroupPolicy) -> Self {
        let roster = ArcSwapOption::from_pointee(Roster::default());
        Self { id, policy, changing: Mutex::new(()), roster }
    }

    /// Its UUID.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> GroupPolicy {
        self.policy
    }

    /// The current members; `None` after the group has been removed. Takes no lock, so the result
    /// is advisory: a concurrent claim may be about to change it.
    #[must_use]
    pub fn roster(&self) -> Option<Arc<Roster>> {
        self.roster.load_full()
    }

    /// Whether the policy allows the roster with these instances added. Advisory, like the roster.
    ///
    /// # Errors
    /// An unknown group, or the policy violation.
    pub fn check(&self, instances: &[super::Member]) -> Result<(), GroupError> {
        let roster = self.roster().ok_or(GroupError::Unknown(self.id))?;
        let mut changes: Vec<_> = instances.iter().map(|member| (member.consumer, Some(*member))).collect();
        changes.sort_unstable();
        changes.dedup_by_key(|change| change.0);
        let hosts: Vec<_> = instances.iter().map(|member| member.host).collect();
        self.policy.judge(self.id, &roster.with(&changes), &hosts)
    }

    /// Locks the group against other changes. A caller that locks several groups does so in their
    /// [order](Self::precedence), after the consumers' shards.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // A thread that panicked with the group locked had published a whole roster, or none.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The locking order of groups. Another group with the same UUID may have followed a removed
    /// one.
    pub(super) fn precedence(self: &Arc<Self>) -> (GroupId, *const Self) {
        (self.id, Arc::as_ptr(self))
    }

    pub(super) fn publish(&self, roster: Roster) {
        self.roster.store(Some(Arc::new(roster)));
    }

    /// Removes a consumer whose shard is locked.
    pub(crate) fn leave(&self, consumer: ConsumerId) {
        let _alone = self.lock();
        if let Some(roster) = self.roster() {
            self.publish(roster.with(&[(consumer, None)]));
        }
    }
}

impl fmt::Debug for ConsumerGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl PartialEq for ConsumerGroup {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ConsumerGroup {}

/// The groups by their UUIDs.
pub(crate) type Groups = DashMap<GroupId, Arc<ConsumerGroup>, BuildHasherDefault<FxHasher>>;

impl Index {
    /// Adds a group without members. Its policy never changes.
    ///
    /// # Errors
    /// The group exists already.
    pub fn add_group(&self, id: GroupId, policy: GroupPolicy) -> Result<(), GroupError> {
        match self.groups.entry(id) {
            Entry::Occupied(_) => Err(GroupError::Exists(id)),
            Entry::Vacant(entry) => {
                entry.insert(Arc::new(ConsumerGroup::new(id, policy)));
                Ok(())
            }
        }
    }

    /// Removes a group. Its former members keep their allocations.
    ///
    /// # Errors
    /// An unknown group.
    pub fn remove_group(&self, id: GroupId) -> Result<Arc<Roster>, GroupError> {
        let (_, group) = self.groups.remove(&id).ok_or(GroupError::Unknown(id))?;
        let _alone = group.lock();
        Ok(group.roster.swap(None).expect("nobody else took it from the map"))
    }

    /// The group with this UUID.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<Arc<ConsumerGroup>> {
        self.groups.get(&id).map(|group| Arc::clone(&group))
    }
}
