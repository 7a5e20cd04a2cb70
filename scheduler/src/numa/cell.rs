//! One instance cell on one host cell.

use super::packing::{self, Packing, Pins};
use super::{CellLimits, CellMisfit, HostCell, InstanceCell, NumaFault, PageSize, pages};

/// The state of the search for an instance cell. It survives failed attempts: a page size once
/// chosen is what the next host cell has to offer, and a number once taken is what the next verdict
/// is filed under.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trial {
    /// The number the cell goes by: its own, then that of a host cell.
    pub(super) id: i64,
    /// The page size, resolved or not.
    pub(super) pagesize: PageSize,
    /// The host cell (by position) its vCPUs were last pinned to. A verdict from the files does not
    /// pin again.
    pub(super) pinned: Option<(usize, Packing)>,
}

impl Trial {
    pub(super) const fn of(cell: &InstanceCell) -> Self {
        Self { id: cell.id, pagesize: cell.pagesize, pinned: None }
    }
}

/// Puts an instance cell on the host cell at position `at`, with `reserved` CPUs beside it for
/// emulator threads.
pub(super) fn fit(
    (at, host): (usize, &HostCell),
    (wanted, trial): (&InstanceCell, &mut Trial),
    reserved: usize,
    limits: Option<&CellLimits<'_>>,
) -> Result<Result<(), CellMisfit>, NumaFault> {
    match pages::resolve(host, trial.pagesize, wanted.memory, wanted.cpu_policy.pins()) {
        Ok(pagesize) => trial.pagesize = pagesize,
        Err(misfit) => return Ok(Err(misfit)),
    }
    if let Err(misfit) = counts_fit(host, wanted, reserved) {
        return Ok(Err(misfit));
    }
    if wanted.cpu_policy.pins() {
        let pins = Pins { vcpus: wanted.pcpuset.len(), reserved, policy: wanted.cpu_thread_policy };
        match packing::plan(host, pins)? {
            Ok(packing) => (trial.id, trial.pinned) = (host.id(), Some((at, packing))),
            Err(misfit) => return Ok(Err(misfit)),
        }
    }
    if wanted.cpu_policy.shares()
        && let Some(Err(misfit)) = limits.map(|limits| within_limits(host, wanted, limits))
    {
        return Ok(Err(misfit));
    }
    trial.id = host.id();
    Ok(Ok(()))
}

fn counts_fit(host: &HostCell, wanted: &InstanceCell, reserved: usize) -> Result<(), CellMisfit> {
    let policy = wanted.cpu_policy;
    let dedicated = wanted.pcpuset.len() + reserved;
    if policy.pins() && dedicated > host.pcpuset().len() {
        return Err(CellMisfit::DedicatedCpus { wanted: dedicated, there: host.pcpuset().len() });
    }
    if policy.shares() && wanted.cpuset.len() > host.cpuset().len() {
        return Err(CellMisfit::SharedCpus { wanted: wanted.cpuset.len(), there: host.cpuset().len() });
    }
    if policy.pins() && dedicated > host.free_cores().cpus() {
        return Err(CellMisfit::FreeCpus { wanted: dedicated, free: host.free_cores().cpus() });
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "amounts below 2^53 are exact in a double, as in the original"
)]
fn within_limits(host: &HostCell, wanted: &InstanceCell, limits: &CellLimits<'_>) -> Result<(), CellMisfit> {
    let usage = host.cpu_usage().saturating_add_unsigned(wanted.cpuset.len() as u64);
    let limit = host.cpuset().len() as f64 * limits.cpu_allocation_ratio;
    if usage as f64 > limit {
        return Err(CellMisfit::CpuLimit { usage, limit });
    }
    let usage = host.memory_usage().saturating_add(wanted.memory);
    let limit = host.memory() as f64 * limits.ram_allocation_ratio;
    if usage as f64 > limit {
        return Err(CellMisfit::MemoryLimit { usage, limit });
    }
    Ok(())
}
