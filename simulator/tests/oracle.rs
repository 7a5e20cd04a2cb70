//! Compares the simulator with a naive one, on random small workloads with many ties.

mod naive;

use berth_scheduler::{Policy, Search};
use berth_simulator::{SimulationOptions, SimulationOutcome};
use berth_traces::{Micros, Resources, TraceHost, Vm};
use naive::{Ending, simulated};
use proptest::collection::vec;
use proptest::prelude::*;

fn capacity() -> impl Strategy<Value = Resources> {
    let disk = prop_oneof![1 => Just(0), 6 => 1..60_u32];
    (1..33_u32, 1..65_u32, disk).prop_map(|(vcpus, memory_mb, disk_gb)| Resources {
        vcpus,
        memory_mb,
        disk_gb,
    })
}

/// Hosts of one shape, so that nearly all ranks tie, or hosts of random shapes.
fn hosts() -> impl Strategy<Value = Vec<TraceHost>> {
    let uniform = (capacity(), 1..80_usize).prop_map(|(capacity, count)| vec![capacity; count]);
    prop_oneof![uniform, vec(capacity(), 0..120)].prop_map(|capacities| {
        let numbered = capacities.into_iter().enumerate();
        numbered.map(|(number, capacity)| TraceHost::new(number.to_string(), capacity)).collect()
    })
}

/// VMs that arrive 0 to 2 units apart and stay for 0 to 40 units or forever.
fn vms() -> impl Strategy<Value = Vec<Vm>> {
    let asked = prop_oneof![
        12 => (0..9_u32, 0..17_u32, 0..12_u32),
        1 => Just((40, 1, 1)),
        1 => Just((0, 0, 0)),
        1 => Just((u32::MAX, 0, 0)),
    ];
    let stay = prop_oneof![1 => Just(None), 1 => Just(Some(0)), 8 => (0..40_u64).prop_map(Some)];
    vec((0..3_u64, stay, asked), 0..400).prop_map(|plans| {
        let mut now = 0;
        let numbered = plans.into_iter().enumerate();
        numbered
            .map(|(number, (passes, stay, (vcpus, memory_mb, disk_gb)))| {
                now += passes;
                Vm {
                    id: number.to_string().into(),
                    arrival: Micros(now * 250_000),
                    departure: stay.map(|stay| Micros((now + stay) * 250_000)),
                    resources: Resources { vcpus, memory_mb, disk_gb },
                    flavor: "".into(),
                    batch: None,
                    demands: None,
                }
            })
            .collect()
    })
}

fn ending_of(outcome: &SimulationOutcome) -> Ending {
    let (totals, end) = (&outcome.totals, outcome.end());
    assert_eq!(totals.vms, totals.placed + totals.rejected);
    Ending {
        placed: totals.placed,
        rejected: totals.rejected,
        departed: totals.departed,
        used: end.used.amounts(),
        busy_hosts: end.busy_hosts,
        running_vms: end.running_vms,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_simulator_places_as_the_naive_one(hosts in hosts(), vms in vms()) {
        for policy in Policy::ALL {
            let (placements, ending) = naive::replay(&hosts, &vms, policy);
            for search in [Search::Ranked, Search::Exhaustive] {
                let (recorder, outcome) = simulated(&hosts, vms.clone(), SimulationOptions { policy, search });
                prop_assert_eq!(&recorder.placements, &placements, "{} {:?}", policy, search);
                prop_assert_eq!(ending_of(&outcome), ending, "{} {:?}", policy, search);
                prop_assert!(outcome.complete);
            }
        }
    }
}

fn host(number: u32, vcpus: u32) -> TraceHost {
    TraceHost::new(number.to_string(), Resources { vcpus, memory_mb: 64, disk_gb: 64 })
}

fn vm(number: u32, seconds: std::ops::Range<u64>, vcpus: u32) -> Vm {
    Vm {
        id: number.to_string().into(),
        arrival: Micros::from_secs(seconds.start),
        departure: Some(Micros::from_secs(seconds.end)),
        resources: Resources { vcpus, memory_mb: 1, disk_gb: 1 },
        flavor: "".into(),
        batch: None,
        demands: None,
    }
}

fn hosts_of(vms: Vec<Vm>, hosts: &[TraceHost]) -> Vec<Option<usize>> {
    simulated(hosts, vms, SimulationOptions::default()).0.placements
}

#[test]
fn capacity_released_at_a_moment_is_free_for_arrivals_of_that_moment() {
    let vms = vec![vm(0, 0..5, 4), vm(1, 4..9, 4), vm(2, 5..6, 4), vm(3, 5..6, 1)];
    assert_eq!(hosts_of(vms, &[host(0, 4)]), [Some(0), None, Some(0), None]);
}

#[test]
fn a_vm_that_leaves_on_arrival_frees_its_capacity_for_the_next() {
    let vms = vec![vm(0, 3..3, 4), vm(1, 3..3, 4), vm(2, 3..4, 4), vm(3, 3..4, 1)];
    assert_eq!(hosts_of(vms, &[host(0, 4)]), [Some(0), Some(0), Some(0), None]);
}

#[test]
fn equally_good_hosts_go_to_the_lowest_number() {
    let vms = (0..3).map(|number| vm(number, 0..9, 4)).collect();
    assert_eq!(hosts_of(vms, &[host(0, 8), host(1, 4), host(2, 4)]), [Some(1), Some(2), Some(0)]);
}

#[test]
fn a_vm_that_requests_nothing_arrives_and_leaves_like_any_other() {
    let nothing = Vm { resources: Resources::default(), ..vm(0, 0..1, 0) };
    let (recorder, outcome) =
        simulated(&[host(0, 4)], [nothing, vm(1, 2..3, 1)], SimulationOptions::default());
    assert_eq!(recorder.placements, [Some(0), Some(0)]);
    assert_eq!((outcome.totals.departed, outcome.end().running_vms), (1, 1));
}
