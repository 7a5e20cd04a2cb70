//! Places VMs on hosts, and blocks hosts that take none.

use std::sync::Arc;

use berth_placement::{Allocation, ConsumerId, HOST_CLASSES, Index, Row};
use berth_scheduler::Preference;
use berth_scheduler::packing::{GpuPolicy, PackingRule};
use berth_scheduler::{Policy, Search};
use berth_traces::{Micros, Vm};

use crate::fleet::index_of;
use crate::nova::{NovaOptions, NovaPlacer};
use crate::policy::PolicyPlacer;
use crate::scenario::cells::{CellPolicy, Cells};
use crate::scenario::gpus::Gpus;
use crate::scenario::packing::Packing;
use crate::scenario::residents::settle;
use crate::scenario::run::Environment;
use crate::simulation::{Placer, SimulationError, SimulationOptions, Starting, consumer_of};

/// The names of the rules that pack.
const PACKING: [(&str, PackingRule); 2] =
    [("lifetime", PackingRule::Lifetimes), ("shape", PackingRule::Shapes)];

/// The names of the policies on GPUs.
const GPUS: [(&str, GpuPolicy); 3] =
    [("gpu-bestfit", GpuPolicy::BestFit), ("fgd", GpuPolicy::Gradient), ("gpu-packing", GpuPolicy::Packing)];

/// What decides in a run.
#[derive(Debug, Clone)]
pub enum Deciding {
    /// A placement policy, which looks at amounts alone.
    Policy(Policy),
    /// A rule that packs by lifetimes, or by the shapes that are requested.
    Packing(PackingRule),
    /// A policy on hosts with GPUs that VMs may share.
    Gpus(GpuPolicy),
    /// Nova's filters and weighers.
    Nova(Box<NovaOptions>),
    /// A policy on NUMA cells; a VM of more memory (MiB) than this is split over two.
    Cells(CellPolicy, u32),
}

impl Deciding {
    /// The policy with this name on hosts, or on NUMA cells.
    ///
    /// # Errors
    /// No policy has the name; the message names those that exist.
    pub fn named(name: &str, split_above_mb: Option<u32>) -> Result<Self, String> {
        if let Some(split_above_mb) = split_above_mb {
            return Ok(Self::Cells(name.parse()?, split_above_mb));
        }
        if let Some((_, rule)) = PACKING.into_iter().find(|(known, _)| *known == name) {
            return Ok(Self::Packing(rule));
        }
        if let Some((_, policy)) = GPUS.into_iter().find(|(known, _)| *known == name) {
            return Ok(Self::Gpus(policy));
        }
        let error = |error| format!("{error}, lifetime, shape, gpu-bestfit, fgd, gpu-packing");
        Ok(Self::Policy(name.parse::<Policy>().map_err(error)?))
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Policy(policy) => policy.name().to_owned(),
            Self::Packing(rule) => name_of(&PACKING, *rule),
            Self::Gpus(policy) => name_of(&GPUS, *policy),
            Self::Nova(options) => match options.preference {
                Preference::Weighers => "nova".to_owned(),
                preference => format!("nova, {}", preference.name()),
            },
            Self::Cells(policy, _) => policy.name().to_owned(),
        }
    }
}

fn name_of<T: PartialEq + Copy>(names: &[(&str, T)], of: T) -> String {
    names.iter().find(|(_, named)| *named == of).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

impl Deciding {
    /// Whether an empty host is taken only where every other that fits is worse, and then the first
    /// of those that are alike: hosts at the end of a fleet that are never used make no difference.
    pub(crate) const fn packs(&self) -> bool {
        match self {
            Self::Policy(policy) => !matches!(policy, Policy::WorstFit),
            Self::Packing(_) => true,
            Self::Gpus(_) | Self::Nova(_) | Self::Cells(..) => false,
        }
    }
}

/// A VM that leaves its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaving {
    pub(crate) now: Micros,
    /// Whether it has ended: it may also move.
    pub(crate) has_ended: bool,
}

/// Places VMs on the hosts of a run.
pub(crate) trait Engine {
    /// Chooses a host for a VM and takes its amounts; `None` if no host fits.
    fn place(&mut self, job: u32, vm: &Vm, start: Starting) -> Result<Option<usize>, SimulationError>;

    /// Adds a VM that is on the host since before the run.
    fn adopt(&mut self, job: u32, vm: &Vm, host: usize, start: Starting);

    /// Returns the amounts of a VM on the host.
    fn remove(&mut self, job: u32, vm: &Vm, host: usize, leave: Leaving);

    /// Takes all free amounts of the host, so that nothing is placed there, until it is unblocked.
    /// Again after a removal.
    fn block(&mut self, host: usize);

    /// Makes the free amounts of a blocked host free.
    fn unblock(&mut self, host: usize);

    /// Thousandths of GPUs in use, and of all; `None` if they are not counted.
    fn gpus(&self) -> Option<[u64; 2]> {
        None
    }

    /// Compares what it knows with the index.
    fn check(&mut self) -> Result<(), SimulationError>;
}

/// The engine of a scheduler for a run.
pub(crate) fn engine(env: &Environment<'_>, deciding: &Deciding) -> Result<Box<dyn Engine>, SimulationError> {
    let Environment { hosts, seed, set, .. } = *env;
    let index = || -> Result<Arc<Index>, SimulationError> {
        let index = index_of(hosts)?;
        settle(&index, set)?;
        Ok(Arc::new(index))
    };
    if let (Deciding::Gpus(_) | Deciding::Cells(..), Some((vm, _))) = (deciding, set.residents().next()) {
        let reason = "policies on GPUs and on NUMA cells begin with empty hosts".to_owned();
        return Err(SimulationError::Resident { vm: vm.id.to_string(), reason });
    }
    Ok(match deciding {
        Deciding::Gpus(policy) => Box::new(Gpus::new(hosts, *policy, &env.set.vms)?),
        Deciding::Cells(policy, split_above_mb) => Box::new(Cells::new(hosts, *policy, *split_above_mb)),
        Deciding::Packing(rule) => Box::new(Packing::new(index()?, *rule)),
        Deciding::Policy(policy) => {
            let index = index()?;
            let placer =
                PolicyPlacer::new(&index, SimulationOptions { policy: *policy, search: Search::Ranked });
            Box::new(OnIndex { index, placer })
        }
        Deciding::Nova(options) => {
            let index = index()?;
            let options = NovaOptions { seed, ..options.as_ref().clone() };
            let placer = NovaPlacer::new(Arc::clone(&index), hosts, options);
            Box::new(OnIndex { index, placer })
        }
    })
}

/// A placer on an index of its own.
struct OnIndex<P> {
    index: Arc<Index>,
    placer: P,
}

impl<P: Placer> Engine for OnIndex<P> {
    fn place(&mut self, job: u32, vm: &Vm, start: Starting) -> Result<Option<usize>, SimulationError> {
        Ok(self.placer.place(job.into(), vm, start)?.map(Row::index))
    }

    fn adopt(&mut self, job: u32, vm: &Vm, host: usize, start: Starting) {
        self.placer.adopt(job.into(), vm, row_of(host), start);
    }

    fn remove(&mut self, job: u32, _: &Vm, host: usize, _: Leaving) {
        self.index.release(consumer_of(job.into())).expect("only placed VMs are removed");
        self.placer.departed(job.into(), row_of(host));
    }

    fn block(&mut self, host: usize) {
        block(&self.index, host);
    }

    fn unblock(&mut self, host: usize) {
        unblock(&self.index, host);
    }

    fn check(&mut self) -> Result<(), SimulationError> {
        self.placer.check().map_err(SimulationError::Inconsistent)?;
        self.index.check().map_err(|found| SimulationError::Inconsistent(found.to_string()))
    }
}

/// Claims all free amounts of the host.
pub(crate) fn block(index: &Index, host: usize) {
    let row = row_of(host);
    // An earlier block has fewer amounts.
    let _ = index.release(blocker_of(host));
    let free = HOST_CLASSES.map(|class| (class, index.free(row, class).unwrap_or(0)));
    let free = free.into_iter().filter_map(|(class, amount)| {
        let amount = u32::try_from(amount).ok().filter(|&amount| amount > 0)?;
        Some(Allocation { row, class, amount })
    });
    let free: Vec<Allocation> = free.collect();
    if !free.is_empty() {
        index.claim(blocker_of(host), &free).expect("the amounts are free");
    }
}

/// Releases what [`block`] claimed.
pub(crate) fn unblock(index: &Index, host: usize) {
    let _ = index.release(blocker_of(host));
}

pub(crate) fn row_of(host: usize) -> Row {
    Row(u32::try_from(host).expect("a fleet has fewer hosts"))
}

/// The consumer that holds what is free on a blocked host.
fn blocker_of(host: usize) -> ConsumerId {
    ConsumerId(1 << 100 | host as u128)
}
