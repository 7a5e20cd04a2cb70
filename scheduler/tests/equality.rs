//! The ranked search, the exhaustive search and a naive scan name the same host, always.

mod naive;

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_placement::{Allocation, ClassId, ConsumerId, HOST_CLASSES, Index, Inventory, Row, Units};
use berth_scheduler::{AmountEngine, PlaceError, Policy, Prepared, Request, Search};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use uuid::Uuid;

const TRAITS: [&str; 3] = ["HW_A", "HW_B", "HW_C"];
const CUSTOM: ClassId = ClassId(3);

/// The inventories of one host: of the host classes, then of the custom class.
type Shape = [Option<Inventory>; 4];

#[derive(Debug, Clone)]
struct HostPlan {
    shape: Shape,
    traits: Vec<usize>,
    aggregates: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Event {
    /// Places a VM with the decider of this number.
    Place {
        decider: usize,
        request: usize,
    },
    /// Claims resources on any host, as another decider would.
    Claim {
        host: usize,
        class: usize,
        amount: u32,
    },
    Release {
        vm: usize,
    },
    Resize {
        host: usize,
        class: usize,
        inventory: Option<Inventory>,
    },
    Relabel {
        host: usize,
        traits: Vec<usize>,
        aggregates: Vec<u8>,
    },
    Remove {
        host: usize,
    },
    Add(HostPlan),
}

fn inventory(total: std::ops::Range<u32>) -> impl Strategy<Value = Inventory> {
    let ratio = prop_oneof![3 => Just(1.0), 1 => Just(0.5), 1 => Just(1.5), 2 => Just(4.0)];
    let units = prop_oneof![
        4 => Just(None),
        1 => Just(Some((1, 1))),
        1 => Just(Some((2, 2))),
        1 => Just(Some((1, 4))),
    ];
    (total, 0..3_u32, ratio, units).prop_map(|(total, reserved, allocation_ratio, units)| Inventory {
        reserved: reserved.min(total),
        units: units.map_or(Inventory::of(total).units, |(unit, most)| Units {
            min_unit: unit,
            max_unit: (most * unit * 2).min(total.max(1)),
            step_size: unit,
        }),
        allocation_ratio,
        ..Inventory::of(total)
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        weighted(0.95, inventory(1..33)),
        weighted(0.97, inventory(1..65)),
        weighted(0.7, inventory(1..65)),
        weighted(0.3, inventory(1..9)),
    )
        .prop_map(|(vcpus, memory, disk, custom)| [vcpus, memory, disk, custom])
}

fn host_of(shape: impl Strategy<Value = Shape>) -> impl Strategy<Value = HostPlan> {
    let traits = prop_oneof![Just(vec![]), vec(0..TRAITS.len(), 1..3)];
    (shape, traits, vec(0..3_u8, 0..2)).prop_map(|(shape, traits, aggregates)| HostPlan {
        shape,
        traits,
        aggregates,
    })
}

/// Fleets of a few shapes, so that most ranks tie but for the row, and fleets where every host is
/// its own.
fn fleet() -> impl Strategy<Value = Vec<HostPlan>> {
    let few =
        vec(shape(), 1..4).prop_flat_map(|shapes| vec(host_of(proptest::sample::select(shapes)), 1..400));
    let many = vec(host_of(shape()), 1..400);
    prop_oneof![few, many]
}

fn request() -> impl Strategy<Value = Request> {
    let amounts = prop_oneof![
        10 => (0..9_u32, 0..17_u32, 0..17_u32).prop_map(|(vcpus, memory, disk)| [vcpus, memory, disk, 0]),
        3 => (0..5_u32, 0..9_u32, 1..5_u32).prop_map(|(vcpus, memory, custom)| [vcpus, memory, 0, custom]),
        1 => (1..5_u32).prop_map(|custom| [0, 0, 0, custom]),
        1 => Just([0; 4]),
        1 => Just([1, 1_000_000, 0, 0]),
        1 => Just([u32::MAX, 1, 0, 0]),
    ];
    let no_or = |strategy| prop_oneof![5 => Just(vec![]), 1 => strategy];
    let named = || {
        no_or(
            vec(prop_oneof![4 => proptest::sample::select(&TRAITS[..]), 1 => Just("NEVER_SEEN")], 1..3)
                .boxed(),
        )
    };
    let aggregates = || vec((0..4_u8).prop_map(aggregate), 1..3);
    let member_of = prop_oneof![5 => Just(vec![]), 1 => vec(aggregates(), 1..3)];
    let forbidden_aggregates = prop_oneof![5 => Just(vec![]), 1 => aggregates()];
    let twice = weighted(0.1, (0..4_usize, 1..5_u32)); // amounts of a class named twice add up
    (amounts, twice, named(), named(), member_of, forbidden_aggregates).prop_map(
        |(amounts, twice, required, forbidden, member_of, forbidden_aggregates)| Request {
            resources: classes()
                .into_iter()
                .zip(amounts)
                .chain(twice.map(|(class, amount)| (classes()[class], amount)))
                .collect(),
            required_traits: required.into_iter().map(str::to_owned).collect(),
            forbidden_traits: forbidden.into_iter().map(str::to_owned).collect(),
            member_of,
            forbidden_aggregates,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let any = any::<usize>;
    prop_oneof![
        10 => (any(), any()).prop_map(|(decider, request)| Event::Place { decider, request }),
        3 => (any(), 0..4_usize, 1..9_u32).prop_map(|(host, class, amount)| Event::Claim { host, class, amount }),
        5 => any().prop_map(|vm| Event::Release { vm }),
        3 => (any(), 0..4_usize, weighted(0.8, inventory(1..40)))
            .prop_map(|(host, class, inventory)| Event::Resize { host, class, inventory }),
        1 => (any(), vec(0..TRAITS.len(), 0..3), vec(0..3_u8, 0..3))
            .prop_map(|(host, traits, aggregates)| Event::Relabel { host, traits, aggregates }),
        1 => any().prop_map(|host| Event::Remove { host }),
        1 => host_of(shape()).prop_map(Event::Add),
    ]
}

fn classes() -> [ClassId; 4] {
    let [vcpus, memory, disk] = HOST_CLASSES;
    [vcpus, memory, disk, CUSTOM]
}

fn aggregate(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 7000)
}

/// A fleet with what happens to it.
struct World {
    index: Arc<Index>,
    hosts: Vec<Row>,
    vms: Vec<ConsumerId>,
    added: u32,
}

impl World {
    fn new(plans: &[HostPlan]) -> Self {
        let mut world =
            Self { index: Arc::new(Index::default()), hosts: Vec::new(), vms: Vec::new(), added: 0 };
        assert_eq!(world.index.write().resource_class("CUSTOM_THING"), Ok(CUSTOM));
        plans.iter().for_each(|plan| world.add(plan));
        world
    }

    fn add(&mut self, HostPlan { shape, traits, aggregates }: &HostPlan) {
        let mut writer = self.index.write();
        let (uuid, name) = (Uuid::from_u128(self.added.into()), format!("host {}", self.added));
        let row = writer.add_provider(uuid, &name, None).unwrap();
        for (class, inventory) in classes().into_iter().zip(shape) {
            writer.set_inventory(row, class, inventory.as_ref()).unwrap();
        }
        let traits: Vec<_> = traits.iter().map(|&number| writer.trait_named(TRAITS[number])).collect();
        writer.set_traits(row, &traits).unwrap();
        writer.set_aggregates(row, &aggregates.iter().map(|&a| aggregate(a)).collect::<Vec<_>>()).unwrap();
        drop(writer);
        self.hosts.push(row);
        self.added += 1;
    }

    fn host(&self, pick: usize) -> Option<Row> {
        (!self.hosts.is_empty()).then(|| self.hosts[pick % self.hosts.len()])
    }

    fn next_vm(&mut self) -> ConsumerId {
        let next = self.vms.last().map_or(0, |vm| vm.0 + 1);
        self.vms.push(ConsumerId(next));
        ConsumerId(next)
    }

    /// Whatever is not a decider's doing. What the index refuses does not happen.
    fn happen(&mut self, event: Event) {
        match event {
            Event::Place { .. } => {}
            Event::Claim { host, class, amount } => {
                let Some(row) = self.host(host) else { return };
                let allocation = Allocation { row, class: classes()[class], amount };
                let vm = self.next_vm();
                let _ = self.index.claim(vm, &[allocation]);
            }
            Event::Release { vm } => {
                if let Some(&vm) = self.vms.get(vm % self.vms.len().max(1)) {
                    let _ = self.index.release(vm);
                }
            }
            Event::Resize { host, class, inventory } => {
                let Some(row) = self.host(host) else { return };
                let _ = self.index.write().set_inventory(row, classes()[class], inventory.as_ref());
            }
            Event::Relabel { host, traits, aggregates } => {
                let Some(row) = self.host(host) else { return };
                let mut writer = self.index.write();
                let traits: Vec<_> = traits.into_iter().map(|t| writer.trait_named(TRAITS[t])).collect();
                writer.set_traits(row, &traits).unwrap();
                let aggregates: Vec<_> = aggregates.into_iter().map(aggregate).collect();
                writer.set_aggregates(row, &aggregates).unwrap();
            }
            Event::Remove { host } => {
                let Some(row) = self.host(host) else { return };
                if self.index.write().remove_provider(row).is_ok() {
                    self.hosts.retain(|&host| host != row);
                }
            }
            Event::Add(plan) => self.add(&plan),
        }
    }
}

/// A decider that prepares each request once, as the simulator and the server do.
struct Decider {
    policy: Policy,
    scheduler: AmountEngine,
    prepared: BTreeMap<usize, Prepared>,
}

impl Decider {
    fn new(index: &Arc<Index>, policy: Policy, search: Search) -> Self {
        let scheduler = AmountEngine::new(Arc::clone(index), policy, search);
        Self { policy, scheduler, prepared: BTreeMap::new() }
    }

    /// One for each policy and search.
    fn all(index: &Arc<Index>) -> Vec<Self> {
        let of = |search| Policy::ALL.map(|policy| Self::new(index, policy, search));
        [of(Search::Ranked), of(Search::Exhaustive)].into_iter().flatten().collect()
    }

    fn decide(&mut self, requests: &[Request], request: usize) -> Option<Row> {
        let Self { scheduler, prepared, .. } = self;
        let prepared =
            prepared.entry(request).or_insert_with(|| scheduler.prepare(requests[request].clone()));
        scheduler.decide(prepared).ok()
    }

    fn place(&mut self, requests: &[Request], request: usize, vm: ConsumerId) -> Option<Row> {
        self.decide(requests, request);
        match self.scheduler.place(vm, self.prepared.get_mut(&request).unwrap()) {
            Ok(row) => Some(row),
            Err(PlaceError::NoValidHost(_)) => None,
            Err(other) => panic!("nobody else is at work, but {other}"),
        }
    }
}

/// All deciders name the naive scan's host for the request, and are sound.
fn assert_all_agree(world: &World, deciders: &mut [Decider], requests: &[Request], request: usize) {
    for decider in deciders {
        let expected = naive::best(&world.index, &requests[request], decider.policy);
        let found = decider.decide(requests, request);
        assert_eq!(found, expected, "{} {:?}", decider.policy, requests[request]);
        assert_eq!(decider.scheduler.check(), Ok(()));
    }
}

fn place_as_expected(world: &mut World, decider: &mut Decider, requests: &[Request], request: usize) {
    let expected = naive::best(&world.index, &requests[request], decider.policy);
    let vm = world.next_vm();
    assert_eq!(decider.place(requests, request, vm), expected, "{} {:?}", decider.policy, requests[request]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every decider applies every event on its own and answers the same as the scan, after each.
    #[test]
    fn all_searches_name_the_same_host(
        plans in fleet(),
        requests in vec(request(), 1..6),
        events in vec(event(), 1..60),
    ) {
        let mut world = World::new(&plans);
        let mut deciders = Decider::all(&world.index);
        for (turn, event) in events.into_iter().enumerate() {
            if let Event::Place { decider, request } = event {
                let decider = decider % deciders.len();
                place_as_expected(&mut world, &mut deciders[decider], &requests, request % requests.len());
            }
            world.happen(event);
            assert_all_agree(&world, &mut deciders, &requests, turn % requests.len());
        }
        prop_assert_eq!(world.index.check(), Ok(()));
    }

    /// Deciders that look only when it is their turn: between two looks any number of things
    /// happened.
    #[test]
    fn deciders_on_one_index_take_turns(
        plans in fleet(),
        requests in vec(request(), 1..4),
        policies in vec(proptest::sample::select(&Policy::ALL[..]), 2..4),
        events in vec(event(), 1..120),
    ) {
        let mut world = World::new(&plans);
        let mut deciders: Vec<Decider> = policies
            .into_iter()
            .zip([Search::Ranked, Search::Exhaustive, Search::Ranked])
            .map(|(policy, search)| Decider::new(&world.index, policy, search))
            .collect();
        for event in events {
            if let Event::Place { decider, request } = event {
                let decider = decider % deciders.len();
                place_as_expected(&mut world, &mut deciders[decider], &requests, request % requests.len());
            }
            world.happen(event);
        }
        for decider in &mut deciders {
            prop_assert_eq!(decider.scheduler.check(), Ok(()));
        }
    }
}

/// A linear congruential generator.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

fn plain_fleet(hosts: u32, mut size: impl FnMut(u32) -> [u32; 3]) -> Arc<Index> {
    let index = Index::default();
    let mut writer = index.write();
    for host in 0..hosts {
        let row = writer.add_provider(Uuid::from_u128(host.into()), &format!("host {host}"), None).unwrap();
        for (class, total) in HOST_CLASSES.into_iter().zip(size(host)) {
            writer.set_inventory(row, class, Some(&Inventory::of(total))).unwrap();
        }
    }
    drop(writer);
    Arc::new(index)
}

/// Enough hosts for many groups of leaves; filling and emptying them splits and joins leaves and
/// groups.
#[test]
fn groups_of_hosts_split_and_join_soundly() {
    let mut random = Lcg(1);
    let index = plain_fleet(6000, |_| [1 + random.below(64), 1 + random.below(256), 1000]);
    let mut deciders = Decider::all(&index);
    let mut vm = 0;
    for filling in [true, false, true] {
        for turn in 0..12_000 {
            if filling {
                vm += 1;
                let row = Row(random.below(6000));
                let free = |class| u32::try_from(index.free(row, class).unwrap()).unwrap();
                let amounts = [free(ClassId::VCPU) * 3 / 4, free(ClassId::MEMORY_MB) / 2];
                let taken = HOST_CLASSES.into_iter().zip(amounts).filter(|(_, amount)| *amount > 0);
                let taken: Vec<_> = taken.map(|(class, amount)| Allocation { row, class, amount }).collect();
                index.claim(ConsumerId(vm), &taken).unwrap();
            } else {
                let _ = index.release(ConsumerId(u128::from(random.below(12_001))));
            }
            if turn % 600 == 0 {
                let request = Request::of(random.below(40), random.below(160), 1);
                for decider in &mut deciders {
                    let mut prepared = decider.scheduler.prepare(request.clone());
                    let found = decider.scheduler.decide(&mut prepared).ok();
                    assert_eq!(found, naive::best(&index, &request, decider.policy), "{}", decider.policy);
                    assert_eq!(decider.scheduler.check(), Ok(()));
                }
            }
        }
    }
}

/// More than 64 × 64 leaves: the groups themselves take more than one summary.
#[test]
fn a_fleet_of_several_summaries_is_searched_exactly() {
    const HOSTS: u32 = 140_000;
    let mut random = Lcg(2);
    let index = plain_fleet(HOSTS, |host| [1 + host / 100, 1 + random.below(5000), 1 + host % 7]);
    for policy in [Policy::BestFit, Policy::WorstFit, Policy::FirstFit] {
        let mut decider = Decider::new(&index, policy, Search::Ranked);
        for turn in 0..40 {
            let mut request = Request::of(1 + random.below(1400), 1 + random.below(5000), random.below(8));
            if turn % 4 == 0 {
                request = Request::of(1390, 4990, 7); // fits hardly anywhere
            }
            let mut prepared = decider.scheduler.prepare(request.clone());
            let expected = naive::best(&index, &request, policy);
            let vm = ConsumerId(u128::from(HOSTS) * policy as u128 + turn);
            assert_eq!(decider.scheduler.place(vm, &mut prepared).ok(), expected, "{policy} {request:?}");
        }
        assert_eq!(decider.scheduler.check(), Ok(()));
    }
}

#[test]
fn a_decider_that_fell_a_whole_journal_behind_catches_up() {
    let index = plain_fleet(300, |host| [8 + host % 5, 64, 100]);
    let mut deciders = Decider::all(&index);
    let mut random = Lcg(3);
    for vm in 0..70_000 {
        let vcpus = Allocation { row: Row(random.below(300)), class: ClassId::VCPU, amount: 1 };
        let _ = index.claim(ConsumerId(vm), &[vcpus]);
        let _ = index.release(ConsumerId(random.below(70_000).into()));
    }
    let requests = [Request::of(2, 4, 8)];
    let world = World { index, hosts: vec![], vms: vec![], added: 0 };
    assert_all_agree(&world, &mut deciders, &requests, 0);
}

/// The unit rules change while the batch that changes them is still open.
#[test]
fn a_prepared_request_follows_unit_rules_that_change_before_their_batch_is_published() {
    let index = plain_fleet(2, |_| [8, 8, 8]);
    let mut scheduler = AmountEngine::new(Arc::clone(&index), Policy::FirstFit, Search::Ranked);
    let mut prepared = scheduler.prepare(Request::of(2, 2, 2));
    let mut writer = index.write();
    let units = Units { min_unit: 1, max_unit: 1, step_size: 1 };
    let singles = Inventory { units, ..Inventory::of(8) };
    writer.set_inventory(Row(0), ClassId::VCPU, Some(&singles)).unwrap();
    assert_eq!(scheduler.place(ConsumerId(1), &mut prepared), Ok(Row(1)));
}
