//! Host aggregates and availability zones.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::Writer;
use uuid::Uuid;

use crate::Fleet;
use crate::error::{FleetError, IN_USE, check_name};
use crate::host::HostStatus;
use crate::state::State;

/// The key that makes an aggregate a zone.
const ZONE: &str = "availability_zone";

/// A host aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// Its name.
    pub name: String,
    /// The UUID of the aggregate in the index.
    pub uuid: Uuid,
    /// The names of its hosts, in order.
    pub hosts: Vec<String>,
    /// Its metadata. `availability_zone` makes it a zone.
    pub metadata: BTreeMap<String, String>,
}

/// A change of an aggregate, applied as a whole.
#[derive(Debug, Clone, Default)]
pub struct AggregateChange {
    /// Hosts to add.
    pub add_hosts: Vec<String>,
    /// Hosts to remove.
    pub remove_hosts: Vec<String>,
    /// Metadata to set.
    pub set: BTreeMap<String, String>,
    /// Keys of metadata to remove.
    pub unset: Vec<String>,
}

/// An availability zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// The names of its hosts.
    pub hosts: Vec<String>,
    /// Whether one of its hosts accepts instances.
    pub is_available: bool,
    /// Whether it is the zone of hosts that no aggregate puts into one.
    pub is_default: bool,
}

impl Fleet {
    /// All aggregates, by name.
    pub fn aggregates(&self) -> impl Iterator<Item = &Aggregate> {
        self.state.aggregates.values()
    }

    /// The aggregate with this name.
    ///
    /// # Errors
    /// No such aggregate.
    pub fn aggregate(&self, name: &str) -> Result<&Aggregate, FleetError> {
        self.state.aggregates.get(name).ok_or_else(|| FleetError::not_found("aggregate", name))
    }

    /// Adds an aggregate without hosts.
    ///
    /// # Errors
    /// An invalid name or zone, or a name that is taken.
    pub fn create_aggregate(
        &mut self,
        name: &str,
        metadata: BTreeMap<String, String>,
        uuid: Uuid,
    ) -> Result<Aggregate, FleetError> {
        check_name("name", name, 255)?;
        check_zone(&metadata)?;
        if self.state.aggregates.contains_key(name) {
            return Err(FleetError::exists("aggregate", name));
        }
        let aggregate = Aggregate { name: name.to_owned(), uuid, metadata, ..Aggregate::default() };
        self.state.put_aggregate(aggregate.clone());
        self.host_changes.layout = true;
        Ok(aggregate)
    }

    /// Changes an aggregate. Returns it with the hosts that were added or removed; their providers
    /// do not follow until [`Self::publish_aggregates`].
    ///
    /// # Errors
    /// An unknown aggregate or host, an invalid zone, or a change that would move instances to
    /// another zone.
    pub fn update_aggregate(
        &mut self,
        name: &str,
        change: &AggregateChange,
    ) -> Result<(Aggregate, BTreeSet<String>), FleetError> {
        check_zone(&change.set)?;
        let before = self.aggregate(name)?;
        let after = change.applied(before, &self.state)?;
        self.check_instances_stay(before, &after)?;
        let hosts = before.hosts.iter().chain(&after.hosts);
        let moved = hosts.filter(|host| before.has(host) != after.has(host)).cloned().collect();
        self.state.put_aggregate(after.clone());
        self.host_changes.layout = true;
        Ok((after, moved))
    }

    /// Removes an aggregate.
    ///
    /// # Errors
    /// An unknown aggregate, or one with hosts.
    pub fn delete_aggregate(&mut self, name: &str) -> Result<(), FleetError> {
        let aggregate = self.aggregate(name)?;
        if !aggregate.hosts.is_empty() {
            let hosts = counted(aggregate.hosts.len(), "host");
            return Err(FleetError::precondition(IN_USE, format!("the aggregate {name:?} has {hosts}")));
        }
        self.state.remove_aggregate(name);
        self.host_changes.layout = true;
        Ok(())
    }

    /// The zones, by name.
    #[must_use]
    pub fn zones(&self) -> BTreeMap<String, ZoneState> {
        let mut zones: BTreeMap<String, ZoneState> = BTreeMap::new();
        for host in self.state.hosts.values() {
            let assigned = zone_by(self.state.aggregates.values(), &host.name);
            let zone = zones.entry(self.or_default(assigned).to_owned()).or_default();
            zone.hosts.push(host.name.clone());
            zone.is_default |= assigned.is_none();
            zone.is_available |= host.status == HostStatus::Enabled && self.connections.is_up(&host.name);
        }
        zones
    }

    /// The zone of a host.
    #[must_use]
    pub fn zone_of(&self, host: &str) -> &str {
        self.or_default(zone_by(self.state.aggregates.values(), host))
    }

    fn or_default<'a>(&'a self, zone: Option<&'a str>) -> &'a str {
        zone.unwrap_or(&self.options.scheduler.general.default_availability_zone)
    }

    /// Checks that a change of an aggregate takes no instance to another zone: it would be there
    /// without having moved.
    fn check_instances_stay(&self, before: &Aggregate, after: &Aggregate) -> Result<(), FleetError> {
        let aggregates = &self.state.aggregates;
        let hosts: BTreeSet<&String> = before.hosts.iter().chain(&after.hosts).collect();
        for host in hosts {
            let from = zone_by(aggregates.values(), host);
            let changed = aggregates.values().map(|of| if of.name == after.name { after } else { of });
            let to = zone_by(changed, host);
            let instances = if from == to { 0 } else { self.instances_on(host) };
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

    /// Sets the aggregates of the host's provider to those of the host. Aggregates that the fleet
    /// does not manage stay.
    ///
    /// The caller holds the writer from before it reads the fleet, so of two changes the later one
    /// is written last.
    pub fn publish_aggregates(&self, writer: &mut Writer<'_>, host: &str) {
        let aggregates = self.state.aggregates.values();
        let wanted = aggregates.filter(|aggregate| aggregate.has(host)).map(|aggregate| aggregate.uuid);
        let row = self.state.hosts.get(host).and_then(|host| self.index.find(host.uuid));
        let Some(row) = row else { return };
        let Some(provider) = writer.topology().provider(row) else { return };
        let before: BTreeSet<Uuid> = provider.aggregates.iter().copied().collect();
        let managed: BTreeSet<Uuid> = self.state.aggregates.values().map(|of| of.uuid).collect();
        let after: BTreeSet<Uuid> = before.difference(&managed).copied().chain(wanted).collect();
        if after != before {
            let after: Vec<Uuid> = after.into_iter().collect();
            if let Err(error) = writer.set_aggregates(row, &after) {
                tracing::error!(host, %error, "the aggregates of a host's provider cannot be set");
            }
        }
    }
}

/// The zone that one of the aggregates puts the host into. No host is in two zones.
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
                let problem = format!("host {host:?} is not in the aggregate");
                return Err(FleetError::field("remove_hosts", problem));
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

/// Checks that no host is in two zones.
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

/// Checks the name of the zone.
fn check_zone(metadata: &BTreeMap<String, String>) -> Result<(), FleetError> {
    const FIELD: &str = "metadata.availability_zone";
    let Some(zone) = metadata.get(ZONE) else { return Ok(()) };
    if zone.contains([':', ',']) {
        return Err(FleetError::field(FIELD, format!("{zone:?} is no name of a zone: no ':' or ','")));
    }
    check_name(FIELD, zone, 255)
}

/// A number with its noun, as in `1 host` and `2 hosts`.
fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_placement::{Allocation, Index, Inventory, Timestamp};

    use super::*;
    use crate::FleetOptions;
    use crate::host::Host;
    use crate::instance::{Instance, InstanceSpec};
    use crate::time::Monotonic;

    /// An instance holds capacity from the decision on, and its record names the host a moment
    /// later. Its host must not move in between.
    #[test]
    fn an_instance_that_has_just_claimed_capacity_keeps_its_zone() {
        let [host, instance] = [1, 2].map(Uuid::from_u128);
        let index = Index::with_holders();
        let mut writer = index.write_at(Timestamp(0));
        let row = writer.add_provider(host, "h1", None).unwrap();
        let class = writer.resource_class("CUSTOM_X").unwrap();
        writer.set_inventories(row, None, vec![(class, Inventory::of(10))]).unwrap();
        drop(writer);
        let index = Arc::new(index);
        let mut state = State::default();
        state.put_host(Host { name: "h1".to_owned(), uuid: host, ..Host::default() });
        state.put_instance(Arc::new(Instance::new(instance, Arc::new(InstanceSpec::default()))));
        let mut fleet = Fleet::new(Arc::clone(&index), state, FleetOptions::default(), Monotonic(0));
        let zone = [(ZONE.to_owned(), "east".to_owned())].into();
        fleet.create_aggregate("east", zone, Uuid::from_u128(3)).unwrap();
        let add = AggregateChange { add_hosts: vec!["h1".to_owned()], ..AggregateChange::default() };
        index.claim(instance.into(), &[Allocation { row, class, amount: 1 }]).unwrap();
        let refused = fleet.update_aggregate("east", &add).unwrap_err();
        assert!(matches!(refused, FleetError::Precondition { reason: IN_USE, .. }), "{refused}");
        assert!(refused.to_string().contains("host \"h1\" with 1 instance would move"), "{refused}");
        index.release(instance.into()).unwrap();
        fleet.update_aggregate("east", &add).unwrap();
    }
}
