//! What recorded answers of Nova cannot show: reasons, filters and drivers of older releases, and
//! where Berth decides otherwise on purpose.

use berth_placement::ConsumerId;
use berth_scheduler::filters::{Reason, RequestState, Scene, Step, Survivors, explain, run};
use berth_scheduler::hosts::{HostRecord, HostRow, HostTable};
use berth_scheduler::options::Driver;
use berth_scheduler::select::{AllocationCandidate, Chooser, Claims, SelectError};
use berth_scheduler::{AggregateRecord, FilterName, Options, RequestSpec, SelectDestinations};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: i64 = 1_780_272_000_000_000;

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("reads")
}

/// Hosts `a`, `b`, … that differ as the values say.
fn table(differences: &[Value], aggregates: Value) -> HostTable {
    let records: Vec<HostRecord> =
        ('a'..).zip(differences).map(|(name, values)| record(name, values)).collect();
    let aggregates: Vec<AggregateRecord> = read(aggregates);
    HostTable::load(&records, &aggregates, &Options::default().general, NOW).expect("loads")
}

fn record(name: char, values: &Value) -> HostRecord {
    let mut host = json!({"host": name, "node": name, "uuid": Uuid::from_u128(u128::from(name)), "memory_mb": 4096, "free_ram_mb": 4096,
        "vcpus": 4, "local_gb": 100, "free_disk_gb": 100});
    for (key, value) in values.as_object().expect("a map") {
        host[key] = value.clone();
    }
    read(host)
}

fn options(filters: &[FilterName]) -> Options {
    let mut options = Options::default();
    options.filter_scheduler.enabled_filters = filters.to_vec();
    options
}

/// Hosts that pass, and why each of the others does not.
fn judge(hosts: &HostTable, options: &Options, request: Value) -> (Vec<u32>, Vec<String>) {
    let request: RequestSpec = read(request);
    let scene = Scene { hosts, options, request: &request, now: NOW };
    let mut state = RequestState::default();
    let outcome = run(&scene, Survivors::all(hosts), 0, &mut state).expect("judges");
    let reason = |row| explain(&scene, row, 0, &mut RequestState::default()).expect("judges");
    let reasons = hosts.rows().filter_map(reason).map(|(step, reason)| format!("{step}: {reason}"));
    (outcome.survivors.rows().iter().map(|row| row.0).collect(), reasons.collect())
}

#[test]
fn reasons_say_how_much() {
    let hosts = table(
        &[
            json!({"stats": {"num_instances": "50"}}),
            json!({"service": {"disabled": true, "disabled_reason": "broken fan"}}),
            json!({"service": {"last_seen_up": "2026-05-31T23:58:20"}}),
            json!({"hypervisor_type": "KVM"}),
            json!({}),
        ],
        json!([]),
    );
    let options = options(&[
        FilterName::ComputeFilter,
        FilterName::ComputeCapabilitiesFilter,
        FilterName::NumInstancesFilter,
    ]);
    let request =
        json!({"flavor": {"extra_specs": {"capabilities:hypervisor_type": "QEMU"}}, "ignore_hosts": ["E"]});
    let (passed, reasons) = judge(&hosts, &options, request);
    assert_eq!(passed, Vec::<u32>::new());
    assert_eq!(
        reasons,
        [
            "NumInstancesFilter: 50 instances, fewer than 50 are allowed",
            "ComputeFilter: the service is disabled: broken fan",
            "ComputeFilter: the service reported 100 s ago, 60 s are allowed",
            "ComputeCapabilitiesFilter: extra spec capabilities:hypervisor_type: asked 'QEMU', found 'KVM'",
            "ignore_hosts: the request ignores host e",
        ]
    );
}

#[test]
fn older_filters_count_capacity() {
    let hosts = table(
        &[
            json!({"free_ram_mb": 0, "ram_allocation_ratio": 1.5}),
            json!({"free_ram_mb": 0}),
            json!({"vcpus_used": 6, "cpu_allocation_ratio": 2.0}),
            json!({"vcpus_used": 7, "cpu_allocation_ratio": 2.0}),
            json!({"free_disk_gb": 5}),
            json!({"memory_mb": 1024, "ram_allocation_ratio": 16.0}),
            json!({"free_disk_gb": null}),
        ],
        json!([]),
    );
    let options = options(&[FilterName::RamFilter, FilterName::CoreFilter, FilterName::DiskFilter]);
    let request = json!({"flavor": {"vcpus": 2, "memory_mb": 2048, "root_gb": 5, "swap": 1}});
    let (passed, reasons) = judge(&hosts, &options, request);
    assert_eq!(passed, [0, 2]);
    assert_eq!(
        reasons,
        [
            "RamFilter: asked 2048 MiB of memory, 0 MiB are free",
            "CoreFilter: asked 2 vCPUs, 1 are free",
            "DiskFilter: asked 5121 MiB of disk, 5120 MiB are free",
            "RamFilter: asked 2048 MiB of memory, 1024 MiB are free",
            "RamFilter: the host has never reported",
        ]
    );
}

#[test]
fn older_filters_follow_aggregates() {
    let hosts = table(
        &[json!({"free_ram_mb": 0}), json!({"vcpus_used": 4}), json!({"free_disk_gb": 0}), json!({})],
        json!([{"hosts": ["a", "b", "c"], "metadata": {"ram_allocation_ratio": "2.0", "cpu_allocation_ratio": "2",
            "disk_allocation_ratio": "1.1", "availability_zone": "az1"}}]),
    );
    let all =
        [FilterName::AggregateRamFilter, FilterName::AggregateCoreFilter, FilterName::AggregateDiskFilter];
    assert_eq!(judge(&hosts, &options(&all), json!({})).0, [0, 1, 2, 3]);
    let zones = options(&[FilterName::AvailabilityZoneFilter]);
    assert_eq!(judge(&hosts, &zones, json!({"availability_zone": "az1"})).0, [0, 1, 2]);
    let (passed, reasons) = judge(&hosts, &zones, json!({"availability_zone": "nova"}));
    assert_eq!(
        (passed, reasons[0].as_str()),
        (vec![3], "AvailabilityZoneFilter: asked zone nova, the host is in az1")
    );
}

#[test]
fn hosts_that_were_tried_are_left_out() {
    let hosts = table(&[json!({}), json!({"node": "a2"})], json!([]));
    let request = json!({"retry": {"num_attempts": 2, "hosts": [["a", "a"], ["b", "other"]]}});
    assert_eq!(judge(&hosts, &options(&[FilterName::RetryFilter]), request).0, [1]);
}

#[test]
fn novas_faults_are_not_repeated() {
    let info = json!({"maxphysaddr": {"bits": 40}});
    let hosts = table(
        &[
            json!({"free_disk_gb": null}),
            json!({"cpu_info": info, "supported_instances": [["x86_64", "kvm", "hvm"]]}),
            json!({"supported_instances": [["x86_64", "kvm", "hvm"]]}),
        ],
        json!([]),
    );
    let mut options = options(&[FilterName::ImagePropertiesFilter]);
    let image = json!({"properties": {"hw_architecture": "x86_64", "hw_maxphysaddr_bits": 46}});
    let (passed, reasons) = judge(&hosts, &options, json!({"image": image}));
    assert_eq!(passed, [2]);
    assert_eq!(
        reasons[1],
        "ImagePropertiesFilter: the image asks for 46 physical address bits, the host has 40"
    );
    options.filter_scheduler.enabled_filters = vec![FilterName::NUMATopologyFilter];
    assert_eq!(judge(&hosts, &options, json!({"image": null})).0, [0, 1, 2]);
    options.filter_scheduler.enabled_filters = Vec::new();
    let mut decision = Decider::new(hosts, options);
    assert_eq!(decision.chosen(&[1]), Ok(vec![1]), "a host that never reported weighs nothing");
}

/// Counts claims, grants those the predicate allows, and always draws the last.
struct Decider {
    hosts: HostTable,
    options: Options,
    grants: fn(ConsumerId, HostRow) -> bool,
    claims: Vec<(ConsumerId, u32)>,
    released: Vec<ConsumerId>,
}

struct Last;

impl Chooser for Last {
    fn choose(&mut self, len: usize) -> usize {
        len - 1
    }

    fn shuffle(&mut self, positions: &mut [usize]) {
        positions.reverse();
    }
}

impl Claims for Decider {
    fn claim(&mut self, instance: ConsumerId, row: HostRow, _: &AllocationCandidate) -> bool {
        self.claims.push((instance, row.0));
        (self.grants)(instance, row)
    }

    fn release(&mut self, instance: ConsumerId) {
        self.released.push(instance);
    }
}

impl Decider {
    fn new(hosts: HostTable, options: Options) -> Self {
        Self { hosts, options, grants: |_, _| true, claims: Vec::new(), released: Vec::new() }
    }

    /// The host of each instance. The table stays consumed.
    fn chosen(&mut self, instances: &[u128]) -> Result<Vec<u32>, SelectError> {
        let instances: Vec<ConsumerId> = instances.iter().copied().map(ConsumerId).collect();
        let mut state = RequestState::default();
        self.hosts.rows().for_each(|row| state.give(row, vec![AllocationCandidate::default()]));
        let options = self.options.clone();
        let what = SelectDestinations {
            options: &options,
            instances: &instances,
            return_alternates: true,
            now: NOW,
        };
        let mut hosts = std::mem::take(&mut self.hosts);
        let mut request = RequestSpec::default();
        let decision = what.decide(&mut hosts, &mut request, &mut state, self, &mut Last);
        self.hosts = hosts;
        decision.result.map(|selections| selections.iter().map(|row| row[0].row.0).collect())
    }
}

#[test]
fn a_failed_group_gives_everything_back() {
    let mut decider = Decider::new(table(&[json!({}), json!({})], json!([])), options(&[]));
    decider.grants = |instance, row| instance != ConsumerId(3) && row.0 == 1;
    let error = decider.chosen(&[1, 2, 3]).expect_err("the third finds none");
    assert_eq!(error, SelectError::NoValidHost { placed: 2, wanted: 3 });
    assert_eq!(error.to_string(), "No valid host was found. There are not enough hosts available.");
    assert_eq!(decider.released, [ConsumerId(1), ConsumerId(2)]);
    assert!(decider.claims.len() <= 2 * 3, "one claim for each host and instance at most");
}

#[test]
fn the_chance_scheduler_draws_among_hosts_that_are_up() {
    let hosts =
        table(&[json!({}), json!({"free_ram_mb": 0}), json!({"service": {"forced_down": true}})], json!([]));
    let mut decider = Decider::new(hosts, options(&[FilterName::RamFilter]));
    decider.options.scheduler.driver = Driver::ChanceScheduler;
    assert_eq!(decider.chosen(&[1]), Ok(vec![1]), "the last that is up, however full");
}

#[test]
fn what_is_not_undone_counts_for_the_next_request() {
    let hosts = table(&[json!({"free_ram_mb": 4000}), json!({"free_ram_mb": 3900})], json!([]));
    let mut decider = Decider::new(hosts, options(&[]));
    decider.options.scheduler.driver = Driver::CachingScheduler;
    assert_eq!((decider.chosen(&[1]), decider.chosen(&[2])), (Ok(vec![0]), Ok(vec![1])));
}

#[test]
fn errors_name_filter_and_extra_spec() {
    let hosts = table(&[json!({})], json!([]));
    let options = options(&[FilterName::ComputeCapabilitiesFilter]);
    let request: RequestSpec = read(json!({"flavor": {"extra_specs": {"vcpus_total": ">= many"}}}));
    let scene = Scene { hosts: &hosts, options: &options, request: &request, now: NOW };
    let failure =
        run(&scene, Survivors::all(&hosts), 0, &mut RequestState::default()).expect_err("not a number");
    assert_eq!(failure.step, Step::Filter(FilterName::ComputeCapabilitiesFilter));
    assert_eq!(
        failure.to_string(),
        "ComputeCapabilitiesFilter: extra spec vcpus_total: 'many' is not a number"
    );
    assert_eq!(Reason::ForcedDown.to_string(), "the service was forced down");
}

#[test]
fn bad_hosts_name_the_field() {
    let bad = [
        (json!({"stats": {"num_instances": "few"}}), "stats.num_instances"),
        (json!({"service": {"last_seen_up": "yesterday"}}), "service.last_seen_up"),
        (json!({"metrics": [{"name": "cpu.percent", "value": "x"}]}), "metrics.cpu.percent"),
    ];
    for (values, field) in bad {
        let error = HostTable::load(&[record('a', &values)], &[], &Options::default().general, NOW);
        assert_eq!(error.expect_err("bad").field, field);
    }
}
