//! Hosts of NUMA cells, for a published baseline.
//!
//! *SPANE* (IEEE INFOCOM 2025) places VMs on hosts of two cells: a small VM in one cell, a large
//! one in halves over both. Placement counts a host's amounts as a whole, so no decider on an index
//! has these policies: this is the one scheduler of its own that the simulator has, a scan over all
//! cells, to reproduce what others have published.

use std::str::FromStr;

use berth_traces::{TraceHost, Vm};

use crate::scenario::engine::{Engine, Leaving};
use crate::simulation::{SimulationError, Starting};

/// A policy on cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellPolicy {
    /// The lowest host, then its lowest cell.
    First,
    /// A VM of one cell goes where the cells of a host differ most, into the emptier one; a VM of
    /// two, to the lowest host.
    Balance,
    /// The cell, or the pair of cells, with the least left.
    Best,
}

impl CellPolicy {
    const ALL: [Self; 3] = [Self::First, Self::Balance, Self::Best];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Balance => "balance",
            Self::Best => "best",
        }
    }
}

impl FromStr for CellPolicy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|policy| policy.name() == name);
        known.ok_or_else(|| format!("{name:?} is no policy on NUMA cells: they are first, balance and best"))
    }
}

/// vCPUs in halves, memory in half MiB: a split VM may have odd amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amounts {
    vcpus: u64,
    memory: u64,
}

impl Amounts {
    fn fits(self, free: Self) -> bool {
        self.vcpus <= free.vcpus && self.memory <= free.memory
    }
}

/// One cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    capacity: Amounts,
    free: Amounts,
    is_blocked: bool,
}

impl Cell {
    /// The share that is left of what is scarcer.
    #[allow(clippy::cast_precision_loss)] // amounts of a host
    fn left(&self) -> f64 {
        let share = |free: u64, capacity: u64| free as f64 / capacity.max(1) as f64;
        share(self.free.vcpus, self.capacity.vcpus).min(share(self.free.memory, self.capacity.memory))
    }

    fn fits(&self, asked: Amounts) -> bool {
        !self.is_blocked && asked.fits(self.free)
    }
}

/// Where a VM is.
#[derive(Debug, Clone, Copy)]
enum Place {
    One(usize),
    Two,
}

/// The cells of a fleet.
pub(crate) struct Cells {
    policy: CellPolicy,
    split_above_mb: u32,
    hosts: Vec<Vec<Cell>>,
    /// By job: the cell, or both.
    places: Vec<Option<Place>>,
}

impl Cells {
    pub(crate) fn new(hosts: &[TraceHost], policy: CellPolicy, split_above_mb: u32) -> Self {
        let cells = |host: &TraceHost| {
            let count = host.numa_cells.max(1);
            let share = |amount: u32| u64::from(amount) * 2 / u64::from(count);
            let capacity =
                Amounts { vcpus: share(host.capacity.vcpus), memory: share(host.capacity.memory_mb) };
            vec![Cell { capacity, free: capacity, is_blocked: false }; count as usize]
        };
        Self { policy, split_above_mb, hosts: hosts.iter().map(cells).collect(), places: Vec::new() }
    }

    fn asked(&self, vm: &Vm) -> (Amounts, bool) {
        let (vcpus, memory) = (u64::from(vm.resources.vcpus), u64::from(vm.resources.memory_mb));
        if vm.resources.memory_mb > self.split_above_mb {
            (Amounts { vcpus, memory }, true)
        } else {
            (Amounts { vcpus: 2 * vcpus, memory: 2 * memory }, false)
        }
    }

    fn choose(&self, asked: Amounts, is_split: bool) -> Option<(usize, Place)> {
        if is_split {
            let pairs = self
                .hosts
                .iter()
                .enumerate()
                .filter(|(_, cells)| cells.len() >= 2 && cells[..2].iter().all(|cell| cell.fits(asked)));
            let host = match self.policy {
                CellPolicy::First | CellPolicy::Balance => pairs.map(|(host, _)| host).next(),
                CellPolicy::Best => {
                    least(pairs.map(|(host, cells)| (host, cells[0].left().midpoint(cells[1].left()))))
                }
            };
            return host.map(|host| (host, Place::Two));
        }
        let cells = self.hosts.iter().enumerate().flat_map(|(host, cells)| {
            cells
                .iter()
                .enumerate()
                .filter(|(_, cell)| cell.fits(asked))
                .map(move |(number, cell)| ((host, number), cell))
        });
        let (host, cell) = match self.policy {
            CellPolicy::First => cells.map(|(at, _)| at).next(),
            CellPolicy::Best => least(cells.map(|(at, cell)| (at, cell.left()))),
            CellPolicy::Balance => {
                let hosts = self
                    .hosts
                    .iter()
                    .enumerate()
                    .filter(|(_, cells)| cells.iter().any(|cell| cell.fits(asked)));
                let host = least(hosts.map(|(host, cells)| (host, -spread(cells))))?;
                let fitting = self.hosts[host].iter().enumerate().filter(|(_, cell)| cell.fits(asked));
                least(fitting.map(|(number, cell)| ((host, number), -cell.left())))
            }
        }?;
        Some((host, Place::One(cell)))
    }

    fn change(&mut self, host: usize, place: Place, change: impl Fn(&mut Amounts)) {
        match place {
            Place::One(cell) => change(&mut self.hosts[host][cell].free),
            Place::Two => self.hosts[host][..2].iter_mut().for_each(|cell| change(&mut cell.free)),
        }
    }
}

/// The difference between the fullest and the emptiest cell.
fn spread(cells: &[Cell]) -> f64 {
    let left = cells.iter().map(Cell::left);
    left.clone().fold(f64::MIN, f64::max) - left.fold(f64::MAX, f64::min)
}

/// The first of the least.
fn least<T>(scored: impl Iterator<Item = (T, f64)>) -> Option<T> {
    let mut best: Option<(T, f64)> = None;
    for (item, score) in scored {
        if best.as_ref().is_none_or(|(_, least)| score < *least) {
            best = Some((item, score));
        }
    }
    best.map(|(item, _)| item)
}

impl Engine for Cells {
    fn place(&mut self, job: u32, vm: &Vm, _: Starting) -> Result<Option<usize>, SimulationError> {
        let (asked, is_split) = self.asked(vm);
        let Some((host, place)) = self.choose(asked, is_split) else { return Ok(None) };
        self.change(host, place, |free| {
            free.vcpus -= asked.vcpus;
            free.memory -= asked.memory;
        });
        if self.places.len() <= job as usize {
            self.places.resize(job as usize + 1, None);
        }
        self.places[job as usize] = Some(place);
        Ok(Some(host))
    }

    fn adopt(&mut self, _: u32, _: &Vm, _: usize, _: Starting) {
        unreachable!("these engines begin with empty hosts")
    }

    fn remove(&mut self, job: u32, vm: &Vm, host: usize, _: Leaving) {
        let (held, _) = self.asked(vm);
        let place = self.places[job as usize].take().expect("only placed VMs are removed");
        self.change(host, place, |free| {
            free.vcpus += held.vcpus;
            free.memory += held.memory;
        });
    }

    fn block(&mut self, host: usize) {
        self.hosts[host].iter_mut().for_each(|cell| cell.is_blocked = true);
    }

    fn unblock(&mut self, host: usize) {
        self.hosts[host].iter_mut().for_each(|cell| cell.is_blocked = false);
    }

    fn check(&mut self) -> Result<(), SimulationError> {
        let cells = self.hosts.iter().flatten();
        match cells.filter(|cell| !cell.free.fits(cell.capacity)).count() {
            0 => Ok(()),
            count => {
                Err(SimulationError::Inconsistent(format!("{count} cells have more free than they have")))
            }
        }
    }
}
