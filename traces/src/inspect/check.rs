//! Rows of a trace that cannot be right, and what a planner has to know before trusting a result.

use std::collections::BTreeMap;

use compact_str::CompactString;

use super::load::{Load, load};
use crate::{Micros, Resources, TraceHost, Vm};

/// The number of VMs named in a finding.
const EXAMPLES: usize = 3;
/// No host has more.
const MOST_VCPUS: u32 = 4096;
const MOST_MEMORY_MB: u32 = 64 << 20;
/// Longer lifetimes are times in another unit.
const LONGEST: u64 = 20 * 365 * 86_400 * Micros::PER_SECOND;

/// Something about a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable name, for scripts.
    pub name: &'static str,
    /// Whether rows cannot be right; otherwise it is something to know.
    pub is_wrong: bool,
    /// The number of VMs.
    pub vms: u64,
    /// The first of them.
    pub examples: Vec<CompactString>,
    /// What it means, in a sentence.
    pub message: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The number of VMs.
    pub vms: u64,
    /// The findings, wrong rows first.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Whether rows cannot be right.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.is_wrong)
    }
}

/// Checks a trace, in order of arrival, and whether its VMs can ever fit a host of the fleet, if
/// there is one.
#[must_use]
pub fn check(vms: &[Vm], hosts: &[TraceHost]) -> Check {
    let mut found = Vec::new();
    found.extend(duplicates(vms));
    let wrong = |name, message: &str, is_so: fn(&Vm) -> bool| matching(vms, name, true, message, is_so);
    found.extend(wrong("no-id", "have no vm_id", |vm| vm.id.is_empty()));
    found.extend(wrong("no-vcpus", "request no vCPU", |vm| vm.resources.vcpus == 0));
    found.extend(wrong("no-memory", "request no memory", |vm| vm.resources.memory_mb == 0));
    found.extend(wrong(
        "too-large",
        "request more vCPUs (4,096) or memory (64 TiB) than any host has",
        |vm| vm.resources.vcpus > MOST_VCPUS || vm.resources.memory_mb > MOST_MEMORY_MB,
    ));
    found.extend(wrong("too-long", "run for more than 20 years: their times may be in another unit", |vm| {
        vm.departure.is_some_and(|departure| departure.0 - vm.arrival.0 > LONGEST)
    }));
    found.extend(wrong("group-without-policy", "are in a group that has no policy", |vm| {
        vm.demands.as_deref().is_some_and(|d| !d.group.is_empty() && d.policy.is_empty())
    }));
    found.extend(never_fit(vms, hosts));
    let known = |name, message: &str, is_so: fn(&Vm) -> bool| matching(vms, name, false, message, is_so);
    found.extend(known(
        "instant",
        "leave when they arrive, so they hold nothing for longer than an instant",
        |vm| vm.departure == Some(vm.arrival),
    ));
    found.extend(known("open-ended", "have no departure: they run to the end", |vm| vm.departure.is_none()));
    found.extend(cold_start(vms));
    found.extend(gap(vms));
    Check { vms: vms.len() as u64, findings: found }
}

fn matching(
    vms: &[Vm],
    name: &'static str,
    is_wrong: bool,
    message: &str,
    is_so: fn(&Vm) -> bool,
) -> Option<Finding> {
    let found: Vec<&Vm> = vms.iter().filter(|vm| is_so(vm)).collect();
    finding(name, is_wrong, found.len(), found.iter().map(|vm| vm.id.clone()), message.to_owned())
}

fn finding(
    name: &'static str,
    is_wrong: bool,
    vms: usize,
    examples: impl Iterator<Item = CompactString>,
    message: String,
) -> Option<Finding> {
    let examples = examples.take(EXAMPLES).collect();
    (vms > 0).then_some(Finding { name, is_wrong, vms: vms as u64, examples, message })
}

fn duplicates(vms: &[Vm]) -> Option<Finding> {
    let mut ids: Vec<&CompactString> = vms.iter().map(|vm| &vm.id).collect();
    ids.sort_unstable();
    let again: Vec<_> =
        ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[1].clone()).collect();
    let count = again.len();
    let mut named = again;
    named.dedup();
    finding("duplicate-id", true, count, named.into_iter(), "have the vm_id of an earlier VM".to_owned())
}

/// VMs that fit no host of the fleet, even an empty one, by flavor.
fn never_fit(vms: &[Vm], hosts: &[TraceHost]) -> Vec<Finding> {
    if hosts.is_empty() {
        return Vec::new();
    }
    let mut shapes: Vec<Resources> = hosts.iter().map(|host| host.capacity).collect();
    shapes.sort_unstable();
    shapes.dedup();
    let fits = |asked: &Resources| {
        shapes.iter().any(|host| {
            asked.vcpus <= host.vcpus && asked.memory_mb <= host.memory_mb && asked.disk_gb <= host.disk_gb
        })
    };
    let mut flavors: BTreeMap<(Resources, &str), Vec<&CompactString>> = BTreeMap::new();
    for vm in vms.iter().filter(|vm| !fits(&vm.resources)) {
        flavors.entry((vm.resources, &vm.flavor)).or_default().push(&vm.id);
    }
    let findings = flavors.into_iter().filter_map(|((asked, flavor), ids)| {
        let Resources { vcpus, memory_mb, disk_gb } = asked;
        let flavor = if flavor.is_empty() { String::new() } else { format!("of flavor {flavor:?} ") };
        let message = format!(
            "{flavor}({vcpus} vCPU, {memory_mb} MiB, {disk_gb} GB) fit no host, not even an empty one"
        );
        finding("never-fits", true, ids.len(), ids.into_iter().cloned(), message)
    });
    findings.collect()
}

/// The share of the usual load from which on a trace counts as warm.
const WARM: f64 = 0.9;

/// Says how long the load rises from nothing, if it does: VMs that ran before the trace began are
/// missing then.
#[allow(clippy::cast_precision_loss)] // for people
fn cold_start(vms: &[Vm]) -> Option<Finding> {
    let Load { points, interval, .. } = load(vms);
    let mut later: Vec<u64> = points[points.len() / 2..].iter().map(|point| point[1]).collect();
    later.sort_unstable();
    let usual = *later.get(later.len() / 2)? as f64;
    let warm = points.iter().position(|point| point[1] as f64 >= WARM * usual)?;
    // A trace that is warm within a twenty-fifth of its time has nothing to cut off.
    if warm * 25 <= points.len() {
        return None;
    }
    let hours = warm as f64 * interval.as_secs_f64() / 3600.0;
    let until = Micros(vms.first()?.arrival.0 + interval.0 * warm as u64);
    let early = vms.partition_point(|vm| vm.arrival < until);
    let message = format!(
        "arrive while the load still rises from nothing to its usual {usual:.0} vCPUs, for {hours:.1} hours: VMs that ran before \
         the trace began are missing; set workload.warm_up to cut this off"
    );
    finding("cold-start", false, early, std::iter::empty(), message)
}

/// A tenth of the time without an arrival.
#[allow(clippy::cast_precision_loss)] // for people
fn gap(vms: &[Vm]) -> Option<Finding> {
    let span = vms.last()?.arrival.0 - vms.first()?.arrival.0;
    let longest = vms.windows(2).max_by_key(|pair| pair[1].arrival.0 - pair[0].arrival.0)?;
    let gap = longest[1].arrival.0 - longest[0].arrival.0;
    if vms.len() < 100 || gap < span / 10 {
        return None;
    }
    let hours = Micros(gap).as_secs_f64() / 3600.0;
    let message = format!("arrives after {hours:.1} hours without an arrival");
    finding("gap", false, 1, std::iter::once(longest[1].id.clone()), message)
}
