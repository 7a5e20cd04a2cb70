//! The use of a host's cells by a fitted instance.

use super::host::Usage;
use super::pages::KIB;
use super::{
    CpuPolicy, CpuSet, CpuThreadPolicy, HostCell, HostTopology, InstanceCell, InstanceTopology, PageSize,
    Pages,
};

/// An instance that cannot be where it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageFault {
    /// Its memory cannot be counted.
    #[error("host cell {0}: neither the instance cell's pagesize nor the host cell's mempages are known")]
    NoPages(i64),
    /// It is pinned to CPUs that are not the host cell's.
    #[error("host cell {0}: CPUs {1:?} are not among its dedicated ones")]
    UnknownCpus(i64, CpuSet),
    /// It is pinned to CPUs that are taken.
    #[error("host cell {0}: CPUs {1:?} are taken")]
    TakenCpus(i64, CpuSet),
}

impl HostTopology {
    /// The host without any instance.
    #[must_use]
    pub fn without_instances(&self) -> Self {
        Self::from_distinct(self.cells().iter().map(empty).collect())
    }

    /// The host with the instance's cells on it.
    ///
    /// # Errors
    /// [`UsageFault`] if they cannot be there.
    pub(crate) fn with_instance(&self, instance: &InstanceTopology) -> Result<Self, UsageFault> {
        let cells: Result<Vec<HostCell>, UsageFault> =
            self.cells().iter().map(|cell| with_cells(cell, &instance.cells)).collect();
        Ok(Self::from_distinct(cells?))
    }
}

fn empty(cell: &HostCell) -> HostCell {
    let mempages = cell.mempages().iter().map(|pages| Pages { used: 0, ..*pages }).collect();
    cell.with_usage(Usage { cpu_usage: 0, memory_usage: 0, pinned_cpus: CpuSet::default(), mempages })
}

fn with_cells(host: &HostCell, cells: &[InstanceCell]) -> Result<HostCell, UsageFault> {
    let mut usage = Usage::of(host);
    for cell in cells.iter().filter(|cell| cell.id == host.id()) {
        usage.add_memory(host, cell)?;
        usage.cpu_usage = usage.cpu_usage.saturating_add_unsigned(cell.cpuset.len() as u64);
        if cell.cpu_policy != CpuPolicy::Shared {
            usage.pin(host, &pins(host, cell))?;
        }
    }
    Ok(host.with_usage(usage))
}

/// CPUs that a cell takes for itself: under `isolate`, with all others of their cores.
fn pins(host: &HostCell, cell: &InstanceCell) -> CpuSet {
    let mut pins = cell.cpuset_reserved.clone();
    for &cpu in cell.cpu_pinning.values() {
        // Planned pins come from a set; a number that no set can hold is on no host either.
        let _ = pins.insert(cpu);
    }
    if cell.cpu_thread_policy != CpuThreadPolicy::Isolate {
        return pins;
    }
    let mut cores = CpuSet::default();
    host.siblings().iter().filter(|core| core.intersects(&pins)).for_each(|core| cores.extend_from(core));
    cores
}

impl Usage {
    fn add_memory(&mut self, host: &HostCell, cell: &InstanceCell) -> Result<(), UsageFault> {
        let size = match cell.pagesize {
            PageSize::Unset => Some(host.smallest_page().ok_or(UsageFault::NoPages(host.id()))?),
            size => size.number(),
        };
        for pages in self.mempages.iter_mut().filter(|pages| Some(pages.size_kb) == size) {
            let taken = cell.memory.saturating_mul(KIB).div_euclid(pages.size_kb);
            pages.used = pages.used.saturating_add(taken).max(0);
        }
        self.memory_usage = self.memory_usage.saturating_add(cell.memory);
        Ok(())
    }

    fn pin(&mut self, host: &HostCell, cpus: &CpuSet) -> Result<(), UsageFault> {
        if !cpus.is_subset(host.pcpuset()) {
            return Err(UsageFault::UnknownCpus(host.id(), cpus.difference(host.pcpuset())));
        }
        if cpus.intersects(&self.pinned_cpus) {
            return Err(UsageFault::TakenCpus(host.id(), cpus.intersection(&self.pinned_cpus)));
        }
        self.pinned_cpus.extend_from(cpus);
        Ok(())
    }
}
