//! Decisions: which hosts instances go to, and why.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use berth_fleet::{Fleet, FleetError, MAX_INSTANCES, NO_VALID_HOST, check_project};
use berth_placement::GroupId;
use berth_scheduler::explain::{self, Explanation, ExplanationScope};
use uuid::Uuid;

use super::FleetHandle;
use super::ask::Ask;
use super::decider::{FleetDecider, NamedPlacement, placed};
use crate::decision_log;
use crate::service::now;

/// Numbers of removed names that may wait for the decider.
const MANY_NUMBERS: usize = 64;

impl FleetHandle {
    /// Lets the decider forget removed names, when many numbers wait for that. It does so by itself
    /// with the next decision of each kind.
    pub(super) fn forget_names(&self) {
        if self.index.waiting_numbers() > MANY_NUMBERS {
            self.lock_decider().follow(self, now());
        }
    }

    /// Holds the decider: no decision is in progress then.
    pub(super) fn lock_decider(&self) -> MutexGuard<'_, FleetDecider> {
        self.decider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses hosts for the instances. Unless it is a `dry` run, claims capacity for all of them,
    /// or for none; if they hold capacity already, returns where.
    pub(crate) fn schedule(&self, ask: &Ask, dry: bool) -> Result<Vec<NamedPlacement>, FleetError> {
        check(ask)?;
        self.check_owner(ask)?;
        let ask = &*self.in_zone(ask)?;
        self.check_forced_host(ask)?;
        let group = self.group_asked(ask)?;
        let mut decider = self.lock_decider();
        let named = |placements| {
            let host_name = |fleet: &Fleet, provider| fleet.state().host_name(provider).map(str::to_owned);
            self.read(|fleet| placed(&self.index.topology(), placements, |uuid| host_name(fleet, uuid)))
        };
        if dry {
            return decider.decide(self, ask, group, now(), true).map(named);
        }
        if ask.migration.is_none()
            && let Some(held) = decider.held(&ask.instances)
        {
            return Ok(named(held));
        }
        // Recorded before the claim: a membership without one is forgotten at the next start.
        let joined = self.join_group(&ask.instances, ask.group);
        let at = now();
        let decided = decider.decide(self, ask, group, at, false);
        if decided.is_err() && !joined.is_empty() {
            self.command(|fleet, _| fleet.leave_group(&joined));
        }
        let decided = decided.map(named);
        if decision_log::is_on() && ask.migration.is_none() {
            let policy = |id| Some((ask.group?, self.index.group(id)?.policy()));
            decision_log::decided(ask, group.and_then(policy), decided.as_deref(), at);
        }
        decided
    }

    /// Records those of the instances that hold nothing yet as members of the group; returns what
    /// they were before.
    fn join_group(&self, instances: &[Uuid], group: Option<Uuid>) -> Vec<(Uuid, Option<Uuid>)> {
        // Most requests change no membership.
        let changes = |fleet: &Fleet| instances.iter().any(|&uuid| fleet.state().membership(uuid) != group);
        if !self.read(changes) {
            return Vec::new();
        }
        self.command(|fleet, _| fleet.join_group(instances, group))
    }

    /// Checks that none of the instances belongs to another project, as an instance or as a
    /// consumer with allocations: the caller would learn its host, or claim capacity in its name.
    fn check_owner(&self, ask: &Ask) -> Result<(), FleetError> {
        let belongs_to_other = |fleet: &Fleet, uuid: Uuid| match fleet.state().instance(uuid) {
            Some(known) => known.spec.project != ask.project,
            None => {
                let owner = self.index.consumer(uuid.into()).and_then(|held| held.owner);
                owner.is_some_and(|owner| *owner.project != *ask.project)
            }
        };
        match self.read(|fleet| ask.instances.iter().find(|&&uuid| belongs_to_other(fleet, uuid))) {
            Some(uuid) => Err(FleetError::not_found("instance", uuid.to_string())),
            None => Ok(()),
        }
    }

    /// The group of the request. It has to be one of the project.
    fn group_asked(&self, ask: &Ask) -> Result<Option<GroupId>, FleetError> {
        let Some(uuid) = ask.group else { return Ok(None) };
        self.read(|fleet| fleet.check_group(uuid, &ask.project))?;
        Ok(Some(uuid.into()))
    }

    /// Checks the zone of the request. No aggregate makes the default zone, and Nova would search
    /// all zones then; so hosts of other zones are excluded by name.
    fn in_zone<'a>(&self, ask: &'a Ask) -> Result<Cow<'a, Ask>, FleetError> {
        let zone = &ask.availability_zone.zone;
        if zone.is_empty() {
            return Ok(Cow::Borrowed(ask));
        }
        let mut zones = self.read(Fleet::zones);
        let Some(own) = zones.remove(zone) else {
            let known: Vec<String> = zones.into_keys().collect();
            let known = match known.len() {
                0 => "no host has joined yet".to_owned(),
                _ => format!("there are: {}", known.join(", ")),
            };
            let problem = format!("there is no zone {zone:?}; {known}");
            return Err(FleetError::field("availability_zone", problem));
        };
        if own.is_default {
            let mut ask = ask.clone();
            ask.ignore_hosts.extend(zones.into_values().flat_map(|zone| zone.hosts));
            return Ok(Cow::Owned(ask));
        }
        Ok(Cow::Borrowed(ask))
    }

    /// Checks the host of `zone:host`: the counts of a search would not say why it is no candidate.
    fn check_forced_host(&self, ask: &Ask) -> Result<(), FleetError> {
        let Some(host) = &ask.availability_zone.host else { return Ok(()) };
        let zone = self.read(|fleet| fleet.state().host(host).map(|_| fleet.zone_of(host).to_owned()));
        let why = if let Some(zone) = zone {
            let wanted = &ask.availability_zone.zone;
            if wanted.is_empty() || zone == *wanted {
                return Ok(());
            }
            format!("host {host:?} is in zone {zone:?}, not in {wanted:?}")
        } else {
            format!("there is no host {host:?}")
        };
        Err(FleetError::exhausted(NO_VALID_HOST, format!("No valid host was found: {why}")))
    }

    /// Why the request finds its hosts, or none. `hosts` are explained one by one.
    pub(crate) fn explain(
        &self,
        ask: &Ask,
        hosts: &[String],
        standings: usize,
    ) -> Result<Explanation, FleetError> {
        check(ask)?;
        let ask = &*self.in_zone(ask)?;
        let group = self.group_asked(ask)?;
        let spec = ask.spec()?;
        let case = self.lock_decider().case(self, &spec, group, now())?;
        let provider = |name: &String| self.read(|fleet| fleet.state().host(name).map(|host| host.uuid));
        let row = |name: &String| {
            let provider = provider(name).and_then(|uuid| self.index.find(uuid));
            let row = provider.and_then(|provider| case.host_at(provider));
            row.ok_or_else(|| FleetError::not_found("host", name))
        };
        let wanted = ExplanationScope { hosts: hosts.iter().map(row).collect::<Result<_, _>>()?, standings };
        Ok(explain::explain(&case.question(), &wanted))
    }
}

fn check(ask: &Ask) -> Result<(), FleetError> {
    let instances = ask.instances.len();
    if !(1..=MAX_INSTANCES).contains(&instances) {
        return Err(FleetError::field(
            "instances",
            format!("{instances} are given; 1 to {MAX_INSTANCES} are allowed"),
        ));
    }
    if ask.instances.iter().collect::<BTreeSet<_>>().len() < instances {
        return Err(FleetError::field("instances", "one is given twice"));
    }
    check_project(&ask.project)?;
    ask.flavor.check_amounts("flavor")
}
