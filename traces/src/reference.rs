//! The reference workloads that serve to compare simulators: `tiny`, `mixed`, `s1k`, `s10k`,
//! `s100k`.
//!
//! The model:
//! - flavors of 1 to 32 vCPU, each with small (2 GiB per vCPU), usual (4) or large (8) memory;
//!   flavors larger than the largest host are omitted; disk is 16 GB and 16 GB per vCPU;
//! - lifetimes are lognormal with a median of one hour and a sigma of 2;
//! - an initial population with stationary residual lifetimes arrives in the first ten minutes;
//!   after that, VMs arrive as a Poisson process with a daily wave of 20%, at the rate that offers
//!   the fleet `load` times its vCPUs;
//! - arrivals have even milliseconds and departures odd ones, so that none tie, except in `tiny`,
//!   which compresses every ten minutes into one whole second so that many do.
//!
//! The files equal those of the Python script that defines the sets byte for byte: the random
//! numbers are Python's (MT19937, 53 bits per draw), drawn in its order, and every floating-point
//! expression is evaluated in its order. Where this crate's `exp`, `ln`, `sin` and `cos` differ
//! from the C library's in the last bit, a time could in principle round to another millisecond; in
//! 120 sets of a million VMs none did.

mod mersenne;
mod model;

use std::path::{Path, PathBuf};

use crate::{HostShape, HostShapes, ReadProgress, Resources, Trace, TraceHost, Unit, WriteError, neutral};
use mersenne::Mersenne;
use model::{Flavors, Vms};

/// The names that [`set`] accepts.
pub const NAMES: [&str; 5] = ["tiny", "mixed", "s1k", "s10k", "s100k"];

const LARGE: Resources = Resources { vcpus: 64, memory_mb: 262_144, disk_gb: 3840 };
const SMALL: Resources = Resources { vcpus: 16, memory_mb: 65_536, disk_gb: 960 };

/// One reference workload: a fleet and its VMs.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceSet {
    name: String,
    fleet: HostShapes,
    vms: u64,
    load: f64,
    seed: u64,
    ties: bool,
}

/// Why a workload cannot be created.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// Even the smallest VM fits no host.
    #[error("no host of the fleet fits the smallest VM: 1 vCPU and 1792 MiB")]
    HostsTooSmall,
    /// The load is not a positive number.
    #[error("the offered load must be a positive number, not {0}")]
    Load(f64),
    /// The load is less than one VM, or there are no VMs.
    #[error("the workload has no VM to start with")]
    Idle,
}

/// The workload of one of the [`NAMES`].
#[must_use]
pub fn set(name: &str) -> Option<ReferenceSet> {
    let host = |vcpus, memory_mb, disk_gb| Resources { vcpus, memory_mb, disk_gb };
    let (shapes, vms, load, seed) = match name {
        "tiny" => (vec![(6, host(16, 32_768, 300)), (6, host(32, 131_072, 500))], 600, 1.30, 5),
        "mixed" => {
            let shapes = vec![
                (120, host(64, 262_144, 1000)),
                (120, host(96, 262_144, 3840)),
                (60, host(128, 1_048_576, 3000)),
            ];
            (shapes, 20_000, 1.15, 4)
        }
        "s1k" => (vec![(1_000, LARGE)], 100_000, 0.80, 1),
        "s10k" => (vec![(10_000, LARGE)], 1_000_000, 0.80, 2),
        "s100k" => (vec![(100_000, SMALL)], 1_000_000, 0.80, 3),
        _ => return None,
    };
    let shapes = shapes.into_iter().map(|(count, capacity)| HostShape { capacity, count }).collect();
    let fleet = HostShapes { shapes };
    Some(ReferenceSet { name: name.to_owned(), fleet, vms, load, seed, ties: name == "tiny" })
}

impl ReferenceSet {
    /// A workload of the same model with another fleet, size, load (1 offers the fleet as many
    /// vCPUs as it has) and seed.
    ///
    /// # Errors
    /// Parameters that the model does not allow.
    pub fn new(
        name: impl Into<String>,
        fleet: HostShapes,
        vms: u64,
        load: f64,
        seed: u64,
    ) -> Result<Self, ReferenceError> {
        if !(load > 0.0 && load.is_finite()) {
            return Err(ReferenceError::Load(load));
        }
        let flavors = Flavors::that_fit(&fleet).ok_or(ReferenceError::HostsTooSmall)?;
        if model::initial_population(&fleet, &flavors, load, vms) == 0 {
            return Err(ReferenceError::Idle);
        }
        Ok(Self { name: name.into(), fleet, vms, load, seed, ties: false })
    }

    /// The same workload with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fleet; the hosts of a mixed one are shuffled.
    #[must_use]
    pub fn hosts(&self) -> Vec<TraceHost> {
        model::shuffled_hosts(&self.fleet, &mut Mersenne::new(self.seed))
    }

    /// The VMs.
    #[must_use]
    pub fn vms(&self) -> Trace {
        let progress = ReadProgress::new(self.vms, Unit::Vms);
        let vms = Vms::new(self, progress.clone());
        Trace::new(self.name.clone(), progress, vms)
    }

    /// Writes `<name>.hosts.csv` and `<name>.vms.csv` into a directory, in the
    /// [`neutral`] format, and returns their paths.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_csv(&self, directory: impl AsRef<Path>) -> Result<[PathBuf; 2], WriteError> {
        let file = |what| directory.as_ref().join(format!("{}.{what}.csv", self.name));
        let [hosts, vms] = [file("hosts"), file("vms")];
        neutral::write_hosts(&hosts, &self.hosts())?;
        neutral::write_vms(&vms, self.vms())?;
        Ok([hosts, vms])
    }
}
