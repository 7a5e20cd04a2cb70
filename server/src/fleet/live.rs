//! Live migrations: records, decisions and claims in turn.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use berth_fleet::{FleetError, Instance, LiveOptions, LiveRequest, Migration, MigrationKind, Named};

use super::FleetHandle;
use super::ask::Ask;
use super::handle::new_uuid;

impl FleetHandle {
    /// Live-migrates an instance. When this returns, its target is claimed, or it is queued.
    pub(crate) fn live_migrate(
        &self,
        named: Named<'_>,
        host: Option<&str>,
        options: LiveOptions,
        by: (&str, bool),
    ) -> Result<Arc<Instance>, FleetError> {
        let request = LiveRequest { host, options, migration: new_uuid(), ticket: new_uuid() };
        let instance = self.command(|fleet, now| fleet.begin_live(named, &request, by, now.wall))?;
        let has_turn = self.read(|fleet| fleet.may_send(&instance.location.host));
        let claimed = if has_turn { self.claim_receiver(&instance, false) } else { Ok(()) };
        self.command(|fleet, _| fleet.end_placing(&[instance.uuid]));
        claimed?;
        self.instance_by_uuid(instance.uuid)
            .ok_or_else(|| FleetError::not_found("instance", instance.uuid.to_string()))
    }

    /// Claims a target for a live migration, or ends it if there is none. It stays queued if the
    /// only targets receive other guests; with `goes_on`, also while agents may not have
    /// reconnected.
    pub(super) fn claim_receiver(&self, instance: &Instance, goes_on: bool) -> Result<(), FleetError> {
        let uuid = instance.uuid;
        let target = self.claim_target(instance).map_err(|error| self.with_unfit_hosts(error, instance));
        if target.is_err() && self.waits_for_receiver(instance) {
            return Ok(());
        }
        self.command(|fleet, now| match target {
            Ok(target) => {
                fleet.leave_source(uuid, &target, now.wall);
                Ok(())
            }
            Err(error) if goes_on && error.is_no_valid_host() && fleet.is_young(now) => Ok(()),
            Err(error) => {
                fleet.cancel_move(uuid, &error.to_string(), now.wall);
                Err(error)
            }
        })
    }

    /// Whether there is a target as soon as it has received another guest.
    fn waits_for_receiver(&self, instance: &Instance) -> bool {
        let busy = self.read(berth_fleet::Fleet::busy_targets);
        let Some(migration) = instance.migration().filter(|_| !busy.is_empty()) else { return false };
        let mut ask = self.ask_of_move(instance, migration);
        let unfit = self.unfit_hosts(instance, migration);
        ask.ignore_hosts.retain(|host| !busy.contains(host) || unfit.contains_key(host));
        let others = migration.failures.keys().chain(&instance.location.leftovers).chain([&migration.source]);
        ask.ignore_hosts.extend(others.cloned());
        let wanted = &migration.requested_host;
        let ask = if wanted.is_empty() { ask } else { self.only(&ask, wanted) };
        self.schedule(&ask, true).is_ok()
    }

    /// Of a live migration, only hosts that can receive the guest now are targets. The instances of
    /// a host that is evacuated wait for their targets.
    pub(super) fn only_receivers(&self, instance: &Instance, migration: &Migration, ask: &mut Ask) {
        if migration.kind != MigrationKind::Live {
            return;
        }
        ask.ignore_hosts.extend(self.unfit_hosts(instance, migration).into_keys());
        if self.read(|fleet| fleet.proving_host(instance).is_none()) {
            ask.ignore_hosts.extend(self.read(berth_fleet::Fleet::busy_targets));
        }
    }

    /// The hosts that cannot receive the guest, each with the reason.
    fn unfit_hosts(&self, instance: &Instance, migration: &Migration) -> BTreeMap<String, Cow<'static, str>> {
        self.read(|fleet| fleet.unfit_receivers(instance, migration.live.options.disks))
    }

    /// A refusal of a live migration that says how many hosts cannot receive the guest, and why.
    pub(super) fn with_unfit_hosts(&self, error: FleetError, instance: &Instance) -> FleetError {
        let (FleetError::Exhausted { reason, message, counts }, Some(migration)) =
            (&error, instance.migration().filter(|of| of.kind == MigrationKind::Live))
        else {
            return error;
        };
        let mut reasons = BTreeMap::<Cow<'static, str>, usize>::new();
        for why in self.unfit_hosts(instance, migration).into_values() {
            *reasons.entry(why).or_default() += 1;
        }
        if reasons.is_empty() {
            return error;
        }
        let unfit: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} ({why})")).collect();
        FleetError::Exhausted {
            reason,
            message: format!("{message}; hosts that cannot receive the guest: {}", unfit.join(", ")),
            counts: counts.clone(),
        }
    }
}
