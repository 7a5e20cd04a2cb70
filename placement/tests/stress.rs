//! Threads on one index, checked against books kept outside it.
//!
//! Each thread's operations follow from its number; the interleaving does not.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use berth_placement::{Allocation, ClassId, ConsumerId, Index, Inventory, Ledger, Row, Units, View};
use uuid::Uuid;

/// Few hosts, so that the threads collide.
const HOSTS: u32 = 2;
const CAPACITY: u32 = 24;
/// The host classes and two others.
const CLASSES: usize = 5;
const WORKERS: u64 = 3;
const TURNS: usize = if cfg!(miri) { 50 } else { 150_000 };

/// A linear congruential generator.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

fn class(number: usize) -> ClassId {
    ClassId(u16::try_from(number).unwrap())
}

fn places() -> impl Iterator<Item = (Row, ClassId)> {
    (0..HOSTS).flat_map(|host| (0..CLASSES).map(move |number| (Row(host), class(number))))
}

fn fleet() -> Index {
    let index = Index::default();
    let mut writer = index.write();
    for name in ["CUSTOM_A", "CUSTOM_B"] {
        writer.resource_class(name).unwrap();
    }
    for host in 0..HOSTS {
        let row = writer.add_provider(Uuid::from_u128(host.into()), &format!("host {host}"), None).unwrap();
        for number in 0..CLASSES {
            writer.set_inventory(row, class(number), Some(&Inventory::of(CAPACITY))).unwrap();
        }
    }
    drop(writer);
    index
}

/// The granted and not yet released amounts, per host and class.
///
/// A grant is entered after the claim and removed before the release, so the books never exceed the
/// index.
#[derive(Default)]
struct Books([[AtomicI64; CLASSES]; HOSTS as usize]);

impl Books {
    fn add(&self, allocation: &Allocation, sign: i64) -> i64 {
        let amount = sign * i64::from(allocation.amount);
        let place = &self.0[allocation.row.index()][allocation.class.index()];
        place.fetch_add(amount, Ordering::SeqCst) + amount
    }

    fn held(&self, row: Row, class: ClassId) -> i64 {
        self.0[row.index()][class.index()].load(Ordering::SeqCst)
    }
}

/// One thread, with claims and releases of its own consumers.
struct Worker<'a> {
    index: &'a Index,
    books: &'a Books,
    random: Lcg,
    number: u64,
    held: BTreeMap<ConsumerId, Vec<Allocation>>,
    refused: usize,
    /// The largest capacity that any inventory ever had.
    limit: i64,
}

impl<'a> Worker<'a> {
    fn new(index: &'a Index, books: &'a Books, number: u64, limit: u32) -> Self {
        let (random, held) = (Lcg(number + 1), BTreeMap::new());
        Self { index, books, random, number, held, refused: 0, limit: limit.into() }
    }

    fn turn(&mut self) {
        let consumer = ConsumerId(u128::from(self.number) << 64 | u128::from(self.random.below(12)));
        match self.held.remove(&consumer) {
            Some(allocations) => {
                for allocation in &allocations {
                    self.books.add(allocation, -1);
                }
                let released = self.index.release(consumer).expect("it was granted");
                assert_eq!(released.as_slice(), allocations, "another's allocations");
            }
            None => self.claim(consumer),
        }
    }

    fn claim(&mut self, consumer: ConsumerId) {
        let mut allocations = Vec::new();
        for _ in 0..=self.random.below(3) {
            let (row, class) = (
                Row(self.random.below(HOSTS)),
                class(self.random.below(u32::try_from(CLASSES).unwrap()) as usize),
            );
            allocations.push(Allocation { row, class, amount: 1 + self.random.below(6) });
        }
        if self.index.claim(consumer, &allocations).is_err() {
            self.refused += 1;
            assert_eq!(self.index.allocations(consumer), None, "refused, but allocated");
            return;
        }
        for allocation in &allocations {
            let held = self.books.add(allocation, 1);
            assert!(held <= self.limit, "{allocation:?} makes {held}, more than any inventory ever had");
        }
        self.held.insert(consumer, allocations);
    }
}

/// Runs the workers, and `beside` on one more thread until they finish; returns the workers.
fn run<'a>(
    index: &'a Index,
    books: &'a Books,
    limit: u32,
    beside: impl Fn(&mut Lcg) + Sync,
) -> Vec<Worker<'a>> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                scope.spawn(move || {
                    let mut worker = Worker::new(index, books, number, limit);
                    (0..TURNS).for_each(|_| worker.turn());
                    worker
                })
            })
            .collect();
        scope.spawn(|| {
            let mut random = Lcg(99);
            while !done.load(Ordering::Relaxed) {
                beside(&mut random);
            }
        });
        let workers: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.expect("a worker failed")).collect()
    })
}

/// Checks that the index and the workers agree on what was granted, and that releasing everything
/// leaves nothing.
fn settle(index: &Index, books: &Books, workers: &[Worker<'_>]) {
    assert_eq!(index.check(), Ok(()));
    for (row, class) in places() {
        assert_eq!(index.used(row, class), books.held(row, class), "{row} {class:?}");
    }
    for (consumer, allocations) in workers.iter().flat_map(|worker| &worker.held) {
        assert_eq!(index.allocations(*consumer).as_deref(), Some(allocations.as_slice()));
        index.release(*consumer).unwrap();
    }
    assert!(places().all(|(row, class)| index.used(row, class) == 0), "something is still allocated");
    assert_eq!((index.consumers(), index.check()), (0, Ok(())));
}

#[test]
fn constant_inventories_are_never_exceeded() {
    let (index, books) = (fleet(), Books::default());
    let reader = |random: &mut Lcg| {
        let (row, number) = (Row(random.below(HOSTS)), random.below(u32::try_from(CLASSES).unwrap()));
        let (class, capacity) = (class(number as usize), i64::from(CAPACITY));
        let used = index.used(row, class);
        assert!((0..=capacity).contains(&used), "{used} of {capacity} used");
        let free = index.free(row, class).unwrap();
        assert!((0..=capacity).contains(&free), "{free} of {capacity} free");
    };
    let workers = run(&index, &books, CAPACITY, reader);
    assert!(workers.iter().all(|worker| worker.refused > 0), "too much capacity for collisions");
    settle(&index, &books, &workers);
}

/// Inventories grow, shrink and disappear under claims. None with allocations disappears.
#[test]
fn resizing_loses_no_claim_and_grants_none_from_nothing() {
    let (index, books) = (fleet(), Books::default());
    let resize = |random: &mut Lcg| {
        let (row, class) = (Row(random.below(HOSTS)), class(random.below(5) as usize));
        if index.inventory(row, class).is_none() {
            assert_eq!(books.held(row, class), 0, "granted from a removed inventory");
        }
        let total = random.below(2) * random.below(CAPACITY + 1);
        let units = Units { min_unit: 1, max_unit: 1 + random.below(8), step_size: 1 + random.below(2) };
        let inventory = (total > 0).then(|| Inventory { units, ..Inventory::of(total) });
        let mut writer = index.write();
        if writer.set_inventory(row, class, inventory.as_ref()).is_ok() {
            assert_eq!(index.inventory(row, class), inventory, "another inventory than was set");
        }
    };
    let workers = run(&index, &books, CAPACITY, resize);
    for (row, class) in places() {
        if index.inventory(row, class).is_none() {
            assert_eq!(index.used(row, class), 0, "granted from a removed inventory");
        }
    }
    settle(&index, &books, &workers);
}

#[test]
fn a_view_refreshed_during_changes_ends_up_right() {
    let (index, books) = (fleet(), Books::default());
    let view = std::sync::Mutex::new(View::new(&index));
    let refresh = |_: &mut Lcg| view.lock().unwrap().refresh(&index, |_, _| ());
    let workers = run(&index, &books, CAPACITY, refresh);
    let mut view = view.into_inner().unwrap();
    view.refresh(&index, |_, _| ());
    assert_eq!(view.check(&index), Ok(()));
    assert!(view.iter().eq(View::new(&index).iter()));
    settle(&index, &books, &workers);
}

/// The inventory is added and removed as fast as possible; a consumer that holds some of it
/// prevents its removal.
#[test]
fn an_inventory_is_never_removed_under_an_allocation() {
    let (ledger, done) = (Ledger::default(), AtomicBool::new(false));
    let (row, class) = (Row(0), ClassId::VCPU);
    let take = [Allocation { row, class, amount: 1 }];
    let kept = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = ledger.set_inventory(row, class, None);
                ledger.set_inventory(row, class, Some(&Inventory::of(4))).expect("only removal is refused");
            }
        });
        let kept = (0..TURNS * 2).all(|_| match ledger.reserve(&take) {
            Ok(()) => {
                let kept = ledger.inventory(row, class).is_some();
                ledger.release(&take);
                kept
            }
            Err(_) => true,
        });
        done.store(true, Ordering::Relaxed);
        kept
    });
    assert!(kept, "granted from a removed inventory");
    assert_eq!(ledger.used(row, class), 0);
}

/// All threads claim for the same consumer at once, then all release it at once.
#[test]
fn one_consumer_is_granted_once_and_released_once() {
    let index = fleet();
    let (rounds, barrier) = (TURNS / 60, Barrier::new(3));
    let take = [Allocation { row: Row(0), class: ClassId::VCPU, amount: 1 }];
    let granted = AtomicI64::new(0);
    let released = AtomicI64::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=i64::try_from(rounds).unwrap() {
                    barrier.wait();
                    granted.fetch_add(index.claim(ConsumerId(7), &take).is_ok().into(), Ordering::SeqCst);
                    barrier.wait();
                    assert_eq!(granted.load(Ordering::SeqCst), round);
                    assert_eq!(index.used(Row(0), ClassId::VCPU), 1);
                    barrier.wait();
                    released.fetch_add(index.release(ConsumerId(7)).is_ok().into(), Ordering::SeqCst);
                    barrier.wait();
                    assert_eq!(released.load(Ordering::SeqCst), round);
                    assert_eq!(index.used(Row(0), ClassId::VCPU), 0);
                }
            });
        }
    });
    assert_eq!(index.check(), Ok(()));
}
