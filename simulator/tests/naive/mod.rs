//! A simulator that checks every host for every VM; `simulate` must equal it.
//!
//! Written from the semantics of the reference workloads alone: events are ordered by time; at
//! equal times, departures precede arrivals, and arrivals keep their order; a VM that fits no host
//! is rejected for good; among equally good hosts, the lowest number wins.

use std::cmp::Reverse;

use berth_scheduler::Policy;
use berth_simulator::{Observer, SimulationOptions, SimulationOutcome, simulate};
use berth_traces::{Micros, Resources, TraceHost, Vm};

/// The host of every VM, `None` for a rejected one.
pub(crate) type Placements = Vec<Option<usize>>;

/// The final state of a naive run, right after the last arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) placed: u64,
    pub(crate) rejected: u64,
    pub(crate) departed: u64,
    pub(crate) used: [u64; 3],
    pub(crate) busy_hosts: u64,
    pub(crate) running_vms: u64,
}

struct Running {
    departure: Option<Micros>,
    host: usize,
    asked: Resources,
}

pub(crate) fn replay(hosts: &[TraceHost], vms: &[Vm], policy: Policy) -> (Placements, Ending) {
    let mut free: Vec<[i64; 3]> = hosts.iter().map(|host| amounts(&host.capacity)).collect();
    let mut running: Vec<Running> = Vec::new();
    let mut placements = Placements::new();
    let mut departed = 0;
    for vm in vms {
        let leaves = |vm_on: &Running, now| vm_on.departure.is_some_and(|departure| departure <= now);
        for gone in running.extract_if(.., |on| leaves(on, vm.arrival)) {
            departed += 1;
            give(&mut free[gone.host], &gone.asked, 1);
        }
        let host = best(&free, &amounts(&vm.resources), policy);
        if let Some(host) = host {
            give(&mut free[host], &vm.resources, -1);
            running.push(Running { departure: vm.departure, host, asked: vm.resources });
        }
        placements.push(host);
    }
    let placed = placements.iter().flatten().count() as u64;
    let used = |class: usize| running.iter().map(|on| amounts(&on.asked)[class].cast_unsigned()).sum();
    let mut busy: Vec<usize> = running.iter().map(|on| on.host).collect();
    busy.sort_unstable();
    busy.dedup();
    let ending = Ending {
        placed,
        rejected: vms.len() as u64 - placed,
        departed,
        used: [used(0), used(1), used(2)],
        busy_hosts: busy.len() as u64,
        running_vms: running.len() as u64,
    };
    (placements, ending)
}

fn amounts(resources: &Resources) -> [i64; 3] {
    [resources.vcpus.into(), resources.memory_mb.into(), resources.disk_gb.into()]
}

fn give(free: &mut [i64; 3], asked: &Resources, sign: i64) {
    free.iter_mut().zip(amounts(asked)).for_each(|(free, asked)| *free += sign * asked);
}

fn best(free: &[[i64; 3]], asked: &[i64; 3], policy: Policy) -> Option<usize> {
    let fits = |host: &usize| free[*host].iter().zip(asked).all(|(free, asked)| free >= asked);
    let fitting = (0..free.len()).filter(fits);
    let of = |host: usize, class: usize| free[host][class];
    match policy {
        Policy::BestFit => fitting.min_by_key(|&host| (of(host, 0), of(host, 1), host)),
        Policy::BestFitCpu => fitting.min_by_key(|&host| (of(host, 0), host)),
        Policy::FirstFit => fitting.min(),
        Policy::WorstFit => fitting.min_by_key(|&host| (Reverse((of(host, 0), of(host, 1))), host)),
    }
}

/// Records the decisions of `simulate`.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) csv: Vec<u8>,
    pub(crate) placements: Placements,
}

impl Observer for Recorder {
    fn decided(&mut self, vm: &Vm, host: Option<&TraceHost>) -> std::io::Result<()> {
        if self.csv.is_empty() {
            self.csv.extend_from_slice(b"vm_id,host_id\n");
        }
        let id = host.map_or("rejected", |host| &host.id);
        self.csv.extend_from_slice(format!("{},{id}\n", vm.id).as_bytes());
        self.placements.push(host.map(|host| host.id.parse().expect("hosts are numbered")));
        Ok(())
    }

    fn proceed(&mut self, _vms: u64, _now: Micros) -> bool {
        true
    }
}

/// Runs `simulate` on the VMs; returns its outcome and placements.
pub(crate) fn simulated(
    hosts: &[TraceHost],
    vms: impl IntoIterator<Item = Vm>,
    options: SimulationOptions,
) -> (Recorder, SimulationOutcome) {
    let mut recorder = Recorder::default();
    let outcome = simulate(hosts, vms.into_iter().map(Ok), options, &mut recorder).expect("a sound run");
    (recorder, outcome)
}
