//! What a run measures, from its events alone.

use std::collections::BTreeMap;

use berth_traces::{HostShape, Micros, Resources, TraceHost};

/// The number of points of a series.
const POINTS: u64 = 200;

/// Amounts of vCPUs, memory and disk.
pub(crate) type Amounts = [u64; 3];

/// The fleet at one moment.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Point {
    /// The time, in seconds after the first arrival.
    pub at_s: f64,
    /// vCPUs, memory (MiB) and disk (GB) in use.
    pub used: Amounts,
    /// Free amounts that no VM of the trace can use, because another amount of the host is
    /// exhausted.
    pub stranded: Amounts,
    /// Hosts with VMs.
    pub busy_hosts: u64,
    /// VMs running.
    pub running: u64,
    /// VMs rejected so far.
    pub rejected: u64,
    /// VMs waiting.
    pub waiting: u64,
    /// How many more of each probe would fit.
    pub slots: Vec<u64>,
    /// The most vCPUs that one host has free.
    pub largest_vcpus: u32,
    /// Hosts without VMs, and hosts by the share of their vCPUs in use: up to a tenth, up to two,
    /// and so on.
    #[serde(default)]
    pub by_fullness: Vec<u64>,
}

/// Hosts without VMs, and ten classes of those with VMs.
const FULLNESS: usize = 11;

pub(crate) struct Gauge {
    /// vCPUs of each host.
    vcpus: Vec<u32>,
    free: Vec<Resources>,
    vms: Vec<u32>,
    is_blocked: Vec<bool>,
    /// What VMs hold above a host's capacity, where they were on it before the run.
    excess: BTreeMap<usize, Resources>,
    capacity: Amounts,
    /// The smallest sizes that VMs of the trace request: what none of them fits is stranded.
    flavors: Vec<Resources>,
    probes: Vec<Resources>,
    pub(crate) used: Amounts,
    pub(crate) busy_hosts: u64,
    pub(crate) running: u64,
    pub(crate) rejected: u64,
    pub(crate) waiting: u64,
    start: Micros,
    /// When measuring begins.
    from: Micros,
    now: Micros,
    /// Time for which each number of hosts was in use.
    busy_time: Vec<u64>,
    area: [u128; 3],
    pub(crate) peak_used: Amounts,
    peak_busy: u64,
    interval: u64,
    points: Vec<Point>,
}

/// The means and peaks of a run.
pub(crate) struct Measured {
    pub(crate) capacity: Amounts,
    pub(crate) mean_used: [f64; 3],
    pub(crate) peak_used: Amounts,
    pub(crate) mean_busy: f64,
    /// Hosts in use, at most for half of the time, 95 % and 99 % of it, and at most.
    pub(crate) busy: [u64; 4],
    pub(crate) points: Vec<Point>,
    pub(crate) measured_us: u64,
}

impl Gauge {
    pub(crate) fn new(
        hosts: &[TraceHost],
        flavors: &[Resources],
        probes: &[Resources],
        (start, from, end): (Micros, Micros, Micros),
    ) -> Self {
        let free: Vec<Resources> = hosts.iter().map(|host| host.capacity).collect();
        let mut capacity = [0; 3];
        for host in &free {
            let disk = if host.disk_gb == HostShape::UNLIMITED_DISK { 0 } else { host.disk_gb };
            add(&mut capacity, &Resources { disk_gb: disk, ..*host });
        }
        let flavors = smallest(flavors);
        Self {
            vcpus: free.iter().map(|host| host.vcpus).collect(),
            vms: vec![0; free.len()],
            is_blocked: vec![false; free.len()],
            excess: BTreeMap::new(),
            busy_time: vec![0; free.len() + 1],
            free,
            capacity,
            flavors,
            probes: probes.to_vec(),
            used: [0; 3],
            busy_hosts: 0,
            running: 0,
            rejected: 0,
            waiting: 0,
            start,
            from,
            now: start,
            area: [0; 3],
            peak_used: [0; 3],
            peak_busy: 0,
            interval: ((end.0 - start.0) / POINTS).max(1),
            points: Vec::new(),
        }
    }

    /// Moves the clock. Nothing has changed since it was moved last.
    #[inline]
    pub(crate) fn advance(&mut self, now: Micros) {
        if now <= self.now {
            return;
        }
        while self.start.0 + self.interval * self.points.len() as u64 <= self.now.0 {
            let point = self.point();
            self.points.push(point);
        }
        let measured = now.0.saturating_sub(self.now.0.max(self.from.0));
        if measured > 0 {
            self.busy_time[usize::try_from(self.busy_hosts).unwrap_or(0)] += measured;
            for (area, used) in self.area.iter_mut().zip(self.used) {
                *area += u128::from(used) * u128::from(measured);
            }
        }
        self.now = now;
    }

    #[inline]
    pub(crate) fn placed(&mut self, host: usize, amounts: &Resources) {
        let free = &mut self.free[host];
        let above = minus(amounts, free);
        *free = minus(free, amounts);
        if above != Resources::default() {
            plus(self.excess.entry(host).or_default(), &above);
        }
        self.vms[host] += 1;
        self.busy_hosts += u64::from(self.vms[host] == 1);
        self.running += 1;
        add(&mut self.used, amounts);
        if self.now >= self.from {
            for (peak, used) in self.peak_used.iter_mut().zip(self.used) {
                *peak = (*peak).max(used);
            }
            self.peak_busy = self.peak_busy.max(self.busy_hosts);
        }
    }

    #[inline]
    pub(crate) fn removed(&mut self, host: usize, amounts: &Resources) {
        let mut returned = *amounts;
        if !self.excess.is_empty()
            && let Some(excess) = self.excess.get_mut(&host)
        {
            returned = minus(amounts, excess);
            *excess = minus(excess, amounts);
        }
        plus(&mut self.free[host], &returned);
        self.vms[host] -= 1;
        self.busy_hosts -= u64::from(self.vms[host] == 0);
        self.running -= 1;
        for (used, amount) in self.used.iter_mut().zip(array(amounts)) {
            *used -= amount;
        }
    }

    pub(crate) fn block(&mut self, host: usize, is_blocked: bool) {
        self.is_blocked[host] = is_blocked;
    }

    pub(crate) fn is_blocked(&self, host: usize) -> bool {
        self.is_blocked[host]
    }

    /// What no host has enough of; if every amount is somewhere, but not together, `None`.
    pub(crate) fn short_of(&self, asked: &Resources) -> Option<usize> {
        let hosts = || {
            self.free
                .iter()
                .zip(&self.is_blocked)
                .filter(|(_, is_blocked)| !**is_blocked)
                .map(|(free, _)| free)
        };
        let most = hosts().fold([0; 3], |most: Amounts, free| {
            let free = array(free);
            [most[0].max(free[0]), most[1].max(free[1]), most[2].max(free[2])]
        });
        let asked = array(asked);
        (0..3).find(|&class| most[class] < asked[class])
    }

    fn point(&self) -> Point {
        let free = || {
            self.free
                .iter()
                .zip(&self.is_blocked)
                .filter(|(_, is_blocked)| !**is_blocked)
                .map(|(free, _)| free)
        };
        let slots = |probe: &Resources| free().map(|free| slots_for(free, probe)).sum();
        let slots = self.probes.iter().map(slots);
        let mut stranded = [0; 3];
        for free in free() {
            let usable = self.flavors.iter().any(|flavor| slots_for(free, flavor) > 0);
            if !usable {
                let disk_gb = if free.disk_gb > HostShape::UNLIMITED_DISK / 2 { 0 } else { free.disk_gb };
                add(&mut stranded, &Resources { disk_gb, ..*free });
            }
        }
        Point {
            at_s: Micros(self.interval * self.points.len() as u64).as_secs_f64(),
            used: self.used,
            stranded,
            busy_hosts: self.busy_hosts,
            running: self.running,
            rejected: self.rejected,
            waiting: self.waiting,
            slots: slots.collect(),
            largest_vcpus: free().map(|free| free.vcpus).max().unwrap_or(0),
            by_fullness: self.by_fullness(),
        }
    }

    fn by_fullness(&self) -> Vec<u64> {
        let mut counts = vec![0; FULLNESS];
        for ((free, &all), &vms) in self.free.iter().zip(&self.vcpus).zip(&self.vms) {
            let used = u64::from(all.saturating_sub(free.vcpus));
            let tenth = (10 * used).div_ceil(u64::from(all.max(1))).clamp(1, 10);
            counts[if vms == 0 { 0 } else { usize::try_from(tenth).unwrap_or(1) }] += 1;
        }
        counts
    }

    #[allow(clippy::cast_precision_loss)] // for people and ratios
    pub(crate) fn finish(mut self) -> Measured {
        let point = self.point();
        self.points.push(point);
        let measured: u64 = self.busy_time.iter().sum();
        let whole = u128::from(measured.max(1));
        let busy_area: u128 =
            self.busy_time.iter().zip(0_u128..).map(|(&time, hosts)| u128::from(time) * hosts).sum();
        let quantile = |percent: u128| {
            let mut below = 0;
            let found = self.busy_time.iter().position(|&time| {
                below += u128::from(time);
                below * 100 >= whole * percent && below > 0
            });
            found.unwrap_or(0) as u64
        };
        Measured {
            capacity: self.capacity,
            mean_used: self.area.map(|area| area as f64 / whole as f64),
            peak_used: self.peak_used,
            mean_busy: busy_area as f64 / whole as f64,
            busy: [quantile(50), quantile(95), quantile(99), self.peak_busy],
            points: self.points,
            measured_us: measured,
        }
    }
}

/// The sizes that no other fits within: a host that some size fits has capacity for one of these,
/// too.
fn smallest(sizes: &[Resources]) -> Vec<Resources> {
    let fits_within = |a: &Resources, b: &Resources| array(a).into_iter().zip(array(b)).all(|(a, b)| a <= b);
    let mut all: Vec<Resources> =
        sizes.iter().copied().filter(|size| *size != Resources::default()).collect();
    all.sort_unstable();
    all.dedup();
    all.iter()
        .copied()
        .filter(|size| !all.iter().any(|other| other != size && fits_within(other, size)))
        .collect()
}

fn slots_for(free: &Resources, asked: &Resources) -> u64 {
    let [free, asked] = [array(free), array(asked)];
    (0..3).filter(|&class| asked[class] > 0).map(|class| free[class] / asked[class]).min().unwrap_or(0)
}

/// The difference, or 0 where the second is larger.
#[inline]
const fn minus(a: &Resources, b: &Resources) -> Resources {
    Resources {
        vcpus: a.vcpus.saturating_sub(b.vcpus),
        memory_mb: a.memory_mb.saturating_sub(b.memory_mb),
        disk_gb: a.disk_gb.saturating_sub(b.disk_gb),
    }
}

#[inline]
const fn plus(sum: &mut Resources, amounts: &Resources) {
    sum.vcpus += amounts.vcpus;
    sum.memory_mb += amounts.memory_mb;
    sum.disk_gb += amounts.disk_gb;
}

fn array(amounts: &Resources) -> Amounts {
    [amounts.vcpus.into(), amounts.memory_mb.into(), amounts.disk_gb.into()]
}

fn add(sum: &mut Amounts, amounts: &Resources) {
    for (sum, amount) in sum.iter_mut().zip(array(amounts)) {
        *sum += amount;
    }
}
