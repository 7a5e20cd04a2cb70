//! A live service and the simulator decide alike: requests through `Schedule` get the hosts that a
//! replay of them gets.
//!
//! The service's consumers are no instances of its own: it knows them by their allocations only,
//! where the simulator knows every VM. The first version of this test found that the service
//! normalized weights over hosts that the server group's filter should have removed before.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::schedule_request::Size;
use berth_api::v1::server_group::Policy;
use berth_placement::GroupPolicy;
use berth_scheduler::{Options, Preference};
use berth_server::FleetOptions;
use berth_simulator::{NovaOptions, Observer, simulate_nova};
use berth_traces::{BatchNumber, Demands, Micros, Resources, Trace, TraceHost, Vm, decisions};
use sha2::{Digest, Sha256};
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

use crate::scripted_agent::{Machine, ScriptedAgent, tree};
use crate::service::{Cloud, reason, scheduler_options};

const HOSTS: u32 = 48;
/// The first VM of a batch comes with every so many requests.
const BATCHES: u64 = 40;
const BATCH: u64 = 3;

/// The fleet: a zone, an aggregate and a trait on some of its hosts each. All have the capacity of
/// [`tree`].
fn hosts() -> Vec<TraceHost> {
    let host = |number: u32| {
        let capacity = Resources { vcpus: 8, memory_mb: 8192, disk_gb: 100 };
        let mut host = TraceHost::new(format!("host-{number:03}"), capacity);
        if number.is_multiple_of(2) {
            host.zone = "east".into();
        }
        if number.is_multiple_of(3) {
            host.aggregates.push(("ssd".into(), "true".into()));
        }
        if number.is_multiple_of(5) {
            host.traits.push("CUSTOM_GOLD".into());
        }
        host
    };
    (0..HOSTS).map(host).collect()
}

/// A sequence of numbers that look random.
fn mixed(sequence: u64, salt: u64) -> u64 {
    let mut value = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 29).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 32
}

/// One request each second; VMs stay for a while, so that the fleet is nearly full and some are
/// refused.
fn vms(requests: u64) -> Vec<Vm> {
    let vm = |sequence: u64| {
        let pair = |key: &str, value: &str| (key.into(), value.into());
        let mut demands = Demands::default();
        match mixed(sequence, 1) % 8 {
            0 => demands.zone = "east".into(),
            1 => demands.zone = "nova".into(),
            2 => demands.extra_specs.push(pair("trait:CUSTOM_GOLD", "required")),
            3 => demands.extra_specs.push(pair("trait:CUSTOM_GOLD", "forbidden")),
            4 => demands.extra_specs.push(pair("aggregate_instance_extra_specs:ssd", "true")),
            _ => {}
        }
        let vcpus = 1 + (mixed(sequence, 2) % 4) as u32;
        Vm {
            id: sequence.to_string().into(),
            arrival: Micros::from_secs(sequence),
            departure: Some(Micros::from_secs(sequence + 1 + mixed(sequence, 3) % 300)),
            resources: Resources {
                vcpus,
                memory_mb: 512 + 512 * (mixed(sequence, 4) % 4) as u32,
                disk_gb: 0,
            },
            flavor: format!("f{vcpus}").into(),
            batch: (sequence % BATCHES < BATCH).then(|| BatchNumber::new(sequence / BATCHES)).flatten(),
            demands: Some(Box::new(demands)),
        }
    };
    (0..requests).map(vm).collect()
}

/// Requests and their hosts.
type Decisions = Vec<(u64, Option<String>)>;

struct Recorder(Decisions);

impl Observer for Recorder {
    fn decided(&mut self, vm: &Vm, host: Option<&TraceHost>) -> std::io::Result<()> {
        self.0.push((sequence_of(&vm.id), host.map(|host| host.id.to_string())));
        Ok(())
    }

    fn proceed(&mut self, _: u64, _: Micros) -> bool {
        true
    }
}

/// The options of service and simulator: the number of instances counts, so both have to know it.
fn options() -> Options {
    let mut options = scheduler_options();
    options.filter_scheduler.num_instances_weight_multiplier = -0.5;
    options
}

/// The decisions on these VMs; each batch is a group with the policy.
fn simulated(vms: Vec<Vm>, batch_policy: Option<GroupPolicy>) -> Decisions {
    let options = NovaOptions { options: options(), preference: Preference::Weighers, batch_policy, seed: 1 };
    let mut recorder = Recorder(Vec::new());
    simulate_nova(&hosts(), vms.into_iter().map(Ok), options, &mut recorder).expect("a sound run");
    recorder.0
}

/// The fleet of [`hosts`] as a service with agents.
async fn live(cloud: &mut Cloud) -> Vec<ScriptedAgent> {
    let hosts = hosts();
    for (name, key, value) in [("east", "availability_zone", "east"), ("fast", "ssd", "true")] {
        let metadata = [(key.to_owned(), value.to_owned())].into();
        let wanted = v1::CreateAggregateRequest { name: name.to_owned(), metadata };
        cloud.fleet.create_aggregate(wanted).await.unwrap();
    }
    let mut agents = Vec::new();
    for host in &hosts {
        let mut providers = tree(&host.id);
        providers.providers[0].traits = host.traits.iter().map(ToString::to_string).collect();
        let machine = Machine { providers: Some(providers), ..Machine::default() };
        let machine = Arc::new(Mutex::new(machine));
        agents.push(ScriptedAgent::join_with(cloud.channel.clone(), &host.id, machine).await);
    }
    for host in &hosts {
        cloud.until_host(&host.id, |found| found.is_up && !found.inventories.is_empty()).await;
    }
    let members = |is_member: &dyn Fn(&TraceHost) -> bool| {
        hosts.iter().filter(|host| is_member(host)).map(|host| host.id.to_string()).collect()
    };
    let (east, fast) = (members(&|host| !host.zone.is_empty()), members(&|host| !host.aggregates.is_empty()));
    for (name, add_hosts) in [("east", east), ("fast", fast)] {
        let wanted = v1::UpdateAggregateRequest {
            name: name.to_owned(),
            add_hosts,
            ..v1::UpdateAggregateRequest::default()
        };
        cloud.fleet.update_aggregate(wanted).await.unwrap();
    }
    agents
}

/// The consumer of a request, of those of one test.
fn consumer(test: u32, sequence: u64) -> String {
    Uuid::from_u128(0xc << 124 | u128::from(test) << 64 | u128::from(sequence)).to_string()
}

/// The request of a VM that is named by its number, or by its consumer.
fn sequence_of(id: &str) -> u64 {
    match Uuid::try_parse(id) {
        Ok(consumer) => consumer.as_u64_pair().1,
        Err(_) => id.parse().expect("a number"),
    }
}

fn request(consumer: String, vm: &Vm, group: Option<String>) -> v1::ScheduleRequest {
    let demands = vm.demands.as_deref().unwrap();
    let extra_specs = demands.extra_specs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let flavor = v1::Flavor {
        name: vm.flavor.to_string(),
        vcpus: vm.resources.vcpus,
        memory_mb: vm.resources.memory_mb,
        root_gb: vm.resources.disk_gb,
        extra_specs: extra_specs.collect(),
        ..v1::Flavor::default()
    };
    v1::ScheduleRequest {
        instances: vec![consumer],
        size: Some(Size::Flavor(flavor)),
        project: "p".to_owned(),
        availability_zone: demands.zone.to_string(),
        hints: group
            .into_iter()
            .map(|group| ("group".to_owned(), v1::Hints { values: vec![group] }))
            .collect(),
        ..v1::ScheduleRequest::default()
    }
}

async fn scheduled(cloud: &mut Cloud, requests: u64, policy: Policy, test: u32) -> Decisions {
    let mut placement = PlacementClient::new(cloud.channel.clone());
    let mut leaving: BTreeMap<Micros, Vec<u64>> = BTreeMap::new();
    let (mut decisions, mut current) = (Vec::new(), None);
    for (sequence, vm) in (0..).zip(vms(requests)) {
        let staying = leaving.split_off(&Micros(vm.arrival.0 + 1));
        for consumers in std::mem::replace(&mut leaving, staying).into_values() {
            let consumers = consumers.into_iter().map(|sequence| consumer(test, sequence)).collect();
            placement.release(v1::ReleaseRequest { consumers }).await.unwrap();
        }
        if let Some(batch) = vm.batch.map(BatchNumber::number)
            && current.as_ref().is_none_or(|(known, _)| *known != batch)
        {
            current = Some((batch, cloud.server_group(&format!("batch-{batch}"), "p", policy).await));
        }
        let group = vm.batch.and_then(|_| current.clone()).map(|(_, group)| group);
        let host = match cloud.scheduler.schedule(request(consumer(test, sequence), &vm, group)).await {
            Ok(found) => {
                leaving.entry(vm.departure.unwrap()).or_default().push(sequence);
                Some(found.into_inner().selections[0].place.clone().unwrap().host)
            }
            Err(refused) => {
                assert_eq!(reason(&refused), "NO_VALID_HOST", "{refused}");
                None
            }
        };
        decisions.push((sequence, host));
    }
    decisions
}

fn hash(decisions: &Decisions) -> String {
    let mut hash = Sha256::new();
    for (request, host) in decisions {
        hash.update(format!("{request},{}\n", host.as_deref().unwrap_or_default()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares the decisions of both; returns how many requests got a host.
async fn compare(requests: u64, policy: Policy, of_index: GroupPolicy) -> u64 {
    let mut cloud = Cloud::with(settings).await;
    let _agents = live(&mut cloud).await;
    let live = scheduled(&mut cloud, requests, policy, 0).await;
    same(&live, &simulated(vms(requests), Some(of_index)))
}

fn settings(fleet: &mut FleetOptions) {
    fleet.scheduler = options();
    // On a busy machine heartbeats come late: no host may go down for that.
    fleet.down_after = Duration::from_secs(3600);
}

/// Compares decisions; returns how many requests got a host.
fn same(live: &Decisions, replayed: &Decisions) -> u64 {
    let differs = live.iter().zip(replayed).position(|(live, replayed)| live != replayed);
    let around = differs.map(|at| &live[at - at % BATCHES as usize..=at]);
    let differs = differs.map(|at| (at, &live[at], &replayed[at]));
    assert_eq!(differs, None, "the first decision that differs; the live ones of its batch: {around:?}");
    assert_eq!((live.len(), hash(live)), (replayed.len(), hash(replayed)));
    live.iter().filter(|(_, host)| host.is_some()).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_service_and_the_simulator_choose_the_same_hosts() {
    let requests = 10_000;
    let policy = GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::MIN };
    let placed = compare(requests, Policy::AntiAffinity, policy).await;
    assert!((requests / 2..requests - 100).contains(&placed), "{placed} were placed");
}

/// Weighers count the members of a group on each host.
#[tokio::test(flavor = "multi_thread")]
async fn they_do_so_for_soft_server_groups() {
    compare(600, Policy::SoftAffinity, GroupPolicy::SoftAffinity).await;
    compare(600, Policy::SoftAntiAffinity, GroupPolicy::SoftAntiAffinity).await;
}

/// The log of this process's decisions, as `log_format = "json"` writes it.
fn decision_log() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let start = || {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let lines = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter("decisions=debug")
            .with_writer(Shared(Arc::clone(&log)));
        lines.init();
        log
    };
    Arc::clone(LOG.get_or_init(start))
}

/// A writer to what a test reads.
#[derive(Clone)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Shared {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What an operator does: the log of a service is a trace, with which the simulator decides alike.
/// Times are real here, so requests and releases have the order that they had in the service.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_service_replays_to_the_same_hosts() {
    let log = decision_log();
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at_of(&directory.path().join("data"), settings).await;
    let _agents = live(&mut cloud).await;
    let live = scheduled(&mut cloud, 2_000, Policy::AntiAffinity, 7).await;
    // Services of other tests log to the same file.
    let own = &consumer(7, 0)[..19];
    let lines = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let own: Vec<&str> = lines.lines().filter(|line| line.contains(own)).collect();
    let file = directory.path().join("log");
    std::fs::write(&file, own.join("\n")).unwrap();
    let vms = Trace::open_sorted(&file, None).unwrap();
    let recorded = |vm: &Vm| {
        let host = vm.demands.as_deref().unwrap().host.to_string();
        (sequence_of(&vm.id), (host != decisions::REJECTED).then_some(host))
    };
    same(&live, &vms.iter().map(recorded).collect());
    let placed = same(&live, &simulated(vms, None));
    assert!((1_000..1_990).contains(&placed), "{placed} were placed");
}
