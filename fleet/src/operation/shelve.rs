//! Shelving: an instance keeps its disk on its host, and holds no capacity.
//!
//! ```text
//!   active, stopped,    shelving_offloading           capacity released
//!   paused, suspended ─────────────────────► guest off ─────────────────► shelved_offloaded
//!                                                                              │     ▲
//!                                                        capacity claimed again│     │ failed, and the guest
//!                                                                              ▼     │ is off: capacity released
//!                                                     active ◄───────────── unshelving
//! ```
//!
//! Capacity is claimed before the operation begins, on the host with the disk
//! ([`Fleet::begin_unshelving`]), and released only when the agent reports that the guest is off
//! and only its disk is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use super::{GuestState, Operation, Rules};
use crate::Fleet;
use crate::error::FleetError;
use crate::instance::{Goal, Instance, Power, VmState};
use crate::named::Named;

/// Switches the guest off, and releases the capacity.
pub(super) struct Shelve;

impl Rules for Shelve {
    fn name(&self) -> &'static str {
        "shelve"
    }

    fn task_state(&self) -> &'static str {
        "shelving_offloading"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::Active, VmState::Stopped, VmState::Paused, VmState::Suspended]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Shelved)
    }

    fn done(&self, found: GuestState) -> Option<VmState> {
        (found == GuestState::Shelved).then_some(VmState::ShelvedOffloaded)
    }

    fn releases_capacity(&self, found: GuestState, _: bool) -> bool {
        found == GuestState::Shelved
    }

    fn apply_failure(&self, instance: &mut Instance, found: GuestState, now: Timestamp) {
        if found == GuestState::Shelved {
            instance.vm_state = VmState::ShelvedOffloaded;
        } else {
            instance.follow_failed(found, now);
        }
    }
}

/// Boots a shelved instance.
pub(super) struct Unshelve;

impl Rules for Unshelve {
    fn name(&self) -> &'static str {
        "unshelve"
    }

    fn task_state(&self) -> &'static str {
        "unshelving"
    }

    fn from(&self) -> &'static [VmState] {
        &[VmState::ShelvedOffloaded]
    }

    fn goal(&self, _: &Instance) -> Option<Goal> {
        Some(Goal::Running)
    }

    fn boots(&self, _: Power) -> bool {
        true
    }

    fn done(&self, _: GuestState) -> Option<VmState> {
        Some(VmState::Active)
    }

    fn releases_capacity(&self, found: GuestState, is_failure: bool) -> bool {
        is_failure && found == GuestState::Shelved
    }

    fn apply_failure(&self, instance: &mut Instance, found: GuestState, now: Timestamp) {
        if found == GuestState::Shelved {
            instance.vm_state = VmState::ShelvedOffloaded;
        } else {
            instance.vm_state = VmState::Stopped; // it holds its capacity again
            instance.follow_failed(found, now);
        }
    }
}

/// A shelved instance that is about to claim capacity.
#[derive(Debug, Clone)]
pub struct Unshelving {
    /// The instance.
    pub instance: Arc<Instance>,
    /// All hosts but its own.
    pub other_hosts: BTreeSet<String>,
    /// Whether it holds no capacity yet.
    pub holds_none: bool,
}

impl Fleet {
    /// Reserves a shelved instance for a request that claims capacity for it. Until
    /// [`Self::end_placing`], no other request unshelves it: of two, neither releases what the
    /// other claimed.
    ///
    /// # Errors
    /// An unknown instance, a locked one, or one in another state.
    pub fn begin_unshelving(
        &mut self,
        named: Named<'_>,
        may_override: bool,
    ) -> Result<Unshelving, FleetError> {
        let instance = self.instance(named)?;
        instance.check(Operation::Unshelve, may_override)?;
        if !self.placing.insert(instance.uuid) {
            let message = format!("instance {} is being unshelved by another request", instance.uuid);
            return Err(FleetError::precondition("WRONG_STATE", message));
        }
        let others = self.host_names().filter(|host| **host != instance.location.host);
        let other_hosts = others.cloned().collect();
        Ok(Unshelving { holds_none: !self.holds_capacity(instance.uuid), instance, other_hosts })
    }

    /// Reserves the instance for a request that chooses a host for it, until [`Self::end_placing`].
    pub(super) fn begin_placing(&mut self, uuid: Uuid) -> Result<(), FleetError> {
        self.check_not_placing(uuid)?;
        self.placing.insert(uuid);
        Ok(())
    }

    /// Checks that no other request is choosing a host for the instance.
    pub(super) fn check_not_placing(&self, uuid: Uuid) -> Result<(), FleetError> {
        if self.is_placing(uuid) {
            let message = format!("a host is being chosen for instance {uuid} by another request");
            return Err(FleetError::precondition("WRONG_STATE", message));
        }
        Ok(())
    }

    /// Ends the reservation of instances that a request was placing.
    pub fn end_placing(&mut self, uuids: &[Uuid]) {
        for &uuid in uuids {
            self.placing.remove(&uuid);
            self.due.insert(uuid); // it was skipped until now
        }
    }

    /// Whether a request is choosing hosts for the instance: the reconciliation skips it.
    #[must_use]
    pub fn is_placing(&self, uuid: Uuid) -> bool {
        self.placing.contains(&uuid)
    }

    /// The UUID of the instance that a request names.
    ///
    /// # Errors
    /// No such instance, or an ambiguous name.
    pub fn instance_uuid(&self, named: Named<'_>) -> Result<Uuid, FleetError> {
        self.instance(named).map(|instance| instance.uuid)
    }
}
