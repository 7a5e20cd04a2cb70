//! The arithmetic of the workloads. The order of draws and of operations is part of the definition.

use std::f64::consts::PI;

use compact_str::{CompactString, ToCompactString, format_compact};
use libm::{cos, exp, log, sin};

use super::ReferenceSet;
use super::mersenne::Mersenne;
use crate::{HostShapes, Micros, ReadProgress, Resources, TraceError, TraceHost, Vm};

/// vCPUs and their frequency.
const CORES: [(u32, f64); 6] = [(1, 0.44), (2, 0.30), (4, 0.18), (8, 0.055), (16, 0.02), (32, 0.005)];

/// Family, its frequency, memory per vCPU in MiB.
const FAMILIES: [(&str, f64, u32); 3] = [("c", 0.45, 2048), ("d", 0.40, 4096), ("e", 0.15, 8192)];

/// The smallest flavor has less memory than its family: 1.75 GiB.
const SMALLEST_MEMORY: u32 = 1792;

const MEDIAN_LIFETIME: f64 = 3600.0;
const SIGMA: f64 = 2.0;
/// The time in which the initial population arrives, in seconds.
const RAMP: f64 = 600.0;
const DAY: f64 = 86_400.0;

/// The flavors that fit the largest host, with their frequencies.
pub(super) struct Flavors {
    flavors: Vec<(f64, Resources, CompactString)>,
    /// The sum of the frequencies up to and including each flavor.
    cumulative: Vec<f64>,
    mean_vcpus: f64,
}

impl Flavors {
    /// Returns `None` when not even the smallest flavor fits.
    pub(super) fn that_fit(fleet: &HostShapes) -> Option<Self> {
        let most = |of: fn(&Resources) -> u32| fleet.shapes.iter().map(|s| of(&s.capacity)).max();
        let (most_vcpus, most_memory) = (most(|r| r.vcpus)?, most(|r| r.memory_mb)?);
        let mut flavors = Vec::with_capacity(CORES.len() * FAMILIES.len());
        for (vcpus, share) in CORES {
            for (family, family_share, memory_per_vcpu) in FAMILIES {
                let memory_mb = match (vcpus, family) {
                    (1, "c") => SMALLEST_MEMORY,
                    _ => vcpus * memory_per_vcpu,
                };
                if vcpus <= most_vcpus && memory_mb <= most_memory {
                    let resources = Resources { vcpus, memory_mb, disk_gb: 16 + 16 * vcpus };
                    flavors.push((share * family_share, resources, format_compact!("{family}{vcpus}")));
                }
            }
        }
        let sum = flavors.iter().fold(0.0, |sum, flavor| sum + flavor.0);
        for flavor in &mut flavors {
            flavor.0 /= sum;
        }
        let mut cumulative: Vec<f64> = flavors
            .iter()
            .scan(0.0, |sum, flavor| {
                *sum += flavor.0;
                Some(*sum)
            })
            .collect();
        *cumulative.last_mut()? = 1.0;
        let mean_vcpus = flavors.iter().fold(0.0, |sum, f| sum + f.0 * f64::from(f.1.vcpus));
        Some(Self { flavors, cumulative, mean_vcpus })
    }

    fn pick(&self, random: &mut Mersenne) -> &(f64, Resources, CompactString) {
        let draw = random.unit();
        &self.flavors[self.cumulative.partition_point(|&sum| sum <= draw)]
    }
}

/// The hosts. A uniform fleet draws no random number.
pub(super) fn shuffled_hosts(fleet: &HostShapes, random: &mut Mersenne) -> Vec<TraceHost> {
    let mut hosts = fleet.hosts();
    if fleet.shapes.len() > 1 {
        for i in (1..hosts.len()).rev() {
            let j = (random.unit() * (i + 1) as f64) as usize;
            let (a, b) = (hosts[i].capacity, hosts[j].capacity);
            (hosts[i].capacity, hosts[j].capacity) = (b, a);
        }
    }
    hosts
}

/// The number of VMs in the stationary state with which the workload starts.
pub(super) fn initial_population(fleet: &HostShapes, flavors: &Flavors, load: f64, vms: u64) -> u64 {
    let vcpus: u64 = fleet.shapes.iter().map(|s| u64::from(s.count) * u64::from(s.capacity.vcpus)).sum();
    ((load * vcpus as f64 / flavors.mean_vcpus) as u64).min(vms)
}

/// How many VMs' memory is returned to the system at a time: 1 MiB.
const RETURNED_TOGETHER: usize = 1 << 16;

/// The VMs of a set, with flavors drawn on demand.
pub(super) struct Vms {
    /// Of the VMs to come, the last one first: the memory of the others is returned.
    spans: Vec<(u64, u64)>,
    last_arrival: u64,
    flavors: Flavors,
    random: Mersenne,
    progress: ReadProgress,
    made: u64,
}

impl Vms {
    pub(super) fn new(set: &ReferenceSet, progress: ReadProgress) -> Self {
        let mut random = Mersenne::new(set.seed);
        // The same stream shuffles the hosts first.
        drop(shuffled_hosts(&set.fleet, &mut random));
        let flavors = Flavors::that_fit(&set.fleet).expect("a set has only flavors that fit");
        let mut spans = spans(set, &flavors, &mut random);
        let last_arrival = spans.last().map_or(0, |span| span.0);
        spans.reverse();
        Self { spans, last_arrival, flavors, random, progress, made: 0 }
    }
}

impl Iterator for Vms {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (arrival, departure) = self.spans.pop()?;
        if self.spans.len().is_multiple_of(RETURNED_TOGETHER) {
            self.spans.shrink_to_fit();
        }
        let (_, resources, flavor) = self.flavors.pick(&mut self.random);
        let id = self.made.to_compact_string();
        self.made += 1;
        self.progress.set(self.made);
        let millis = |time: u64| Micros(time.saturating_mul(1000));
        Some(Ok(Vm {
            id,
            arrival: millis(arrival),
            departure: (departure <= self.last_arrival).then(|| millis(departure)),
            resources: *resources,
            flavor: flavor.clone(),
            batch: None,
            demands: None,
        }))
    }
}

/// Arrival and departure of every VM in milliseconds, sorted.
fn spans(set: &ReferenceSet, flavors: &Flavors, random: &mut Mersenne) -> Vec<(u64, u64)> {
    let initial = initial_population(&set.fleet, flavors, set.load, set.vms);
    let mean_lifetime = MEDIAN_LIFETIME * exp(SIGMA * SIGMA / 2.0);
    let rate = initial as f64 / mean_lifetime;
    let mut spans = Vec::with_capacity(set.vms as usize);
    for _ in 0..initial {
        // The lifetime of a running VM is length-biased, and its start lies somewhere within it.
        let lifetime = MEDIAN_LIFETIME * exp(SIGMA * SIGMA + SIGMA * normal(random)) * random.unit();
        let arrival = random.unit() * RAMP;
        spans.push(span(arrival, lifetime, set.ties));
    }
    let mut clock = RAMP;
    while (spans.len() as u64) < set.vms {
        clock -= log(1.0 - random.unit()) / (rate * 1.2);
        if random.unit() * 1.2 <= 1.0 + 0.2 * sin(2.0 * PI * clock / DAY) {
            let lifetime = MEDIAN_LIFETIME * exp(SIGMA * normal(random));
            spans.push(span(clock, lifetime, set.ties));
        }
    }
    spans.sort_unstable();
    spans
}

/// The Box-Muller transform, using half of each pair.
fn normal(random: &mut Mersenne) -> f64 {
    let radius = (-2.0 * log(1.0 - random.unit())).sqrt();
    radius * cos(2.0 * PI * random.unit())
}

/// Converts seconds to milliseconds: arrivals even, departures odd; or all on whole seconds.
fn span(arrival: f64, lifetime: f64, ties: bool) -> (u64, u64) {
    let departure = arrival + lifetime.max(1.0);
    let (arrival, departure) = ((arrival * 500.0) as u64 * 2, (departure * 500.0) as u64 * 2 + 1);
    if !ties {
        return (arrival, departure);
    }
    let squeezed = |time: u64| time / 600_000 * 1000;
    (squeezed(arrival), squeezed(departure).max(squeezed(arrival) + 1000))
}
