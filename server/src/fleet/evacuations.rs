//! Evacuating instances and hosts: fence records, decisions and claims in turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_fleet::{
    EvacuationRequest, FleetError, HostEvacuation, HostEvacuationState, HostState, Instance, LiveOptions,
    NO_VALID_HOST, Named, VmState,
};
use berth_scheduler::explain::Relaxation;
use uuid::Uuid;

use super::FleetHandle;
use super::ask::Ask;
use super::handle::new_uuid;

/// Instances that the refusal of a host's evacuation names, and changes that would help each.
const NAMED: usize = 20;
const CHANGES: usize = 3;

/// What is asked of an evacuation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evacuation {
    /// The host that it has to go to; empty for any.
    pub(crate) host: String,
    /// Whether the disks may be built again.
    pub(crate) rebuild: bool,
    /// The state afterwards; `None` for the one before.
    pub(crate) state: Option<VmState>,
}

impl Evacuation {
    fn request(&self, migration: Uuid) -> EvacuationRequest<'_> {
        let host = Some(self.host.as_str()).filter(|host| !host.is_empty());
        EvacuationRequest { host, rebuild: self.rebuild, state: self.state, migration }
    }
}

impl FleetHandle {
    /// Records that nothing runs on a host that is down.
    pub(crate) fn fence_host(
        &self,
        name: &str,
        user: &str,
        by_command: bool,
    ) -> Result<HostState, FleetError> {
        self.command(|fleet, now| {
            fleet.fence_host(name, user, by_command, now)?;
            fleet.host(name)
        })
    }

    /// Ends the fence record of a host that sends heartbeats again.
    pub(super) fn end_outlived_fence(&self, host: &str) {
        if self.read(|fleet| fleet.has_outlived_fence(host)) {
            self.command(|fleet, _| fleet.end_fence(host));
        }
    }

    /// Evacuates an instance. The target is claimed when this returns; its agent receives what
    /// follows.
    pub(crate) fn evacuate_instance(
        &self,
        named: Named<'_>,
        wanted: &Evacuation,
        by: (&str, bool),
    ) -> Result<Arc<Instance>, FleetError> {
        let request = wanted.request(new_uuid());
        let instance = self.command(|fleet, now| fleet.begin_evacuation(named, &request, by, now))?;
        let uuid = instance.uuid;
        let target = self.claim_target(&instance).map_err(|error| self.with_help(error, &instance));
        let begun = self.command(|fleet, now| {
            match &target {
                Ok(target) => fleet.leave_source(uuid, target, now.wall),
                Err(error) => fleet.cancel_move(uuid, &error.to_string(), now.wall),
            }
            fleet.end_placing(&[uuid]);
            target?;
            fleet.instance_by_uuid(uuid).ok_or_else(|| FleetError::not_found("instance", uuid.to_string()))
        })?;
        self.publish_status(&instance.location.host);
        match begun.migration() {
            Some(_) => Ok(begun),
            None => Err(FleetError::precondition(berth_fleet::HOST_UP, "the host of the instance is back")),
        }
    }

    /// Evacuates all instances of a host, or none. If an evacuation of it is in progress, returns
    /// that one.
    pub(crate) fn evacuate_host(
        &self,
        name: &str,
        wanted: &Evacuation,
        user: &str,
    ) -> Result<HostEvacuationState, FleetError> {
        let request = wanted.request(Uuid::nil());
        let (run, is_new) = self.command(|fleet, now| {
            fleet.begin_host_evacuation(name, new_uuid(), &request, new_uuid, user, now)
        })?;
        self.prove_new(name, &run, is_new)
    }

    /// Live-migrates all instances of a host that run, or none. If a live evacuation of it is in
    /// progress, returns that one.
    pub(crate) fn evacuate_host_live(
        &self,
        name: &str,
        options: &LiveOptions,
        user: &str,
    ) -> Result<HostEvacuationState, FleetError> {
        let (run, is_new) =
            self.command(|fleet, now| fleet.begin_live_evacuation(name, options, new_uuid, user, now))?;
        self.prove_new(name, &run, is_new)
    }

    /// Claims targets for the instances of a run, if it is a new one.
    fn prove_new(
        &self,
        name: &str,
        run: &HostEvacuation,
        is_new: bool,
    ) -> Result<HostEvacuationState, FleetError> {
        if is_new {
            let instances = self.read(|fleet| fleet.proving(run));
            self.prove(name, &instances)?;
        }
        self.read(|fleet| fleet.host_evacuation(name))
    }

    /// Goes on with the evacuation of a host that a crash interrupted before its instances left.
    pub(super) fn go_on_proving(&self, host: &str) {
        if let Some(instances) = self.command(|fleet, now| fleet.begin_proof(host, now))
            && let Err(error) = self.prove(host, &instances)
        {
            tracing::warn!(host, %error, "the host is not evacuated");
        }
    }

    /// Claims targets for all instances, which are reserved for this. All leave then, or none.
    fn prove(&self, host: &str, instances: &[Arc<Instance>]) -> Result<(), FleetError> {
        self.command(|fleet, now| fleet.part_from_host(instances, now.wall));
        let mut refused = BTreeMap::new();
        for instance in instances {
            if self.read(|fleet| fleet.has_refuge(instance)) {
                continue; // since before a crash
            }
            if let Err(error) = self.claim_target(instance) {
                let error = self.with_unfit_hosts(self.with_help(error, instance), instance);
                refused.insert(instance.uuid, error.to_string());
            }
        }
        let uuids: Vec<Uuid> = instances.iter().map(|instance| instance.uuid).collect();
        let outcome = self.command(|fleet, now| {
            let outcome = if refused.is_empty() {
                fleet.leave_host(host, now)
            } else {
                let others = format!("{} other instances of host {host:?} get no host", refused.len());
                fleet.refuse_host_evacuation(host, &refused, &others, now.wall);
                Err(refusal(host, instances, &refused))
            };
            fleet.end_placing(&uuids);
            outcome
        });
        self.publish_status(host);
        outcome
    }

    /// The provider of a host follows its status.
    pub(super) fn publish_status(&self, host: &str) {
        self.with_writer(|writer| self.read(|fleet| fleet.publish_status(writer, host)));
    }

    /// Of an evacuation that keeps the disks, only hosts that share the storage are targets.
    pub(super) fn only_with_disks(&self, instance: &Instance, ask: &mut Ask) {
        let Some(migration) = instance.migration().filter(|_| instance.is_evacuating()) else { return };
        if migration.rebuilds {
            return;
        }
        let has_none =
            |fleet: &berth_fleet::Fleet, host: &String| !fleet.share_storage(&migration.source, host);
        let others: Vec<String> =
            self.read(|fleet| fleet.host_names().filter(|host| has_none(fleet, host)).cloned().collect());
        ask.ignore_hosts.extend(others);
    }

    /// A refusal of an evacuation, with what would find a host.
    fn with_help(&self, error: FleetError, instance: &Instance) -> FleetError {
        let (FleetError::Exhausted { reason, message, counts }, Some(migration)) =
            (&error, instance.migration())
        else {
            return error;
        };
        let ask = self.ask_of_move(instance, migration);
        let explained = self.explain(&ask, &[], 0).ok();
        let relaxations = explained.and_then(|explanation| explanation.relaxations);
        let found = relaxations.map(|relaxations| relaxations.found).unwrap_or_default();
        if found.is_empty() {
            return error;
        }
        let words: Vec<String> = found.iter().take(CHANGES).map(help).collect();
        FleetError::Exhausted {
            reason,
            message: format!("{message}; what would help: {}", words.join("; or ")),
            counts: counts.clone(),
        }
    }
}

fn help(relaxation: &Relaxation) -> String {
    let changes: Vec<String> = relaxation.changes.iter().map(ToString::to_string).collect();
    changes.join(" and ")
}

/// Names the instances of a host that get no other.
fn refusal(host: &str, instances: &[Arc<Instance>], refused: &BTreeMap<Uuid, String>) -> FleetError {
    let named = instances.iter().filter_map(|instance| {
        let reason = refused.get(&instance.uuid)?;
        Some(format!("{} ({}): {reason}", instance.spec.name, instance.uuid))
    });
    let named: Vec<String> = named.take(NAMED).collect();
    let further = match refused.len() - named.len() {
        0 => String::new(),
        count => format!("\nand {count} others"),
    };
    let message = format!(
        "{} of the {} instances of host {host:?} get no other host, so none has left:\n{}{further}",
        refused.len(),
        instances.len(),
        named.join("\n")
    );
    FleetError::exhausted(NO_VALID_HOST, message)
}
