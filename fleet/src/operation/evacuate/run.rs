//! The evacuation of a host: all its instances, or none. Those of a host that is up are
//! live-migrated (`live/host.rs` begins that).
//!
//! The run is a record of the host. Its instances are recorded with it, in one step, and none of
//! them leaves before each of them has a claim (*proving*). Then all leave, in one step (*moving*).
//! After a crash, the run goes on where it was. A second request for the same host finds the run.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::Timestamp;
use uuid::Uuid;

use super::EvacuationRequest;
use crate::Fleet;
use crate::error::FleetError;
use crate::host::Host;
use crate::instance::{Instance, VmState};
use crate::migration::{Migration, MigrationOutcome};
use crate::operation::Operation;
use crate::time::Moment;

/// The latest evacuation of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEvacuation {
    /// Its UUID.
    pub uuid: Uuid,
    /// The user that requested it.
    pub user: String,
    /// Whether the instances are live-migrated, because the host is up.
    pub is_live: bool,
    /// How far it is.
    pub phase: EvacuationPhase,
    /// The migrations of its instances, by instance.
    pub migrations: BTreeMap<Uuid, Uuid>,
    /// Instances that stay on the host, each with the reason.
    pub skipped: BTreeMap<Uuid, String>,
    /// When it was requested.
    pub created_at: Timestamp,
}

/// How far the evacuation of a host is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EvacuationPhase {
    /// Targets are claimed. No instance leaves before all have one.
    #[default]
    Proving,
    /// The instances move, or have moved.
    Moving,
}

/// The evacuation of a host, and what became of its instances.
#[derive(Debug, Clone)]
pub struct HostEvacuationState {
    /// Its record.
    pub run: HostEvacuation,
    /// Its instances that exist, each with its migration if that is known.
    pub instances: Vec<(Arc<Instance>, Option<Arc<Migration>>)>,
}

impl HostEvacuationState {
    /// How many of its instances have been evacuated.
    #[must_use]
    pub fn evacuated(&self) -> usize {
        self.count(|migration| {
            let arrived = [MigrationOutcome::Evacuated, MigrationOutcome::Completed];
            migration.outcome.is_some_and(|outcome| arrived.contains(&outcome))
        })
    }

    /// How many of its instances could not be.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|migration| {
            let stays = [MigrationOutcome::Failed, MigrationOutcome::Aborted];
            migration.outcome.is_some_and(|outcome| stays.contains(&outcome))
        })
    }

    /// How many are not settled.
    #[must_use]
    pub fn open(&self) -> usize {
        self.count(|migration| migration.outcome.is_none())
    }

    fn count(&self, matches: impl Fn(&Migration) -> bool) -> usize {
        let migrations = self.instances.iter().filter_map(|(_, migration)| migration.as_deref());
        migrations.filter(|migration| matches(migration)).count()
    }
}

impl Fleet {
    /// Records the evacuation of a host, and reserves its instances for the request that claims
    /// targets, until [`Self::end_placing`]. Returns the run, and whether it is a new one: one that
    /// is in progress is returned.
    ///
    /// # Errors
    /// A host that is unknown, up or not fenced; an instance with disks that only this host has,
    /// without `rebuild`; one for which another request is choosing a host.
    pub fn begin_host_evacuation(
        &mut self,
        name: &str,
        uuid: Uuid,
        request: &EvacuationRequest<'_>,
        mut new_uuid: impl FnMut() -> Uuid,
        user: &str,
        now: Moment,
    ) -> Result<(HostEvacuation, bool), FleetError> {
        self.check_fenced(name, now)?;
        if let Some(run) = self.open_run(name, false)? {
            return Ok((run, false));
        }
        let mut run =
            HostEvacuation { uuid, user: user.to_owned(), created_at: now.wall, ..HostEvacuation::default() };
        let there: Vec<Uuid> = self.state.on_host(name).collect();
        let mut begun = Vec::new();
        for instance in there.into_iter().filter_map(|uuid| self.instance_by_uuid(uuid)) {
            if instance.location.host != name || instance.is_evacuating() {
                continue;
            }
            match instance.stays_in_evacuation() {
                Some(why) => drop(run.skipped.insert(instance.uuid, why.to_owned())),
                None => begun.push(instance),
            }
        }
        self.check_run(&begun, request, now)?;
        for instance in begun {
            let request = EvacuationRequest { host: None, migration: new_uuid(), ..*request };
            let named = instance.uuid.to_string();
            let named = crate::Named { name: &named, project: "" };
            self.begin_evacuation(named, &request, (user, true), now)?;
            run.migrations.insert(instance.uuid, request.migration);
        }
        self.put_run(name, Some(run.clone()));
        Ok((run, true))
    }

    /// Checks all instances before the first is changed. The refusal names each instance that
    /// stands against it.
    fn check_run(
        &self,
        instances: &[Arc<Instance>],
        request: &EvacuationRequest<'_>,
        now: Moment,
    ) -> Result<(), FleetError> {
        let mut refused = Vec::new();
        for instance in instances {
            self.check_not_placing(instance.uuid)?;
            let request = EvacuationRequest { host: None, ..*request };
            refused.extend(self.check_evacuation(instance, &request, true, now).err());
        }
        let count = refused.len();
        match refused.into_iter().next() {
            None => Ok(()),
            Some(FleetError::Precondition { reason, message }) if count > 1 => {
                Err(FleetError::precondition(reason, format!("{message} (and {} others)", count - 1)))
            }
            Some(only) => Err(only),
        }
    }

    /// The run of a host that is in progress.
    ///
    /// # Errors
    /// One of the other kind is.
    pub(in crate::operation) fn open_run(
        &self,
        name: &str,
        is_live: bool,
    ) -> Result<Option<HostEvacuation>, FleetError> {
        let open = self.host_evacuation(name).ok().filter(|state| state.open() > 0);
        let Some(HostEvacuationState { run, .. }) = open else { return Ok(None) };
        if run.is_live == is_live {
            return Ok(Some(run));
        }
        let kind = if run.is_live { "a live evacuation" } else { "an evacuation" };
        let message =
            format!("{kind} of host {name:?} is in progress: wait for its end, or abort its migrations");
        Err(FleetError::precondition("WRONG_STATE", message))
    }

    pub(in crate::operation) fn put_run(&mut self, name: &str, run: Option<HostEvacuation>) {
        if let Some(host) = self.state.host(name) {
            let host = Host { evacuation: run, ..host.clone() };
            self.state.put_host(host);
        }
    }

    /// The latest evacuation of a host, and what became of its instances.
    ///
    /// # Errors
    /// No such host, or one that was not evacuated.
    pub fn host_evacuation(&self, name: &str) -> Result<HostEvacuationState, FleetError> {
        let host = self.known_host(name)?;
        let run = host.evacuation.clone().ok_or_else(|| FleetError::not_found("evacuation of host", name))?;
        let instances = run.migrations.iter().filter_map(|(&uuid, &migration)| {
            let instance = self.instance_by_uuid(uuid)?;
            let migration = instance.migrations.iter().find(|known| known.uuid == migration).cloned();
            Some((instance, migration))
        });
        Ok(HostEvacuationState { instances: instances.collect(), run })
    }

    /// The host whose evacuation claims targets, if the instance is one of it.
    #[must_use]
    pub fn proving_host(&self, instance: &Instance) -> Option<String> {
        let migration = instance.migration()?;
        let host = self.state.host(&migration.source)?;
        let run = host.evacuation.as_ref().filter(|run| run.phase == EvacuationPhase::Proving)?;
        let is_of_run = run.migrations.get(&instance.uuid) == Some(&migration.uuid);
        (is_of_run && run.awaits_leave(instance)).then(|| host.name.clone())
    }

    /// The instances of a run whose targets are to be claimed, the largest first, reserved until
    /// [`Self::end_placing`]; `None` if a request is claiming them, or there is no such run. A run
    /// whose host is back ends.
    pub fn begin_proof(&mut self, name: &str, now: Moment) -> Option<Vec<Arc<Instance>>> {
        let run = self.state.host(name)?.evacuation.clone()?;
        let instances = self.proving(&run);
        if run.phase != EvacuationPhase::Proving || instances.iter().any(|of| self.is_placing(of.uuid)) {
            return None;
        }
        if let Err(refused) = self.check_run_host(name, &run, now) {
            if !self.is_young(now) {
                self.refuse_host_evacuation(name, &BTreeMap::new(), &refused.to_string(), now.wall);
            }
            return None;
        }
        self.placing.extend(instances.iter().map(|instance| instance.uuid));
        Some(instances)
    }

    /// The instances of a run that have not left.
    #[must_use]
    pub fn proving(&self, run: &HostEvacuation) -> Vec<Arc<Instance>> {
        let instances = run.migrations.keys().filter_map(|&uuid| self.instance_by_uuid(uuid));
        let mut instances: Vec<_> = instances.filter(|instance| run.awaits_leave(instance)).collect();
        instances.sort_by_key(|instance| {
            let flavor = &instance.spec.flavor;
            std::cmp::Reverse((flavor.memory_mb, flavor.vcpus, flavor.root_gb, instance.uuid))
        });
        instances
    }

    /// Checks that the instances of a run can leave: its host is down and fenced, or up if they are
    /// live-migrated.
    fn check_run_host(&self, name: &str, run: &HostEvacuation, now: Moment) -> Result<(), FleetError> {
        if run.is_live { self.check_sender(name) } else { self.check_fenced(name, now) }
    }

    /// All instances of a run have a claim: they leave, or wait for their turn if they are
    /// live-migrated. If the host is back, or down in a live evacuation, they stay.
    ///
    /// # Errors
    /// The host is up, or its fence record has ended; in a live evacuation, the host is down.
    pub fn leave_host(&mut self, name: &str, now: Moment) -> Result<(), FleetError> {
        let Some(run) = self.state.host(name).and_then(|host| host.evacuation.clone()) else { return Ok(()) };
        if let Err(refused) = self.check_run_host(name, &run, now) {
            self.refuse_host_evacuation(name, &BTreeMap::new(), &refused.to_string(), now.wall);
            return Err(refused);
        }
        if run.is_live {
            self.disable_evacuated(name);
        }
        for instance in self.proving(&run) {
            if let Some(target) = self.host_of_capacity(instance.uuid).map(str::to_owned) {
                self.leave_source(instance.uuid, &target, now.wall);
            }
        }
        self.put_run(name, Some(HostEvacuation { phase: EvacuationPhase::Moving, ..run }));
        Ok(())
    }

    /// Ends a run of which some instances get no target: all are as before. `reasons`: by instance.
    pub fn refuse_host_evacuation(
        &mut self,
        name: &str,
        reasons: &BTreeMap<Uuid, String>,
        others: &str,
        now: Timestamp,
    ) {
        let Some(run) = self.state.host(name).and_then(|host| host.evacuation.clone()) else { return };
        for instance in self.proving(&run) {
            let reason = reasons.get(&instance.uuid).map_or(others, String::as_str);
            match run.is_live {
                true => self.cancel_live(instance.uuid, reason, now),
                false => self.cancel_evacuation(instance.uuid, reason, now),
            }
        }
        self.put_run(name, Some(HostEvacuation { phase: EvacuationPhase::Moving, ..run }));
    }
}

impl HostEvacuation {
    /// Whether an instance of the run has not left, and no guest of it is built or sent.
    fn awaits_leave(&self, instance: &Instance) -> bool {
        let first = if self.is_live { Operation::LiveQueued } else { Operation::EvacuatePrep };
        instance.operation == Some(first)
    }
}

impl Instance {
    /// Why the evacuation of its host leaves it there.
    fn stays_in_evacuation(&self) -> Option<&'static str> {
        if self.operation == Some(Operation::Delete) {
            return Some("it is being deleted");
        }
        match self.vm_state {
            VmState::ShelvedOffloaded => Some("it is shelved, and holds no capacity"),
            _ if self.migration().is_some() => Some("it has an open migration: confirm or revert it"),
            _ => None,
        }
    }
}
