//! Decisions: which hosts instances go to, and why.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use berth_placement::Topology;
use berth_scheduler::explain::{self, Explanation, ExplanationScope};
use uuid::Uuid;

use super::ask::Ask;
use super::decider::{Placed, placed};
use super::error::{FleetError, NO_VALID_HOST};
use super::quotas::check_project;
use super::{Fleet, flavors};
use crate::service::now;

/// Instances of one request, at most.
pub(crate) const MAX_INSTANCES: usize = 1_000;

impl Fleet {
    /// Picks hosts for the instances. Unless it is a `dry` run, claims the room for all of them, or for none; when they hold
    /// their room already, tells where.
    pub(crate) fn schedule(&self, ask: &Ask, dry: bool) -> Result<Vec<Placed>, FleetError> {
        check(ask)?;
        self.check_owner(ask)?;
        let ask = &*self.in_zone(ask)?;
        self.check_forced_host(ask)?;
        let group = self.group_asked(ask)?;
        let mut decider = self.decider.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let named = |placements| {
            placed(&self.index.topology(), placements, |provider| self.host_of_provider(provider))
        };
        if dry {
            return decider.decide(self, ask, group, now(), true).map(named);
        }
        if let Some(held) = decider.held(&ask.instances) {
            return Ok(named(held));
        }
        // Recorded before the claim: a membership without one is forgotten at the next start.
        let joining = self.join_group(ask, group.map(|group| Uuid::from_u128(group.0)));
        let decided = decider.decide(self, ask, group, now(), false);
        if decided.is_err() {
            self.transact(|fleet| {
                joining.iter().for_each(|&(one, before)| fleet.set_membership(one, before));
            });
        }
        decided.map(named)
    }

    /// The providers of hosts and the names of resource classes, as of now.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.index.topology()
    }

    /// Checks that none of the instances belongs to another project, as an instance or as a consumer with allocations: the
    /// caller would learn its host, or claim capacity in its name.
    fn check_owner(&self, ask: &Ask) -> Result<(), FleetError> {
        let state = self.state();
        let is_others = |&&uuid: &&Uuid| match state.instances.get(&uuid) {
            Some(known) => known.project != ask.project,
            None => {
                let owner = self.index.consumer(uuid.into()).and_then(|held| held.owner);
                owner.is_some_and(|owner| *owner.project != *ask.project)
            }
        };
        match ask.instances.iter().find(is_others) {
            Some(uuid) => Err(FleetError::not_found("instance", uuid.to_string())),
            None => Ok(()),
        }
    }

    /// Records those of the instances that hold nothing yet as members of the group; returns what they were before.
    fn join_group(&self, ask: &Ask, group: Option<Uuid>) -> Vec<(Uuid, Option<Uuid>)> {
        let before: Vec<_> = {
            let state = self.state();
            let new = ask.instances.iter().filter(|&&uuid| !self.holds(uuid));
            new.map(|&uuid| (uuid, state.memberships.get(&uuid).copied())).collect()
        };
        let changed: Vec<_> = before.into_iter().filter(|(_, before)| *before != group).collect();
        if !changed.is_empty() {
            self.transact(|fleet| changed.iter().for_each(|&(one, _)| fleet.set_membership(one, group)));
        }
        changed
    }

    /// Checks the zone that is asked for. No aggregate makes the default zone, and Nova would look for hosts in all zones then; so
    /// hosts of other zones are ruled out by name.
    fn in_zone<'a>(&self, ask: &'a Ask) -> Result<Cow<'a, Ask>, FleetError> {
        let zone = ask.zone();
        if zone.is_empty() {
            return Ok(Cow::Borrowed(ask));
        }
        let mut zones = self.zones();
        let Some(own) = zones.remove(zone) else {
            let known: Vec<String> = zones.into_keys().collect();
            let problem = format!("there is no zone {zone:?}; there are: {}", known.join(", "));
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
        let Some(host) = ask.forced_host() else { return Ok(()) };
        let state = self.state();
        let why = if state.hosts.contains_key(host) {
            let (zone, wanted) = (self.zone_of(&state, host), ask.zone());
            if wanted.is_empty() || zone == wanted {
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
        let mut decider = self.decider.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let case = decider.case(self, &spec, group, now())?;
        drop(decider);
        let row = |name: &String| {
            let provider = self.state().hosts.get(name).and_then(|host| self.index.find(host.uuid()));
            let row = provider.and_then(|provider| case.host_at(provider));
            row.ok_or_else(|| FleetError::not_found("host", name))
        };
        let wanted = ExplanationScope { hosts: hosts.iter().map(row).collect::<Result<_, _>>()?, standings };
        Ok(explain::explain(&case.question(), &wanted))
    }

    /// The host on which the instance holds its room.
    pub(super) fn host_of_room(&self, uuid: Uuid) -> Option<String> {
        let held = self.index.allocations(uuid.into())?;
        let topology = self.index.topology();
        let root = topology.provider(topology.host_of(&held)?)?;
        self.host_of_provider(root.uuid)
    }

    pub(super) fn host_of_provider(&self, uuid: Uuid) -> Option<String> {
        self.state().host_name(uuid).map(str::to_owned)
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
    flavors::check_amounts("flavor", &ask.flavor)
}
