//! The load of a trace over time: VMs and amounts that would run on a fleet without limits.

use crate::{Micros, Vm};

/// The number of points of a [`Load`].
const POINTS: u64 = 240;

/// What runs over time, if every VM gets a host when it arrives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// The time of the first arrival.
    pub start: Micros,
    /// The time between two points.
    pub interval: Micros,
    /// At each point: VMs, vCPUs, memory in MiB, disk in GB.
    pub points: Vec<[u64; 4]>,
    /// The largest of each, at any moment.
    pub peak: [u64; 4],
    /// When the largest number of vCPUs ran.
    pub peak_at: Micros,
    /// The mean of each over time.
    pub mean: [f64; 4],
}

/// Computes the load from the first arrival to the last. At equal times, departures precede
/// arrivals.
#[must_use]
#[allow(clippy::cast_precision_loss)] // for people and charts
pub fn load(vms: &[Vm]) -> Load {
    let (Some(first), Some(last)) = (vms.first(), vms.last()) else { return Load::default() };
    let (start, end) = (first.arrival, last.arrival);
    // (time, 0 for a departure and 1 for an arrival, VM)
    let mut events: Vec<(u64, u8, usize)> = Vec::with_capacity(2 * vms.len());
    for (number, vm) in vms.iter().enumerate() {
        events.push((vm.arrival.0, 1, number));
        events.extend(
            vm.departure
                .filter(|at| *at <= end)
                .map(|at| (at.0, if at == vm.arrival { 2 } else { 0 }, number)),
        );
    }
    events.sort_unstable();
    let interval = ((end.0 - start.0) / POINTS).max(1);
    let mut load = Load { start, interval: Micros(interval), ..Load::default() };
    let (mut now, mut area, mut before) = ([0_u64; 4], [0_u128; 4], start.0);
    for (at, kind, number) in events {
        while start.0 + interval * load.points.len() as u64 <= at && at > before {
            load.points.push(now);
        }
        for (area, now) in area.iter_mut().zip(now) {
            *area += u128::from(now) * u128::from(at - before);
        }
        before = at;
        let r = vms[number].resources;
        let amounts = [1, r.vcpus.into(), r.memory_mb.into(), r.disk_gb.into()];
        for (now, amount) in now.iter_mut().zip(amounts) {
            if kind == 1 { *now += amount } else { *now -= amount }
        }
        if now[1] > load.peak[1] {
            load.peak_at = Micros(at);
        }
        for (peak, now) in load.peak.iter_mut().zip(now) {
            *peak = (*peak).max(now);
        }
    }
    load.points.push(now);
    let span = u128::from((end.0 - start.0).max(1));
    load.mean = area.map(|area| area as f64 / span as f64);
    load
}
