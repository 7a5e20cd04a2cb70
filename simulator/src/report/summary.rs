//! The ratios of a run that both the page and the JSON show.

use serde::Serialize;

use crate::outcome::{Outcome, Sample, ratio};

/// How full the fleet was in one resource class, as parts of its capacity.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Utilisation {
    /// Mean over time.
    pub(super) mean: f64,
    /// At its fullest.
    pub(super) peak: f64,
    /// Right after the last arrival.
    #[serde(rename = "final")]
    pub(super) last: f64,
}

/// What follows from an outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    /// From the first arrival to the last, in microseconds.
    pub(super) span_us: u64,
    /// Of vCPUs, memory and disk; none for a class that the fleet has nothing of.
    pub(super) utilisation: [Option<Utilisation>; 3],
    /// Rejected VMs of those that arrived; none if none arrived.
    pub(super) rejection_rate: Option<f64>,
    /// Right after the last arrival; none if no host is in use.
    pub(super) packing_density: Option<f64>,
}

impl Summary {
    pub(super) fn of(outcome: &Outcome) -> Self {
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

/// How full the hosts in use are: their used vCPUs as a part of those they have; none if no host is in use.
pub(super) fn packing_density(sample: &Sample) -> Option<f64> {
    share(sample.used.vcpus, sample.busy_vcpus)
}

/// `part` of `whole` between 0 and 1; none of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| ratio(part, whole))
}
