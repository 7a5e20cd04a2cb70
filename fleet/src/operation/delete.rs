//! Deletion.
//!
//! ```text
//!   any state ─────────► deleting ───────────────────────────────► (forgotten)
//!                        │    ▲    no host has remains: capacity released
//!                        └────┘
//!                   failed: tried again
//! ```
//!
//! While a migration is open, the guest is first removed from source and target, then the disks
//! that the source has set aside. In this order, no step on the guest that is still running sets
//! disks aside after they were found to be gone.

use uuid::Uuid;

use super::{GuestState, Operation, Rules};
use crate::Fleet;
use crate::instance::{Goal, Instance, Location, VmState};

/// Removes an instance. It can begin in any state ([`Fleet::delete_instance`]).
pub(super) struct Delete;

impl Rules for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    fn task_state(&self) -> &'static str {
        "deleting"
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Absent)
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}

impl Instance {
    /// Whether it is to be deleted, and no host has any remains of it.
    #[must_use]
    pub fn is_deletable(&self) -> bool {
        self.operation == Some(Operation::Delete) && self.places().next().is_none()
    }

    /// Every host where it may be is to remove it: also those of its open migration.
    pub(super) fn leave_all_hosts(&mut self) {
        let Some(migration) = self.migration() else { return };
        for host in [migration.source.clone(), migration.target.clone()] {
            let Location { host: own, leftovers, .. } = &mut self.location;
            if !host.is_empty() && host != *own && !leftovers.contains(&host) {
                leftovers.push(host);
            }
        }
    }

    /// The host has no remains of the instance any longer.
    fn left_host(&mut self, host: &str) {
        let location = &mut self.location;
        location.leftovers.retain(|left| left != host);
        if location.host == host && self.operation == Some(Operation::Delete) {
            location.host.clear();
        }
    }
}

impl Fleet {
    /// Forgets an instance that is to be deleted and of which no host has any remains; releases its
    /// capacity.
    pub fn finish_deletion(&mut self, uuid: Uuid) {
        if !self.state.instance(uuid).is_some_and(|instance| instance.is_deletable()) {
            return;
        }
        // First the capacity: a record without capacity is deleted after a crash, but capacity
        // without a record would be lost.
        self.release_migration(uuid);
        self.release(uuid);
        self.state.remove_instance(uuid);
        self.changed.insert(uuid);
    }

    /// Notes that a host has no remains of the instance any longer, or does not exist any longer.
    /// What an instance that is to be deleted holds there is released: another host, which is down,
    /// may be the one that it waits for.
    pub(crate) fn left_host(&mut self, uuid: Uuid, host: &str) {
        self.change_instance(uuid, |instance| instance.left_host(host));
        let is_deleted =
            self.state.instance(uuid).is_some_and(|instance| instance.operation == Some(Operation::Delete));
        if is_deleted && self.host_of_capacity(uuid).is_some_and(|held| held == host) {
            self.release(uuid);
        }
    }

    /// Removes new instances that get no host, and releases what they hold.
    pub fn forget_instances(&mut self, uuids: &[Uuid]) {
        for &uuid in uuids {
            self.release(uuid);
            self.state.remove_instance(uuid);
            self.changed.insert(uuid);
        }
    }

    /// Releases the capacity that an instance claimed and does not need.
    pub fn release_unused(&mut self, uuid: Uuid) {
        self.release(uuid);
    }
}
