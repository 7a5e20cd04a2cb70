//! What a trace is like: rates, lifetimes, shapes, peaks.

use std::collections::BTreeMap;

use compact_str::CompactString;

use super::load::{Load, load};
use crate::{BatchNumber, Micros, Resources, Vm};

/// The quantiles that a description has, in per cent.
pub const QUANTILES: [u32; 7] = [5, 25, 50, 75, 90, 99, 100];

/// The VMs of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The trace's name of it.
    pub flavor: CompactString,
    /// What each VM requests.
    pub resources: Resources,
    /// The number of VMs.
    pub vms: u64,
    /// Their vCPU-hours up to the end of the trace.
    pub vcpu_hours: f64,
}

/// What a trace is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The number of VMs.
    pub vms: u64,
    /// The first and the last arrival.
    pub span: (Micros, Micros),
    /// VMs arriving per hour: on average, and in the busiest hour (counted from the first arrival).
    pub arrivals_per_hour: (f64, u64),
    /// Arrivals in each hour.
    pub hourly: Vec<u64>,
    /// Lifetimes in seconds at [`QUANTILES`], of the VMs that leave.
    pub lifetimes: Option<[f64; QUANTILES.len()]>,
    /// VMs without a departure.
    pub open_ended: u64,
    /// vCPU-hours up to the last arrival.
    pub vcpu_hours: f64,
    /// Shapes, with most vCPU-hours first.
    pub shapes: Vec<Shape>,
    /// Batches (VMs that were started together), and the size of the largest.
    pub batches: (u64, u64),
    /// Projects, and server groups, that the trace names.
    pub projects: u64,
    /// See `projects`.
    pub groups: u64,
    /// GPUs that the VMs request, in thousandths.
    pub gpu_milli: u64,
    /// What runs over time.
    pub load: Load,
}

/// Describes a trace, in order of arrival; `None` if it has no VM.
#[must_use]
#[allow(clippy::cast_precision_loss)] // for people
pub fn describe(vms: &[Vm]) -> Option<Description> {
    let (first, last) = (vms.first()?.arrival, vms.last()?.arrival);
    let hours = ((last.0 - first.0) as f64 / 3.6e9).max(1.0);
    let mut hourly = vec![0_u64; usize::try_from((last.0 - first.0) / 3_600_000_000).unwrap_or(0) + 1];
    let mut shapes: BTreeMap<(&str, Resources), Shape> = BTreeMap::new();
    let mut batches: BTreeMap<BatchNumber, u64> = BTreeMap::new();
    let (mut projects, mut groups, mut gpu_milli) = (Vec::new(), Vec::new(), 0);
    let mut lifetimes = Vec::new();
    for vm in vms {
        hourly[usize::try_from((vm.arrival.0 - first.0) / 3_600_000_000).unwrap_or(0)] += 1;
        let until = vm.departure.unwrap_or(last).min(last).max(vm.arrival);
        let vcpu_hours = (until.0 - vm.arrival.0) as f64 / 3.6e9 * f64::from(vm.resources.vcpus);
        let shape = shapes.entry((&vm.flavor, vm.resources)).or_insert_with(|| Shape {
            flavor: vm.flavor.clone(),
            resources: vm.resources,
            vms: 0,
            vcpu_hours: 0.0,
        });
        shape.vms += 1;
        shape.vcpu_hours += vcpu_hours;
        lifetimes.extend(vm.departure.map(|departure| departure.0 - vm.arrival.0));
        vm.batch.iter().for_each(|batch| *batches.entry(*batch).or_default() += 1);
        if let Some(demands) = &vm.demands {
            projects.push(&demands.project);
            groups.push(&demands.group);
            let each = if demands.gpu_milli == 0 { 1000 } else { demands.gpu_milli };
            gpu_milli += u64::from(demands.gpus) * u64::from(each);
        }
    }
    lifetimes.sort_unstable();
    let quantile = |percent: u32| {
        let at = (lifetimes.len() * percent as usize).div_ceil(100).clamp(1, lifetimes.len());
        Micros(lifetimes[at - 1]).as_secs_f64()
    };
    let mut shapes: Vec<Shape> = shapes.into_values().collect();
    shapes.sort_by(|a, b| b.vcpu_hours.total_cmp(&a.vcpu_hours));
    let distinct = |mut texts: Vec<&CompactString>| {
        texts.sort_unstable();
        texts.dedup();
        texts.iter().filter(|text| !text.is_empty()).count() as u64
    };
    Some(Description {
        vms: vms.len() as u64,
        span: (first, last),
        arrivals_per_hour: (vms.len() as f64 / hours, hourly.iter().copied().max().unwrap_or(0)),
        hourly,
        lifetimes: (!lifetimes.is_empty()).then(|| QUANTILES.map(quantile)),
        open_ended: (vms.len() - lifetimes.len()) as u64,
        vcpu_hours: shapes.iter().map(|shape| shape.vcpu_hours).sum(),
        shapes,
        batches: (batches.len() as u64, batches.values().copied().max().unwrap_or(0)),
        projects: distinct(projects),
        groups: distinct(groups),
        gpu_milli,
        load: load(vms),
    })
}
