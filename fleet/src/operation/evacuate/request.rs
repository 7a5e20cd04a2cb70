//! Requests: evacuate an instance.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::error::{FleetError, LOCAL_DISKS};
use crate::instance::{Goal, Instance, VmState};
use crate::migration::{Migration, MigrationKind};
use crate::named::Named;
use crate::operation::{Operation, Rules, evacuate, not_found};
use crate::time::Moment;

/// A request to evacuate an instance.
#[derive(Debug, Clone, Copy)]
pub struct EvacuationRequest<'a> {
    /// The host that it has to go to; `None` for any. It has to pass the same filters.
    pub host: Option<&'a str>,
    /// Whether the disks may be built again from the image if only the source has them: what the
    /// guest wrote is lost.
    pub rebuild: bool,
    /// The state that it gets, active or stopped; `None` for the one that it had.
    pub state: Option<VmState>,
    /// The UUID of the migration.
    pub migration: Uuid,
}

impl Fleet {
    /// Records that an instance is to be evacuated, and reserves it for the request that chooses a
    /// target, until [`Self::end_placing`]. Then follows [`Self::leave_source`] or
    /// [`Self::cancel_move`].
    ///
    /// # Errors
    /// An unknown instance or host; an instance that is locked, deleted, shelved or moving; a host
    /// that is up or not fenced; disks that only the source has, without
    /// [`EvacuationRequest::rebuild`].
    pub fn begin_evacuation(
        &mut self,
        named: Named<'_>,
        request: &EvacuationRequest<'_>,
        (user, may_override): (&str, bool),
        now: Moment,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance(named)?;
        let uuid = instance.uuid;
        self.check_evacuation(&instance, request, may_override, now)?;
        self.begin_placing(uuid)?;
        let rebuilds = !self.keeps_disks(&instance, request.host);
        self.change_instance(uuid, |instance| {
            instance.begin_evacuation(request, rebuilds, user, now.wall);
        });
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Checks whether an instance can be evacuated.
    pub(crate) fn check_evacuation(
        &self,
        instance: &Instance,
        request: &EvacuationRequest<'_>,
        may_override: bool,
        now: Moment,
    ) -> Result<(), FleetError> {
        instance.check_lock(may_override)?;
        instance.check_evacuable()?;
        let source = &instance.location.host;
        self.check_fenced(source, now)?;
        if let Some(host) = request.host {
            if self.state.host(host).is_none() {
                return Err(FleetError::field("host", format!("there is no host {host:?}")));
            }
            if host == source {
                return Err(FleetError::field(
                    "host",
                    format!("the instance is on host {host:?}, which is down"),
                ));
            }
        }
        if request.rebuild
            || instance.vm_state == VmState::Building
            || self.keeps_disks(instance, request.host)
        {
            return Ok(());
        }
        let others = match request.host {
            Some(host) => format!("host {host:?} does not share them"),
            None => "no other host shares them".to_owned(),
        };
        let message = format!(
            "the disks of instance {} are on host {source:?}, and {others}: only a rebuild from the image is possible (--rebuild), which \
             loses what the guest wrote",
            instance.uuid
        );
        Err(FleetError::precondition(LOCAL_DISKS, message))
    }

    /// Whether another host, or this one, has the disks of the instance as well: then they are
    /// kept.
    fn keeps_disks(&self, instance: &Instance, host: Option<&str>) -> bool {
        let source = &instance.location.host;
        let mut others = self.state.hosts.keys().filter(|name| *name != source);
        others.any(|name| host.is_none_or(|host| host == name) && self.share_storage(source, name))
    }

    /// Whether both hosts have the same storage for the disks of guests.
    #[must_use]
    pub fn share_storage(&self, one: &str, other: &str) -> bool {
        let storage = |name: &str| self.state.host(name)?.hypervisor.as_ref().map(|of| of.storage);
        storage(one).is_some_and(|known| !known.is_nil() && storage(other) == Some(known))
    }
}

impl Instance {
    /// A task that is stuck does not matter: the host that works on it is down.
    fn check_evacuable(&self) -> Result<(), FleetError> {
        let is_moving = self.migration().is_some();
        let has_host = !self.location.host.is_empty();
        let is_deleted = self.operation == Some(Operation::Delete);
        if has_host && !is_moving && !is_deleted && evacuate::Prepare.from().contains(&self.vm_state) {
            return Ok(());
        }
        Err(self.wrong_state(&evacuate::Prepare))
    }

    /// Opens the migration. The operation in progress is kept, in case no target is found.
    pub(super) fn begin_evacuation(
        &mut self,
        request: &EvacuationRequest<'_>,
        rebuilds: bool,
        user: &str,
        now: Timestamp,
    ) {
        let message = match (rebuilds, request.state) {
            (true, _) => "rebuilds the disks from the image".to_owned(),
            (false, _) => String::new(),
        };
        self.open_migration(Migration {
            uuid: request.migration,
            kind: MigrationKind::Evacuation,
            source: self.location.host.clone(),
            requested_host: request.host.unwrap_or_default().to_owned(),
            old_flavor: self.spec.flavor.clone(),
            new_flavor: self.spec.flavor.clone(),
            state_before: request.state.unwrap_or_else(|| self.state_after_evacuation()),
            operation_before: self.operation,
            rebuilds,
            user: user.to_owned(),
            created_at: now,
            updated_at: now,
            ..Migration::default()
        });
        self.operation = Some(Operation::EvacuatePrep);
        self.note(now, "evacuate", user, message);
    }

    /// The state that is desired now. The memory of a guest that was paused or suspended is lost
    /// with its host, so it is off.
    fn state_after_evacuation(&self) -> VmState {
        match self.operation.and_then(|operation| operation.rules().goal(self)) {
            Some(Goal::Running) => return VmState::Active,
            Some(_) => return VmState::Stopped,
            None => {}
        }
        match self.vm_state {
            VmState::Stopped | VmState::Paused | VmState::Suspended => VmState::Stopped,
            _ => VmState::Active,
        }
    }
}
