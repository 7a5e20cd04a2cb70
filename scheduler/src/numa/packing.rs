//! Which free threads pinned vCPUs get.
//!
//! [`plan`] decides on counts alone and is what a filter needs; [`Packing::assign`] names the CPUs.

use super::{CellMisfit, CpuSet, CpuThreadPolicy, HostCell, NumaFault};

/// How an instance cell's vCPUs lie on the cores of a host cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    /// vCPUs to pin.
    vcpus: usize,
    /// CPUs beside them for emulator threads.
    reserved: usize,
    layout: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// This many threads of each core that has them free.
    Threads(usize),
    /// Free threads one after the other.
    Linear,
    /// One thread of each core that is free as a whole.
    Isolated,
}

/// The inputs of a plan.
#[derive(Clone, Copy)]
pub(super) struct Pins {
    pub(super) vcpus: usize,
    pub(super) reserved: usize,
    pub(super) policy: CpuThreadPolicy,
}

/// Plans the pinning, or says why there is none: a misfit of the cell, or a fault of the host.
pub(super) fn plan(cell: &HostCell, pins: Pins) -> Result<Result<Packing, CellMisfit>, NumaFault> {
    let cores = cell.free_cores();
    if !cores.are_known() {
        return Err(NumaFault::NoSiblings(cell.id()));
    }
    let layout = match pins.policy {
        CpuThreadPolicy::Isolate => isolated(cell, pins),
        CpuThreadPolicy::Require => shared_cores(cell, pins, 2),
        CpuThreadPolicy::Prefer => shared_cores(cell, pins, 1).or_else(|| linear(cell, pins)),
    };
    let Pins { vcpus, reserved, policy } = pins;
    let packing = layout.map(|layout| Packing { vcpus, reserved, layout });
    Ok(packing.ok_or(CellMisfit::Threads { wanted: vcpus, policy }))
}

/// As many threads of each core as possible, but at least `least`.
fn shared_cores(cell: &HostCell, pins: Pins, least: usize) -> Option<Layout> {
    let cores = cell.free_cores();
    let fits = |&threads: &usize| match cores.cores_with(threads) {
        0 => false,
        there => threads * there >= pins.vcpus,
    };
    let threads = (least..=cores.threads_per_core()).rev().find(fits)?;
    leaves_reserve(cores.threads(), pins).then_some(Layout::Threads(threads))
}

fn linear(cell: &HostCell, pins: Pins) -> Option<Layout> {
    let threads = cell.free_cores().threads();
    (threads >= pins.vcpus && leaves_reserve(threads, pins)).then_some(Layout::Linear)
}

/// Whole cores. On hosts that distinguish dedicated CPUs from shared ones, placement has already
/// kept the request away from those with SMT; one that got here must not land on SMT.
fn isolated(cell: &HostCell, pins: Pins) -> Option<Layout> {
    let cores = cell.free_cores();
    let per_core = cores.threads_per_core();
    let whole = cores.cores_with(per_core);
    let allowed = per_core == 1 || cell.pcpuset() == cell.cpuset();
    (allowed && pins.vcpus > 0 && whole >= pins.vcpus && leaves_reserve(cores.cores_with(1), pins))
        .then_some(Layout::Isolated)
}

/// A reserved CPU is found only beside pinned ones.
const fn leaves_reserve(there: usize, pins: Pins) -> bool {
    pins.reserved == 0 || (pins.vcpus > 0 && there > pins.vcpus)
}

impl Packing {
    /// The CPUs of the vCPUs in ascending order of these, and those reserved. `cell` has to be the
    /// one planned for.
    pub(super) fn assign(self, cell: &HostCell) -> (Vec<u32>, CpuSet) {
        let free = cell.free_cpus();
        let cores: Vec<CpuSet> = cell.siblings().iter().map(|core| core.intersection(&free)).collect();
        let (at_least, each) = match self.layout {
            Layout::Threads(threads) => (threads, threads),
            Layout::Linear => (1, usize::MAX),
            Layout::Isolated => (cell.free_cores().threads_per_core(), 1),
        };
        let usable = cores.iter().filter(|core| core.len() >= at_least);
        let pinned: Vec<u32> = usable.flat_map(|core| core.iter().take(each)).take(self.vcpus).collect();
        let busy = |core: &CpuSet| pinned.iter().any(|&cpu| core.contains(cpu));
        let spare = |core: &&CpuSet| self.layout != Layout::Isolated || !busy(core);
        let rest = cores.iter().filter(spare).flat_map(CpuSet::iter).filter(|cpu| !pinned.contains(cpu));
        let mut reserved = CpuSet::default();
        for cpu in rest.take(self.reserved) {
            // A CPU of a set is small enough for a set.
            let _ = reserved.insert(cpu);
        }
        (pinned, reserved)
    }
}
