//! Places VMs on hosts, and blocks hosts that take none.

use std::sync::Arc;

use berth_placement::{Allocation, ConsumerId, HOST_CLASSES, Index, Row};
use berth_scheduler::Preference;
use berth_scheduler::{Policy, Search};
use berth_traces::{TraceHost, Vm};

use crate::fleet::index_of;
use crate::nova::{NovaOptions, NovaPlacer};
use crate::policy::PolicyPlacer;
use crate::scenario::cells::{CellPolicy, Cells};
use crate::simulation::{Placer, SimulationError, SimulationOptions, consumer_of};

/// What decides in a run.
#[derive(Debug, Clone)]
pub enum Deciding {
    /// A placement policy, which looks at amounts alone.
    Policy(Policy),
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
        Ok(Self::Policy(name.parse::<Policy>().map_err(|error| error.to_string())?))
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Policy(policy) => policy.name().to_owned(),
            Self::Nova(options) => match options.preference {
                Preference::Weighers => "nova".to_owned(),
                preference => format!("nova, {}", preference.name()),
            },
            Self::Cells(policy, _) => policy.name().to_owned(),
        }
    }
}

/// Places VMs on the hosts of a run.
pub(crate) trait Engine {
    /// Chooses a host for a VM and takes its amounts; `None` if no host fits.
    fn place(&mut self, job: u32, vm: &Vm) -> Result<Option<usize>, SimulationError>;

    /// Returns the amounts of a VM on the host.
    fn remove(&mut self, job: u32, vm: &Vm, host: usize);

    /// Takes all free amounts of the host, so that nothing is placed there, until it is unblocked. Again after a removal.
    fn block(&mut self, host: usize);

    /// Makes the free amounts of a blocked host free.
    fn unblock(&mut self, host: usize);

    /// Compares what it knows with the index.
    fn check(&mut self) -> Result<(), SimulationError>;
}

/// The engine of a scheduler.
pub(crate) fn engine(
    hosts: &[TraceHost],
    deciding: &Deciding,
    seed: u64,
) -> Result<Box<dyn Engine>, SimulationError> {
    Ok(match deciding {
        Deciding::Cells(policy, split_above_mb) => Box::new(Cells::new(hosts, *policy, *split_above_mb)),
        Deciding::Policy(policy) => {
            let index = Arc::new(index_of(hosts)?);
            let placer =
                PolicyPlacer::new(&index, SimulationOptions { policy: *policy, search: Search::Ranked });
            Box::new(OnIndex { index, placer })
        }
        Deciding::Nova(options) => {
            let index = Arc::new(index_of(hosts)?);
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
    fn place(&mut self, job: u32, vm: &Vm) -> Result<Option<usize>, SimulationError> {
        Ok(self.placer.place(job.into(), vm)?.map(Row::index))
    }

    fn remove(&mut self, job: u32, _: &Vm, host: usize) {
        self.index.release(consumer_of(job.into())).expect("only placed VMs are removed");
        self.placer.departed(job.into(), row_of(host));
    }

    fn block(&mut self, host: usize) {
        let row = row_of(host);
        // An earlier block has fewer amounts.
        let _ = self.index.release(blocker_of(host));
        let free = HOST_CLASSES.map(|class| (class, self.index.free(row, class).unwrap_or(0)));
        let free = free.into_iter().filter_map(|(class, amount)| {
            let amount = u32::try_from(amount).ok().filter(|&amount| amount > 0)?;
            Some(Allocation { row, class, amount })
        });
        let free: Vec<Allocation> = free.collect();
        if !free.is_empty() {
            self.index.claim(blocker_of(host), &free).expect("the amounts are free");
        }
    }

    fn unblock(&mut self, host: usize) {
        let _ = self.index.release(blocker_of(host));
    }

    fn check(&mut self) -> Result<(), SimulationError> {
        self.placer.check().map_err(SimulationError::Inconsistent)?;
        self.index.check().map_err(|found| SimulationError::Inconsistent(found.to_string()))
    }
}

fn row_of(host: usize) -> Row {
    Row(u32::try_from(host).expect("a fleet has fewer hosts"))
}

/// The consumer that holds what is free on a blocked host.
fn blocker_of(host: usize) -> ConsumerId {
    ConsumerId(1 << 100 | host as u128)
}
