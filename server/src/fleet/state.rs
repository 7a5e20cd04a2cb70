//! A fleet in memory, and each change of it as records.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::Index;
use berth_scheduler::request_spec::SchedulerHints;
use berth_store::Changes;
use prost::Message;
use uuid::Uuid;

use super::entry::{AgentProvider, Aggregate, Flavor, Group, Host, Instance, Membership, Quota, VmState};
use super::usage::Usage;

/// A record that is of no fleet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableEntry {
    #[error("its key is of no kind that is known")]
    Key,
    #[error("its value is not of the format: {0}")]
    Value(#[from] prost::DecodeError),
}

/// Everything a fleet has. Only transactions change it.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) hosts: BTreeMap<String, Host>,
    pub(super) aggregates: BTreeMap<String, Aggregate>,
    pub(super) flavors: BTreeMap<String, Flavor>,
    pub(super) groups: BTreeMap<Uuid, Group>,
    /// The group of each consumer that is in one.
    pub(super) memberships: BTreeMap<Uuid, Uuid>,
    /// The same the other way round.
    pub(super) members: BTreeMap<Uuid, BTreeSet<Uuid>>,
    pub(super) quotas: BTreeMap<String, Quota>,
    pub(super) instances: BTreeMap<Uuid, Instance>,
    /// Names of hosts by the UUID of their root provider.
    names: BTreeMap<Uuid, String>,
    /// Hosts with providers or resource classes that are to go when they are free.
    pub(super) retiring: BTreeSet<String>,
    /// The instances that are on a host, or may have left something there.
    pub(super) by_host: BTreeMap<String, BTreeSet<Uuid>>,
    /// What the instances of each project amount to.
    pub(super) usage: BTreeMap<String, Usage>,
}

/// The letters of keys; those of the index go up to `j`.
const HOST: u8 = b'k';
const AGGREGATE: u8 = b'l';
const FLAVOR: u8 = b'm';
const GROUP: u8 = b'n';
const QUOTA: u8 = b'o';
const INSTANCE: u8 = b'p';
const MEMBERSHIP: u8 = b'q';

fn key(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], name].concat()
}

fn record(kind: u8, name: &[u8], message: &impl Message) -> (Vec<u8>, Vec<u8>) {
    (key(kind, name), message.encode_to_vec())
}

fn member_of(group: Uuid) -> Membership {
    Membership { group: group.into_bytes().to_vec() }
}

/// A key for people; nothing for one of no known kind.
pub(crate) fn words(key: &[u8]) -> Option<String> {
    let (kind, name) = key.split_first()?;
    let text = || String::from_utf8(name.to_vec()).ok();
    let uuid = || Uuid::from_slice(name).ok();
    Some(match *kind {
        HOST => format!("the host {}", text()?),
        AGGREGATE => format!("the host aggregate {}", text()?),
        FLAVOR => format!("the flavor {}", text()?),
        GROUP => format!("the server group {}", uuid()?),
        QUOTA => format!("the quotas of project {}", text()?),
        INSTANCE => format!("the instance {}", uuid()?),
        MEMBERSHIP => format!("the membership of instance {} in a server group", uuid()?),
        _ => return None,
    })
}

impl State {
    /// The UUIDs of all instances.
    pub fn instance_uuids(&self) -> impl Iterator<Item = Uuid> {
        self.instances.keys().copied()
    }

    /// Takes in a record that a transaction wrote.
    pub(crate) fn put_back(&mut self, key: &[u8], value: &[u8]) -> Result<(), UnreadableEntry> {
        let (&kind, name) = key.split_first().ok_or(UnreadableEntry::Key)?;
        let text = || String::from_utf8(name.to_vec()).map_err(|_| UnreadableEntry::Key);
        let uuid = || Uuid::from_slice(name).map_err(|_| UnreadableEntry::Key);
        match kind {
            HOST => self.set_host(Host::decode(value)?),
            AGGREGATE => drop(self.aggregates.insert(text()?, Aggregate::decode(value)?)),
            FLAVOR => drop(self.flavors.insert(text()?, Flavor::decode(value)?)),
            GROUP => drop(self.groups.insert(uuid()?, Group::decode(value)?)),
            QUOTA => drop(self.quotas.insert(text()?, Quota::decode(value)?)),
            INSTANCE => {
                let mut instance = Instance::decode(value)?;
                // Earlier versions recorded internal hints with those of the user.
                instance.hints.retain(|name, _| !SchedulerHints::is_internal(name));
                self.set_instance(uuid()?, Some(instance));
            }
            MEMBERSHIP => {
                let group = Uuid::from_slice(&Membership::decode(value)?.group);
                self.set_membership(uuid()?, Some(group.map_err(|_| UnreadableEntry::Key)?));
            }
            _ => return Err(UnreadableEntry::Key),
        }
        Ok(())
    }

    /// Removes the entry of a record that a transaction removed.
    pub(super) fn take_away(&mut self, key: &[u8]) -> Result<(), UnreadableEntry> {
        let (&kind, name) = key.split_first().ok_or(UnreadableEntry::Key)?;
        let text = || String::from_utf8(name.to_vec()).map_err(|_| UnreadableEntry::Key);
        let uuid = || Uuid::from_slice(name).map_err(|_| UnreadableEntry::Key);
        match kind {
            HOST => self.unset_host(&text()?),
            AGGREGATE => drop(self.aggregates.remove(&text()?)),
            FLAVOR => drop(self.flavors.remove(&text()?)),
            GROUP => drop(self.groups.remove(&uuid()?)),
            QUOTA => drop(self.quotas.remove(&text()?)),
            INSTANCE => self.set_instance(uuid()?, None),
            MEMBERSHIP => drop(self.set_membership(uuid()?, None)),
            _ => return Err(UnreadableEntry::Key),
        }
        Ok(())
    }

    /// All of it as records: keys, in order, and values.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let hosts = self.hosts.iter().map(|(name, host)| record(HOST, name.as_bytes(), host));
        let aggregates = self.aggregates.iter().map(|(name, of)| record(AGGREGATE, name.as_bytes(), of));
        let flavors = self.flavors.iter().map(|(name, flavor)| record(FLAVOR, name.as_bytes(), flavor));
        let groups = self.groups.iter().map(|(uuid, group)| record(GROUP, uuid.as_bytes(), group));
        let quotas = self.quotas.iter().map(|(project, quota)| record(QUOTA, project.as_bytes(), quota));
        let instances = self.instances.iter().map(|(uuid, of)| record(INSTANCE, uuid.as_bytes(), of));
        let memberships = self.memberships.iter();
        let memberships =
            memberships.map(|(uuid, group)| record(MEMBERSHIP, uuid.as_bytes(), &member_of(*group)));
        hosts.chain(aggregates).chain(flavors).chain(groups).chain(quotas).chain(instances).chain(memberships)
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records().next().is_none()
    }

    /// Instances that have a host and should hold room there, but hold none in the index.
    pub(crate) fn without_room(&self, index: &Index) -> impl Iterator<Item = (Uuid, &str)> {
        let placed = self.instances.iter().filter(|(_, instance)| {
            !instance.host.is_empty() && instance.vm_state() != VmState::ShelvedOffloaded
        });
        placed
            .filter(|(uuid, _)| index.consumer((**uuid).into()).is_none())
            .map(|(&uuid, instance)| (uuid, instance.host.as_str()))
    }

    /// The name of the host whose root provider this is.
    pub(super) fn host_name(&self, provider: Uuid) -> Option<&str> {
        self.names.get(&provider).map(String::as_str)
    }

    /// The consumers that are recorded as members of the group.
    pub(super) fn members(&self, group: Uuid) -> impl ExactSizeIterator<Item = Uuid> {
        static NONE: BTreeSet<Uuid> = BTreeSet::new();
        self.members.get(&group).unwrap_or(&NONE).iter().copied()
    }

    /// Returns whether the consumer was a member of a group.
    fn set_membership(&mut self, consumer: Uuid, group: Option<Uuid>) -> bool {
        let before = match group {
            Some(group) => self.memberships.insert(consumer, group),
            None => self.memberships.remove(&consumer),
        };
        if let Some(before) = before
            && let Some(members) = self.members.get_mut(&before)
        {
            members.remove(&consumer);
            if members.is_empty() {
                self.members.remove(&before);
            }
        }
        if let Some(group) = group {
            self.members.entry(group).or_default().insert(consumer);
        }
        before.is_some()
    }

    fn set_host(&mut self, host: Host) {
        self.names.insert(host.uuid(), host.name.clone());
        if host.providers.iter().any(AgentProvider::has_retired) {
            self.retiring.insert(host.name.clone());
        } else {
            self.retiring.remove(&host.name);
        }
        self.hosts.insert(host.name.clone(), host);
    }

    fn unset_host(&mut self, name: &str) {
        if let Some(host) = self.hosts.remove(name) {
            self.names.remove(&host.uuid());
            self.retiring.remove(name);
        }
    }

    fn set_instance(&mut self, uuid: Uuid, after: Option<Instance>) {
        let before = match &after {
            Some(after) => self.instances.insert(uuid, after.clone()),
            None => self.instances.remove(&uuid),
        };
        if let Some(before) = before {
            for host in before.places() {
                if let Some(there) = self.by_host.get_mut(host) {
                    there.remove(&uuid);
                }
            }
            self.count(&before, Usage::subtract);
        }
        if let Some(after) = after {
            for host in after.places() {
                self.by_host.entry(host.clone()).or_default().insert(uuid);
            }
            self.count(&after, Usage::add);
        }
    }

    fn count(&mut self, instance: &Instance, by: fn(&mut Usage, &Flavor)) {
        if instance.vm_state() != VmState::Deleted {
            by(self.usage.entry(instance.project.clone()).or_default(), &instance.flavor);
        }
    }
}

/// Changes that stand or fall together.
pub(super) struct Transaction<'a> {
    pub(super) state: &'a mut State,
    pub(super) records: Changes,
}

impl Transaction<'_> {
    fn put(&mut self, kind: u8, name: &[u8], message: &impl Message) {
        let (key, value) = record(kind, name, message);
        self.records.insert(key, Some(value));
    }

    fn remove(&mut self, kind: u8, name: &[u8]) {
        self.records.insert(key(kind, name), None);
    }

    pub(super) fn put_host(&mut self, host: Host) {
        self.put(HOST, host.name.as_bytes(), &host);
        self.state.set_host(host);
    }

    pub(super) fn remove_host(&mut self, name: &str) {
        self.remove(HOST, name.as_bytes());
        self.state.unset_host(name);
    }

    pub(super) fn put_aggregate(&mut self, aggregate: Aggregate) {
        self.put(AGGREGATE, aggregate.name.as_bytes(), &aggregate);
        self.state.aggregates.insert(aggregate.name.clone(), aggregate);
    }

    pub(super) fn remove_aggregate(&mut self, name: &str) {
        self.remove(AGGREGATE, name.as_bytes());
        self.state.aggregates.remove(name);
    }

    pub(super) fn put_flavor(&mut self, flavor: Flavor) {
        self.put(FLAVOR, flavor.name.as_bytes(), &flavor);
        self.state.flavors.insert(flavor.name.clone(), flavor);
    }

    pub(super) fn remove_flavor(&mut self, name: &str) {
        self.remove(FLAVOR, name.as_bytes());
        self.state.flavors.remove(name);
    }

    pub(super) fn put_group(&mut self, uuid: Uuid, group: Group) {
        self.put(GROUP, uuid.as_bytes(), &group);
        self.state.groups.insert(uuid, group);
    }

    pub(super) fn remove_group(&mut self, uuid: Uuid) {
        self.remove(GROUP, uuid.as_bytes());
        self.state.groups.remove(&uuid);
    }

    pub(super) fn set_membership(&mut self, consumer: Uuid, group: Option<Uuid>) {
        let was_member = self.state.set_membership(consumer, group);
        match group {
            Some(group) => self.put(MEMBERSHIP, consumer.as_bytes(), &member_of(group)),
            None if was_member => self.remove(MEMBERSHIP, consumer.as_bytes()),
            None => {}
        }
    }

    pub(super) fn put_quota(&mut self, project: &str, quota: Quota) {
        self.put(QUOTA, project.as_bytes(), &quota);
        self.state.quotas.insert(project.to_owned(), quota);
    }

    pub(super) fn put_instance(&mut self, uuid: Uuid, instance: Instance) {
        self.put(INSTANCE, uuid.as_bytes(), &instance);
        self.state.set_instance(uuid, Some(instance));
    }

    pub(super) fn remove_instance(&mut self, uuid: Uuid) {
        self.remove(INSTANCE, uuid.as_bytes());
        self.state.set_instance(uuid, None);
        self.set_membership(uuid, None);
    }
}

#[cfg(test)]
mod tests;
