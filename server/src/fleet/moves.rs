//! Moving instances: records, decisions and claims in turn.

use std::sync::Arc;

use berth_fleet::{FleetError, Instance, Migration, Named, Operation, ResizeRequest};
use uuid::Uuid;

use super::FleetHandle;
use super::ask::Ask;
use super::handle::new_uuid;

impl FleetHandle {
    /// Moves an instance: to another flavor, or to another host. The target is claimed when this
    /// returns; the agents receive what follows.
    ///
    /// The move is recorded before its claim, so one that a crash leaves without a target gets one
    /// after the next start.
    pub(crate) fn move_instance(
        &self,
        named: Named<'_>,
        flavor: Option<&str>,
        host: Option<&str>,
        by: (&str, bool),
    ) -> Result<Arc<Instance>, FleetError> {
        let request = ResizeRequest { flavor, host, migration: new_uuid(), ticket: new_uuid() };
        let instance = self.command(|fleet, now| fleet.begin_move(named, &request, by, now.wall))?;
        let uuid = instance.uuid;
        let target = self.claim_target(&instance);
        self.command(|fleet, now| {
            match &target {
                Ok(target) => fleet.leave_source(uuid, target, now.wall),
                Err(error) => fleet.cancel_move(uuid, &error.to_string(), now.wall),
            }
            fleet.end_placing(&[uuid]);
            target?;
            fleet.instance_by_uuid(uuid).ok_or_else(|| FleetError::not_found("instance", uuid.to_string()))
        })
    }

    /// Goes on with a move that needs a decision, or none of an agent.
    pub(super) fn go_on_moving(&self, uuid: Uuid) {
        let proving = self.read(|fleet| fleet.state().instance(uuid).and_then(|it| fleet.proving_host(it)));
        if let Some(host) = proving {
            return self.go_on_proving(&host);
        }
        let Some(instance) = self.command(|fleet, now| fleet.next_target(uuid, now)) else { return };
        if instance.is_live_migrating() {
            return drop(self.claim_receiver(&instance, true));
        }
        let target = self.claim_target(&instance);
        let is_first = matches!(instance.operation, Some(Operation::ResizePrep | Operation::EvacuatePrep));
        self.command(|fleet, now| match target {
            Ok(target) if is_first => fleet.leave_source(uuid, &target, now.wall),
            Ok(target) => fleet.retarget(uuid, &target, now.wall),
            // Agents may not have reconnected yet.
            Err(error) if error.is_no_valid_host() && fleet.is_young(now) => {}
            Err(error) if is_first => fleet.cancel_move(uuid, &error.to_string(), now.wall),
            Err(error) => fleet.abandon_move(uuid, &error.to_string(), now.wall),
        });
        if instance.is_evacuating() {
            self.publish_status(&instance.location.host);
        }
    }

    /// Chooses a target for the open migration and claims it, and gives the migration what the
    /// instance holds.
    pub(super) fn claim_target(&self, instance: &Instance) -> Result<String, FleetError> {
        let Some(migration) = instance.migration() else {
            return Err(FleetError::precondition("WRONG_STATE", "the instance does not move any longer"));
        };
        let ask = self.ask_of_move(instance, migration);
        let wanted = &migration.requested_host;
        let placed = if wanted.is_empty() {
            self.schedule(&ask, false)
        } else {
            let placed = self.schedule(&self.only(&ask, wanted), false);
            placed.map_err(|error| self.with_reason(error, &ask, wanted))
        };
        let placed = placed?.pop().map(|placed| placed.place.host);
        placed.ok_or_else(|| FleetError::precondition("HOSTS", "the chosen host was deleted"))
    }

    pub(super) fn ask_of_move(&self, instance: &Instance, migration: &Migration) -> Ask {
        let may_stay =
            !migration.kind.leaves_host() && self.read(|fleet| fleet.options().allow_resize_to_same_host);
        let mut ask = Ask::of_move(instance, migration, may_stay);
        self.only_with_disks(instance, &mut ask);
        self.only_receivers(instance, migration, &mut ask);
        ask
    }

    /// The request for this host alone. All filters judge it.
    pub(super) fn only(&self, ask: &Ask, host: &str) -> Ask {
        let others =
            self.read(|fleet| fleet.host_names().filter(|name| *name != host).cloned().collect::<Vec<_>>());
        let mut ask = ask.clone();
        ask.ignore_hosts.extend(others);
        ask
    }

    /// The refusal of a host, with what stands against it.
    pub(super) fn with_reason(&self, error: FleetError, ask: &Ask, host: &str) -> FleetError {
        let FleetError::Exhausted { reason, message, counts } = error else { return error };
        let explained = self.explain(ask, &[host.to_owned()], 0).ok();
        let verdict = explained.and_then(|explanation| explanation.verdicts.into_iter().next());
        let refused = verdict.filter(|verdict| verdict.constraint.is_some());
        let message = match refused {
            Some(verdict) => format!("No valid host was found: host {host:?}: {}", verdict.text),
            None => message,
        };
        FleetError::Exhausted { reason, message, counts }
    }
}
