//! The search for host cells.

use super::cell::{self, Trial};
use super::permutations::Permutations;
use super::{
    CellMisfit, CpuPolicy, EmulatorThreadsPolicy, HostCell, HostTopology, InstanceTopology, NetworkMetadata,
    NumaFault, NumaMisfit, NumaRefusal, network,
};
use crate::pci::{Locality, PciRequest, Pools, ProviderMapping};
use smallvec::SmallVec;
use std::cmp::Reverse;

/// How far a host may be filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellLimits<'a> {
    /// Floating vCPUs for each shared CPU of a cell.
    pub cpu_allocation_ratio: f64,
    /// Memory of floating instances, as a multiple of the cell's.
    pub ram_allocation_ratio: f64,
    /// Networks the instance needs.
    pub network_metadata: Option<&'a NetworkMetadata>,
}

/// Which host cells are tried first (`packing_host_numa_cells_allocation_strategy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CellAllocation {
    /// The emptiest.
    #[default]
    Spread,
    /// The fullest.
    Pack,
}

/// A host and what is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The host's NUMA cells.
    pub host: &'a HostTopology,
    /// Its devices; none if it has not reported yet.
    pub pools: Option<&'a Pools>,
    /// The instance's cells.
    pub instance: &'a InstanceTopology,
    /// The devices it wants.
    pub devices: &'a [PciRequest],
    /// How far the host may be filled; none for no limit.
    pub limits: Option<CellLimits<'a>>,
}

/// A search for host cells that take an instance's cells: permutations of the host's cells in a
/// fixed order, the first that fits wins.
///
/// The search leaves traces in what is asked for: an instance cell takes the number of the last
/// host cell it fitted, and a symbolic page size becomes the size found there. Verdicts are filed
/// under such numbers, so that they can be taken for another cell's. All of that shows in Nova's
/// answers, also in those for the next allocation candidate (`Fitting::try_candidate` may be called
/// again) and the next instance (`Fitting::into_topology`).
pub struct Fitting<'a> {
    site: Site<'a>,
    /// Positions of the host's cells in the order in which they are tried.
    order: SmallVec<[usize; 8]>,
    trials: SmallVec<[Trial; 4]>,
}

impl<'a> Fitting<'a> {
    /// Prepares the search on one host.
    #[must_use]
    pub fn new(site: Site<'a>, allocation: CellAllocation) -> Self {
        let trials = site.instance.cells.iter().map(Trial::of).collect();
        Self { order: order(&site, allocation), site, trials }
    }

    /// Searches once, with the providers of one allocation candidate.
    ///
    /// # Errors
    /// Why no host cells were found; of all permutations' reasons, one that came furthest.
    pub(crate) fn try_candidate(&mut self, mapping: Option<&ProviderMapping>) -> Result<(), NumaRefusal> {
        let (wanted, there) = (self.trials.len(), self.order.len());
        if wanted == 0 || there < wanted {
            return Err(NumaMisfit::TooFewCells { wanted, there }.into());
        }
        let mut files = Files::new(self.site.host, &self.trials);
        let mut permutations = Permutations::new(there, wanted);
        let mut nearest: Option<NumaMisfit> = None;
        loop {
            let mut attempt = self.attempt(permutations.chosen(), &mut files)?;
            if attempt.fits {
                match self.surroundings_fit(permutations.chosen(), mapping) {
                    Ok(()) => return Ok(()),
                    Err(NumaRefusal::Misfit(misfit)) => attempt.misfit = Some(misfit),
                    Err(fault) => return Err(fault),
                }
            }
            if let Some(misfit) = attempt.misfit
                && nearest.is_none_or(|nearest| misfit.progress() > nearest.progress())
            {
                nearest = Some(misfit);
            }
            if !permutations.advance(attempt.settled) {
                return Err(nearest.unwrap_or(NumaMisfit::TooFewCells { wanted, there }).into());
            }
        }
    }

    /// Tries one permutation of the host's cells.
    fn attempt(&mut self, chosen: &[usize], files: &mut Files) -> Result<Attempt, NumaFault> {
        let last = chosen.len() - 1;
        let mut changed = false;
        for (nth, &position) in chosen.iter().enumerate() {
            let at = self.order[position];
            let host = &self.site.host.cells()[at];
            let entry = files.entry(at, self.trials[nth].id);
            match *entry {
                Verdict::Misfit => {
                    let settled = if changed { last } else { nth };
                    return Ok(Attempt { fits: false, misfit: None, settled });
                }
                Verdict::Fits => {
                    changed |= self.trials[nth].id != host.id();
                    self.trials[nth].id = host.id();
                }
                Verdict::Unknown => {
                    changed = true;
                    if let Err(why) = self.fit_cell(nth, at)? {
                        *entry = Verdict::Misfit;
                        let misfit = Some(NumaMisfit::Cell { instance: nth, host: host.id(), why });
                        return Ok(Attempt { fits: false, misfit, settled: last });
                    }
                    *entry = Verdict::Fits;
                }
            }
        }
        Ok(Attempt { fits: true, misfit: None, settled: last })
    }

    fn fit_cell(&mut self, nth: usize, at: usize) -> Result<Result<(), CellMisfit>, NumaFault> {
        let site = &self.site;
        // The hypervisor's own threads are placed beside the instance's first cell.
        let isolates = site.instance.emulator_threads_policy == EmulatorThreadsPolicy::Isolate;
        let reserved = usize::from(nth == 0 && isolates);
        let wanted = (&site.instance.cells[nth], &mut self.trials[nth]);
        cell::fit((at, &site.host.cells()[at]), wanted, reserved, site.limits.as_ref())
    }

    /// Devices and networks, once the cells fit.
    fn surroundings_fit(
        &self,
        chosen: &[usize],
        mapping: Option<&ProviderMapping>,
    ) -> Result<(), NumaRefusal> {
        let site = &self.site;
        if let Some(pools) = site.pools.filter(|_| !site.devices.is_empty()) {
            let cells: SmallVec<[i64; 4]> = self.trials.iter().map(|trial| trial.id).collect();
            pools.supports(site.devices, mapping, Locality { cells: &cells, host: Some(site.host) })?;
        }
        if let Some(wanted) = site.limits.and_then(|limits| limits.network_metadata) {
            let cells: SmallVec<[usize; 4]> = chosen.iter().map(|&position| self.order[position]).collect();
            if !network::is_close(site.host, &cells, wanted) {
                return Err(NumaMisfit::Network.into());
            }
        }
        Ok(())
    }

    /// The instance's cells as the search has left them: on the host cells found, after a success.
    #[must_use]
    pub(crate) fn into_topology(self) -> InstanceTopology {
        let mut topology = self.site.instance.clone();
        for (cell, trial) in topology.cells.iter_mut().zip(self.trials) {
            cell.id = trial.id;
            cell.pagesize = trial.pagesize;
            if let Some((at, packing)) = trial.pinned {
                let (pinned, reserved) = packing.assign(&self.site.host.cells()[at]);
                cell.cpu_pinning = cell.pcpuset.iter().zip(pinned).collect();
                cell.cpuset_reserved = reserved;
            }
        }
        topology
    }
}

/// The outcome of one permutation.
struct Attempt {
    /// Whether each instance cell fits its host cell.
    fits: bool,
    /// Why not, unless an earlier permutation has said so.
    misfit: Option<NumaMisfit>,
    /// The permutation's cells up to this position decide its outcome, and trying them again would
    /// change nothing.
    settled: usize,
}

#[derive(Clone, Copy)]
enum Verdict {
    Unknown,
    Fits,
    Misfit,
}

/// Verdicts on (host cell, number of an instance cell).
struct Files {
    /// Numbers that instance cells can have: the host cells', then their own.
    numbers: SmallVec<[i64; 12]>,
    verdicts: SmallVec<[Verdict; 32]>,
}

impl Files {
    fn new(host: &HostTopology, trials: &[Trial]) -> Self {
        let own = trials.iter().map(|trial| trial.id);
        let numbers: SmallVec<[i64; 12]> = host.cells().iter().map(HostCell::id).chain(own).collect();
        let pairs = host.cells().len() * numbers.len();
        Self { verdicts: SmallVec::from_elem(Verdict::Unknown, pairs), numbers }
    }

    fn entry(&mut self, host: usize, number: i64) -> &mut Verdict {
        let column = self.numbers.iter().position(|&known| known == number).unwrap_or(0);
        &mut self.verdicts[host * self.numbers.len() + column]
    }
}

/// The order in which host cells are tried. When all of them are needed it does not matter, and
/// they keep theirs.
fn order(site: &Site<'_>, allocation: CellAllocation) -> SmallVec<[usize; 8]> {
    let cells = site.host.cells();
    let mut order: SmallVec<[usize; 8]> = (0..cells.len()).collect();
    let Some(first) = site.instance.cells.first() else { return order };
    if cells.len() <= site.instance.cells.len() {
        return order;
    }
    let fullest_first = allocation == CellAllocation::Pack;
    sort(&mut order, !fullest_first, |at| cells[at].free_memory());
    if first.cpu_policy == CpuPolicy::Shared {
        sort(&mut order, fullest_first, |at| cells[at].cpu_usage());
    } else {
        sort(&mut order, !fullest_first, |at| cells[at].free_cores().cpus());
    }
    if let Some(pools) = site.pools {
        let devices = |at: usize| pools.free_devices_on(cells[at].id());
        sort(&mut order, !site.devices.is_empty(), devices);
    }
    order
}

/// Sorts stably, also when descending.
fn sort<K: Ord>(order: &mut [usize], descending: bool, key: impl Fn(usize) -> K) {
    if descending {
        order.sort_by_key(|&at| Reverse(key(at)));
    } else {
        order.sort_by_key(|&at| key(at));
    }
}
