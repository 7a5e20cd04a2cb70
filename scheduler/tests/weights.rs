//! Weighted searches, the few best hosts, request classes and spreading: the answers are those of a
//! naive scan.

mod naive;

use std::sync::{Arc, Barrier};
use std::thread;

use berth_placement::{Allocation, ClassId, ConsumerId, HOST_CLASSES, Index, Inventory, Row, Units};
use berth_scheduler::{
    AmountEngine, NoValidHost, Objective, PlaceError, Policy, Prepared, Request, Search, Weights,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use uuid::Uuid;

const CUSTOM: ClassId = ClassId(3);
const TRAITS: [&str; 3] = ["HW_A", "HW_B", "HW_C"];

type Shape = [Option<u32>; 4];

/// What makes a class of hosts: unit rules, traits, aggregates.
#[derive(Debug, Clone, Default)]
struct Label {
    step: u32,
    traits: Vec<usize>,
    aggregates: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Event {
    Place { decider: usize, request: usize },
    Claim { host: usize, class: usize, amount: u32 },
    Release { vm: usize },
    Resize { host: usize, class: usize, total: Option<u32> },
    Relabel { host: usize, label: Label },
    Remove { host: usize },
    Add { shape: Shape, label: Label, count: usize },
}

fn class(number: usize) -> ClassId {
    [HOST_CLASSES[0], HOST_CLASSES[1], HOST_CLASSES[2], CUSTOM][number]
}

fn aggregate(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 7000)
}

fn inventory(total: u32, step: u32) -> Inventory {
    let units = Units { min_unit: 1, max_unit: Inventory::MAX_AMOUNT, step_size: step.max(1) };
    Inventory { units, ..Inventory::of(total) }
}

struct World {
    index: Arc<Index>,
    hosts: Vec<(Row, u32)>,
    vms: u32,
    added: u32,
}

impl World {
    fn new(hosts: &[(Shape, Label)]) -> Self {
        let mut world = Self { index: Arc::new(Index::default()), hosts: Vec::new(), vms: 0, added: 0 };
        assert_eq!(world.index.write().resource_class("CUSTOM_THING"), Ok(CUSTOM));
        world.add(hosts);
        world
    }

    fn add(&mut self, hosts: &[(Shape, Label)]) {
        let mut writer = self.index.write();
        for (shape, label) in hosts {
            let (uuid, name) = (Uuid::from_u128(self.added.into()), format!("host {}", self.added));
            let row = writer.add_provider(uuid, &name, None).unwrap();
            for (number, total) in shape.iter().enumerate() {
                let inventory = total.map(|total| inventory(total, label.step));
                writer.set_inventory(row, class(number), inventory.as_ref()).unwrap();
            }
            let traits: Vec<_> = label.traits.iter().map(|&t| writer.trait_named(TRAITS[t])).collect();
            writer.set_traits(row, &traits).unwrap();
            let aggregates: Vec<_> = label.aggregates.iter().map(|&a| aggregate(a)).collect();
            writer.set_aggregates(row, &aggregates).unwrap();
            self.hosts.push((row, label.step));
            self.added += 1;
        }
    }

    fn host(&self, pick: usize) -> Option<(Row, u32)> {
        (!self.hosts.is_empty()).then(|| self.hosts[pick % self.hosts.len()])
    }

    fn next_vm(&mut self) -> ConsumerId {
        self.vms += 1;
        ConsumerId(self.vms.into())
    }

    /// Whatever is not a decider's doing, through the index alone. What it refuses does not happen.
    fn happen(&mut self, event: &Event) {
        match event {
            Event::Place { .. } => {}
            &Event::Claim { host, class: number, amount } => {
                let Some((row, _)) = self.host(host) else { return };
                let vm = self.next_vm();
                let _ = self.index.claim(vm, &[Allocation { row, class: class(number), amount }]);
            }
            Event::Release { vm } => {
                let vm = ConsumerId(*vm as u128 % u128::from(self.vms.max(1)) + 1);
                let _ = self.index.release(vm);
            }
            &Event::Resize { host, class: number, total } => {
                let Some((row, step)) = self.host(host) else { return };
                let inventory = total.map(|total| inventory(total, step));
                let _ = self.index.write().set_inventory(row, class(number), inventory.as_ref());
            }
            Event::Relabel { host, label } => {
                let Some((row, _)) = self.host(*host) else { return };
                let mut writer = self.index.write();
                let traits: Vec<_> = label.traits.iter().map(|&t| writer.trait_named(TRAITS[t])).collect();
                writer.set_traits(row, &traits).unwrap();
                let aggregates: Vec<_> = label.aggregates.iter().map(|&a| aggregate(a)).collect();
                writer.set_aggregates(row, &aggregates).unwrap();
            }
            Event::Remove { host } => {
                let Some((row, _)) = self.host(*host) else { return };
                if self.index.write().remove_provider(row).is_ok() {
                    self.hosts.retain(|&(host, _)| host != row);
                }
            }
            Event::Add { shape, label, count } => self.add(&vec![(*shape, label.clone()); *count]),
        }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let of = |most: u32, often| weighted(often, 1..most);
    (of(33, 0.97), of(300, 0.97), of(65, 0.6), of(9, 0.3)).prop_map(|(a, b, c, d)| [a, b, c, d])
}

fn label() -> impl Strategy<Value = Label> {
    (prop_oneof![5 => Just(1_u32), 1 => Just(2)], vec(0..TRAITS.len(), 0..3), vec(0..3_u8, 0..2))
        .prop_map(|(step, traits, aggregates)| Label { step, traits, aggregates })
}

/// Some large classes of hosts and some small ones, mixed by row.
fn fleet() -> impl Strategy<Value = Vec<(Shape, Label)>> {
    let class = |hosts| {
        (label(), vec(shape(), 1..6), hosts, any::<bool>()).prop_flat_map(|(label, shapes, hosts, alike)| {
            let one = if alike { proptest::sample::select(shapes).boxed() } else { shape().boxed() };
            vec(one, hosts).prop_map(move |shapes| {
                shapes.into_iter().map(|shape| (shape, label.clone())).collect::<Vec<_>>()
            })
        })
    };
    let (large, small) = (vec(class(60..170_usize), 0..4), vec(class(1..20_usize), 0..4));
    (large, small)
        .prop_map(|(large, small)| large.into_iter().chain(small).flatten().collect::<Vec<_>>())
        .prop_shuffle()
}

fn request() -> impl Strategy<Value = Request> {
    let amounts = prop_oneof![
        8 => (0..9_u32, 0..40_u32, 0..17_u32, Just(0_u32)),
        3 => (0..5_u32, 0..20_u32, Just(0), Just(0)),
        2 => (0..5_u32, 0..9_u32, Just(0), 1..5_u32),
        1 => (Just(0), Just(0), Just(0), 1..5_u32),
        1 => Just((0, 0, 0, 0)),
        1 => Just((1, 1_000_000, 0, 0)),
        1 => Just((u32::MAX, 1, 0, 0)),
    ];
    let named = || prop_oneof![5 => Just(vec![]), 1 => vec(proptest::sample::select(&TRAITS[..]), 1..2)];
    let aggregates = || vec((0..4_u8).prop_map(aggregate), 1..3);
    let member_of = prop_oneof![5 => Just(vec![]), 1 => vec(aggregates(), 1..2)];
    let outside = prop_oneof![6 => Just(vec![]), 1 => aggregates()];
    (amounts, named(), named(), member_of, outside).prop_map(
        |((a, b, c, d), required, forbidden, member_of, forbidden_aggregates)| Request {
            resources: [a, b, c, d].into_iter().enumerate().map(|(n, amount)| (class(n), amount)).collect(),
            required_traits: required.into_iter().map(str::to_owned).collect(),
            forbidden_traits: forbidden.into_iter().map(str::to_owned).collect(),
            member_of,
            forbidden_aggregates,
        },
    )
}

fn weights() -> impl Strategy<Value = Weights> {
    let one = || {
        prop_oneof![
            4 => -3.0..3.0_f64,
            2 => Just(0.0),
            2 => Just(1.0),
            2 => Just(-1.0),
            1 => Just(1e-12),
            1 => Just(-1e9),
            1 => Just(1e200),
            1 => Just(-1e-200),
            1 => Just(3e-320), // not even normal
        ]
    };
    [one(), one(), one()].prop_map(|multipliers| Weights { multipliers })
}

fn event() -> impl Strategy<Value = Event> {
    let any = any::<usize>;
    prop_oneof![
        8 => (any(), any()).prop_map(|(decider, request)| Event::Place { decider, request }),
        5 => (any(), 0..4_usize, 1..20_u32)
            .prop_map(|(host, class, amount)| Event::Claim { host, class, amount }),
        4 => any().prop_map(|vm| Event::Release { vm }),
        3 => (any(), 0..4_usize, weighted(0.8, 1..40_u32))
            .prop_map(|(host, class, total)| Event::Resize { host, class, total }),
        2 => (any(), label()).prop_map(|(host, label)| Event::Relabel { host, label }),
        1 => any().prop_map(|host| Event::Remove { host }),
        1 => (shape(), label(), prop_oneof![9 => 1..4_usize, 1 => Just(200)])
            .prop_map(|(shape, label, count)| Event::Add { shape, label, count }),
    ]
}

/// Shrinks inventories below their use, on many hosts at once.
fn over_commit(world: &mut World, every: usize) {
    for pick in (0..world.hosts.len()).step_by(every.max(1)) {
        for class in 0..3 {
            world.happen(&Event::Claim { host: pick, class, amount: 1 + pick as u32 % 30 });
            world.happen(&Event::Resize { host: pick, class, total: Some(1 + pick as u32 % 7) });
        }
    }
}

struct Decider {
    objective: Objective,
    search: Search,
    scheduler: AmountEngine,
    prepared: Vec<Option<Prepared>>,
}

impl Decider {
    fn new(index: &Arc<Index>, objective: impl Into<Objective>, search: Search, requests: usize) -> Self {
        let objective = objective.into();
        let scheduler = AmountEngine::new(Arc::clone(index), objective, search);
        Self { objective, search, scheduler, prepared: vec![None; requests] }
    }

    fn both(index: &Arc<Index>, objective: impl Into<Objective> + Copy, requests: usize) -> [Self; 2] {
        [Search::Ranked, Search::Exhaustive].map(|search| Self::new(index, objective, search, requests))
    }

    /// The best host by every way to ask, and the best few.
    fn assert_exact(&mut self, index: &Index, requests: &[Request], number: usize, most: &[usize]) {
        let request = &requests[number];
        let expected = naive::all(index, request, self.objective);
        let what = (self.objective, self.search, request);
        let Self { scheduler, prepared, .. } = self;
        let prepared = prepared[number].get_or_insert_with(|| scheduler.prepare(request.clone()));
        for &most in most {
            let expected = &expected[..most.min(expected.len())];
            assert_eq!(scheduler.best(prepared, most), expected, "best {most} {what:?}");
        }
        let best = expected.first().copied().ok_or(NoValidHost);
        assert_eq!(scheduler.decide(prepared), best, "{what:?}");
        assert_eq!(scheduler.decide(prepared), best, "again: {what:?}");
        assert_eq!(scheduler.decide_request(request), best, "by class: {what:?}");
        let mut fresh = scheduler.prepare(request.clone());
        assert_eq!(scheduler.decide(&mut fresh), best, "afresh: {what:?}");
    }

    fn place(&mut self, world: &mut World, request: &Request) {
        let expected = naive::all(&world.index, request, self.objective).first().copied();
        let vm = world.next_vm();
        let placed = self.scheduler.place_request(vm, request).ok();
        assert_eq!(placed, expected, "{:?} {:?} {request:?}", self.objective, self.search);
    }
}

const MOST: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every decider applies every event by itself, and names the scan's hosts in the scan's order.
    #[test]
    fn weighted_searches_name_the_hosts_of_the_scan(
        hosts in fleet(),
        weights in vec(weights(), 1..4),
        requests in vec(request(), 1..5),
        over_committed in weighted(0.5, 1..9_usize),
        events in vec(event(), 1..40),
    ) {
        let mut world = World::new(&hosts);
        if let Some(every) = over_committed {
            over_commit(&mut world, every);
        }
        let of = |&weights: &Weights| Decider::both(&world.index, weights, requests.len());
        let mut deciders: Vec<_> = weights.iter().flat_map(of).collect();
        for (turn, event) in events.iter().enumerate() {
            if let &Event::Place { decider, request } = event {
                let decider = decider % deciders.len();
                deciders[decider].place(&mut world, &requests[request % requests.len()]);
            }
            world.happen(event);
            for decider in &mut deciders {
                let most = [MOST[turn % MOST.len()], if turn % 5 == 0 { hosts.len() + 300 } else { 3 }];
                decider.assert_exact(&world.index, &requests, turn % requests.len(), &most);
                prop_assert_eq!(decider.scheduler.check(), Ok(()));
            }
        }
        for decider in &mut deciders {
            for number in 0..requests.len() {
                decider.assert_exact(&world.index, &requests, number, &MOST);
            }
        }
        prop_assert_eq!(world.index.check(), Ok(()));
    }

    /// Any number of events between two looks.
    #[test]
    fn deciders_that_look_now_and_then_name_the_hosts_of_the_scan(
        hosts in fleet(),
        weights in weights(),
        requests in vec(request(), 1..4),
        events in vec(event(), 1..150),
    ) {
        let mut world = World::new(&hosts);
        let mut deciders = Decider::both(&world.index, weights, requests.len());
        for event in &events {
            if let &Event::Place { decider, request } = event {
                deciders[decider % 2].place(&mut world, &requests[request % requests.len()]);
            }
            world.happen(event);
        }
        for decider in &mut deciders {
            for number in 0..requests.len() {
                decider.assert_exact(&world.index, &requests, number, &[5, 1000]);
            }
            prop_assert_eq!(decider.scheduler.check(), Ok(()));
        }
    }

    #[test]
    fn the_best_few_by_policy_are_the_first_of_the_scan(
        hosts in fleet(),
        requests in vec(request(), 1..4),
        over_committed in weighted(0.3, 1..9_usize),
        events in vec(event(), 1..30),
    ) {
        let mut world = World::new(&hosts);
        if let Some(every) = over_committed {
            over_commit(&mut world, every);
        }
        let mut deciders: Vec<_> =
            Policy::ALL.into_iter().flat_map(|p| Decider::both(&world.index, p, requests.len())).collect();
        for (turn, event) in events.iter().enumerate() {
            if let &Event::Place { decider, request } = event {
                let decider = decider % deciders.len();
                deciders[decider].place(&mut world, &requests[request % requests.len()]);
            }
            world.happen(event);
            for decider in &mut deciders {
                let most = [MOST[turn % MOST.len()], if turn % 5 == 0 { hosts.len() + 300 } else { 3 }];
                decider.assert_exact(&world.index, &requests, turn % requests.len(), &most);
                prop_assert_eq!(decider.scheduler.check(), Ok(()));
            }
        }
    }

    /// Amounts at both ends of their range, and ranges of one unit among hosts that differ by 2³¹.
    #[test]
    fn amounts_near_the_largest_are_weighed_exactly(
        hosts in vec((vec(prop_oneof![1..4_u32, (1 << 31) - 4..1_u32 << 31, 1..1_u32 << 31], 3), 0..3_usize, 0..8_u8), 1..300),
        weights in weights(),
        requests in vec((0..3_u32, 0..3_u32, 0..2_u32, 0..3_u32, any::<bool>()), 1..6),
        stale in prop_oneof![Just(false), Just(true)],
    ) {
        let shapes: Vec<_> = hosts
            .iter()
            .map(|(totals, traits, _)| {
                let shape = [Some(totals[0]), Some(totals[1]), Some(totals[2]), (totals[0] % 2 == 0).then_some(9)];
                (shape, Label { step: 1, traits: (0..*traits).collect(), aggregates: vec![] })
            })
            .collect();
        let mut world = World::new(&shapes);
        let requests: Vec<Request> = requests
            .into_iter()
            .map(|(a, b, c, d, named)| Request {
                resources: vec![(class(0), a), (class(1), b), (class(2), c), (CUSTOM, d)],
                required_traits: if named { vec![TRAITS[0].to_owned()] } else { vec![] },
                ..Request::default()
            })
            .collect();
        let mut deciders = vec![];
        if stale {
            deciders.extend(Decider::both(&world.index, weights, requests.len()));
        }
        // Some hold nearly everything of a class, with next to no inventory left: −2³¹ or so is
        // free.
        for (host, (totals, _, over)) in hosts.iter().enumerate() {
            for number in (0..3).filter(|number| over & 1 << number != 0) {
                world.happen(&Event::Claim { host, class: number, amount: totals[number] });
                world.happen(&Event::Resize { host, class: number, total: Some(1 + totals[0] % 3) });
            }
        }
        deciders.extend(Decider::both(&world.index, weights, requests.len()));
        for decider in &mut deciders {
            for number in 0..requests.len() {
                decider.assert_exact(&world.index, &requests, number, &[1, 2, 7, 1000]);
            }
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

/// 20,000 hosts in classes large and small, filled until rankings by old ranges are rebuilt.
#[test]
fn a_large_fleet_is_ranked_again_and_searched_exactly() {
    let mut random = Lcg(11);
    let hosts: Vec<_> = (0..20_000)
        .map(|_| {
            let kind = random.below(8);
            let step = if random.below(2000) == 0 { 2 } else { 1 };
            let label = Label {
                step,
                traits: (0..3).filter(|t| kind & 1 << t != 0).collect(),
                aggregates: vec![u8::from(kind > 2)],
            };
            let large = 1 + kind;
            let disk = (random.below(10) > 1).then(|| 100 + random.below(2000));
            (
                [Some(8 * large + random.below(32)), Some(1000 * large + random.below(64_000)), disk, None],
                label,
            )
        })
        .collect();
    let mut reranked = 0;
    for multipliers in [[1.0, 1.0, 1.0], [-1.0, 0.3, 0.0], [-1.0, -1.0, 2.0]] {
        let mut world = World::new(&hosts);
        let weights = Weights { multipliers };
        let requests: Vec<Request> =
            [(1, 2000, 20), (4, 4000, 0), (8, 30_000, 100), (16, 8000, 0), (0, 9000, 9)]
                .into_iter()
                .zip(0_usize..)
                .map(|((a, b, c), number)| Request {
                    required_traits: if number % 2 == 1 {
                        vec![TRAITS[number / 2].to_owned()]
                    } else {
                        vec![]
                    },
                    ..Request::of(a, b, c)
                })
                .collect();
        let mut deciders = Decider::both(&world.index, weights, requests.len());
        let mut rankings = 0;
        for turn in 0..12_000_u32 {
            let request = random.below(5) as usize;
            let vm = world.next_vm();
            let _ = deciders[0].scheduler.place_request(vm, &requests[request]);
            // The fleet's ranges move: the other tenants take memory on one host after the other.
            let row = Row(turn);
            let free = u32::try_from(world.index.free(row, ClassId::MEMORY_MB).unwrap()).unwrap() * 9 / 10;
            let vm = world.next_vm();
            let _ = world.index.claim(vm, &[Allocation { row, class: ClassId::MEMORY_MB, amount: free }]);
            if random.below(3) == 0 {
                world.happen(&Event::Release { vm: random.below(1 << 30) as usize });
            }
            let now = deciders[0].scheduler.statistics().rankings;
            if turn % 400 == 0 || now != rankings {
                rankings = now;
                deciders[0].assert_exact(&world.index, &requests, request, &[1, 6, 70]);
            }
            if turn % 2400 == 0 {
                deciders[1].assert_exact(&world.index, &requests, request, &[1, 6]);
                assert_eq!(deciders[0].scheduler.check(), Ok(()));
            }
        }
        let statistics = deciders[0].scheduler.statistics();
        assert!(statistics.searches > 0 && statistics.leaves_opened > 0);
        reranked += statistics.rankings;
        assert_eq!(deciders[0].scheduler.check(), Ok(()));
    }
    assert!(reranked > 0, "the ranges moved too little to test anything");
}

fn plain(hosts: u32, capacity: [u32; 3]) -> World {
    let shape = [Some(capacity[0]), Some(capacity[1]), Some(capacity[2]), None];
    World::new(&vec![(shape, Label { step: 1, ..Label::default() }); hosts as usize])
}

/// A tie that only exact bounds keep: hosts that may not be had hold so much that their nodes'
/// bounds round.
#[test]
fn nodes_with_hosts_out_of_reach_keep_their_ties() {
    let mut wrong = Vec::new();
    let third = 1.0 / 3.0;
    for multipliers in [
        [-0.7, -0.3, -0.1],
        [-third, -third, -third],
        [-0.7, 0.0, 0.0],
        [0.0, -1.1, -0.9],
        [0.7, -0.7 / 3.0, 0.1],
        [-1e200, -3e199, -7e198],
        [-3e-320, -2e-320, 0.0],
    ] {
        for seed in 0..20 {
            let mut random = Lcg(seed);
            let hosts: Vec<_> = (0..300)
                .map(|_| {
                    let open = random.below(4) == 0;
                    let amount = |random: &mut Lcg| {
                        if open { 1 + random.below(3) } else { (1 << 31) - 1 - random.below(1 << 20) }
                    };
                    let shape = [0; 3].map(|_| Some(amount(&mut random)));
                    let custom = open.then_some(1); // no ranking knows which hosts have it
                    ([shape[0], shape[1], shape[2], custom], Label { step: 1, ..Label::default() })
                })
                .collect();
            let world = World::new(&hosts);
            let request = Request {
                resources: vec![(class(0), 1), (class(1), 1), (class(2), 1), (CUSTOM, 1)],
                ..Request::default()
            };
            let weights = Weights { multipliers };
            let expected = naive::all(&world.index, &request, weights.into());
            for search in [Search::Ranked, Search::Exhaustive] {
                let mut scheduler = AmountEngine::new(Arc::clone(&world.index), weights, search);
                let mut prepared = scheduler.prepare(request.clone());
                if scheduler.best(&mut prepared, 5) != expected[..5] {
                    wrong.push((multipliers, seed, search));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:?}", wrong.len());
}

#[test]
fn a_known_class_of_requests_is_compiled_once() {
    let mut world = plain(100, [8, 64, 100]);
    let mut scheduler = AmountEngine::new(Arc::clone(&world.index), Weights::default(), Search::Ranked);
    let requests = [Request::of(1, 2, 3), Request::of(2, 2, 3)];
    for request in requests.iter().cycle().take(10) {
        assert!(scheduler.decide_request(request).is_ok());
        let vm = world.next_vm();
        assert!(scheduler.place_request(vm, request).is_ok());
    }
    let statistics = scheduler.statistics();
    assert_eq!((statistics.class_misses, statistics.class_hits), (2, 18));
}

#[test]
fn the_least_recently_used_classes_of_requests_are_forgotten() {
    let world = plain(3, [5000, 5000, 5000]);
    let mut scheduler = AmountEngine::new(Arc::clone(&world.index), Policy::BestFit, Search::Ranked);
    let request = |number| Request::of(number, 1, 1);
    for number in 1..=4096 {
        assert!(scheduler.decide_request(&request(number)).is_ok());
    }
    assert!(scheduler.decide_request(&request(1)).is_ok());
    assert_eq!((scheduler.statistics().class_misses, scheduler.statistics().class_hits), (4096, 1));
    assert!(scheduler.decide_request(&request(4097)).is_ok()); // request 2 was used least recently
    assert!(scheduler.decide_request(&request(1)).is_ok());
    assert!(scheduler.decide_request(&request(2)).is_ok());
    assert_eq!((scheduler.statistics().class_misses, scheduler.statistics().class_hits), (4098, 2));
}

/// The decision that is remembered is made again when anything it rests on changed, and not before.
#[test]
fn a_remembered_decision_lasts_until_something_changes() {
    let mut world = plain(100, [8, 64, 100]);
    let mut scheduler = AmountEngine::new(Arc::clone(&world.index), Weights::default(), Search::Ranked);
    let (some, none) = (Request::of(2, 2, 2), Request::of(9, 1, 1));
    let searches = |scheduler: &AmountEngine| scheduler.statistics().searches;
    assert_eq!(scheduler.decide_request(&some), Ok(Row(0)));
    assert_eq!(scheduler.decide_request(&none), Err(NoValidHost));
    let before = searches(&scheduler);
    for _ in 0..5 {
        assert_eq!(scheduler.decide_request(&some), Ok(Row(0)));
        assert_eq!(scheduler.decide_request(&none), Err(NoValidHost));
    }
    assert_eq!(searches(&scheduler), before, "nothing changed");
    // A claim elsewhere takes capacity away: there is still no host for the one, but perhaps
    // another for the other.
    world.happen(&Event::Claim { host: 0, class: 0, amount: 1 });
    assert_eq!(scheduler.decide_request(&none), Err(NoValidHost));
    assert_eq!(searches(&scheduler), before, "nobody gained anything");
    assert_eq!(scheduler.decide_request(&some), Ok(Row(1)));
    world.happen(&Event::Release { vm: 0 });
    assert_eq!(scheduler.decide_request(&some), Ok(Row(0)));
    // A gain makes a host for what had none, and so does a trait.
    world.happen(&Event::Resize { host: 70, class: 0, total: Some(9) });
    assert_eq!(scheduler.decide_request(&none), Ok(Row(70)));
    let named = Request { required_traits: vec![TRAITS[0].to_owned()], ..some.clone() };
    assert_eq!(scheduler.decide_request(&named), Err(NoValidHost));
    world.happen(&Event::Relabel { host: 71, label: Label { traits: vec![0], ..Label::default() } });
    assert_eq!(scheduler.decide_request(&named), Ok(Row(71)));
    world.happen(&Event::Relabel { host: 71, label: Label::default() });
    assert_eq!(scheduler.decide_request(&named), Err(NoValidHost));
    // A class that the view does not follow.
    let custom = Request { resources: vec![(CUSTOM, 2)], ..Request::default() };
    assert_eq!(scheduler.decide_request(&custom), Err(NoValidHost));
    world.happen(&Event::Resize { host: 5, class: 3, total: Some(3) });
    assert_eq!(scheduler.decide_request(&custom), Ok(Row(5)));
    world.happen(&Event::Claim { host: 5, class: 3, amount: 2 });
    assert_eq!(scheduler.decide_request(&custom), Err(NoValidHost));
    world.happen(&Event::Remove { host: 70 });
    assert_eq!(scheduler.decide_request(&none), Err(NoValidHost));
}

#[test]
fn spreading_without_contention_takes_the_best_host() {
    for objective in [Objective::Weigh(Weights::default()), Policy::WorstFit.into(), Policy::FirstFit.into()]
    {
        let mut world = plain(200, [8, 64, 100]);
        let mut scheduler =
            AmountEngine::new(Arc::clone(&world.index), objective, Search::Ranked).spreading(8);
        let request = Request::of(1, 2, 3);
        for _ in 0..1000 {
            let expected = naive::all(&world.index, &request, objective)[0];
            let vm = world.next_vm();
            assert_eq!(scheduler.place_request(vm, &request), Ok(expected));
        }
        assert_eq!(scheduler.statistics().conflicts, 0);
    }
}

#[test]
fn spreading_deciders_fill_the_fleet_and_grant_nothing_twice() {
    for (round, objective) in [Objective::Weigh(Weights::default()), Policy::BestFit.into()]
        .into_iter()
        .cycle()
        .take(40)
        .enumerate()
    {
        let world = plain(70, [16, 100, 32]);
        let start = Barrier::new(3);
        let conflicts: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..3_u128)
                .map(|number| {
                    let (index, start) = (Arc::clone(&world.index), &start);
                    scope.spawn(move || {
                        let widest = [1, 8, 64][(round + number as usize) % 3];
                        let mut scheduler =
                            AmountEngine::new(index, objective, Search::Ranked).spreading(widest);
                        let request = Request::of(1, 4, 2);
                        start.wait();
                        for vm in (number << 64).. {
                            match scheduler.place_request(ConsumerId(vm), &request) {
                                Ok(_) | Err(PlaceError::Outrun { .. }) => {}
                                Err(PlaceError::NoValidHost(_)) => break,
                                Err(other) => panic!("{other}"),
                            }
                        }
                        assert_eq!(scheduler.decide_request(&request), Err(NoValidHost));
                        scheduler.statistics().conflicts
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a decider failed")).sum()
        });
        let _ = conflicts;
        assert_eq!(world.index.consumers(), 70 * 16);
        for &(row, _) in &world.hosts {
            assert_eq!(HOST_CLASSES.map(|class| world.index.free(row, class).unwrap()), [0, 36, 0]);
        }
        assert_eq!(world.index.check(), Ok(()));
    }
}
