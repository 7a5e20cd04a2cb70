//! The result of a run.

use berth_traces::Resources;
use serde::Serialize;

/// Amounts of the host classes, summed over hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Disk in GB.
    pub disk_gb: u64,
}

impl Share {
    pub(crate) const fn of([vcpus, memory_mb, disk_gb]: [u64; 3]) -> Self {
        Self { vcpus, memory_mb, disk_gb }
    }

    /// As an array: vCPUs, memory, disk.
    #[must_use]
    pub const fn amounts(&self) -> [u64; 3] {
        [self.vcpus, self.memory_mb, self.disk_gb]
    }

    #[inline]
    pub(crate) fn add(&mut self, amounts: &Resources) {
        self.vcpus += u64::from(amounts.vcpus);
        self.memory_mb += u64::from(amounts.memory_mb);
        self.disk_gb += u64::from(amounts.disk_gb);
    }

    #[inline]
    pub(crate) fn subtract(&mut self, amounts: &Resources) {
        self.vcpus -= u64::from(amounts.vcpus);
        self.memory_mb -= u64::from(amounts.memory_mb);
        self.disk_gb -= u64::from(amounts.disk_gb);
    }

    #[inline]
    pub(crate) fn raise(&mut self, other: &Self) {
        self.vcpus = self.vcpus.max(other.vcpus);
        self.memory_mb = self.memory_mb.max(other.memory_mb);
        self.disk_gb = self.disk_gb.max(other.disk_gb);
    }
}

/// Counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// VMs that arrived.
    pub vms: u64,
    /// VMs that got a host.
    pub placed: u64,
    /// VMs for which no host was found.
    pub rejected: u64,
    /// Placed VMs that left before the end.
    pub departed: u64,
    /// The amounts that the rejected VMs requested.
    pub rejected_amounts: Share,
}

/// The fleet at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The time, in microseconds of the trace's clock.
    pub at_us: u64,
    /// Amounts held by VMs.
    pub used: Share,
    /// Free amounts that no VM seen so far can use, because another class of the host is exhausted.
    pub stranded: Share,
    /// Running VMs.
    pub running_vms: u64,
    /// Hosts with at least one VM.
    pub busy_hosts: u64,
    /// vCPUs of those hosts.
    pub busy_vcpus: u64,
    /// VMs placed so far.
    pub placed: u64,
    /// VMs rejected so far.
    pub rejected: u64,
}

/// The result of a run: totals, means, peaks and a time series of at most about a thousand samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimulationOutcome {
    /// The placement policy.
    pub policy: String,
    /// Whether the whole trace was replayed; otherwise the outcome covers the time until the run
    /// was stopped.
    pub complete: bool,
    /// Hosts of the fleet.
    pub hosts: u64,
    /// Their total capacity.
    pub capacity: Share,
    /// The arrival of the first VM, in microseconds of the trace's clock.
    pub started_us: u64,
    /// The arrival of the last VM.
    pub ended_us: u64,
    /// Counts.
    pub totals: Totals,
    /// Mean used amounts over time, rounded down.
    pub mean_used: Share,
    /// Largest used amounts, each at its own time.
    pub peak_used: Share,
    /// The largest number of hosts with VMs at one time.
    pub peak_busy_hosts: u64,
    /// The largest number of VMs running at one time.
    pub peak_running_vms: u64,
    /// The SHA-256 of the placements file, if the caller wrote one.
    pub placements_sha256: Option<String>,
    /// The fleet over time; the last sample is right after the last arrival.
    pub samples: Vec<Sample>,
}

impl SimulationOutcome {
    /// The fleet right after the last arrival.
    #[must_use]
    pub fn end(&self) -> &Sample {
        self.samples.last().expect("a finished run has its last sample")
    }
}

/// `part` of `whole` between 0 and 1; 0 when `whole` is 0.
#[must_use]
#[allow(clippy::cast_precision_loss)] // for charts and tables
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
