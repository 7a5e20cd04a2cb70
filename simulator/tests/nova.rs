//! Replays by Nova's whole pipeline: what the fleet file and the trace say about zones, aggregates,
//! traits and batches.

use std::io;
use std::num::NonZeroU32;

use berth_placement::GroupPolicy;
use berth_scheduler::{FilterName, Preference, WeigherName};
use berth_scheduler::{Policy, Search};
use berth_simulator::scenario::{Deciding, Environment, Predictions, VmSet, Workload, run};
use berth_simulator::{NovaOptions, Observer, SimulationOptions, simulate, simulate_nova};
use berth_traces::{BatchNumber, Demands, Micros, Resources, TraceHost, Vm, reference};

#[derive(Default)]
struct Recorder(Vec<Option<String>>);

impl Observer for Recorder {
    fn decided(&mut self, _: &Vm, host: Option<&TraceHost>) -> io::Result<()> {
        self.0.push(host.map(|host| host.id.to_string()));
        Ok(())
    }

    fn proceed(&mut self, _: u64, _: Micros) -> bool {
        true
    }
}

fn host(id: &str, vcpus: u32) -> TraceHost {
    TraceHost::new(id, Resources { vcpus, memory_mb: 4096, disk_gb: 40 })
}

fn vm(second: u64, demands: Demands, batch: Option<u64>) -> Vm {
    Vm {
        id: second.to_string().into(),
        arrival: Micros::from_secs(second),
        departure: None,
        resources: Resources { vcpus: 1, memory_mb: 256, disk_gb: 1 },
        flavor: "f".into(),
        batch: batch.and_then(BatchNumber::new),
        demands: Some(Box::new(demands)),
    }
}

fn in_zone(zone: &str) -> Demands {
    Demands { zone: zone.into(), ..Demands::default() }
}

fn with_spec(key: &str, value: &str) -> Demands {
    Demands { extra_specs: vec![(key.into(), value.into())], ..Demands::default() }
}

/// The hosts that VMs get which arrive one after the other and stay.
fn hosts_of(hosts: &[TraceHost], demands: Vec<(Demands, Option<u64>)>, options: NovaOptions) -> Vec<String> {
    let vms = (0..).zip(demands).map(|(second, (demands, batch))| Ok(vm(second, demands, batch)));
    let mut recorder = Recorder::default();
    simulate_nova(hosts, vms, options, &mut recorder).expect("a sound run");
    recorder.0.into_iter().map(|host| host.unwrap_or_else(|| "none".to_owned())).collect()
}

fn options() -> NovaOptions {
    let mut options = NovaOptions::default();
    options.options.filter_scheduler.enabled_filters.push(FilterName::AggregateInstanceExtraSpecsFilter);
    options
}

#[test]
fn zones_aggregates_and_traits_narrow_the_hosts() {
    let hosts = [
        TraceHost { zone: "az1".into(), ..host("a", 8) },
        TraceHost { aggregates: vec![("ssd".into(), "true".into())], ..host("b", 8) },
        TraceHost { traits: vec!["CUSTOM_GOLD".into()], ..host("c", 8) },
    ];
    let ssd = "aggregate_instance_extra_specs:ssd";
    let demands = [
        in_zone("az1"),
        in_zone("az1"),
        with_spec(ssd, "true"),
        with_spec("trait:CUSTOM_GOLD", "required"),
        Demands { zone: "nova".into(), ..with_spec("trait:CUSTOM_GOLD", "forbidden") },
        in_zone("elsewhere"),
        Demands { zone: "az1".into(), ..with_spec(ssd, "true") },
    ];
    let demands = demands.map(|demands| (demands, None)).to_vec();
    assert_eq!(hosts_of(&hosts, demands, options()), ["a", "a", "b", "c", "b", "none", "none"]);
}

/// Nova spreads where a policy would pack; its options say so.
#[test]
fn weights_and_filters_come_from_the_options() {
    let hosts = [host("a", 8), host("b", 8)];
    let two = || vec![(Demands::default(), None), (Demands::default(), None)];
    assert_eq!(hosts_of(&hosts, two(), options()), ["a", "b"]);
    let mut packing = options();
    packing.options.filter_scheduler.cpu_weight_multiplier = -1.0;
    packing.options.filter_scheduler.ram_weight_multiplier = -1.0;
    packing.options.filter_scheduler.disk_weight_multiplier = -1.0;
    assert_eq!(hosts_of(&hosts, two(), packing), ["a", "a"]);
}

#[test]
fn a_batch_is_a_server_group() {
    let hosts = [host("a", 8), host("b", 8)];
    let three = || vec![(Demands::default(), Some(7)); 3];
    let with = |policy| NovaOptions { batch_policy: Some(policy), ..options() };
    let apart = with(GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::MIN });
    assert_eq!(hosts_of(&hosts, three(), apart), ["a", "b", "none"]);
    assert_eq!(hosts_of(&hosts, three(), with(GroupPolicy::Affinity)), ["a"; 3]);
    assert_eq!(hosts_of(&hosts, three(), with(GroupPolicy::SoftAffinity)), ["a"; 3]);
}

/// A group that the trace names has its own policy, whatever batches have.
#[test]
fn groups_of_the_trace_are_server_groups() {
    let hosts = [host("a", 8), host("b", 8)];
    let of = |group: &str, policy: &str| Demands {
        group: group.into(),
        policy: policy.into(),
        ..Demands::default()
    };
    let vms = |group: &str, policy: &str| vec![(of(group, policy), Some(7)); 3];
    assert_eq!(hosts_of(&hosts, vms("g", "anti-affinity"), options()), ["a", "b", "none"]);
    assert_eq!(hosts_of(&hosts, vms("g", "affinity"), options()), ["a"; 3]);
    let two_groups = [vms("g", "anti-affinity"), vms("h", "anti-affinity")].concat();
    assert_eq!(hosts_of(&hosts, two_groups, options()), ["a", "b", "none", "a", "b", "none"]);
    let batches = NovaOptions { batch_policy: Some(GroupPolicy::Affinity), ..options() };
    assert_eq!(hosts_of(&hosts, vms("g", "anti-affinity"), batches), ["a", "b", "none"]);
}

/// The objective is a choice: under a policy, the pipeline places as the decider does that looks at
/// amounts alone.
#[test]
fn a_policy_places_as_it_does_without_filters() {
    for (name, most) in [("tiny", 600), ("mixed", 3000)] {
        let set = reference::set(name).unwrap();
        let hosts = set.hosts();
        let vms = || set.vms().take(most);
        for policy in Policy::ALL {
            let (mut alone, mut piped) = (Recorder::default(), Recorder::default());
            let options = SimulationOptions { policy, search: Search::Ranked };
            simulate(&hosts, vms(), options, &mut alone).expect("a sound run");
            let options = NovaOptions { preference: Preference::Policy(policy), ..NovaOptions::default() };
            let outcome = simulate_nova(&hosts, vms(), options, &mut piped).expect("a sound run");
            assert_eq!(outcome.policy, policy.name());
            assert!(alone.0 == piped.0, "{name} {policy}");
            assert!(alone.0.iter().any(Option::is_none) || name == "mixed", "{name}: nothing was rejected");
        }
    }
}

/// VMs of one size: five every two hours that live for a day, and among every third five of them
/// 120 that live for a quarter of an hour. A few arrive while those end, for an end is observed
/// with the next decision.
fn bursts() -> VmSet {
    let mut vms = Vec::new();
    let mut add = |at: u64, lives: u64| {
        let (arrival, departure) = (Micros::from_secs(at), Some(Micros::from_secs(at + lives)));
        let id = vms.len().to_string().into();
        vms.push(Vm { id, arrival, departure, ..vm(0, Demands::default(), None) });
    };
    for period in 0..200 {
        let start = period * 7_200;
        if period % 3 == 0 {
            (0..125).for_each(|number| add(start + number, if number % 25 == 0 { 86_400 } else { 900 }));
            [950, 1_100, 1_300].into_iter().for_each(|after| add(start + after, 900));
        } else {
            (0..5).for_each(|number| add(start + number * 1_440, 86_400));
        }
    }
    VmSet::new(vms, &Workload::default())
}

/// The mean number of hosts in use, under weighers that pack, after ten days.
fn mean_hosts(set: &VmSet, weighs_lifetimes: bool, predictions: &Predictions) -> f64 {
    let mut nova = options();
    let weights = &mut nova.options.filter_scheduler;
    (weights.cpu_weight_multiplier, weights.ram_weight_multiplier) = (-1.0, -1.0);
    (weights.disk_weight_multiplier, weights.lifetime_weight_multiplier) = (0.0, 10.0);
    if weighs_lifetimes {
        weights.weight_classes.push(WeigherName::LifetimeWeigher);
    }
    let hosts: Vec<TraceHost> = (0..40).map(|number| host(&number.to_string(), 8)).collect();
    let env = Environment {
        set,
        hosts: &hosts,
        deciding: &Deciding::Nova(Box::new(nova)),
        predictions,
        events: &[],
        waits: None,
        probes: &[],
        warm_up: Micros::from_secs(10 * 86_400),
        seed: 1,
        stop_above: None,
    };
    let result = run(&env, &set.draw(0, 0, 0), &|| true).expect("a sound run");
    assert_eq!(result.rejected, 0);
    result.figures.mean_hosts
}

/// The service's weigher puts VMs together that end together; without predictions it has no say.
#[test]
fn lifetimes_are_a_weigher_of_the_pipeline() {
    let set = bursts();
    let without = mean_hosts(&set, false, &Predictions::None);
    assert_eq!(mean_hosts(&set, true, &Predictions::None), without);
    let with = mean_hosts(&set, true, &Predictions::Oracle(0.1));
    assert!(with < 0.97 * without, "{with} of {without}");
}
