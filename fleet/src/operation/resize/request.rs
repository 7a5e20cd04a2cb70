//! Requests: resize, migrate, confirm, revert.

use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::Fleet;
use crate::error::{FleetError, HOST_DOWN};
use crate::flavor::Flavor;
use crate::instance::Instance;
use crate::migration::{Migration, MigrationKind};
use crate::named::Named;
use crate::operation::{Operation, not_found};
use crate::time::Moment;

/// A request to move an instance.
#[derive(Debug, Clone, Copy)]
pub struct ResizeRequest<'a> {
    /// The name of the new flavor; `None` to keep the flavor and go to another host.
    pub flavor: Option<&'a str>,
    /// The host that it has to go to; `None` for any. It has to pass the same filters.
    pub host: Option<&'a str>,
    /// The UUID of the migration.
    pub migration: Uuid,
    /// A random number that admits the target to the disks.
    pub ticket: Uuid,
}

impl Fleet {
    /// Records that an instance is to be moved, and reserves it for the request that chooses a
    /// target, until [`Self::end_placing`]. Then follows [`Self::leave_source`] or
    /// [`Self::cancel_move`].
    ///
    /// # Errors
    /// An unknown instance, flavor or host; an instance that is locked or in another state; a
    /// flavor that it cannot get; an exhausted quota; a source that is down or cannot offer disks.
    pub fn begin_move(
        &mut self,
        named: Named<'_>,
        request: &ResizeRequest<'_>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance(named)?;
        let uuid = instance.uuid;
        let old_flavor = &instance.spec.flavor;
        let new_flavor = match request.flavor {
            Some(name) => self.flavor(name)?.clone(),
            None => old_flavor.clone(),
        };
        instance.check(Operation::ResizePrep, may_override)?;
        if request.flavor.is_some() {
            check_flavor(old_flavor, &new_flavor)?;
            self.check_growth(&instance, &new_flavor)?;
        }
        self.check_hosts(&instance, request)?;
        self.begin_placing(uuid)?;
        let migration = Migration {
            uuid: request.migration,
            ticket: request.ticket,
            kind: if request.flavor.is_some() { MigrationKind::Resize } else { MigrationKind::Cold },
            source: instance.location.host.clone(),
            requested_host: request.host.unwrap_or_default().to_owned(),
            old_flavor: old_flavor.clone(),
            new_flavor,
            state_before: instance.vm_state,
            user: user.to_owned(),
            created_at: now,
            updated_at: now,
            ..Migration::default()
        };
        self.change_instance(uuid, |instance| {
            let (action, message) = match migration.kind {
                MigrationKind::Resize => ("resize", format!("to the flavor {:?}", migration.new_flavor.name)),
                _ => ("migrate", String::new()),
            };
            instance.open_migration(migration);
            instance.operation = Some(Operation::ResizePrep);
            instance.note(now, action, user, message);
        });
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Begins the removal of the disks that the source has set aside: the instance stays on the
    /// target.
    ///
    /// # Errors
    /// An unknown instance, one that is locked or in another state, or a source that is down.
    pub fn confirm_move(
        &mut self,
        named: Named<'_>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let why = "it has the former disks, which a confirmation removes";
        let uuid = self.moved_instance(named, Operation::ResizeConfirming, may_override, why)?.uuid;
        self.change_instance(uuid, |instance| instance.begin(Operation::ResizeConfirming, user, now));
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Begins the way back to the source. It is claimed again first.
    ///
    /// # Errors
    /// As [`Self::confirm_move`], or a server group whose policy forbids the source by now.
    pub fn revert_move(
        &mut self,
        named: Named<'_>,
        (user, may_override): (&str, bool),
        now: Timestamp,
    ) -> Result<Arc<Instance>, FleetError> {
        let why = "the instance goes back to its disks there";
        let instance = self.moved_instance(named, Operation::ResizeReverting, may_override, why)?;
        let uuid = instance.uuid;
        self.exchange_claims(&instance, now)?;
        self.change_instance(uuid, |instance| instance.go_back(user, "", now));
        self.instance_by_uuid(uuid).ok_or_else(|| not_found(uuid))
    }

    /// Confirms the moves that have waited for longer than the window, as far as their sources are
    /// up.
    pub fn confirm_expired(&mut self, now: Moment) {
        let window = u64::try_from(self.options.resize_confirm_window.as_micros()).unwrap_or(u64::MAX);
        if window == 0 {
            return;
        }
        let is_expired = |instance: &Instance| {
            let begun = instance.migration().map_or(now.wall.0, |migration| migration.updated_at.0);
            instance.check(Operation::ResizeConfirming, true).is_ok()
                && now.wall.0.saturating_sub(begun) >= window
        };
        for instance in self.instances(is_expired) {
            let name = instance.uuid.to_string();
            let named = Named { name: &name, project: "" };
            // A source that is down: again as soon as it is up.
            let _ = self.confirm_move(named, ("", true), now.wall);
        }
    }

    /// Whether any move waits for its confirmation, and confirms itself.
    #[must_use]
    pub fn has_expiring_moves(&self) -> bool {
        !self.options.resize_confirm_window.is_zero() && !self.state.migrations.is_empty()
    }

    fn check_hosts(&self, instance: &Instance, request: &ResizeRequest<'_>) -> Result<(), FleetError> {
        let source = &instance.location.host;
        self.check_target(source, request.host, request.flavor.is_none())?;
        self.check_up(source, "its agent has to set the disks aside")?;
        let offers_disks = |host: &crate::Host| host.hypervisor.as_ref().is_some_and(|of| of.disks_port > 0);
        if self.state.host(source).is_some_and(offers_disks) {
            return Ok(());
        }
        let message = format!(
            "the agent of host {source:?} offers no disks to other hosts: it needs a certificate, and --disks-port other than 0"
        );
        Err(FleetError::precondition("NO_DISKS_OFFERED", message))
    }

    /// Checks the host that a move is to go to, if one is requested.
    pub(in crate::operation) fn check_target(
        &self,
        source: &str,
        wanted: Option<&str>,
        leaves_host: bool,
    ) -> Result<(), FleetError> {
        let Some(wanted) = wanted else { return Ok(()) };
        if self.state.host(wanted).is_none() {
            return Err(FleetError::field("host", format!("there is no host {wanted:?}")));
        }
        if wanted == source && leaves_host {
            return Err(FleetError::field("host", format!("the instance is on host {wanted:?} already")));
        }
        Ok(())
    }

    /// The instance, if the operation may end its move now. `why` says what the source is needed
    /// for.
    fn moved_instance(
        &self,
        named: Named<'_>,
        operation: Operation,
        may_override: bool,
        why: &str,
    ) -> Result<Arc<Instance>, FleetError> {
        let instance = self.instance(named)?;
        instance.check(operation, may_override)?;
        let source = instance.migration().map_or("", |migration| migration.source.as_str());
        self.check_up(source, why)?;
        Ok(instance)
    }

    pub(in crate::operation) fn check_up(&self, host: &str, why: &str) -> Result<(), FleetError> {
        if self.connections.is_up(host) {
            return Ok(());
        }
        Err(FleetError::precondition(HOST_DOWN, format!("host {host:?} is down: {why}")))
    }
}

/// Checks that an instance of one flavor can get another. As in Nova, disks do not shrink.
fn check_flavor(old: &Flavor, new: &Flavor) -> Result<(), FleetError> {
    if old == new {
        return Err(FleetError::field(
            "flavor",
            format!("the instance has the flavor {:?} already", new.name),
        ));
    }
    let disks = [("root_gb", old.root_gb, new.root_gb), ("ephemeral_gb", old.ephemeral_gb, new.ephemeral_gb)];
    match disks.into_iter().find(|(_, old, new)| new < old) {
        Some((field, old, new)) => {
            let problem = format!("{field} would shrink from {old} to {new}; disks do not shrink");
            Err(FleetError::field("flavor", problem))
        }
        None => Ok(()),
    }
}
