//! The published baseline for sharing GPUs on Alibaba's openb cluster (Weng et al., *Beware of
//! Fragmentation*, USENIX ATC 2023).
//!
//! Pods arrive in random order until they have asked for 130 % of all GPUs; none leaves. The
//! published orders are not known, so means of ten orders are compared within three standard
//! deviations. The published figures are reached only without the restriction of pods to models of
//! GPUs, with which a quarter of the cluster cannot be used.

use berth_simulator::scenario::{Deciding, Environment, Predictions, VmSet, Workload, run};
use berth_test_support::published_trace::published_trace;
use berth_traces::{Micros, Trace, neutral};

const ORDERS: u32 = 10;
const ASKED: f64 = 1.3;

/// The share of GPUs in use at the end, in per cent: mean of all orders.
fn allocated(set: &VmSet, hosts: &[berth_traces::TraceHost], policy: &str) -> f64 {
    let deciding = Deciding::named(policy, None).unwrap();
    let env = Environment {
        set,
        hosts,
        deciding: &deciding,
        predictions: &Predictions::None,
        events: &[],
        waits: None,
        probes: &[],
        warm_up: Micros(0),
        seed: 1,
        stop_above: None,
    };
    let of = |order| run(&env, &set.fill(hosts, ASKED, order, 1), &|| true).unwrap().gpus_used.unwrap();
    100.0 * (0..ORDERS).map(of).sum::<f64>() / f64::from(ORDERS)
}

#[test]
fn published_allocations_are_reached_and_exceeded() {
    let Some(directory) = published_trace("alibaba-openb-2023") else { return };
    let hosts = neutral::read_hosts(directory.join("hosts.csv.gz")).unwrap();
    let mut vms = Trace::open_sorted(directory.join("vms.csv.gz"), None).unwrap();
    vms.iter_mut().filter_map(|vm| vm.demands.as_mut()).for_each(|demands| demands.gpu_models.clear());
    let set = VmSet::new(vms, &Workload { fill: Some(ASKED), ..Workload::default() });
    let [best_fit, fgd, packing] =
        ["gpu-bestfit", "fgd", "gpu-packing"].map(|policy| allocated(&set, &hosts, policy));
    assert!((best_fit - 93.08).abs() <= 3.0 * 0.13, "{best_fit}");
    assert!((fgd - 95.39).abs() <= 3.0 * 0.08, "{fgd}");
    assert!(packing > fgd && packing > 95.39, "{packing} against {fgd}");
}
