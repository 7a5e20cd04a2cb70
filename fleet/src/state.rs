//! The durable part of a fleet: its records, and what is derived from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_placement::Index;
use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::flavor::Flavor;
use crate::group::Group;
use crate::host::{AgentProvider, Host, IntroducedName};
use crate::instance::{Instance, VmState, status};
use crate::key_pair::KeyPair;
use crate::quota::Quota;
use crate::usage::{Size, Usage};

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// A host, by name.
    Host(String),
    /// A host aggregate, by name.
    Aggregate(String),
    /// A flavor, by name.
    Flavor(String),
    /// A server group, by UUID.
    Group(Uuid),
    /// The quota of a project, by its name.
    Quota(String),
    /// A key pair, by its project and its name.
    KeyPair(String, String),
    /// An instance, by UUID.
    Instance(Uuid),
    /// The group of a consumer, by the consumer's UUID.
    Membership(Uuid),
    /// A resource class or trait that agents introduced, by name.
    Introduced(IntroducedName),
}

/// All records of a fleet.
///
/// Every change of a record adds its key to a set, which the owner takes ([`State::take_changes`])
/// and writes to its store: a record that exists is stored, one that does not is removed.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) hosts: BTreeMap<String, Host>,
    pub(crate) aggregates: BTreeMap<String, Aggregate>,
    pub(crate) flavors: BTreeMap<String, Flavor>,
    pub(crate) groups: BTreeMap<Uuid, Group>,
    /// The group of each consumer that is a member of one.
    pub(crate) memberships: BTreeMap<Uuid, Uuid>,
    /// The members of each group.
    pub(crate) members: BTreeMap<Uuid, BTreeSet<Uuid>>,
    pub(crate) quotas: BTreeMap<String, Quota>,
    /// By project and name.
    pub(crate) key_pairs: BTreeMap<(String, String), KeyPair>,
    pub(crate) instances: BTreeMap<Uuid, Arc<Instance>>,
    /// Resource classes and traits that only agents introduced.
    pub(crate) introduced: BTreeSet<IntroducedName>,
    /// Names of hosts by the UUID of their root provider.
    pub(crate) names: BTreeMap<Uuid, String>,
    /// Hosts with providers or resource classes that are removed as soon as they are free.
    pub(crate) retiring: BTreeSet<String>,
    /// The instances that are on a host, or may have remains there.
    pub(crate) by_host: BTreeMap<String, BTreeSet<Uuid>>,
    /// The instance of each open migration.
    pub(crate) migrations: BTreeMap<Uuid, Uuid>,
    /// The sums over the instances of each project.
    pub(crate) usage: BTreeMap<String, Usage>,
    /// The number of instances of each status that one ever had.
    pub(crate) statuses: BTreeMap<&'static str, usize>,
    changes: BTreeSet<RecordKey>,
}

impl State {
    /// The keys of the records that were changed since the last call.
    pub fn take_changes(&mut self) -> BTreeSet<RecordKey> {
        std::mem::take(&mut self.changes)
    }

    /// The keys of all records, by kind and name.
    pub fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let hosts = self.hosts.keys().cloned().map(RecordKey::Host);
        let aggregates = self.aggregates.keys().cloned().map(RecordKey::Aggregate);
        let flavors = self.flavors.keys().cloned().map(RecordKey::Flavor);
        let groups = self.groups.keys().copied().map(RecordKey::Group);
        let quotas = self.quotas.keys().cloned().map(RecordKey::Quota);
        let pairs = self.key_pairs.keys().cloned();
        let key_pairs = pairs.map(|(project, name)| RecordKey::KeyPair(project, name));
        let instances = self.instances.keys().copied().map(RecordKey::Instance);
        let memberships = self.memberships.keys().copied().map(RecordKey::Membership);
        let introduced = self.introduced.iter().cloned().map(RecordKey::Introduced);
        let owned = hosts.chain(aggregates).chain(flavors).chain(groups).chain(quotas).chain(key_pairs);
        owned.chain(instances).chain(memberships).chain(introduced)
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    /// The host with this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// The aggregate with this name.
    #[must_use]
    pub fn aggregate(&self, name: &str) -> Option<&Aggregate> {
        self.aggregates.get(name)
    }

    /// The flavor with this name.
    #[must_use]
    pub fn flavor(&self, name: &str) -> Option<&Flavor> {
        self.flavors.get(name)
    }

    /// The server group with this UUID.
    #[must_use]
    pub fn group(&self, uuid: Uuid) -> Option<&Group> {
        self.groups.get(&uuid)
    }

    /// The quota of a project.
    #[must_use]
    pub fn quota(&self, project: &str) -> Option<&Quota> {
        self.quotas.get(project)
    }

    /// The key pair of a project with this name.
    #[must_use]
    pub fn key_pair(&self, project: &str, name: &str) -> Option<&KeyPair> {
        self.key_pairs.get(&(project.to_owned(), name.to_owned()))
    }

    /// The number of key pairs of a project.
    #[must_use]
    pub(crate) fn count_key_pairs(&self, project: &str) -> u64 {
        let own = self.key_pairs.range((project.to_owned(), String::new())..);
        own.take_while(|((of, _), _)| of == project).count() as u64
    }

    /// The instance with this UUID.
    #[must_use]
    pub fn instance(&self, uuid: Uuid) -> Option<&Arc<Instance>> {
        self.instances.get(&uuid)
    }

    /// The group of a consumer.
    #[must_use]
    pub fn membership(&self, consumer: Uuid) -> Option<Uuid> {
        self.memberships.get(&consumer).copied()
    }

    /// Whether only agents introduced the name.
    #[must_use]
    pub fn is_introduced(&self, name: &IntroducedName) -> bool {
        self.introduced.contains(name)
    }

    /// The number of instances.
    #[must_use]
    pub fn instance_count(&self) -> usize {
        self.instances.len()
    }

    /// All instances, by UUID.
    pub fn instances(&self) -> impl Iterator<Item = (Uuid, &Arc<Instance>)> {
        self.instances.iter().map(|(&uuid, instance)| (uuid, instance))
    }

    /// The instances that are on a host and not shelved, but hold no capacity in the index; each
    /// with its host.
    pub fn without_capacity(&self, index: &Index) -> impl Iterator<Item = (Uuid, &str)> {
        let placed = self.instances.iter().filter(|(_, instance)| {
            !instance.location.host.is_empty() && instance.vm_state != VmState::ShelvedOffloaded
        });
        placed
            .filter(|(uuid, _)| index.consumer((**uuid).into()).is_none())
            .map(|(&uuid, instance)| (uuid, instance.location.host.as_str()))
    }

    /// The name of the host whose root provider this is.
    #[must_use]
    pub fn host_name(&self, provider: Uuid) -> Option<&str> {
        self.names.get(&provider).map(String::as_str)
    }

    /// The consumers that are recorded as members of the group.
    #[must_use]
    pub fn members(&self, group: Uuid) -> impl ExactSizeIterator<Item = Uuid> {
        static NONE: BTreeSet<Uuid> = BTreeSet::new();
        self.members.get(&group).unwrap_or(&NONE).iter().copied()
    }

    /// The instances that are on a host, or may have remains there.
    pub fn on_host(&self, host: &str) -> impl Iterator<Item = Uuid> {
        self.by_host.get(host).into_iter().flatten().copied()
    }

    /// Stores a host.
    pub fn put_host(&mut self, host: Host) {
        self.names.insert(host.uuid, host.name.clone());
        if host.providers.iter().any(AgentProvider::has_retired) {
            self.retiring.insert(host.name.clone());
        } else {
            self.retiring.remove(&host.name);
        }
        self.changes.insert(RecordKey::Host(host.name.clone()));
        self.hosts.insert(host.name.clone(), host);
    }

    /// Removes a host.
    pub fn remove_host(&mut self, name: &str) {
        if let Some(host) = self.hosts.remove(name) {
            self.names.remove(&host.uuid);
            self.retiring.remove(name);
            self.changes.insert(RecordKey::Host(host.name));
        }
    }

    /// Stores an aggregate.
    pub fn put_aggregate(&mut self, aggregate: Aggregate) {
        self.changes.insert(RecordKey::Aggregate(aggregate.name.clone()));
        self.aggregates.insert(aggregate.name.clone(), aggregate);
    }

    /// Removes an aggregate.
    pub fn remove_aggregate(&mut self, name: &str) {
        self.aggregates.remove(name);
        self.changes.insert(RecordKey::Aggregate(name.to_owned()));
    }

    /// Stores a flavor.
    pub fn put_flavor(&mut self, flavor: Flavor) {
        self.changes.insert(RecordKey::Flavor(flavor.name.clone()));
        self.flavors.insert(flavor.name.clone(), flavor);
    }

    /// Removes a flavor.
    pub fn remove_flavor(&mut self, name: &str) {
        self.flavors.remove(name);
        self.changes.insert(RecordKey::Flavor(name.to_owned()));
    }

    /// Stores a server group.
    pub fn put_group(&mut self, uuid: Uuid, group: Group) {
        self.changes.insert(RecordKey::Group(uuid));
        self.groups.insert(uuid, group);
    }

    /// Removes a server group.
    pub fn remove_group(&mut self, uuid: Uuid) {
        self.groups.remove(&uuid);
        self.changes.insert(RecordKey::Group(uuid));
    }

    /// Stores the quota of a project.
    pub fn put_quota(&mut self, project: &str, quota: Quota) {
        self.quotas.insert(project.to_owned(), quota);
        self.changes.insert(RecordKey::Quota(project.to_owned()));
    }

    /// Removes the quota of a project.
    pub fn remove_quota(&mut self, project: &str) {
        self.quotas.remove(project);
        self.changes.insert(RecordKey::Quota(project.to_owned()));
    }

    /// Stores a key pair.
    pub fn put_key_pair(&mut self, pair: KeyPair) {
        let key = (pair.project.clone(), pair.name.clone());
        self.changes.insert(RecordKey::KeyPair(key.0.clone(), key.1.clone()));
        self.key_pairs.insert(key, pair);
    }

    /// Removes a key pair.
    pub fn remove_key_pair(&mut self, project: &str, name: &str) {
        let key = (project.to_owned(), name.to_owned());
        self.key_pairs.remove(&key);
        self.changes.insert(RecordKey::KeyPair(key.0, key.1));
    }

    /// Sets the group of a consumer; `None` for no group.
    pub fn set_membership(&mut self, consumer: Uuid, group: Option<Uuid>) {
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
        if before != group {
            self.changes.insert(RecordKey::Membership(consumer));
        }
    }

    /// Stores that agents introduced the name.
    pub fn put_introduced(&mut self, name: IntroducedName) {
        self.changes.insert(RecordKey::Introduced(name.clone()));
        self.introduced.insert(name);
    }

    /// Forgets that agents introduced the name.
    pub fn forget_introduced(&mut self, name: &IntroducedName) {
        if self.introduced.remove(name) {
            self.changes.insert(RecordKey::Introduced(name.clone()));
        }
    }

    /// Stores an instance.
    pub fn put_instance(&mut self, after: Arc<Instance>) {
        let uuid = after.uuid;
        self.changes.insert(RecordKey::Instance(uuid));
        for host in after.places() {
            self.by_host.entry(host.clone()).or_default().insert(uuid);
        }
        self.count(&after, Usage::add);
        *self.statuses.entry(status(&after)).or_default() += 1;
        if let Some(before) = self.instances.get(&uuid).cloned() {
            for host in before.places().filter(|host| !after.places().any(|kept| kept == *host)) {
                self.leave_host(uuid, host);
            }
            self.count(&before, Usage::subtract);
            self.forget_status(&before);
            self.forget_migration(&before);
        }
        if let Some(migration) = after.migration() {
            self.migrations.insert(migration.uuid, uuid);
        }
        self.instances.insert(uuid, after);
    }

    /// Removes an instance, and its membership in a group.
    pub fn remove_instance(&mut self, uuid: Uuid) {
        self.set_membership(uuid, None);
        self.take_instance(uuid);
    }

    /// Removes the record of an instance, not that of its membership.
    pub fn take_instance(&mut self, uuid: Uuid) {
        let Some(before) = self.instances.remove(&uuid) else { return };
        self.changes.insert(RecordKey::Instance(uuid));
        for host in before.places() {
            self.leave_host(uuid, host);
        }
        self.count(&before, Usage::subtract);
        self.forget_status(&before);
        self.forget_migration(&before);
    }

    fn forget_status(&mut self, instance: &Instance) {
        *self.statuses.entry(status(instance)).or_default() -= 1;
    }

    fn forget_migration(&mut self, instance: &Instance) {
        if let Some(migration) = instance.migration() {
            self.migrations.remove(&migration.uuid);
        }
    }

    fn leave_host(&mut self, uuid: Uuid, host: &str) {
        if let Some(there) = self.by_host.get_mut(host) {
            there.remove(&uuid);
            if there.is_empty() {
                self.by_host.remove(host);
            }
        }
    }

    fn count(&mut self, instance: &Instance, by: fn(&mut Usage, Size)) {
        if instance.vm_state != VmState::Deleted {
            by(self.usage.entry(instance.spec.project.clone()).or_default(), Size::of(instance));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{InstanceSpec, Location};

    fn instance(uuid: Uuid, host: &str, vcpus: u32) -> Instance {
        let flavor = Flavor { vcpus, memory_mb: 512, ..Flavor::default() };
        let spec = InstanceSpec { project: "p".to_owned(), flavor, ..InstanceSpec::default() };
        let location =
            Location { host: host.to_owned(), leftovers: vec!["old".to_owned()], ..Location::default() };
        Instance { location, ..Instance::new(uuid, Arc::new(spec)) }
    }

    #[test]
    fn an_instance_on_a_host_holds_capacity() {
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let mut state = State::default();
        state.put_instance(Arc::new(instance(one, "h", 3)));
        state.put_instance(Arc::new(instance(two, "", 3)));
        let shelved = Instance { vm_state: VmState::ShelvedOffloaded, ..instance(three, "h", 3) };
        state.put_instance(Arc::new(shelved));
        let index = Index::with_holders();
        assert_eq!(state.without_capacity(&index).collect::<Vec<_>>(), [(one, "h")]);
    }

    #[test]
    fn members_follow_memberships() {
        let mut state = State::default();
        let [group, other, one, two] = [1, 2, 3, 4].map(Uuid::from_u128);
        state.set_membership(one, Some(group));
        state.set_membership(two, Some(group));
        state.set_membership(two, Some(other));
        assert!(state.members(group).eq([one]) && state.members(other).eq([two]));
        state.set_membership(one, None);
        state.remove_instance(two);
        assert!(state.members.is_empty() && state.memberships.is_empty());
    }

    #[test]
    fn sums_follow_instances() {
        let mut state = State::default();
        let uuid = Uuid::from_u128(7);
        state.put_instance(Arc::new(instance(uuid, "h", 3)));
        state.put_instance(Arc::new(instance(uuid, "i", 3)));
        assert_eq!(state.usage["p"], Usage { instances: 1, vcpus: 3, memory_mb: 512 });
        assert_eq!(state.by_host.keys().collect::<Vec<_>>(), ["i", "old"]);
        let deleted = Instance { vm_state: VmState::Deleted, ..instance(uuid, "i", 3) };
        state.put_instance(Arc::new(deleted));
        assert_eq!(state.usage["p"], Usage::default());
        state.remove_instance(uuid);
        assert!(state.by_host.is_empty());
        assert_eq!(state.take_changes(), [RecordKey::Instance(uuid)].into());
        assert!(state.take_changes().is_empty());
    }
}
