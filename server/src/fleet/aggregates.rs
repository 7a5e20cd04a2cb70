//! Host aggregates and availability zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use uuid::Uuid;

use super::entry::{Aggregate, HostStatus};
use super::error::{FleetError, IN_USE};
use super::state::State;
use super::{Fleet, check_name};
use crate::service::now;

/// The key that makes an aggregate a zone.
const ZONE: &str = "availability_zone";

/// A change of an aggregate, made as one.
#[derive(Debug, Clone, Default)]
pub(crate) struct AggregateChange {
    pub(crate) add_hosts: Vec<String>,
    pub(crate) remove_hosts: Vec<String>,
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) unset: Vec<String>,
}

/// A zone, and whether a host of it can take instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ZoneState {
    pub(crate) hosts: Vec<String>,
    pub(crate) is_available: bool,
    /// Whether it is the zone of hosts that no aggregate puts into one.
    pub(crate) is_default: bool,
}

impl Fleet {
    pub(crate) fn aggregates(&self) -> Vec<Aggregate> {
        self.state().aggregates.values().cloned().collect()
    }

    pub(crate) fn aggregate(&self, name: &str) -> Result<Aggregate, FleetError> {
        self.state().aggregates.get(name).cloned().ok_or_else(|| FleetError::not_found("aggregate", name))
    }

    pub(crate) fn create_aggregate(
        &self,
        name: &str,
        metadata: BTreeMap<String, String>,
    ) -> Result<Aggregate, FleetError> {
        check_name("name", name, 255)?;
        check_zone(&metadata)?;
        self.transact(|fleet| {
            if fleet.state.aggregates.contains_key(name) {
                return Err(FleetError::exists("aggregate", name));
            }
            #[expect(clippy::disallowed_methods, reason = "a new UUID has to be unlike all others")]
            let uuid = Uuid::new_v4().into_bytes().to_vec();
            let aggregate = Aggregate { name: name.to_owned(), uuid, metadata, ..Aggregate::default() };
            fleet.put_aggregate(aggregate.clone());
            self.note_layout();
            Ok(aggregate)
        })
    }

    pub(crate) fn update_aggregate(
        &self,
        name: &str,
        change: &AggregateChange,
    ) -> Result<Aggregate, FleetError> {
        check_zone(&change.set)?;
        // A decision uses either the zones of before, and its claim is visible here, or the zones of afterwards.
        let _decider = self.decider.lock().unwrap_or_else(PoisonError::into_inner);
        let (aggregate, moved) = self.transact(|fleet| {
            let before =
                fleet.state.aggregates.get(name).ok_or_else(|| FleetError::not_found("aggregate", name))?;
            let after = change.applied(before, fleet.state)?;
            self.check_instances_stay(before, &after, fleet.state)?;
            let moved: BTreeSet<String> = before
                .hosts
                .iter()
                .chain(&after.hosts)
                .filter(|host| before.has(host) != after.has(host))
                .cloned()
                .collect();
            fleet.put_aggregate(after.clone());
            self.note_layout();
            Ok((after, moved))
        })?;
        moved.iter().for_each(|host| self.tell_aggregates(host));
        Ok(aggregate)
    }

    pub(crate) fn delete_aggregate(&self, name: &str) -> Result<(), FleetError> {
        self.transact(|fleet| {
            let aggregate =
                fleet.state.aggregates.get(name).ok_or_else(|| FleetError::not_found("aggregate", name))?;
            if !aggregate.hosts.is_empty() {
                let hosts = counted(aggregate.hosts.len(), "host");
                return Err(FleetError::precondition(IN_USE, format!("the aggregate {name:?} has {hosts}")));
            }
            fleet.remove_aggregate(name);
            self.note_layout();
            Ok(())
        })
    }

    /// Zones with their hosts, by name.
    pub(crate) fn zones(&self) -> BTreeMap<String, ZoneState> {
        let state = self.state();
        let mut zones: BTreeMap<String, ZoneState> = BTreeMap::new();
        for host in state.hosts.values() {
            let zone = zones.entry(self.zone_of(&state, &host.name)).or_default();
            zone.hosts.push(host.name.clone());
            zone.is_default |= state.aggregates.values().all(|of| of.zone().is_none() || !of.has(&host.name));
            zone.is_available |= host.status() == HostStatus::Enabled && self.agents.is_up(&host.name);
        }
        zones
    }

    /// The zone of a host.
    pub(super) fn zone_of(&self, state: &State, host: &str) -> String {
        self.or_default(zone_by(state.aggregates.values(), host)).to_owned()
    }

    fn or_default<'a>(&'a self, zone: Option<&'a str>) -> &'a str {
        zone.unwrap_or(&self.options.scheduler.general.default_availability_zone)
    }

    /// No change of an aggregate may take instances to another zone, which they would be in without having moved.
    fn check_instances_stay<'a>(
        &self,
        before: &Aggregate,
        after: &'a Aggregate,
        state: &'a State,
    ) -> Result<(), FleetError> {
        let afterwards = |known: &'a Aggregate| if known.name == after.name { after } else { known };
        let hosts: BTreeSet<&String> = before.hosts.iter().chain(&after.hosts).collect();
        for host in hosts {
            let from = zone_by(state.aggregates.values(), host);
            let to = zone_by(state.aggregates.values().map(afterwards), host);
            let instances = if from == to { 0 } else { self.instances_on(state, host) };
            if instances > 0 {
                let (from, to) = (self.or_default(from), self.or_default(to));
                let instances = counted(instances, "instance");
                let message = format!(
                    "host {host:?} with {instances} would move from zone {from:?} to {to:?}; \
                     delete them first"
                );
                return Err(FleetError::precondition(IN_USE, message));
            }
        }
        Ok(())
    }

    /// Puts the host's provider into the aggregates that the host is in. Those that are not the fleet's stay.
    pub(super) fn tell_aggregates(&self, host: &str) {
        // With the writer, so that of two changes the later one is told last.
        let mut writer = self.index.write_at(now());
        let state = self.state();
        let ours: BTreeSet<Uuid> = state.aggregates.values().map(Aggregate::uuid).collect();
        let wanted = state.aggregates.values().filter(|aggregate| aggregate.has(host)).map(Aggregate::uuid);
        let Some(row) = state.hosts.get(host).and_then(|host| self.index.find(host.uuid())) else { return };
        let Some(provider) = writer.topology().provider(row) else { return };
        let before: BTreeSet<Uuid> = provider.aggregates.iter().copied().collect();
        let after: BTreeSet<Uuid> = before.difference(&ours).copied().chain(wanted).collect();
        drop(state);
        if after != before {
            let after: Vec<Uuid> = after.into_iter().collect();
            if let Err(error) = writer.set_aggregates(row, &after) {
                tracing::error!(host, %error, "a host's provider cannot be put into its aggregates");
            }
        }
    }
}

/// The zone that one of the aggregates puts the host into.
fn zone_by<'a>(mut aggregates: impl Iterator<Item = &'a Aggregate>, host: &str) -> Option<&'a str> {
    aggregates.find_map(|aggregate| aggregate.zone().filter(|_| aggregate.has(host)))
}

impl Aggregate {
    pub(crate) fn has(&self, host: &str) -> bool {
        self.hosts.binary_search_by(|known| known.as_str().cmp(host)).is_ok()
    }

    /// The zone that it makes.
    pub(crate) fn zone(&self) -> Option<&str> {
        self.metadata.get(ZONE).map(String::as_str)
    }
}

impl AggregateChange {
    fn applied(&self, before: &Aggregate, state: &State) -> Result<Aggregate, FleetError> {
        let mut after = before.clone();
        after.metadata.retain(|key, _| !self.unset.contains(key));
        after.metadata.extend(self.set.clone());
        let mut hosts: BTreeSet<String> = before.hosts.iter().cloned().collect();
        for host in &self.remove_hosts {
            if !hosts.remove(host) {
                return Err(FleetError::field(
                    "remove_hosts",
                    format!("host {host:?} is not in the aggregate"),
                ));
            }
        }
        for host in &self.add_hosts {
            if !state.hosts.contains_key(host) {
                return Err(FleetError::not_found("host", host));
            }
            hosts.insert(host.clone());
        }
        after.hosts = hosts.into_iter().collect();
        check_one_zone(&after, state)?;
        Ok(after)
    }
}

/// No host may be in two zones.
fn check_one_zone(after: &Aggregate, state: &State) -> Result<(), FleetError> {
    let Some(zone) = after.zone() else { return Ok(()) };
    for other in state.aggregates.values().filter(|other| other.name != after.name) {
        let Some(elsewhere) = other.zone().filter(|elsewhere| *elsewhere != zone) else { continue };
        if let Some(host) = after.hosts.iter().find(|host| other.has(host)) {
            let message = format!("host {host:?} is in zone {elsewhere:?} by the aggregate {:?}", other.name);
            return Err(FleetError::precondition("OTHER_ZONE", message));
        }
    }
    Ok(())
}

fn check_zone(metadata: &BTreeMap<String, String>) -> Result<(), FleetError> {
    const FIELD: &str = "metadata.availability_zone";
    let Some(zone) = metadata.get(ZONE) else { return Ok(()) };
    if zone.contains([':', ',']) {
        return Err(FleetError::field(FIELD, format!("{zone:?} is no name of a zone: no ':' or ','")));
    }
    check_name(FIELD, zone, 255)
}

fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_placement::{Allocation, Index, Inventory, Timestamp};

    use super::*;
    use crate::fleet::FleetOptions;
    use crate::fleet::entry::{Host, Instance};

    /// An instance holds capacity from the decision on, and its record names the host a moment later. Its host must not move in between.
    #[test]
    fn an_instance_that_has_just_claimed_capacity_keeps_its_zone() {
        let [host, instance] = [1, 2].map(Uuid::from_u128);
        let index = Index::with_holders();
        let mut writer = index.write_at(Timestamp(0));
        let row = writer.add_provider(host, "h1", None).unwrap();
        let class = writer.resource_class("CUSTOM_X").unwrap();
        writer.set_inventories(row, None, vec![(class, Inventory::of(10))]).unwrap();
        drop(writer);
        let fleet = Fleet::new(Arc::new(index), None, State::default(), FleetOptions::default());
        fleet.transact(|fleet| {
            let uuid = |uuid: Uuid| uuid.into_bytes().to_vec();
            fleet.put_host(Host { name: "h1".to_owned(), uuid: uuid(host), ..Host::default() });
            fleet.put_instance(instance, Instance { uuid: uuid(instance), ..Instance::default() });
        });
        let zone = [(ZONE.to_owned(), "east".to_owned())].into();
        fleet.create_aggregate("east", zone).unwrap();
        let add = AggregateChange { add_hosts: vec!["h1".to_owned()], ..AggregateChange::default() };
        fleet.index.claim(instance.into(), &[Allocation { row, class, amount: 1 }]).unwrap();
        let refused = fleet.update_aggregate("east", &add).unwrap_err();
        assert!(matches!(refused, FleetError::Precondition { reason: IN_USE, .. }), "{refused}");
        assert!(refused.to_string().contains("host \"h1\" with 1 instance would move"), "{refused}");
        fleet.index.release(instance.into()).unwrap();
        fleet.update_aggregate("east", &add).unwrap();
    }
}
