//! The ratios of a run that both the page and the JSON show.

use serde::Serialize;

use crate::outcome::{Sample, SimulationOutcome, ratio};

/// The utilisation of the fleet in one resource class, as shares of its capacity.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Utilisation {
    /// Mean over time.
    pub(super) mean: f64,
    /// The peak.
    pub(super) peak: f64,
    /// Right after the last arrival.
    #[serde(rename = "final")]
    pub(super) last: f64,
}

/// The ratios of an outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    /// From the first arrival to the last, in microseconds.
    pub(super) span_us: u64,
    /// The utilisation of vCPUs, memory and disk; `None` for a class of which the fleet has none.
    pub(super) utilisation: [Option<Utilisation>; 3],
    /// The share of arrived VMs that were rejected; `None` if none arrived.
    pub(super) rejection_rate: Option<f64>,
    /// The packing density right after the last arrival; `None` if no host is in use.
    pub(super) packing_density: Option<f64>,
}

impl Summary {
    pub(super) fn of(outcome: &SimulationOutcome) -> Self {
        let capacity = outcome.capacity.amounts();
        let (mean, peak) = (outcome.mean_used.amounts(), outcome.peak_used.amounts());
        let last = outcome.end().used.amounts();
        let utilisation = |class: usize| {
            Some(Utilisation {
                mean: share(mean[class], capacity[class])?,
                peak: share(peak[class], capacity[class])?,
                last: share(last[class], capacity[class])?,
            })
        };
        Self {
            span_us: outcome.ended_us.saturating_sub(outcome.started_us),
            utilisation: [utilisation(0), utilisation(1), utilisation(2)],
            rejection_rate: share(outcome.totals.rejected, outcome.totals.vms),
            packing_density: packing_density(outcome.end()),
        }
    }
}

/// Packing density: used vCPUs as a share of the vCPUs of hosts in use; `None` if no host is in
/// use.
pub(super) fn packing_density(sample: &Sample) -> Option<f64> {
    share(sample.used.vcpus, sample.busy_vcpus)
}

/// `part` of `whole` between 0 and 1; `None` when `whole` is 0.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| ratio(part, whole))
}
