//! The published baselines of SPANE (IEEE INFOCOM 2025): first fit and balance fit on hosts of two
//! NUMA cells, with a queue.
//!
//! The trace is not part of Berth: docs/traces.md describes where it is. Without it, that test is
//! skipped. Another one always runs: it compares all waits of a generated trace with those of a
//! naive simulation after the protocol's text.

use berth_simulator::scenario::{
    CellPolicy, Deciding, Environment, EpisodeResult, Predictions, VmSet, Workload, episodes,
};
use berth_test_support::published_trace::published_trace;
use berth_traces::{HostShapes, Micros, Resources, Trace, Vm, rng};
use rand::Rng;

/// The number of hosts, and the trimmed means of first fit and balance fit.
const PUBLISHED: [(u32, f64, f64); 8] = [
    (2, 53866.53875, 38610.82625),
    (3, 52483.255, 38832.1),
    (4, 44461.2425, 37829.27625),
    (5, 89822.5225, 86009.90875),
    (6, 67176.55, 62643.88),
    (7, 129369.66375, 118267.32125),
    (8, 182132.76875, 176528.5075),
    (9, 201328.98, 181041.9925),
];
const SPLIT_ABOVE_MIB: u32 = 10 * 1024;
/// VMs of an episode after those that first fit places.
const BEYOND: u64 = 40;

#[test]
fn all_published_means_are_reproduced() {
    let Some(directory) = published_trace("huawei-east-1-lt") else { return };
    let vms = Trace::open_sorted(directory.join("vms.csv.gz"), None).unwrap();
    let set = VmSet::new(vms, &Workload::default());
    let starts: Vec<usize> = std::fs::read_to_string(directory.join("episodes.txt"))
        .unwrap()
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    for (count, first, balance) in PUBLISHED {
        for (policy, published) in [(CellPolicy::First, first), (CellPolicy::Balance, balance)] {
            let result = simulated(&set, count, policy, &starts);
            assert_eq!(result.trimmed_mean_s, published, "{count} hosts, {policy:?}");
        }
    }
}

fn simulated(set: &VmSet, hosts: u32, policy: CellPolicy, starts: &[usize]) -> EpisodeResult {
    let mut hosts = format!("80x180:{hosts}").parse::<HostShapes>().unwrap().hosts();
    hosts.iter_mut().for_each(|host| host.numa_cells = 2);
    let deciding = Deciding::Cells(policy, SPLIT_ABOVE_MIB);
    let env = Environment {
        set,
        hosts: &hosts,
        deciding: &deciding,
        predictions: &Predictions::None,
        events: &[],
        waits: Some(None),
        probes: &[],
        warm_up: Micros(0),
        seed: 1,
        stop_above: None,
    };
    episodes(&env, starts, BEYOND, 0.1, 2, &|| true).unwrap()
}

/// A VM: arrival and lifetime in seconds, vCPUs, GiB.
type Row = (u64, u64, u64, u64);

/// Free amounts of the cells of each host, in half vCPUs and half GiB.
#[derive(Clone)]
struct Naive(Vec<[[u64; 2]; 2]>);

/// What a VM holds: its host, and its amounts in each cell.
type Held = (usize, [[u64; 2]; 2]);

impl Naive {
    const CELL: [u64; 2] = [2 * 40, 2 * 90];

    fn new(hosts: usize) -> Self {
        Self(vec![[Self::CELL; 2]; hosts])
    }

    fn fits(&self, (host, held): Held) -> bool {
        (0..4).all(|at| held[at / 2][at % 2] <= self.0[host][at / 2][at % 2])
    }

    fn left(cell: [u64; 2]) -> f64 {
        (0..2).map(|class| cell[class] as f64 / Self::CELL[class] as f64).fold(1.0, f64::min)
    }

    fn choose(&self, (_, _, vcpus, gib): Row, policy: CellPolicy) -> Option<Held> {
        let hosts = 0..self.0.len();
        if gib > 10 {
            return hosts.map(|host| (host, [[vcpus, gib]; 2])).find(|held| self.fits(*held));
        }
        let in_cell = |host: usize, cell: usize| {
            let mut held = [[0; 2]; 2];
            held[cell] = [2 * vcpus, 2 * gib];
            Some((host, held)).filter(|held| self.fits(*held))
        };
        let in_either = |host, first: usize| in_cell(host, first).or_else(|| in_cell(host, 1 - first));
        if policy == CellPolicy::First {
            return hosts.into_iter().find_map(|host| in_either(host, 0));
        }
        let mut best: Option<(f64, Held)> = None;
        for host in hosts {
            let [a, b] = self.0[host].map(Self::left);
            let held = in_either(host, usize::from(b > a));
            if let Some(held) = held.filter(|_| best.is_none_or(|(most, _)| (a - b).abs() > most)) {
                best = Some(((a - b).abs(), held));
            }
        }
        best.map(|(_, held)| held)
    }

    fn change(&mut self, (host, held): Held, change: fn(u64, u64) -> u64) {
        for at in 0..4 {
            let free = &mut self.0[host][at / 2][at % 2];
            *free = change(*free, held[at / 2][at % 2]);
        }
    }

    /// Returns what ended by this time.
    fn end(&mut self, running: &mut Vec<(u64, Held)>, now: u64) {
        running.retain(|(end, held)| {
            if *end <= now {
                self.change(*held, |free, held| free + held);
            }
            *end > now
        });
    }
}

/// The sum of waits of an episode. Each VM starts after the one before it, as soon as it fits.
fn naive_episode(rows: &[Row], hosts: usize, policy: CellPolicy) -> u64 {
    let (mut cells, mut running, mut placed) = (Naive::new(hosts), Vec::new(), 0);
    for row in rows {
        if cells.choose(*row, CellPolicy::First).is_none() {
            break;
        }
        cells.end(&mut running, row.0);
        let held = cells.choose(*row, CellPolicy::First).expect("it fitted before");
        cells.change(held, |free, held| free - held);
        running.push((row.0 + row.1, held));
        placed += 1;
    }
    let length = (placed + BEYOND as usize).min(rows.len());
    let (mut cells, mut running, mut now, mut waits) = (Naive::new(hosts), Vec::new(), 0, 0);
    for row in &rows[..length] {
        now = now.max(row.0);
        let held = loop {
            cells.end(&mut running, now);
            match cells.choose(*row, policy) {
                Some(held) => break held,
                None => now = running.iter().map(|(end, _)| *end).min().expect("an empty fleet has capacity"),
            }
        };
        cells.change(held, |free, held| free - held);
        running.push((now + row.1, held));
        waits += now - row.0;
    }
    waits
}

#[test]
fn all_waits_are_those_of_a_naive_simulation() {
    let mut random = rng::stream(1, "spane");
    let (mut rows, mut now) = (Vec::new(), 0);
    for _ in 0..4_000 {
        now += random.random_range(0..60);
        let vcpus = 1 << random.random_range(0..6);
        let gib = vcpus * [1, 2, 4][random.random_range(0..3)];
        rows.push((now, 1 << random.random_range(4..15), vcpus, gib.min(160)));
    }
    let vm = |(number, &(at, lives, vcpus, gib)): (usize, &Row)| Vm {
        id: number.to_string().into(),
        arrival: Micros::from_secs(at),
        departure: Some(Micros::from_secs(at + lives)),
        resources: Resources { vcpus: vcpus as u32, memory_mb: 1024 * gib as u32, disk_gb: 0 },
        flavor: "".into(),
        batch: None,
        demands: None,
    };
    let set = VmSet::new(rows.iter().enumerate().map(vm).collect(), &Workload::default());
    let starts: Vec<usize> = (0..30).map(|number| number * 100).collect();
    for hosts in 2..=5 {
        for policy in [CellPolicy::First, CellPolicy::Balance] {
            let naive: Vec<u64> =
                starts.iter().map(|&start| naive_episode(&rows[start..], hosts as usize, policy)).collect();
            assert!(naive.iter().filter(|waits| **waits > 0).count() > 20, "they wait: {naive:?}");
            assert_eq!(simulated(&set, hosts, policy, &starts).waits_s, naive, "{hosts} hosts, {policy:?}");
        }
    }
}
