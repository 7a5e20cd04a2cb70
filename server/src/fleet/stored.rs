//! The fleet as a store sees it.

use berth_fleet::{Host, HostStatus, RecordKey, ServerGroupPolicy, State};
use berth_placement::{Index, Timestamp};
use berth_store::{FleetRecords, InvalidFleetRecord};
use uuid::Uuid;

use super::records;

/// The name of a policy, as Nova writes it.
const fn policy_of(policy: ServerGroupPolicy) -> &'static str {
    match policy {
        ServerGroupPolicy::Affinity => "affinity",
        ServerGroupPolicy::AntiAffinity => "anti-affinity",
        ServerGroupPolicy::SoftAffinity => "soft-affinity",
        ServerGroupPolicy::SoftAntiAffinity => "soft-anti-affinity",
    }
}

/// A host of a stored fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHost {
    /// Its name.
    pub name: String,
    /// The UUID of its root provider.
    pub provider: Uuid,
    /// Its availability zone; empty for the default one.
    pub zone: String,
    /// The metadata of its aggregates, except for the zone.
    pub aggregates: Vec<(String, String)>,
    /// Whether it takes no new instances.
    pub is_disabled: bool,
}

/// An instance of a stored fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInstance {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// The name of its flavor.
    pub flavor: String,
    /// The extra specs of that.
    pub extra_specs: Vec<(String, String)>,
    /// Its server group, and the policy of that.
    pub group: Option<(Uuid, &'static str)>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The records of a fleet.
#[derive(Debug, Clone, Default)]
pub struct FleetState(pub(crate) State);

impl FleetState {
    /// The UUIDs of all instances.
    pub fn instance_uuids(&self) -> impl Iterator<Item = Uuid> {
        self.0.instances().map(|(uuid, _)| uuid)
    }

    /// All hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = StoredHost> {
        let host = |key| match key {
            RecordKey::Host(name) => self.0.host(&name).map(|host| self.stored_host(host)),
            _ => None,
        };
        self.0.keys().filter_map(host)
    }

    fn stored_host(&self, host: &Host) -> StoredHost {
        let aggregates = self.0.keys().filter_map(|key| match key {
            RecordKey::Aggregate(name) => self.0.aggregate(&name),
            _ => None,
        });
        let own = aggregates.filter(|aggregate| aggregate.hosts.contains(&host.name));
        let metadata = own.flat_map(|aggregate| aggregate.metadata.clone());
        let (zones, aggregates): (Vec<_>, Vec<_>) = metadata.partition(|(key, _)| key == "availability_zone");
        StoredHost {
            name: host.name.clone(),
            provider: host.uuid,
            zone: zones.into_iter().next().map(|(_, zone)| zone).unwrap_or_default(),
            aggregates,
            is_disabled: host.status != HostStatus::Enabled,
        }
    }

    /// All instances, by UUID.
    pub fn instances(&self) -> impl Iterator<Item = StoredInstance> {
        self.0.instances().map(|(uuid, instance)| {
            let spec = &instance.spec;
            let group = self.0.membership(uuid).and_then(|uuid| Some((uuid, self.0.group(uuid)?)));
            StoredInstance {
                uuid,
                name: spec.name.clone(),
                flavor: spec.flavor.name.clone(),
                extra_specs: spec.flavor.extra_specs.clone().into_iter().collect(),
                group: group.map(|(uuid, group)| (uuid, policy_of(group.policy))),
                created_at: spec.created_at,
            }
        })
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FleetRecords for FleetState {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), InvalidFleetRecord> {
        records::apply(&mut self.0, key, value).map_err(|error| InvalidFleetRecord(error.to_string()))
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), InvalidFleetRecord> {
        records::remove(&mut self.0, key).map_err(|error| InvalidFleetRecord(error.to_string()))
    }

    fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let encode = |key| {
            let (key, value) = records::encode(&self.0, &key);
            Some((key, value?))
        };
        self.0.keys().filter_map(encode)
    }

    fn describe(key: &[u8]) -> Option<String> {
        records::describe(key)
    }

    fn without_capacity(&self, index: &Index) -> Vec<String> {
        let without = self.0.without_capacity(index);
        let message = |(instance, host)| {
            format!(
                "instance {instance} on host {host} holds no capacity any more: delete it, or recreate it"
            )
        };
        without.map(message).collect()
    }
}
