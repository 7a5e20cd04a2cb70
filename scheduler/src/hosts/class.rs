//! The common properties of hosts: everything that does not change while instances come and go.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::CpuInfo;
use crate::aggregates::AggregateMetadata;

/// A class of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostClassId(pub u32);

/// An allocation ratio, comparable bit by bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ratio(u64);

impl Ratio {
    /// The ratio of a number.
    #[must_use]
    pub const fn new(ratio: f64) -> Self {
        Self(ratio.to_bits())
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Overcommit of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ratios {
    /// vCPUs for each CPU.
    pub cpu: Ratio,
    /// Memory.
    pub ram: Ratio,
    /// Disk.
    pub disk: Ratio,
}

/// The common properties of the hosts of a class.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostClass {
    /// The cell.
    pub cell_uuid: Arc<str>,
    /// The metadata of their aggregates.
    pub aggregates: Arc<AggregateMetadata>,
    /// The report of the node; none if it never reported.
    pub report: Option<ClassReport>,
}

/// The constant part of a node's report.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClassReport {
    /// Such as `QEMU`.
    pub hypervisor_type: String,
    /// 2006001 is 2.6.1.
    pub hypervisor_version: i64,
    /// A description of the CPUs.
    pub cpu_info: Option<CpuInfo>,
    /// Architecture, hypervisor type and VM mode of instances that can run, in their usual
    /// spelling.
    pub supported_instances: Vec<[String; 3]>,
    /// CPUs.
    pub vcpus_total: i64,
    /// Memory in MiB.
    pub total_usable_ram_mb: i64,
    /// Disk in GiB.
    pub total_usable_disk_gb: i64,
    /// Overcommit.
    pub ratios: Ratios,
}

/// Classes by number and by what they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes {
    by_id: Vec<HostClass>,
    ids: FxHashMap<HostClass, HostClassId>,
}

impl Classes {
    pub(super) fn intern(&mut self, class: HostClass) -> HostClassId {
        if let Some(&id) = self.ids.get(&class) {
            return id;
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are no more classes than hosts")]
        let id = HostClassId(self.by_id.len() as u32);
        self.by_id.push(class.clone());
        self.ids.insert(class, id);
        id
    }

    pub(super) fn get(&self, id: HostClassId) -> &HostClass {
        &self.by_id[id.0 as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HostClass> {
        self.by_id.iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.by_id.len()
    }
}
