//! VMs that are on hosts when a run begins, as a snapshot of a live fleet has them.

use std::collections::BTreeMap;

use berth_placement::{Allocation, Allocations, Consumer, Index, Timestamp};
use berth_traces::{Micros, Resources, TraceHost, Vm, rng};
use rand::Rng;

use crate::scenario::ScenarioError;
use crate::scenario::engine::row_of;
use crate::scenario::workload::VmSet;
use crate::simulation::{SimulationError, consumer_of};

/// A host that takes no further VMs has this trait, as in Placement.
pub(crate) const DISABLED: &str = "COMPUTE_STATUS_DISABLED";

/// A VM that is on a host when a run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// The VM. Its arrival and departure are relative to the beginning of the run.
    pub vm: Vm,
    /// The number of its host.
    pub host: u32,
}

/// The residents of a fleet: VMs with the name of their host.
///
/// A VM that has a departure leaves after its time from arrival to departure. Of the others, none
/// leaves if they `stay`; else each leaves as the VMs of `trace` do that are of its size and lived
/// longer than it has lived already (`age_s`, a column of its own; VMs of any size if there is none
/// of its own). That is drawn by the seed.
///
/// # Errors
/// A VM names no host, or one that is not in the fleet, or its age is not a number.
pub fn residents(
    vms: Vec<Vm>,
    hosts: &[TraceHost],
    trace: &[Vm],
    (stay, seed): (bool, u64),
) -> Result<Vec<Resident>, ScenarioError> {
    let rows: BTreeMap<&str, u32> = hosts.iter().map(|host| host.id.as_str()).zip(0..).collect();
    let lifetimes = Lifetimes::of(trace);
    let mut random = rng::stream(seed, "residents");
    let mut residents = Vec::with_capacity(vms.len());
    for mut vm in vms {
        let bad = |what: &str| ScenarioError::new(&format!("fleet.snapshot: VM {}: {what}", vm.id));
        let name = vm.demands.as_deref().map(|demands| demands.host.as_str()).unwrap_or_default();
        if name.is_empty() {
            return Err(bad("the column host is missing or empty"));
        }
        let host = *rows.get(name).ok_or_else(|| bad(&format!("there is no host {name:?}")))?;
        let age = age_of(&vm).ok_or_else(|| bad("age_s is not a number from 0 on"))?;
        // One number for each VM, so that a VM that has a departure changes nothing for the others.
        let drawn: f64 = random.random();
        let leaves = match vm.departure {
            Some(departure) => Some(departure.0.saturating_sub(vm.arrival.0)),
            None if stay => None,
            None => lifetimes.remaining(&vm.resources, age, drawn),
        };
        (vm.arrival, vm.departure) = (Micros(0), leaves.map(Micros));
        residents.push(Resident { vm, host });
    }
    Ok(residents)
}

/// How long the VM has lived; 0 if the file does not say.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
fn age_of(vm: &Vm) -> Option<u64> {
    let extra = vm.demands.as_deref().map(|demands| demands.extra.as_slice()).unwrap_or_default();
    let Some((_, text)) = extra.iter().find(|(name, _)| name == "age_s") else { return Some(0) };
    let seconds: f64 = text.parse().ok()?;
    (seconds >= 0.0).then_some((seconds * Micros::PER_SECOND as f64) as u64)
}

/// The lifetimes of a trace in microseconds, sorted; those that outlive it count as without end.
struct Lifetimes {
    of_size: BTreeMap<Resources, Vec<u64>>,
    all: Vec<u64>,
}

impl Lifetimes {
    fn of(trace: &[Vm]) -> Self {
        let mut of_size: BTreeMap<Resources, Vec<u64>> = BTreeMap::new();
        let mut all = Vec::with_capacity(trace.len());
        for vm in trace {
            let lived = vm.departure.map_or(u64::MAX, |departure| departure.0 - vm.arrival.0);
            of_size.entry(vm.resources).or_default().push(lived);
            all.push(lived);
        }
        of_size.values_mut().for_each(|lifetimes| lifetimes.sort_unstable());
        all.sort_unstable();
        Self { of_size, all }
    }

    /// What is left of a lifetime that is longer than the age; `drawn`, from 0 to 1, chooses one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a position
    fn remaining(&self, size: &Resources, age: u64, drawn: f64) -> Option<u64> {
        let longer = |lifetimes: &Vec<u64>| {
            let longer = &lifetimes[lifetimes.partition_point(|&lived| lived <= age)..];
            longer.get((drawn * longer.len() as f64) as usize).copied()
        };
        let lived = self.of_size.get(size).and_then(longer).or_else(|| longer(&self.all))?;
        (lived < u64::MAX).then(|| lived - age)
    }
}

/// Puts the residents of the set on their hosts, even where they exceed the capacity: ratios may
/// have been lowered since. What a host has no inventory of is not counted.
pub(crate) fn settle(index: &Index, set: &VmSet) -> Result<(), SimulationError> {
    for (job, (vm, host)) in (0_u64..).zip(set.residents()) {
        let row = row_of(host as usize);
        let held: Allocations = berth_placement::HOST_CLASSES
            .into_iter()
            .zip([vm.resources.vcpus, vm.resources.memory_mb, vm.resources.disk_gb])
            .filter(|&(class, amount)| amount > 0 && index.inventory(row, class).is_some())
            .map(|(class, amount)| Allocation { row, class, amount })
            .collect();
        let consumer = Consumer::new(held, None, 1, Timestamp(0));
        index.readmit(consumer_of(job), consumer).map_err(|error| SimulationError::Resident {
            vm: vm.id.to_string(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(id: &str, vcpus: u32, lives_s: Option<u64>, host: &str, age: &str) -> Vm {
        let demands = berth_traces::Demands {
            host: host.into(),
            extra: vec![("age_s".into(), age.into())],
            ..berth_traces::Demands::default()
        };
        Vm {
            id: id.into(),
            arrival: Micros::from_secs(50),
            departure: lives_s.map(|seconds| Micros::from_secs(50 + seconds)),
            resources: Resources { vcpus, memory_mb: 1, disk_gb: 0 },
            flavor: "".into(),
            batch: None,
            demands: Some(Box::new(demands)),
        }
    }

    fn hosts() -> Vec<TraceHost> {
        ["a", "b"].map(|name| TraceHost::new(name, Resources::default())).to_vec()
    }

    #[test]
    fn residents_live_on_as_the_vms_of_the_trace_that_became_as_old() {
        let trace = [10, 100, 1_000].map(|lives| vm("t", 1, Some(lives), "", "0"));
        let of = |age: &str, stay| {
            let one = vec![vm("r", 1, None, "b", age), vm("s", 2, Some(7), "a", age)];
            residents(one, &hosts(), &trace, (stay, 1)).unwrap()
        };
        let leaves = |residents: &[Resident]| residents[0].vm.departure.map(|at| at.0 / Micros::PER_SECOND);
        let found = of("150.5", false);
        assert_eq!((found[0].host, found[1].host), (1, 0));
        assert_eq!(found[0].vm.departure, Some(Micros(849_500_000)), "only one lived longer than 150.5 s");
        assert_eq!(found[1].vm.departure, Some(Micros::from_secs(7)), "it has a departure");
        assert_eq!(leaves(&of("150.5", true)), None);
        assert_eq!(leaves(&of("5000", false)), None, "it outlived all");
        assert!([10, 100, 1_000].contains(&leaves(&of("0", false)).unwrap()));
        // The trace has no other VM of this size, so any size counts.
        let other = residents(vec![vm("r", 9, None, "b", "500")], &hosts(), &trace, (false, 1)).unwrap();
        assert_eq!(leaves(&other), Some(500));
    }

    #[test]
    fn a_resident_needs_a_host() {
        for (host, age, words) in [
            ("", "0", "VM r: the column host is missing"),
            ("c", "0", "VM r: there is no host \"c\""),
            ("a", "old", "VM r: age_s is not a number"),
        ] {
            let error = residents(vec![vm("r", 1, None, host, age)], &hosts(), &[], (false, 1)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
