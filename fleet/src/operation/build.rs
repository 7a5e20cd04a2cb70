//! Building an instance: it gets a host, and its guest is built there.
//!
//! ```text
//!              create                     capacity claimed            guest runs
//!   (none) ──────────────► scheduling ──────────────────────► spawning ───────────► active
//!                           │  ▲                                 │
//!                           │  └── build failed: another host ───┘
//!                           ▼
//!                         error: no host, or as many failures as allowed
//! ```
//!
//! The capacity on a host whose build failed is released when that host reports that it has no
//! remains.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use super::{GuestState, Operation, Rules};
use crate::Fleet;
use crate::instance::{Goal, Instance, VmState};
use crate::time::Moment;

/// Chooses a host.
pub(super) struct Schedule;

impl Rules for Schedule {
    fn name(&self) -> &'static str {
        "schedule"
    }

    fn task_state(&self) -> &'static str {
        "scheduling"
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        None
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        None
    }
}

/// Builds the guest.
pub(super) struct Spawn;

impl Rules for Spawn {
    fn name(&self) -> &'static str {
        "build"
    }

    fn task_state(&self) -> &'static str {
        "spawning"
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn expects_guest(&self) -> bool {
        false
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }
}

impl Instance {
    /// Whether it waits for a host.
    #[must_use]
    pub fn is_scheduling(&self) -> bool {
        self.operation == Some(Operation::Schedule)
    }

    /// Begins to build the guest on a host that has capacity for it; returns whether it still waits
    /// for one.
    fn spawn(&mut self, host: &str, now: Timestamp) -> bool {
        if self.operation != Some(Operation::Schedule) {
            return false; // it is to be deleted
        }
        host.clone_into(&mut self.location.host);
        self.location.leftovers.retain(|left| left != host);
        self.operation = Some(Operation::Spawn);
        self.desired.generation += 1;
        self.desired.boot += 1;
        self.note(now, "schedule", "", format!("to be built on {host}"));
        true
    }

    /// Applies the failure of a build: another host is tried.
    pub(super) fn build_failed(&mut self, host: &str, error: &str, now: Timestamp) {
        if self.operation != Some(Operation::Spawn) || self.location.host != host {
            return;
        }
        let location = &mut self.location;
        location.failures.insert(host.to_owned(), error.to_owned());
        location.leftovers.retain(|left| left != host);
        location.leftovers.push(host.to_owned());
        location.host.clear();
        self.desired.generation += 1;
        self.note(now, "build", "", format!("failed on {host}: {error}"));
        self.operation = Some(Operation::Schedule);
    }

    /// Gives up looking for a host.
    fn give_up(&mut self, reason: &str, now: Timestamp) {
        if self.operation != Some(Operation::Schedule) {
            return;
        }
        let failures: Vec<String> =
            self.location.failures.iter().map(|(host, error)| format!("{host}: {error}")).collect();
        let detail = if failures.is_empty() { String::new() } else { format!(" ({})", failures.join("; ")) };
        self.observed.fault = format!("{reason}{detail}");
        self.vm_state = VmState::Error;
        self.operation = None;
        self.note(now, "create", "", self.observed.fault.clone());
    }
}

impl Fleet {
    /// The instance, if it is to be scheduled now. Releases the capacity on a host whose build
    /// failed and that has no remains; while it may have some, the guest may run there, and the
    /// instance is not scheduled. After too many failures it is in ERROR.
    pub fn next_build(&mut self, uuid: Uuid, now: Moment) -> Option<Arc<Instance>> {
        let instance = self.instance_by_uuid(uuid)?;
        if instance.operation != Some(Operation::Schedule) || self.is_placing(uuid) {
            return None;
        }
        if let Some(host) = self.host_of_capacity(uuid)
            && instance.location.failures.contains_key(host)
        {
            if instance.location.leftovers.iter().any(|left| left == host) {
                return None; // the host has not reported yet that it has no remains
            }
            self.release(uuid);
        }
        let attempts = self.options.scheduler.scheduler.max_attempts as usize;
        if instance.location.failures.len() >= attempts {
            self.give_up(uuid, &format!("the build failed on {attempts} hosts"), now.wall);
            return None;
        }
        Some(instance)
    }

    /// Begins to build an instance on a host where it holds capacity. An instance that is to be
    /// deleted is not built; one that was deleted holds nothing afterwards.
    pub fn spawn(&mut self, uuid: Uuid, host: &str, now: Timestamp) -> Option<Arc<Instance>> {
        match self.change_instance(uuid, |instance| instance.spawn(host, now)) {
            Some(true) => self.instance_by_uuid(uuid),
            Some(false) => None,
            None => {
                self.release(uuid); // it was deleted
                None
            }
        }
    }

    /// Ends the search for a host of an instance: it is in ERROR.
    pub fn give_up(&mut self, uuid: Uuid, reason: &str, now: Timestamp) {
        self.change_instance(uuid, |instance| instance.give_up(reason, now));
    }

    /// Whether agents may not have reconnected yet since the service started.
    #[must_use]
    pub fn is_young(&self, now: Moment) -> bool {
        now.monotonic.since(self.started) < self.options.down_after
    }
}
