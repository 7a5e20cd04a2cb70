//! A host as Nova's database describes it: compute node, service and instances in one record.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{CpuInfo, InventoryRecord};
use crate::numa::HostTopology;
use crate::pci::Pools;
use crate::python::Value;
use crate::select::AllocationCandidate;

/// One compute node, the service it belongs to, and the service's instances.
#[derive(Debug, Clone, Deserialize)]
pub struct HostRecord {
    /// Service host.
    pub host: String,
    /// Name of the compute node; a service host may have several.
    pub node: String,
    /// Id of the compute node, which is its resource provider's.
    pub uuid: Uuid,
    /// The cell it is in.
    #[serde(default = "default_cell")]
    pub cell_uuid: String,
    /// Memory in MiB.
    #[serde(default)]
    pub memory_mb: i64,
    /// Memory in use, MiB.
    #[serde(default)]
    pub memory_mb_used: i64,
    /// Free memory in MiB, as reported: not the difference of the two above, and possibly negative.
    #[serde(default)]
    pub free_ram_mb: i64,
    /// Disk in GiB.
    #[serde(default)]
    pub local_gb: i64,
    /// Disk in use, GiB.
    #[serde(default)]
    pub local_gb_used: i64,
    /// Free disk in GiB; `null` for a node that has never reported its usage.
    #[serde(default = "no_disk")]
    pub free_disk_gb: Option<i64>,
    /// Disk that is really free, GiB.
    #[serde(default)]
    pub disk_available_least: Option<i64>,
    /// CPUs.
    #[serde(default)]
    pub vcpus: i64,
    /// vCPUs in use.
    #[serde(default)]
    pub vcpus_used: i64,
    /// vCPUs for each CPU.
    #[serde(default = "ratio_of_one")]
    pub cpu_allocation_ratio: Option<f64>,
    /// Overcommit of memory.
    #[serde(default = "ratio_of_one")]
    pub ram_allocation_ratio: Option<f64>,
    /// Overcommit of disk.
    #[serde(default = "ratio_of_one")]
    pub disk_allocation_ratio: Option<f64>,
    /// Such as `QEMU`.
    #[serde(default = "default_hypervisor")]
    pub hypervisor_type: String,
    /// 2006001 is 2.6.1.
    #[serde(default)]
    pub hypervisor_version: i64,
    /// Address of the host.
    #[serde(default = "default_address")]
    pub host_ip: String,
    /// A description of the CPUs.
    #[serde(default = "no_cpu_info")]
    pub cpu_info: Option<CpuInfo>,
    /// Architecture, hypervisor type and VM mode of instances that can run.
    #[serde(default)]
    pub supported_instances: Vec<[String; 3]>,
    /// Counters and whatever else a host reports.
    #[serde(default)]
    pub stats: Value,
    /// Measurements.
    #[serde(default)]
    pub metrics: Vec<MetricRecord>,
    /// NUMA cells.
    #[serde(default)]
    pub numa_topology: Option<HostTopology>,
    /// Passthrough devices.
    #[serde(default)]
    pub pci_pools: Option<Pools>,
    /// The service of the host.
    #[serde(default, deserialize_with = "or_default")]
    pub service: ServiceRecord,
    /// Instances of the service host.
    #[serde(default)]
    pub instances: Vec<InstanceRecord>,
    /// Traits of its resource provider, if they come with the host.
    #[serde(default)]
    pub traits: Option<Vec<String>>,
    /// Inventories of its resource provider by class, if they come with the host. Then they are all
    /// it has.
    #[serde(default)]
    pub inventories: Option<BTreeMap<String, InventoryRecord>>,
    /// The used amounts of these.
    #[serde(default, deserialize_with = "or_default")]
    pub usages: BTreeMap<String, u64>,
    /// Allocation candidates of placement, if they come with the host.
    #[serde(default)]
    pub allocation_candidates: Option<Vec<AllocationCandidate>>,
}

impl HostRecord {
    /// A node that has nothing yet, whose service runs nothing else. Fields have the defaults that
    /// JSON gives them.
    #[must_use]
    pub fn new(host: &str, node: &str, uuid: Uuid) -> Self {
        Self {
            host: host.to_owned(),
            node: node.to_owned(),
            uuid,
            cell_uuid: default_cell(),
            memory_mb: 0,
            memory_mb_used: 0,
            free_ram_mb: 0,
            local_gb: 0,
            local_gb_used: 0,
            free_disk_gb: no_disk(),
            disk_available_least: None,
            vcpus: 0,
            vcpus_used: 0,
            cpu_allocation_ratio: ratio_of_one(),
            ram_allocation_ratio: ratio_of_one(),
            disk_allocation_ratio: ratio_of_one(),
            hypervisor_type: default_hypervisor(),
            hypervisor_version: 0,
            host_ip: default_address(),
            cpu_info: no_cpu_info(),
            supported_instances: Vec::new(),
            stats: Value::None,
            metrics: Vec::new(),
            numa_topology: None,
            pci_pools: None,
            service: ServiceRecord::default(),
            instances: Vec::new(),
            traits: None,
            inventories: None,
            usages: BTreeMap::new(),
            allocation_candidates: None,
        }
    }
}

/// The total and used amounts of one class on a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportedAmount {
    /// Everything there is.
    pub total: i64,
    /// In use or reserved.
    pub used: i64,
    /// Overcommitment.
    pub allocation_ratio: f64,
}

impl HostRecord {
    /// Sets what the host reports of vCPUs, memory in MiB and disk in GiB.
    pub fn set_amounts(&mut self, [vcpus, memory, disk]: [ReportedAmount; 3]) {
        (self.vcpus, self.vcpus_used) = (vcpus.total, vcpus.used);
        (self.memory_mb, self.memory_mb_used) = (memory.total, memory.used);
        self.free_ram_mb = memory.total - memory.used;
        (self.local_gb, self.local_gb_used) = (disk.total, disk.used);
        self.free_disk_gb = Some(disk.total - disk.used);
        self.cpu_allocation_ratio = Some(vcpus.allocation_ratio);
        self.ram_allocation_ratio = Some(memory.allocation_ratio);
        self.disk_allocation_ratio = Some(disk.allocation_ratio);
    }
}

/// A nova-compute service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceRecord {
    /// Whether an operator disabled it.
    pub disabled: bool,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Whether an operator declared it down.
    pub forced_down: bool,
    /// When it reported last; `null` if never. Absent means: just now.
    #[serde(deserialize_with = "given")]
    pub last_seen_up: Option<Option<String>>,
    /// When it was created. Absent means: just now.
    pub created_at: Option<String>,
}

/// An instance on a host.
#[derive(Debug, Clone, Deserialize)]
pub struct InstanceRecord {
    /// Its id.
    pub uuid: Uuid,
    /// Properties of the image it was made from, as Nova stored them.
    #[serde(default, deserialize_with = "or_default")]
    pub image_properties: BTreeMap<String, Value>,
    /// When it was created, in microseconds since 1970; if that is not known, it counts as created
    /// when it is seen first.
    #[serde(default)]
    pub started: Option<i64>,
    /// The name of its flavor; empty if that is not known.
    #[serde(default)]
    pub flavor: String,
    /// Its project; empty if that is not known.
    #[serde(default)]
    pub project: String,
    /// How many seconds its flavor says that it lives.
    #[serde(default)]
    pub lifetime_s: Option<f64>,
}

impl InstanceRecord {
    /// An instance of which nothing else is known.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            image_properties: BTreeMap::new(),
            started: None,
            flavor: String::new(),
            project: String::new(),
            lifetime_s: None,
        }
    }
}

/// A measurement.
#[derive(Debug, Clone, Deserialize)]
pub struct MetricRecord {
    /// The name of the measurement.
    pub name: String,
    /// How much; absent for measurements of NUMA cells.
    #[serde(default)]
    pub value: Value,
}

fn default_cell() -> String {
    "c0000000-0000-4000-8000-000000000001".to_owned()
}

fn default_hypervisor() -> String {
    "QEMU".to_owned()
}

fn default_address() -> String {
    "10.0.0.1".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "the field is optional")]
const fn ratio_of_one() -> Option<f64> {
    Some(1.0)
}

#[expect(clippy::unnecessary_wraps, reason = "the field is optional")]
const fn no_disk() -> Option<i64> {
    Some(0)
}

#[expect(clippy::unnecessary_wraps, reason = "the field is optional")]
fn no_cpu_info() -> Option<CpuInfo> {
    Some(CpuInfo::of_text(""))
}

/// `null` means the default, as an absent field does.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Distinguishes `null` from an absent field.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_record_is_what_json_without_fields_gives() {
        let uuid = Uuid::from_u128(1);
        let json = format!(r#"{{"host": "h", "node": "n", "uuid": "{uuid}"}}"#);
        let read: HostRecord = serde_json::from_str(&json).expect("a record");
        assert_eq!(format!("{:?}", HostRecord::new("h", "n", uuid)), format!("{read:?}"));
    }
}
