//! Requests: live-migrate, abort, force.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::error::{FleetError, NO_RECEIVER, TOO_LATE};
use crate::instance::Instance;
use crate::migration::{LiveMove, LiveOptions, Migration, MigrationKind, MigrationOutcome};
use crate::named::Named;
use crate::operation::{Operation, not_found};

/// A request to migrate an instance while its guest runs.
#[derive(Debug, Clone)]
pub struct LiveRequest<'a> {
    /// The host that it has to go to; `None` for any. It has to pass the same filters.
    pub host: Option<&'a str>,
    /// How it migrates.
    pub options: LiveOptions,
    /// The UUID of the migration.
    pub migration: Uuid,
    /// A random number that admits the target to the description of the guest.
    pub ticket: Uuid,
}

impl Fleet {
    /// Records that an instance is to be live-migrated, and reserves it for the request that
    /// chooses a target, until [`Self::end_placing`]. If [`Self::may_send`], then follows
    /// [`Self::leave_source`] or [`Self::cancel_move`]. Else it is queued.
    ///
    /// # Errors
    /// An unknown instance or host; an instance that is locked or in another state; a source that
    /// is down; a requested host that cannot receive the guest.
    pub fn begin_live(
        &mut self,
        named: Named<'_>,
        request: &LiveRequest<'_>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance(named)?;
        let uuid = instance.uuid;
        instance.check(Operation::LiveQueued, may_override)?;
        let source = &instance.location.host;
        self.check_target(source, request.host, true)?;
        self.check_sender(source)?;
        if let Some(host) = request.host
            && let Err(why) = self.check_receiver(&instance, host, request.options.disks)
        {
            let message = format!("host {host:?} cannot receive the guest: {why}");
            return Err(FleetError::precondition(NO_RECEIVER, message));
        }
        self.begin_placing(uuid)?;
        let migration = Migration {
            uuid: request.migration,
            ticket: request.ticket,
            kind: MigrationKind::Live,
            source: source.clone(),
            requested_host: request.host.unwrap_or_default().to_owned(),
            old_flavor: instance.spec.flavor.clone(),
            new_flavor: instance.spec.flavor.clone(),
            state_before: instance.vm_state,
            live: LiveMove { options: request.options.clone(), ..LiveMove::default() },
            user: user.to_owned(),
            created_at: now,
            updated_at: now,
            ..Migration::default()
        };
        self.change_instance(uuid, |instance| {
            instance.open_migration(migration);
            instance.operation = Some(Operation::LiveQueued);
            instance.note(now, super::NAME, user, "");
        });
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Aborts a live migration. While the guest is sent, the source decides whether it is too late.
    ///
    /// # Errors
    /// No such open live migration, a locked instance, or a guest that the target has already.
    pub fn abort_live(
        &mut self,
        migration: Uuid,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.live_instance(migration, may_override)?;
        let uuid = instance.uuid;
        match instance.operation {
            Some(Operation::LiveQueued | Operation::LivePreparing) => {
                self.end_live(uuid, MigrationOutcome::Aborted, "aborted", None, now);
            }
            Some(Operation::LiveRunning) if !instance.has_left() => {
                self.change_instance(uuid, |instance| instance.abort(user, now));
            }
            Some(Operation::LiveAborting) => {}
            _ => {
                let target = instance.migration().map_or("", |of| of.target.as_str());
                let message = format!("it is too late to abort: the guest runs on host {target:?}");
                return Err(FleetError::precondition(TOO_LATE, message));
            }
        }
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Completes a live migration that does not converge: the guest pauses until its memory is on
    /// the target.
    ///
    /// # Errors
    /// No such open live migration, a locked instance, or a guest that is not being sent.
    pub fn force_live(
        &mut self,
        migration: Uuid,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.live_instance(migration, may_override)?;
        let uuid = instance.uuid;
        if instance.operation != Some(Operation::LiveRunning) {
            let status = instance.migration().map_or("over", |of| of.status(&instance));
            let message = format!("the migration is {status}; it can be forced when it is running");
            return Err(FleetError::precondition("WRONG_STATE", message));
        }
        self.change_instance(uuid, |instance| instance.force(user, now));
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// The instance of an open live migration.
    fn live_instance(&self, migration: Uuid, may_override: bool) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance_of_migration(migration);
        let instance =
            instance.ok_or_else(|| FleetError::not_found("open migration", migration.to_string()))?;
        instance.check_lock(may_override)?;
        if instance.is_live_migrating() {
            return Ok(instance);
        }
        let kind = instance.migration().map_or("", Migration::kind_name);
        let message = format!("migration {migration} is of the kind {kind:?}, not \"live-migration\"");
        Err(FleetError::precondition("WRONG_STATE", message))
    }
}
