//! The members of a group and their hosts.

use crate::consumers::ConsumerId;
use crate::ids::Row;

/// A consumer in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The consumer that holds the allocations.
    pub consumer: ConsumerId,
    /// Its host: the root of a provider tree in which the consumer has allocations.
    pub host: Row,
    /// The instance that it stands for: the consumer itself, unless it is a migration.
    pub instance: ConsumerId,
}

impl Member {
    /// An instance on a host.
    #[must_use]
    pub const fn new(instance: ConsumerId, host: Row) -> Self {
        Self { consumer: instance, host, instance }
    }

    /// The place that a migration keeps for an instance: its source or its destination.
    #[must_use]
    pub const fn kept(migration: ConsumerId, host: Row, instance: ConsumerId) -> Self {
        Self { consumer: migration, host, instance }
    }

    /// Whether this is a place kept for an instance that may be on another host.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.consumer != self.instance
    }
}

/// The members of a group at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// In order of their consumers.
    members: Vec<Member>,
}

/// A consumer and its membership after a change; `None` when it leaves.
pub(super) type Change = (ConsumerId, Option<Member>);

impl Roster {
    /// All members, in order of their consumers.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The consumer as a member.
    #[must_use]
    pub fn get(&self, consumer: ConsumerId) -> Option<&Member> {
        let place = self.members.binary_search_by_key(&consumer, |member| member.consumer).ok()?;
        Some(&self.members[place])
    }

    /// The hosts that instances are on, each once, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<Row> {
        let instances = self.members.iter().filter(|member| !member.is_kept());
        let mut hosts: Vec<Row> = instances.map(|member| member.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// The roster after the changes, which are in order of their consumers.
    pub(super) fn with(&self, changes: &[Change]) -> Self {
        debug_assert!(changes.is_sorted_by(|a, b| a.0 < b.0));
        let changed = |member: &&Member| changes.binary_search_by_key(&member.consumer, |c| c.0).is_ok();
        let unchanged = self.members.iter().filter(|member| !changed(member)).copied();
        let mut members: Vec<Member> = Vec::with_capacity(self.members.len() + changes.len());
        members.extend(unchanged.chain(changes.iter().filter_map(|change| change.1)));
        members.sort_unstable_by_key(|member| member.consumer);
        Self { members }
    }
}
