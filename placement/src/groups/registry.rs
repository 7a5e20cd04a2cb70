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

/// A server group. Its roster is replaced as a whole, by whoever has it locked.
pub struct Group {
    id: GroupId,
    policy: GroupPolicy,
    changing: Mutex<()>,
    /// None once the group has been removed.
    roster: ArcSwapOption<Roster>,
}

impl Group {
    fn new(id: GroupId, policy: GroupPolicy) -> Self {
        let roster = ArcSwapOption::from_pointee(Roster::default());
        Self { id, policy, changing: Mutex::new(()), roster }
    }

    /// Its UUID.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// What its members want.
    #[must_use]
    pub const fn policy(&self) -> GroupPolicy {
        self.policy
    }

    /// The members now; none when the group has been removed. Waits for nobody, so what it says is advice: a claim may be
    /// about to change it.
    #[must_use]
    pub fn roster(&self) -> Option<Arc<Roster>> {
        self.roster.load_full()
    }

    /// Whether the instances may be where the roster with them would have them. Advice, like the roster.
    ///
    /// # Errors
    /// An unknown group, or what breaks its policy.
    pub fn look(&self, instances: &[super::Member]) -> Result<(), GroupError> {
        let roster = self.roster().ok_or(GroupError::Unknown(self.id))?;
        let mut changes: Vec<_> = instances.iter().map(|member| (member.consumer, Some(*member))).collect();
        changes.sort_unstable();
        changes.dedup_by_key(|change| change.0);
        let hosts: Vec<_> = instances.iter().map(|member| member.host).collect();
        self.policy.judge(self.id, &roster.with(&changes), &hosts)
    }

    /// Keeps all others from changing the group. Who locks several does so in their [order](Self::precedence), after
    /// the consumers' shards.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // Who panicked with the group locked had published a whole roster, or none.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Groups are locked in this order. A removed group may have been followed by another of the same UUID.
    pub(super) fn precedence(self: &Arc<Self>) -> (GroupId, *const Self) {
        (self.id, Arc::as_ptr(self))
    }

    pub(super) fn publish(&self, roster: Roster) {
        self.roster.store(Some(Arc::new(roster)));
    }

    /// Strikes out a consumer whose shard is locked.
    pub(crate) fn leave(&self, consumer: ConsumerId) {
        let _alone = self.lock();
        if let Some(roster) = self.roster() {
            self.publish(roster.with(&[(consumer, None)]));
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Group {}

/// The groups by their UUIDs.
pub(crate) type Groups = DashMap<GroupId, Arc<Group>, BuildHasherDefault<FxHasher>>;

impl Index {
    /// Adds a group without members. Its policy stays what it is.
    ///
    /// # Errors
    /// A group that exists.
    pub fn add_group(&self, id: GroupId, policy: GroupPolicy) -> Result<(), GroupError> {
        match self.groups.entry(id) {
            Entry::Occupied(_) => Err(GroupError::Exists(id)),
            Entry::Vacant(entry) => {
                entry.insert(Arc::new(Group::new(id, policy)));
                Ok(())
            }
        }
    }

    /// Removes a group. Its members keep what they hold and are members no more.
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
    pub fn group(&self, id: GroupId) -> Option<Arc<Group>> {
        self.groups.get(&id).map(|group| Arc::clone(&group))
    }
}
