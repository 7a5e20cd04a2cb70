//! NUMATopologyFilter: the allocation candidates with which an instance's cells fit a host.

use super::{
    CellAllocation, CellLimits, Fitting, HostTopology, InstanceTopology, NumaMisfit, NumaRefusal, Site,
};
use crate::pci::{PciRequest, Pools, ProviderMapping};

/// The requirements of a request, the same for every host.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// The instance's cells, if it has any.
    pub topology: Option<&'a InstanceTopology>,
    /// The devices it wants.
    pub devices: &'a [PciRequest],
    /// Whether flavor or image insist on threads: [`asks_for_threads`].
    pub needs_threads: bool,
    /// Which host cells are tried first.
    pub allocation: CellAllocation,
}

/// Whether flavor or image ask for dedicated CPUs, and flavor or image for the thread policy
/// `require`.
///
/// `cpu_policies` are the extra spec `hw:cpu_policy` and the image property `hw_cpu_policy`;
/// `thread_policies` are `hw:cpu_thread_policy` and `hw_cpu_thread_policy`.
#[must_use]
pub fn asks_for_threads(cpu_policies: [Option<&str>; 2], thread_policies: [Option<&str>; 2]) -> bool {
    cpu_policies.contains(&Some("dedicated")) && thread_policies.contains(&Some("require"))
}

/// Keeps the positions in `left` whose candidates let the instance fit, and returns whether the
/// host was judged by `limits` (then they hold when it is [consumed](super::consume()), too).
///
/// `host` is none for a host without NUMA topology, `pools` for one that has not reported yet.
///
/// # Errors
/// If no candidate is left, why the last one was dropped. A [`NumaFault`](super::NumaFault) ends
/// the filtering at once.
pub fn retain_candidates<C: AsRef<ProviderMapping>>(
    demand: &Demand<'_>,
    host: Option<&HostTopology>,
    pools: Option<&Pools>,
    limits: CellLimits<'_>,
    candidates: &[C],
    left: &mut Vec<usize>,
) -> Result<bool, NumaRefusal> {
    let host = host.filter(|host| !host.cells().is_empty());
    if demand.needs_threads && host.is_some_and(|host| !host.has_threads()) {
        return Err(NumaMisfit::NoThreads.into());
    }
    let Some(instance) = demand.topology.filter(|instance| !instance.cells.is_empty()) else {
        return Ok(false);
    };
    let host = host.ok_or(NumaMisfit::NoHostTopology)?;
    let site = Site { host, pools, instance, devices: demand.devices, limits: Some(limits) };
    retain(&mut Fitting::new(site, demand.allocation), candidates, left).map(|()| true)
}

/// Candidates are tried in order: each try starts with what the one before has left.
fn retain<C: AsRef<ProviderMapping>>(
    fitting: &mut Fitting<'_>,
    candidates: &[C],
    left: &mut Vec<usize>,
) -> Result<(), NumaRefusal> {
    let mut kept = 0;
    let mut last = NumaMisfit::NoCandidates;
    for nth in 0..left.len() {
        let mapping = candidates.get(left[nth]).map(C::as_ref);
        match fitting.try_candidate(mapping) {
            Ok(()) => {
                left[kept] = left[nth];
                kept += 1;
            }
            Err(NumaRefusal::Misfit(misfit)) => last = misfit,
            Err(fault) => return Err(fault),
        }
    }
    left.truncate(kept);
    if kept == 0 { Err(last.into()) } else { Ok(()) }
}
