//! The ranked search names the hosts that the exhaustive pass puts first, whatever the fleet, the
//! options and the request.

use berth_placement::kernel::{CLASSES, NOT_ASKED, NOTHING};
use berth_placement::{HostFree, Row};
use berth_scheduler::HostMask;
use berth_scheduler::filters::{RequestState, Scene, Step, Survivors, run};
use berth_scheduler::hosts::{HostRecord, HostRow, HostTable, Undo};
use berth_scheduler::numa::{CellAllocation, NumaConsumer};
use berth_scheduler::ranked::Among;
use berth_scheduler::request_spec::RequestedFlavor;
use berth_scheduler::weighers::weigh;
use berth_scheduler::{AggregateRecord, FilterName, Options, RankedHosts, RankedRequest, RequestSpec};
use serde_json::{Value, json};
use uuid::Uuid;

const SECOND: i64 = 1_000_000;
const NOW: i64 = 1_780_272_000 * SECOND; // 2026-06-01

/// Hosts that each constraint removed.
type Removed = Vec<(Step, usize)>;

/// Numbers that look random (Knuth's linear congruential generator, upper bits).
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()].clone()
    }
}

fn instance(number: u64) -> Uuid {
    Uuid::from_u128(1 << 64 | u128::from(number))
}

fn host(number: usize, random: &mut Lcg) -> Value {
    let (vcpus, memory, disk) =
        random.pick(&[(32_u64, 131_072_u64, 2_000_u64), (64, 262_144, 4_000), (48, 196_608, 1_000)]);
    let taken = random.below(vcpus + 4);
    json!({
        "host": format!("host{number}"), "node": format!("node{number}"), "uuid": Uuid::from_u128(number as u128),
        "vcpus": vcpus, "vcpus_used": taken, "cpu_allocation_ratio": random.pick(&[1.0, 1.0, 4.0, 1.5]),
        "memory_mb": memory, "free_ram_mb": (memory * (vcpus + 4 - taken) / vcpus).cast_signed() - 512 * random.below(9).cast_signed(),
        "local_gb": disk, "free_disk_gb": disk.cast_signed() - 10 * taken.cast_signed(),
        "hypervisor_version": random.pick(&[6_002_000, 8_000_000, 8_000_000]),
        "hypervisor_type": "QEMU",
        "supported_instances": [[random.pick(&["x86_64", "x86_64", "x86_64", "aarch64"]), "kvm", "hvm"]],
        "stats": {
            "num_instances": random.below(20).to_string(),
            "io_workload": if random.one_in(4) { random.below(6) } else { 0 }.to_string(),
            "failed_builds": if random.one_in(40) { random.below(3) } else { 0 }.to_string(),
        },
        "pci_pools": if random.one_in(8) { json!([{"vendor_id": "8086", "product_id": "1", "count": random.below(4)}]) } else { Value::Null },
        "service": {"disabled": random.one_in(30), "forced_down": random.one_in(60),
                    "last_seen_up": if random.one_in(50) { "2026-05-31T23:00:00" } else { "2026-05-31T23:59:40" }},
        "instances": [{"uuid": instance(number as u64)}],
    })
}

fn request(hosts: usize, random: &mut Lcg) -> Value {
    let size = random.pick(&[1_u64, 1, 2, 4, 8]);
    let mut spec = json!({
        "flavor": {"vcpus": size, "memory_mb": size * random.pick(&[1_024, 2_048, 4_096]), "root_gb": 10 * size, "extra_specs": {}},
        "image": {"id": "image", "properties": {"hw_architecture": random.pick(&["x86_64", "x86_64", "aarch64"])}},
    });
    if random.one_in(4) {
        spec["flavor"]["extra_specs"] =
            json!({"capabilities:hypervisor_version": random.pick(&[">= 7000000", "s== 6002000", "< 1"])});
    }
    if random.one_in(4) {
        let policy = random.pick(&["anti-affinity", "affinity", "soft-affinity", "soft-anti-affinity"]);
        let members: Vec<Uuid> = (0..6).map(|_| instance(random.below(hosts as u64))).collect();
        let rules = if random.one_in(3) {
            json!({"max_server_per_host": random.pick(&["2", "x"])})
        } else {
            json!({})
        };
        spec["instance_group"] = json!({"policy": policy, "members": members, "hosts": [], "rules": rules});
    }
    if random.one_in(8) {
        spec["ignore_hosts"] = json!([format!("host{}", random.below(hosts as u64))]);
    }
    spec
}

fn options(random: &mut Lcg) -> Options {
    let mut options = Options::default();
    if random.one_in(3) {
        let weights = &mut options.filter_scheduler;
        let multiplier = |random: &mut Lcg| random.pick(&[0.0, 1.0, -1.0, 0.1, 3.5, 1e6]);
        weights.ram_weight_multiplier = multiplier(random);
        weights.cpu_weight_multiplier = multiplier(random);
        weights.disk_weight_multiplier = multiplier(random);
        weights.io_ops_weight_multiplier = multiplier(random);
        weights.num_instances_weight_multiplier = multiplier(random);
        weights.hypervisor_version_weight_multiplier = multiplier(random);
        weights.build_failure_weight_multiplier = multiplier(random);
    }
    if random.one_in(3) {
        let rotation = usize::try_from(random.below(13)).unwrap();
        options.filter_scheduler.weight_classes.rotate_left(rotation);
    }
    if random.one_in(4) {
        options
            .filter_scheduler
            .enabled_filters
            .extend([FilterName::IoOpsFilter, FilterName::NumInstancesFilter]);
    }
    options
}

/// Few different amounts, so that hosts often have just what is needed, or nothing at all.
fn free(random: &mut Lcg) -> HostFree {
    if random.one_in(10) { NOTHING } else { std::array::from_fn(|_| random.pick(&[-4, 0, 4, 8, 16, 64])) }
}

fn need(random: &mut Lcg) -> HostFree {
    std::array::from_fn(|_| random.pick(&[NOT_ASKED, 0, 1, 4, 5, 16]))
}

fn mask(hosts: usize, random: &mut Lcg) -> HostMask {
    let mut mask = HostMask::default();
    let outsiders = random.pick(&[1, 2, 5, 50]);
    (0..).map(HostRow).take(hosts).for_each(|row| mask.set(Row(row.0), !random.one_in(outsiders)));
    mask
}

fn has_capacity(free: HostFree, need: HostFree) -> bool {
    (0..CLASSES).all(|class| need[class] == NOT_ASKED || free[class] >= need[class])
}

struct World {
    options: Options,
    hosts: HostTable,
    ranked: RankedHosts,
    /// What is free of the host classes, by row.
    free: Vec<HostFree>,
    /// Hosts as they were before an instance came.
    arrived: Vec<(HostRow, Undo)>,
}

impl World {
    fn new(len: usize, random: &mut Lcg) -> Self {
        let records: Vec<HostRecord> =
            (0..len).map(|number| serde_json::from_value(host(number, random)).unwrap()).collect();
        let names = |zone: usize| {
            (0..len).filter(move |number| number % 4 == zone).map(|number| format!("host{number}"))
        };
        let mut aggregates: Vec<AggregateRecord> = (0..3)
            .map(|zone| AggregateRecord {
                id: zone as u64,
                hosts: names(zone).collect(),
                metadata: [("availability_zone".to_owned(), format!("az{zone}"))].into(),
                ..AggregateRecord::default()
            })
            .collect();
        if random.one_in(10) {
            aggregates[0].metadata.insert("ram_weight_multiplier".to_owned(), "2.0".to_owned());
        }
        let options = options(random);
        let hosts = HostTable::load(&records, &aggregates, &options.general, NOW).unwrap();
        let ranked = RankedHosts::new(&hosts, &options);
        let mut world = Self { options, hosts, ranked, free: vec![NOTHING; len], arrived: Vec::new() };
        (0..).map(HostRow).take(len).for_each(|row| world.set_free(row, free(random)));
        world
    }

    fn set_free(&mut self, row: HostRow, free: HostFree) {
        self.free[row.index()] = free;
        self.ranked.set_free(row, free);
    }

    /// The hosts that pass, best first, and how many each constraint removed; none if the request
    /// fails.
    fn exhaustive(
        &self,
        request: &RequestSpec,
        now: i64,
        among: &Among<'_>,
    ) -> Option<(Vec<HostRow>, Removed)> {
        let scene = Scene { hosts: &self.hosts, options: &self.options, request, now };
        let is_among = |row: &HostRow| {
            has_capacity(self.free[row.index()], among.need)
                && among.eligible.is_none_or(|mask| mask.contains(Row(row.0)))
        };
        let hosts = Survivors::ordered(self.hosts.rows().filter(is_among).collect());
        let outcome = run(&scene, hosts, 0, &mut RequestState::default()).ok()?;
        let weighed = weigh(&scene, &outcome.survivors.rows()).ok()?;
        Some((weighed.into_iter().map(|host| host.row).collect(), outcome.removed))
    }

    fn place(&mut self, row: HostRow, flavor: &RequestedFlavor) {
        let consumer =
            NumaConsumer { devices: &[], mapping: None, limits: None, allocation: CellAllocation::default() };
        let (undo, _) = self.hosts.consume(row, flavor, &mut None, &consumer);
        self.arrived.push((row, undo));
        self.ranked.follow(&self.hosts, &self.options, row);
    }

    /// The last instance leaves: an undo holds for the latest change only.
    fn remove(&mut self) {
        if let Some((row, undo)) = self.arrived.pop() {
            self.hosts.undo(undo);
            self.ranked.follow(&self.hosts, &self.options, row);
        }
    }
}

/// How many decisions the ranked search made. Every second step is about some of the hosts only.
fn compare(len: usize, steps: usize, random: &mut Lcg) -> usize {
    let mut world = World::new(len, random);
    let mut requests: Vec<(RequestSpec, Option<RankedRequest>)> = (0..6)
        .map(|_| {
            let spec: RequestSpec = serde_json::from_value(request(len, random)).unwrap();
            let scene = Scene { hosts: &world.hosts, options: &world.options, request: &spec, now: NOW };
            let ranked = RankedRequest::new(&scene);
            (spec, ranked)
        })
        .collect();
    let mut decided = 0;
    for step in 0..steps {
        let number = usize::try_from(random.below(6)).unwrap();
        let (spec, ranked) = &mut requests[number];
        let eligible = mask(len, random);
        let among = match random.below(4) {
            0 => Among {
                need: need(random),
                eligible: Some(&eligible),
                version: step as u64 + 1,
                accepts: None,
            },
            1 => Among { need: need(random), ..Among::default() },
            _ => Among::default(),
        };
        // In 45 seconds all services will have been silent for too long, and the clock may go back.
        let now = NOW + random.pick(&[0, 0, 0, 10, 45]) * SECOND;
        let (expected, removed) = world.exhaustive(spec, now, &among).unzip();
        if let Some(ranked) = ranked {
            let scene = Scene { hosts: &world.hosts, options: &world.options, request: spec, now };
            if let Ok(found) = world.ranked.removed_among(&among, &scene, ranked) {
                assert_eq!(Some(found), removed, "of {len}, step {step}: {spec:?}");
            }
            for most in [1, 3, 10_000] {
                let Ok(found) = world.ranked.best_among(among, &scene, ranked, most) else { continue };
                decided += 1;
                let expected: &Vec<HostRow> = expected.as_ref().expect("a request that fails is not ranked");
                assert_eq!(
                    found[..],
                    expected[..most.min(expected.len())],
                    "best {most} of {len}, step {step}: {spec:?}"
                );
            }
        }
        let row = HostRow(u32::try_from(random.below(len as u64)).unwrap());
        world.set_free(row, free(random));
        let best = expected.and_then(|rows| rows.first().copied());
        let flavor = requests[number].0.flavor.clone();
        match best {
            Some(row) if !random.one_in(3) => world.place(row, &flavor),
            _ => world.remove(),
        }
    }
    world.ranked.check(&world.hosts, &world.options).unwrap();
    decided
}

#[test]
fn small_fleets() {
    let mut random = Lcg(1);
    let decided: usize =
        (0..60).map(|_| compare(1 + usize::try_from(random.below(90)).unwrap(), 40, &mut random)).sum();
    assert!(decided > 2_000, "{decided}");
}

#[test]
fn large_fleets_with_a_ranking_for_each_class() {
    let mut random = Lcg(2);
    let decided: usize = (0..3).map(|_| compare(3_000, 60, &mut random)).sum();
    assert!(decided > 100, "{decided}");
}
