//! The NUMA cells of a host, and their use.

mod record;

pub use record::InvalidHostCell;

use super::{CpuSet, FreeCores};
use record::{CellRecord, TopologyRecord};
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

/// Memory pages of one size in a host cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Pages {
    /// Size of a page in KiB.
    pub size_kb: i64,
    /// Pages there are.
    pub total: i64,
    /// Pages in use.
    #[serde(default)]
    pub used: i64,
    /// Pages kept back for the host.
    #[serde(default)]
    pub reserved: i64,
}

impl Pages {
    /// Memory in free pages, KiB.
    #[must_use]
    pub(crate) const fn free_kb(&self) -> i64 {
        self.total.saturating_sub(self.used).saturating_sub(self.reserved).saturating_mul(self.size_kb)
    }

    /// Memory in all pages, KiB.
    #[must_use]
    pub(crate) const fn total_kb(&self) -> i64 {
        self.total.saturating_mul(self.size_kb)
    }
}

/// Networks that a host cell is close to, or that an instance needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct NetworkMetadata {
    /// Names of physical networks.
    #[serde(default)]
    pub physnets: BTreeSet<String>,
    /// Whether tunnelled networks are among them.
    #[serde(default)]
    pub tunneled: bool,
}

/// One NUMA cell of a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "CellRecord")]
pub struct HostCell {
    id: i64,
    cpuset: CpuSet,
    pcpuset: CpuSet,
    memory: i64,
    cpu_usage: i64,
    memory_usage: i64,
    pinned_cpus: CpuSet,
    siblings: Vec<CpuSet>,
    mempages: Vec<Pages>,
    socket: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_metadata: Option<NetworkMetadata>,
    #[serde(skip)]
    free_cores: FreeCores,
}

impl HostCell {
    /// The cell's number.
    #[must_use]
    pub const fn id(&self) -> i64 {
        self.id
    }

    /// CPUs for vCPUs that float.
    #[must_use]
    pub const fn cpuset(&self) -> &CpuSet {
        &self.cpuset
    }

    /// CPUs for vCPUs that are pinned.
    #[must_use]
    pub const fn pcpuset(&self) -> &CpuSet {
        &self.pcpuset
    }

    /// Memory in MiB.
    #[must_use]
    pub const fn memory(&self) -> i64 {
        self.memory
    }

    /// vCPUs that float here.
    #[must_use]
    pub const fn cpu_usage(&self) -> i64 {
        self.cpu_usage
    }

    /// Memory in use, MiB.
    #[must_use]
    pub const fn memory_usage(&self) -> i64 {
        self.memory_usage
    }

    /// Memory that is free, MiB.
    #[must_use]
    pub(crate) const fn free_memory(&self) -> i64 {
        self.memory.saturating_sub(self.memory_usage)
    }

    /// Dedicated CPUs that are taken.
    #[must_use]
    pub const fn pinned_cpus(&self) -> &CpuSet {
        &self.pinned_cpus
    }

    /// Dedicated CPUs that are free.
    #[must_use]
    pub(crate) fn free_cpus(&self) -> CpuSet {
        self.pcpuset.difference(&self.pinned_cpus)
    }

    /// The free dedicated CPUs, counted by core.
    #[must_use]
    pub(crate) const fn free_cores(&self) -> &FreeCores {
        &self.free_cores
    }

    /// The CPUs of each core.
    #[must_use]
    pub fn siblings(&self) -> &[CpuSet] {
        &self.siblings
    }

    /// Memory pages, one entry for each size.
    #[must_use]
    pub fn mempages(&self) -> &[Pages] {
        &self.mempages
    }

    /// The smallest size of pages in KiB; none if the host does not report pages.
    #[must_use]
    pub(crate) fn smallest_page(&self) -> Option<i64> {
        self.mempages.iter().map(|pages| pages.size_kb).min()
    }

    /// The CPU socket the cell is in, if known.
    #[must_use]
    pub const fn socket(&self) -> Option<i64> {
        self.socket
    }

    /// Networks the cell is close to; none if the host does not say.
    #[must_use]
    pub const fn network_metadata(&self) -> Option<&NetworkMetadata> {
        self.network_metadata.as_ref()
    }

    /// The same cell with another use of it.
    pub(super) fn with_usage(&self, usage: Usage) -> Self {
        let free_cores = FreeCores::count(&self.pcpuset.difference(&usage.pinned_cpus), &self.siblings);
        Self {
            cpu_usage: usage.cpu_usage.max(0),
            memory_usage: usage.memory_usage.max(0),
            pinned_cpus: usage.pinned_cpus,
            mempages: usage.mempages,
            free_cores,
            ..self.clone()
        }
    }
}

/// The part of a cell that changes when instances come and go.
pub(super) struct Usage {
    pub(super) cpu_usage: i64,
    pub(super) memory_usage: i64,
    pub(super) pinned_cpus: CpuSet,
    pub(super) mempages: Vec<Pages>,
}

impl Usage {
    /// The use of a cell as it is.
    pub(super) fn of(cell: &HostCell) -> Self {
        Self {
            cpu_usage: cell.cpu_usage,
            memory_usage: cell.memory_usage,
            pinned_cpus: cell.pinned_cpus.clone(),
            mempages: cell.mempages.clone(),
        }
    }
}

/// The use of a host cell, as a report for operators and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CellUsage {
    /// The cell's number.
    pub id: i64,
    /// vCPUs that float here.
    pub cpu_usage: i64,
    /// Memory in use, MiB.
    pub memory_usage: i64,
    /// Dedicated CPUs that are taken.
    pub pinned_cpus: CpuSet,
    /// Size in KiB, pages in all, pages in use.
    pub mempages: Vec<(i64, i64, i64)>,
}

/// The NUMA cells of a host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "TopologyRecord")]
pub struct HostTopology {
    cells: Vec<HostCell>,
    #[serde(skip)]
    fingerprint: u64,
}

impl HostTopology {
    /// A host of these cells, in this order.
    ///
    /// # Errors
    /// [`InvalidHostCell::TwoCells`] if two have the same number.
    pub fn new(cells: Vec<HostCell>) -> Result<Self, InvalidHostCell> {
        for (at, cell) in cells.iter().enumerate() {
            if cells[..at].iter().any(|other| other.id == cell.id) {
                return Err(InvalidHostCell::TwoCells(cell.id));
            }
        }
        Ok(Self::from_distinct(cells))
    }

    /// A host of cells that are known to have different numbers.
    pub(super) fn from_distinct(cells: Vec<HostCell>) -> Self {
        let mut hasher = FxHasher::default();
        cells.hash(&mut hasher);
        Self { fingerprint: hasher.finish(), cells }
    }

    /// The cells, as the host numbers them.
    #[must_use]
    pub fn cells(&self) -> &[HostCell] {
        &self.cells
    }

    /// Whether some core has more than one thread.
    #[must_use]
    pub(crate) fn has_threads(&self) -> bool {
        self.cells.iter().any(|cell| cell.free_cores.threads_per_core() > 1)
    }

    /// The use of each cell.
    #[must_use]
    pub fn usage(&self) -> Vec<CellUsage> {
        self.cells.iter().map(CellUsage::of).collect()
    }
}

impl CellUsage {
    fn of(cell: &HostCell) -> Self {
        Self {
            id: cell.id,
            cpu_usage: cell.cpu_usage,
            memory_usage: cell.memory_usage,
            pinned_cpus: cell.pinned_cpus.clone(),
            mempages: cell.mempages.iter().map(|pages| (pages.size_kb, pages.total, pages.used)).collect(),
        }
    }
}
