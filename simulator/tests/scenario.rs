//! Runs of scenarios whose results are known.

use std::io;

use berth_scheduler::{Policy, Search};
use berth_simulator::scenario::{
    CellPolicy, Deciding, Environment, Planner, Predictions, RunResult, ServiceLevels, Variant, VmSet,
    Workload, episodes, host_events, residents, run, variants,
};
use berth_simulator::{Observer, SimulationOptions, simulate};
use berth_traces::{Demands, Extent, Generator, HostShapes, Micros, Resources, TraceHost, Vm, reference};

const SECOND: u64 = 1_000_000;

fn vm(id: u64, span: (u64, u64), vcpus: u32, memory_gib: u32) -> Vm {
    Vm {
        id: id.to_string().into(),
        arrival: Micros(span.0 * SECOND),
        departure: Some(Micros(span.1 * SECOND)),
        resources: Resources { vcpus, memory_mb: memory_gib * 1024, disk_gb: 0 },
        flavor: format!("{vcpus}x{memory_gib}").into(),
        batch: None,
        demands: None,
    }
}

fn set(vms: Vec<Vm>) -> VmSet {
    VmSet::new(vms, &Workload::default())
}

fn hosts(text: &str) -> Vec<TraceHost> {
    text.parse::<HostShapes>().unwrap().hosts()
}

fn environment<'a>(set: &'a VmSet, hosts: &'a [TraceHost], deciding: &'a Deciding) -> Environment<'a> {
    Environment {
        set,
        hosts,
        deciding,
        predictions: &Predictions::None,
        events: &[],
        waits: None,
        probes: &[],
        warm_up: Micros(0),
        seed: 1,
        stop_above: None,
    }
}

fn ran(env: &Environment<'_>) -> RunResult {
    run(env, &env.set.draw(0, 0, 0), &|| true).unwrap()
}

struct Nothing;

impl Observer for Nothing {
    fn decided(&mut self, _: &Vm, _: Option<&TraceHost>) -> io::Result<()> {
        Ok(())
    }

    fn proceed(&mut self, _: u64, _: Micros) -> bool {
        true
    }
}

/// A scenario without anything special decides as a replay does, and measures the same.
#[test]
fn a_plain_scenario_is_a_replay() {
    for policy in [Policy::BestFit, Policy::FirstFit, Policy::WorstFit] {
        let reference = reference::set("mixed").unwrap();
        let hosts = reference.hosts();
        let replay = simulate(
            &hosts,
            reference.vms(),
            SimulationOptions { policy, search: Search::Ranked },
            &mut Nothing,
        )
        .unwrap();
        let set = set(reference.vms().map(Result::unwrap).collect());
        let deciding = Deciding::Policy(policy);
        let result = ran(&environment(&set, &hosts, &deciding));
        assert_eq!((result.placed, result.rejected), (replay.totals.placed, replay.totals.rejected));
        assert_eq!(result.figures.hosts_max, replay.peak_busy_hosts);
        assert_eq!(result.figures.peak_used, replay.peak_used.amounts());
        let by_flavor: u64 = result.rejections.iter().map(|rejected| rejected.vms).sum();
        assert_eq!(by_flavor, result.rejected);
    }
}

/// Two VMs fill the host; the third and everything behind it wait in order, and run for their whole
/// lifetimes.
#[test]
fn a_queue_is_served_in_order() {
    let vms = vec![
        vm(0, (0, 100), 2, 1),
        vm(1, (0, 300), 2, 1),
        vm(2, (10, 60), 4, 1), // needs the whole host: from 300 to 350
        vm(3, (20, 30), 1, 1), // would fit at 100, but waits behind it, until 350
        vm(4, (1000, 1001), 1, 1),
    ];
    let (set, hosts, deciding) = (set(vms), hosts("4x64:1"), Deciding::Policy(Policy::BestFit));
    let result = ran(&Environment { waits: Some(None), ..environment(&set, &hosts, &deciding) });
    assert_eq!((result.placed, result.rejected), (5, 0));
    assert_eq!(result.figures.wait_total_s, 290.0 + 330.0);
    assert_eq!(result.figures.wait_max_s, 330.0);
    // With a limit, the large VM gives up after 100 s, and frees the way for the small one.
    let limited =
        Environment { waits: Some(Some(Micros(100 * SECOND))), ..environment(&set, &hosts, &deciding) };
    let result = ran(&limited);
    assert_eq!((result.placed, result.rejected), (4, 1));
    assert_eq!(result.figures.wait_total_s, 90.0);
    // A VM that no host can ever hold does not block the queue.
    let giant = VmSet::new(vec![vm(0, (0, 1), 99, 1), vm(1, (0, 1), 1, 1)], &Workload::default());
    let result = ran(&Environment { waits: Some(None), ..environment(&giant, &hosts, &deciding) });
    assert_eq!((result.placed, result.rejected), (1, 1));
}

fn with_events(text: &str, vms: Vec<Vm>, hosts: &[TraceHost]) -> RunResult {
    let Variant { scenario, .. } = variants(text).unwrap().remove(0);
    let set = set(vms);
    let end = set.vms.last().unwrap().arrival;
    let events = host_events(&scenario.events, hosts, (set.start(), end), 1).unwrap();
    let deciding = Deciding::Policy(Policy::FirstFit);
    ran(&Environment { events: &events, ..environment(&set, hosts, &deciding) })
}

/// Host 0 fails with two VMs: one fits on host 1, the other waits until the repair.
#[test]
fn a_failure_displaces_vms() {
    let vms = vec![
        vm(0, (0, 5000), 2, 1),
        vm(1, (0, 5000), 2, 1),
        vm(2, (0, 5000), 2, 1),
        vm(3, (4000, 5000), 1, 1),
    ];
    let text = "[[events]]\naction = \"fail\"\nat = 1000\nlasts = 600\nhost = [\"0\"]\n";
    let result = with_events(text, vms, &hosts("4x64:2"));
    assert_eq!((result.displaced, result.recovered, result.lost, result.without_host), (2, 2, 0, 0));
    assert_eq!(result.figures.displaced_max_s, 600.0);
    assert_eq!(result.figures.displaced_mean_s, 300.0);
}

/// A VM whose lifetime ends while it has no host is lost.
#[test]
fn a_vm_without_a_host_until_its_end_is_lost() {
    let vms = vec![vm(0, (0, 1500), 4, 1), vm(1, (0, 5000), 4, 1), vm(2, (4000, 5000), 1, 1)];
    let text = "[[events]]\naction = \"fail\"\nat = 1000\nhost = [\"0\"]\n";
    let result = with_events(text, vms, &hosts("4x64:2"));
    assert_eq!((result.displaced, result.recovered, result.lost), (1, 0, 1));
    assert_eq!(result.rejected, 1, "the last VM fits nowhere: host 0 is gone and host 1 full");
}

/// A drained host keeps its VMs and takes no more, also not what departures free; an evacuated one
/// moves what fits.
#[test]
fn drains_and_evacuations() {
    let vms = || {
        vec![
            vm(0, (0, 500), 2, 1),
            vm(1, (0, 9000), 2, 1),
            vm(2, (600, 9000), 2, 1),
            vm(3, (700, 9000), 3, 1),
        ]
    };
    let text = "[[events]]\naction = \"drain\"\nat = 100\nhost = [\"0\"]\n";
    let result = with_events(text, vms(), &hosts("4x64:2"));
    assert_eq!((result.placed, result.rejected, result.displaced), (3, 1, 0));
    let text = "[[events]]\naction = \"evacuate\"\nat = 100\nhost = [\"0\"]\n";
    let result = with_events(text, vms(), &hosts("4x64:2"));
    assert_eq!((result.moved, result.stuck), (2, 0));
    let result = with_events(text, vms(), &hosts("4x64:1"));
    assert_eq!((result.moved, result.stuck, result.displaced), (0, 2, 0));
    let text = "[[events]]\naction = \"add\"\nat = 650\nhost = [\"1\"]\n";
    let result = with_events(text, vms(), &hosts("4x64:2"));
    assert_eq!(
        (result.placed, result.rejected),
        (4, 0),
        "at 600 host 0 has capacity again, at 700 host 1 exists"
    );
}

/// Small VMs go to a cell; one of more than 10 GiB takes half of its amounts from either cell of a
/// host.
#[test]
fn cells_split_large_vms() {
    let cell = |count: u32| TraceHost {
        numa_cells: 2,
        ..TraceHost::new(count.to_string(), Resources { vcpus: 80, memory_mb: 180 * 1024, disk_gb: 0 })
    };
    let fleet = [cell(0)];
    let place = |vms: Vec<Vm>, policy: CellPolicy| {
        let (set, deciding) = (set(vms), Deciding::Cells(policy, 10 * 1024));
        let result = ran(&environment(&set, &fleet, &deciding));
        (result.placed, result.rejected)
    };
    // 32 + 8 vCPU in each cell; then neither cell has a vCPU left.
    let vms = vec![vm(0, (0, 9), 64, 128), vm(1, (0, 9), 8, 8), vm(2, (0, 9), 8, 8), vm(3, (0, 9), 1, 1)];
    assert_eq!(place(vms, CellPolicy::First), (3, 1));
    // First fit puts both small VMs into one cell, so the large one fits no more; balance has one
    // in each.
    let vms = || vec![vm(0, (0, 9), 20, 8), vm(1, (0, 9), 20, 8), vm(2, (0, 9), 40, 100)];
    assert_eq!(place(vms(), CellPolicy::First), (2, 1));
    assert_eq!(place(vms(), CellPolicy::Balance), (3, 0));
}

/// One episode by hand: first fit places two VMs before one does not fit, and one more belongs to
/// the episode.
#[test]
fn episodes_end_some_vms_after_first_fit_is_full() {
    let vms = vec![vm(0, (0, 100), 3, 1), vm(1, (1, 50), 1, 1), vm(2, (2, 10), 2, 1), vm(3, (3, 10), 4, 1)];
    let (set, hosts, deciding) = (set(vms), hosts("4x64:1"), Deciding::Policy(Policy::BestFit));
    let env = Environment { waits: Some(None), ..environment(&set, &hosts, &deciding) };
    let one = |beyond: u64| episodes(&env, &[0], beyond, 0.0, 1, &|| true).unwrap().waits_s[0];
    assert_eq!(one(0), 0);
    assert_eq!(one(1), 98, "VM 2 waits from 2 to 100");
    assert_eq!(one(2), 98 + 105, "VM 3 waits until VM 2 has run for 8 s");
    let both = episodes(&env, &[0, 3], 1, 0.0, 2, &|| true).unwrap();
    assert_eq!(both.waits_s, [98, 0]);
    assert!(episodes(&env, &[4], 1, 0.0, 1, &|| true).is_err());
}

/// Twenty draws of the whole workload, without waiting.
fn planner<'a>(
    set: &'a VmSet,
    shapes: &'a [(Resources, u32)],
    deciding: &'a Deciding,
    levels: &'a ServiceLevels,
    jobs: usize,
) -> Planner<'a> {
    Planner {
        set,
        shapes,
        deciding,
        predictions: &Predictions::None,
        levels,
        waits: None,
        warm_up: Micros(0),
        resamples: 20,
        seed: 1,
        jobs,
    }
}

/// The plan of a load that needs a known number of hosts, and the same plan on any number of
/// threads.
#[test]
fn a_plan_finds_the_known_number_of_hosts() {
    // 8 VMs of 2 vCPU at any time, for ten days: 4 hosts of 4 vCPU.
    let vms: Vec<Vm> = (0..2400).map(|n| vm(n, (n * 360, n * 360 + 8 * 360), 2, 1)).collect();
    let set = set(vms);
    let deciding = Deciding::Policy(Policy::BestFit);
    let levels = ServiceLevels { rejected_vcpu_hours: Some(0.0), ..ServiceLevels::default() };
    let shapes = [(Resources { vcpus: 4, memory_mb: 65_536, disk_gb: 0 }, 1)];
    let planner = |jobs: usize| planner(&set, &shapes, &deciding, &levels, jobs);
    let plan = planner(1).plan(&|_| true).unwrap().unwrap();
    assert_eq!((plan.hosts, plan.peak_bound), (4, 4));
    assert!((plan.mean_bound - 4.0).abs() < 0.05, "{}", plan.mean_bound);
    assert_eq!(planner(3).plan(&|_| true).unwrap().unwrap(), plan);
    assert_eq!(planner(1).plan(&|runs| runs < 3).unwrap(), None, "it ends when asked to");
}

/// Eight VMs of 2 vCPUs on hosts of 3 and of 5, each of which leaves a vCPU unused.
#[test]
fn a_plan_mixes_shapes_in_their_proportions() {
    let vms: Vec<Vm> = (0..2400).map(|n| vm(n, (n * 360, n * 360 + 8 * 360), 2, 1)).collect();
    let set = set(vms);
    let deciding = Deciding::Policy(Policy::BestFit);
    let levels = ServiceLevels { rejected_vcpu_hours: Some(0.0), ..ServiceLevels::default() };
    let host = |vcpus: u32| Resources { vcpus, memory_mb: 65_536, disk_gb: 0 };
    let plan_of = |shapes: &[(Resources, u32)]| {
        let planner = planner(&set, shapes, &deciding, &levels, 2);
        let plan = planner.plan(&|_| true).unwrap().unwrap();
        (plan.hosts, plan.peak_bound, planner.counts(plan.hosts))
    };
    // A small host holds one VM and a large one two: three of each hold nine, five hosts with two
    // large ones seven.
    assert_eq!(plan_of(&[(host(3), 1), (host(5), 1)]), (6, 4, vec![3, 3]));
    // Three small ones for each large one: five in each four hosts.
    assert_eq!(plan_of(&[(host(3), 3), (host(5), 1)]), (7, 5, vec![6, 1]));
}

/// Resampled runs are the same on every machine: the hash of their decisions is that of the first
/// time.
#[test]
fn runs_are_repeatable() {
    let vms: Vec<Vm> = Generator::azure_like(3, Extent::Vms(20_000)).trace().map(Result::unwrap).collect();
    let (set, hosts, deciding) = (set(vms), hosts("64x256:60"), Deciding::Policy(Policy::BestFit));
    let env = Environment { warm_up: Micros(3600 * SECOND), ..environment(&set, &hosts, &deciding) };
    let of = |draw: u32| run(&env, &set.draw(5, draw, 1), &|| true).unwrap().figures.decisions_sha256;
    assert_eq!(of(0), of(0));
    assert_ne!(of(0), of(1));
}

/// A fleet of two hosts: VMs of a snapshot fill the first beyond its capacity, because ratios were
/// lowered since, and leave one by one.
fn snapshot() -> (Vec<TraceHost>, VmSet) {
    let mut hosts = hosts("4x64:3");
    hosts[2].traits.push("COMPUTE_STATUS_DISABLED".into());
    let on = |id: u64, leaves: u64, host: &str| Vm {
        demands: Some(Box::new(Demands { host: host.into(), ..Demands::default() })),
        ..vm(id, (0, leaves), 2, 1)
    };
    let live = vec![on(100, 20, "0"), on(101, 40, "0"), on(102, 60, "0"), on(103, 1_000, "1")];
    let trace = vec![
        vm(0, (1_000, 1_100), 2, 1), // the second host has capacity for one
        vm(1, (1_010, 1_100), 2, 1), // the first still has all of its capacity in use, and two vCPUs more
        vm(2, (1_030, 1_100), 2, 1), // one left, but that capacity was not there
        vm(3, (1_045, 1_100), 2, 1), // a second left: two vCPUs are free
    ];
    let found = residents(live, &hosts, &trace, (false, 1)).unwrap();
    (hosts, set(trace).with_residents(found))
}

#[test]
fn vms_of_a_snapshot_are_on_their_hosts_when_a_run_begins() {
    for name in ["bestfit", "worstfit", "lifetime", "shape", "nova"] {
        let (hosts, set) = snapshot();
        let deciding = match name {
            "nova" => Deciding::Nova(Box::default()),
            name => Deciding::named(name, None).unwrap(),
        };
        let result = ran(&environment(&set, &hosts, &deciding));
        assert_eq!((result.vms, result.placed, result.rejected), (4, 2, 2), "{name}");
        assert_eq!(result.figures.hosts_max, 2, "{name}: the third is disabled");
        let first = &result.points[0];
        assert_eq!(
            (first.running, first.busy_hosts, first.used[0]),
            (5, 2, 10),
            "{name}: with the first that arrives"
        );
    }
}

/// A host that fails displaces the VMs of a snapshot, too.
#[test]
fn vms_of_a_snapshot_lose_their_host() {
    let (hosts, set) = snapshot();
    let text = "[[events]]\naction = \"fail\"\nhost = [\"1\"]\nat = 5\n";
    let Variant { scenario, .. } = variants(text).unwrap().remove(0);
    let times = (Micros(1_000 * SECOND), Micros(1_045 * SECOND));
    let events = host_events(&scenario.events, &hosts, times, 1).unwrap();
    let deciding = Deciding::Policy(Policy::BestFit);
    let result = ran(&Environment { events: &events, ..environment(&set, &hosts, &deciding) });
    assert_eq!(result.displaced, 2, "the resident, and the VM that joined it");
}

#[test]
fn cells_begin_empty() {
    let (hosts, set) = snapshot();
    let deciding = Deciding::named("first", Some(u32::MAX)).unwrap();
    let error = run(&environment(&set, &hosts, &deciding), &set.draw(0, 0, 0), &|| true).unwrap_err();
    assert!(
        error.to_string().contains("fleet.snapshot: VM 100: policies on GPUs and on NUMA cells"),
        "{error}"
    );
}
