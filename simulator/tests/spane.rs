//! The published baselines of SPANE (IEEE INFOCOM 2025): first fit and balance fit on hosts of two
//! NUMA cells, with a queue.
//!
//! The trace is not part of Berth: docs/traces.md describes where it is. Without it, the test is
//! skipped.

use berth_simulator::scenario::{CellPolicy, Deciding, Environment, Predictions, VmSet, Workload, episodes};
use berth_test_support::published_trace::published_trace;
use berth_traces::{HostShapes, Micros, Trace};

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
        let mut hosts = format!("80x180:{count}").parse::<HostShapes>().unwrap().hosts();
        hosts.iter_mut().for_each(|host| host.numa_cells = 2);
        for (policy, published) in [(CellPolicy::First, first), (CellPolicy::Balance, balance)] {
            let deciding = Deciding::Cells(policy, SPLIT_ABOVE_MIB);
            let env = Environment {
                set: &set,
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
            let result = episodes(&env, &starts, 40, 0.1, 2, &|| true).unwrap();
            assert_eq!(result.trimmed_mean_s, published, "{count} hosts, {policy:?}");
        }
    }
}
