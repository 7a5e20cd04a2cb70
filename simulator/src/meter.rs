//! Measures the fleet from arrival and departure events alone, independently of the index.

use berth_traces::{HostShape, Micros, Resources, TraceHost};

use crate::outcome::{Sample, Share, SimulationOutcome, Totals};

/// The number of samples kept per run, enough for any chart. At twice as many, every other sample
/// is dropped.
const SAMPLES: usize = 512;
/// The initial distance between samples; it doubles whenever samples are dropped.
const FIRST_INTERVAL: Micros = Micros::from_secs(1);

/// The free capacity and VMs of one host.
#[derive(Clone, Copy)]
struct HostState {
    free: Resources,
    vms: u32,
}

/// Sums over the fleet at one moment.
#[derive(Clone, Copy, Default)]
struct Sums {
    running_vms: u64,
    busy_hosts: u64,
    busy_vcpus: u64,
    used: Share,
    stranded: Share,
}

/// Tracks arrivals and departures, and computes sums, means, peaks and samples.
pub(crate) struct Meter {
    host_states: Vec<HostState>,
    capacities: Vec<Resources>,
    capacity: Share,
    /// The smallest amounts that any VM requested so far. Free capacity below them is unusable for
    /// this trace.
    smallest: Resources,
    now: Micros,
    started: Option<Micros>,
    sums: Sums,
    totals: Totals,
    /// Used amount × microseconds.
    area: [u128; 3],
    peak: Share,
    peak_busy_hosts: u64,
    peak_running_vms: u64,
    samples: Vec<Sample>,
    interval: Micros,
}

impl Meter {
    pub(crate) fn new(hosts: &[TraceHost]) -> Self {
        let capacities: Vec<Resources> = hosts.iter().map(|host| host.capacity).collect();
        let mut capacity = Share::default();
        // A host whose disk never binds has none to report.
        let disk = |disk_gb: u32| if disk_gb == HostShape::UNLIMITED_DISK { 0 } else { disk_gb };
        capacities.iter().for_each(|host| capacity.add(&Resources { disk_gb: disk(host.disk_gb), ..*host }));
        Self {
            host_states: capacities.iter().map(|&free| HostState { free, vms: 0 }).collect(),
            capacities,
            capacity,
            smallest: Resources { vcpus: u32::MAX, memory_mb: u32::MAX, disk_gb: u32::MAX },
            now: Micros(0),
            started: None,
            sums: Sums::default(),
            totals: Totals::default(),
            area: [0; 3],
            peak: Share::default(),
            peak_busy_hosts: 0,
            peak_running_vms: 0,
            samples: Vec::with_capacity(2 * SAMPLES),
            interval: FIRST_INTERVAL,
        }
    }

    /// Advances the clock to `now`. Nothing has changed since the last event.
    #[inline]
    pub(crate) fn advance(&mut self, now: Micros) {
        if now == self.now && self.started.is_some() {
            return;
        }
        if self.started.is_none() {
            self.started = Some(now);
            self.now = now;
            return;
        }
        let passed = u128::from(now.0 - self.now.0);
        for (area, used) in self.area.iter_mut().zip(self.sums.used.amounts()) {
            *area += u128::from(used) * passed;
        }
        self.sample_until(now);
        self.now = now;
    }

    /// Records that a VM arrived and got the host, or none.
    #[inline]
    pub(crate) fn arrived(&mut self, asked: &Resources, host: Option<usize>) {
        self.lower_smallest(asked);
        self.totals.vms += 1;
        let Some(host) = host else {
            self.totals.rejected += 1;
            self.totals.rejected_amounts.add(asked);
            return;
        };
        self.totals.placed += 1;
        self.change(host, |host_state| {
            host_state.free.vcpus -= asked.vcpus;
            host_state.free.memory_mb -= asked.memory_mb;
            host_state.free.disk_gb -= asked.disk_gb;
            host_state.vms += 1;
        });
        self.sums.running_vms += 1;
        self.sums.used.add(asked);
        self.peak.raise(&self.sums.used);
        self.peak_busy_hosts = self.peak_busy_hosts.max(self.sums.busy_hosts);
        self.peak_running_vms = self.peak_running_vms.max(self.sums.running_vms);
    }

    /// Records that a VM left its host.
    #[inline]
    pub(crate) fn departed(&mut self, held: &Resources, host: usize) {
        self.totals.departed += 1;
        self.change(host, |host_state| {
            host_state.free.vcpus += held.vcpus;
            host_state.free.memory_mb += held.memory_mb;
            host_state.free.disk_gb += held.disk_gb;
            host_state.vms -= 1;
        });
        self.sums.running_vms -= 1;
        self.sums.used.subtract(held);
    }

    /// The free amounts of each host, for comparison with the index.
    pub(crate) fn free(&self) -> impl Iterator<Item = Resources> {
        self.host_states.iter().map(|host_state| host_state.free)
    }

    pub(crate) fn finish(mut self, policy: &str, complete: bool) -> SimulationOutcome {
        let started = self.started.unwrap_or_default();
        self.samples.push(self.sample_at(self.now));
        let duration = self.now.0 - started.0;
        let mean = self
            .area
            .map(|area| u64::try_from(area / u128::from(duration.max(1))).expect("at most capacity"));
        SimulationOutcome {
            policy: policy.to_owned(),
            complete,
            hosts: self.host_states.len() as u64,
            capacity: self.capacity,
            started_us: started.0,
            ended_us: self.now.0,
            totals: self.totals,
            mean_used: Share::of(mean),
            peak_used: self.peak,
            peak_busy_hosts: self.peak_busy_hosts,
            peak_running_vms: self.peak_running_vms,
            placements_sha256: None,
            samples: self.samples,
        }
    }

    #[inline]
    fn change(&mut self, host: usize, apply: impl FnOnce(&mut HostState)) {
        let host_state = &mut self.host_states[host];
        let before = *host_state;
        apply(host_state);
        let after = *host_state;
        self.count_stranded(before.free, after.free);
        if (before.vms == 0) != (after.vms == 0) {
            let vcpus = u64::from(self.capacities[host].vcpus);
            if after.vms > 0 {
                self.sums.busy_hosts += 1;
                self.sums.busy_vcpus += vcpus;
            } else {
                self.sums.busy_hosts -= 1;
                self.sums.busy_vcpus -= vcpus;
            }
        }
    }

    #[inline]
    fn count_stranded(&mut self, before: Resources, after: Resources) {
        self.sums.stranded.subtract(&stranded(before, &self.smallest));
        self.sums.stranded.add(&stranded(after, &self.smallest));
    }

    #[inline]
    fn lower_smallest(&mut self, asked: &Resources) {
        let known = self.smallest;
        let smallest = Resources {
            vcpus: known.vcpus.min(asked.vcpus),
            memory_mb: known.memory_mb.min(asked.memory_mb),
            disk_gb: known.disk_gb.min(asked.disk_gb),
        };
        if smallest != known {
            self.smallest = smallest;
            self.sums.stranded = Share::default();
            self.host_states
                .iter()
                .for_each(|host_state| self.sums.stranded.add(&stranded(host_state.free, &smallest)));
        }
    }

    /// Takes the samples that are due before `now`.
    fn sample_until(&mut self, now: Micros) {
        loop {
            let last = self.samples.last().map(|sample| sample.at_us);
            let Some(due) = last.map_or(Some(self.now.0), |last| last.checked_add(self.interval.0)) else {
                return;
            };
            if due >= now.0 {
                return;
            }
            self.samples.push(self.sample_at(Micros(due)));
            if self.samples.len() == 2 * SAMPLES {
                let mut number = 0;
                self.samples.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.interval.0 = self.interval.0.saturating_mul(2);
            }
        }
    }

    fn sample_at(&self, at: Micros) -> Sample {
        Sample {
            at_us: at.0,
            used: self.sums.used,
            stranded: self.sums.stranded,
            running_vms: self.sums.running_vms,
            busy_hosts: self.sums.busy_hosts,
            busy_vcpus: self.sums.busy_vcpus,
            placed: self.totals.placed,
            rejected: self.totals.rejected,
        }
    }
}

/// The free amounts of a host that no VM of the trace so far can use, because another class is
/// exhausted.
#[inline]
fn stranded(free: Resources, smallest: &Resources) -> Resources {
    let short =
        [free.vcpus < smallest.vcpus, free.memory_mb < smallest.memory_mb, free.disk_gb < smallest.disk_gb];
    Resources {
        vcpus: if short[1] || short[2] { free.vcpus } else { 0 },
        memory_mb: if short[0] || short[2] { free.memory_mb } else { 0 },
        disk_gb: if short[0] || short[1] { free.disk_gb } else { 0 },
    }
}
