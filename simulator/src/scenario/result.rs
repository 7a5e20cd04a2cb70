//! The figures of a run.

use std::collections::BTreeMap;

use berth_traces::Micros;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::scenario::config::ServiceLevels;
use crate::scenario::gauge::{Measured, Point};
use crate::scenario::recorded::RecordedDecisions;
use crate::scenario::statistics::quantile;
use crate::scenario::workload::Flavors;

const US_PER_HOUR: f64 = 3.6e9;
/// The amounts a rejection can be short of.
const CLASSES: [&str; 3] = ["vcpus", "memory", "disk"];
/// A rejection where each amount is somewhere, but not all on one allowed host.
const TOGETHER: &str = "no host has all of it";

/// The result of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunResult {
    /// Whether the run reached its end.
    pub is_complete: bool,
    /// VMs that arrived after the warm-up; those that got a host, and those that did not.
    pub vms: u64,
    /// See `vms`.
    pub placed: u64,
    /// See `vms`.
    pub rejected: u64,
    /// VMs that lost their host; of those, how many got another, how many ended before, and how
    /// many had none at the end.
    pub displaced: u64,
    /// See `displaced`.
    pub recovered: u64,
    /// See `displaced`.
    pub lost: u64,
    /// See `displaced`.
    pub without_host: u64,
    /// VMs that an evacuation moved, and those it could not move.
    pub moved: u64,
    /// See `moved`.
    pub stuck: u64,
    /// How long recovered VMs had no host.
    #[serde(skip)]
    pub(crate) displaced_us: Vec<u64>,
    /// The hosts that got VMs are the first so many. The others were never used.
    #[serde(skip)]
    pub(crate) first_hosts: u32,
    /// The share of all GPUs in use after the last arrival, with a policy that counts GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus_used: Option<f64>,
    /// How the decisions compare with those of a trace that names hosts of the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedDecisions>,
    /// Ratios, means and peaks.
    pub figures: Figures,
    /// Rejections by flavor, project and what was short.
    pub rejections: Vec<RejectedFlavor>,
    /// The fleet over time.
    pub points: Vec<Point>,
}

/// Ratios, means and peaks of a run, of the time after the warm-up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Hosts of the fleet.
    pub hosts: u64,
    /// Their vCPUs, memory (MiB) and disk (GB; 0 if it never binds).
    pub capacity: [u64; 3],
    /// The share of VMs that were rejected.
    pub rejected_vms: f64,
    /// The share of the requested vCPU-hours that was rejected.
    pub rejected_vcpu_hours: f64,
    /// The requested vCPU-hours.
    pub asked_vcpu_hours: f64,
    /// Mean number of hosts in use.
    pub mean_hosts: f64,
    /// Hosts in use at most for 50 %, 95 %, 99 % and all of the time.
    pub hosts_p50: u64,
    /// See `hosts_p50`.
    pub hosts_p95: u64,
    /// See `hosts_p50`.
    pub hosts_p99: u64,
    /// See `hosts_p50`.
    pub hosts_max: u64,
    /// Mean used amounts.
    pub mean_used: [f64; 3],
    /// Peak used amounts.
    pub peak_used: [u64; 3],
    /// Waits in seconds: all together, mean, median, 99th percentile, longest.
    pub wait_total_s: f64,
    /// See `wait_total_s`.
    pub wait_mean_s: f64,
    /// See `wait_total_s`.
    pub wait_p50_s: f64,
    /// See `wait_total_s`.
    pub wait_p99_s: f64,
    /// See `wait_total_s`.
    pub wait_max_s: f64,
    /// How long displaced VMs had no host, on average and at most.
    pub displaced_mean_s: f64,
    /// See `displaced_mean_s`.
    pub displaced_max_s: f64,
    /// The time that was measured, in hours.
    pub hours: f64,
    /// The SHA-256 of all decisions, in order.
    pub decisions_sha256: String,
}

/// Rejections of one flavor, project and cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejectedFlavor {
    /// The flavor.
    pub flavor: String,
    /// What a VM of it requests.
    pub vcpus: u32,
    /// See `vcpus`.
    pub memory_mb: u32,
    /// The project.
    pub project: String,
    /// What no host had enough of.
    pub short: String,
    /// The number of VMs.
    pub vms: u64,
    /// Their vCPU-hours.
    pub vcpu_hours: f64,
    /// When the first was rejected, in seconds after the first arrival.
    pub first_s: f64,
}

/// Rejections as they occur.
#[derive(Debug, Default)]
pub(crate) struct Rejections(BTreeMap<Cause, (u64, u128, Micros)>);

/// The flavor, the project, and what was short.
type Cause = (u32, CompactString, Option<usize>);

impl Rejections {
    pub(crate) fn add(
        &mut self,
        flavor: u32,
        project: CompactString,
        short: Option<usize>,
        vcpu_us: u128,
        now: Micros,
    ) {
        let (vms, us, _) = self.0.entry((flavor, project, short)).or_insert((0, 0, now));
        *vms += 1;
        *us += vcpu_us;
    }

    #[allow(clippy::cast_precision_loss)] // for people
    pub(crate) fn finish(self, flavors: &Flavors, start: Micros) -> Vec<RejectedFlavor> {
        let rows = self.0.into_iter().map(|((flavor, project, short), (vms, us, first))| {
            let (name, size) = &flavors.flavors[flavor as usize];
            RejectedFlavor {
                flavor: name.to_string(),
                vcpus: size.vcpus,
                memory_mb: size.memory_mb,
                project: project.to_string(),
                short: short.map_or(TOGETHER, |class| CLASSES[class]).to_owned(),
                vms,
                vcpu_hours: us as f64 / US_PER_HOUR,
                first_s: Micros(first.0 - start.0).as_secs_f64(),
            }
        });
        let mut rows: Vec<RejectedFlavor> = rows.collect();
        rows.sort_by(|a, b| b.vcpu_hours.total_cmp(&a.vcpu_hours));
        rows
    }
}

/// How long VMs waited.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    waits: Vec<u64>,
}

impl Waits {
    pub(crate) fn add(&mut self, wait: Micros) {
        self.waits.push(wait.0);
    }
}

impl RunResult {
    #[allow(clippy::cast_precision_loss)] // for people and ratios
    pub(crate) fn complete(
        &mut self,
        hosts: u64,
        measured: Measured,
        waits: &Waits,
        decisions_sha256: String,
        (asked_us, rejected_us): (u128, u128),
    ) {
        let seconds = |us: &u64| Micros(*us).as_secs_f64();
        let mut waited: Vec<f64> = waits.waits.iter().map(seconds).collect();
        waited.sort_by(f64::total_cmp);
        let total = Micros(waits.waits.iter().sum()).as_secs_f64();
        let mut displaced: Vec<f64> = self.displaced_us.iter().map(seconds).collect();
        displaced.sort_by(f64::total_cmp);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let [hosts_p50, hosts_p95, hosts_p99, hosts_max] = measured.busy;
        self.figures = Figures {
            hosts,
            capacity: measured.capacity,
            rejected_vms: self.rejected as f64 / self.vms.max(1) as f64,
            rejected_vcpu_hours: rejected_us as f64 / (asked_us as f64).max(1.0),
            asked_vcpu_hours: asked_us as f64 / US_PER_HOUR,
            mean_hosts: measured.mean_busy,
            hosts_p50,
            hosts_p95,
            hosts_p99,
            hosts_max,
            mean_used: measured.mean_used,
            peak_used: measured.peak_used,
            wait_total_s: total,
            wait_mean_s: total / waited.len().max(1) as f64,
            wait_p50_s: quantile(&waited, 0.5),
            wait_p99_s: quantile(&waited, 0.99),
            wait_max_s: waited.last().copied().unwrap_or(0.0),
            displaced_mean_s: mean(&displaced),
            displaced_max_s: displaced.last().copied().unwrap_or(0.0),
            hours: measured.measured_us as f64 / US_PER_HOUR,
            decisions_sha256,
        };
        self.points = measured.points;
    }

    /// Whether the run meets the service levels; without any, at most 0.1 % of the vCPU-hours may
    /// be rejected.
    #[must_use]
    pub fn meets(&self, levels: &ServiceLevels) -> bool {
        let figures = &self.figures;
        let none = levels.rejected_vcpu_hours.is_none()
            && levels.rejected_vms.is_none()
            && levels.wait_p99.is_none();
        let vcpu_hours = levels.rejected_vcpu_hours.or(none.then_some(ServiceLevels::DEFAULT_REJECTED));
        self.is_complete
            && vcpu_hours.is_none_or(|most| figures.rejected_vcpu_hours <= most)
            && levels.rejected_vms.is_none_or(|most| figures.rejected_vms <= most)
            && levels.wait_p99.is_none_or(|most| figures.wait_p99_s <= most.0.as_secs_f64())
            && levels.lost_vms.is_none_or(|most| self.lost + self.without_host <= most)
    }
}
