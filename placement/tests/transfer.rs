//! Transfers and reshapes compared with a sequential model, and run from many threads at once.

#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, InventoryError,
    Owner, Refusal, ReshapeError, Rewrite, Row, Timestamp, TransferError,
};
use proptest::prelude::*;
use uuid::Uuid;

const CPU: ClassId = ClassId::VCPU;
const MEMORY: ClassId = ClassId::MEMORY_MB;
const NOW: Timestamp = Timestamp(1_000_000);

/// Providers with 10 CPUs and 10 MB each.
fn index(providers: u32) -> Index {
    let index = Index::with_holders();
    let mut writer = index.write();
    for number in 0..providers {
        let row = writer.add_provider(Uuid::from_u128(number.into()), &format!("p{number}"), None).unwrap();
        let inventories = vec![(CPU, Inventory::of(10)), (MEMORY, Inventory::of(10))];
        writer.set_inventories(row, Some(0), inventories).unwrap();
    }
    drop(writer);
    index
}

fn owner(project: &str) -> Arc<Owner> {
    Arc::new(Owner { project: project.into(), user: "user".into(), consumer_type: None })
}

fn write(consumer: u128, allocations: &[(u32, ClassId, u32)]) -> ConsumerWrite {
    let allocations =
        allocations.iter().map(|&(row, class, amount)| Allocation { row: Row(row), class, amount });
    ConsumerWrite {
        consumer: ConsumerId(consumer),
        generation: ExpectedGeneration::Any,
        owner: owner("project"),
        allocations: allocations.collect(),
    }
}

#[test]
fn a_consumer_is_replaced_by_its_net_change() {
    let index = index(2);
    index.transfer(&[write(1, &[(0, CPU, 8)])], NOW).unwrap();
    assert_eq!(index.generation(Row(0)), 2);
    // 8 + 9 would not fit; 9 instead of 8 does.
    index.transfer(&[write(1, &[(0, CPU, 9), (1, MEMORY, 1)])], NOW).unwrap();
    assert_eq!((index.used(Row(0), CPU), index.used(Row(1), MEMORY)), (9, 1));
    let consumer = index.consumer(ConsumerId(1)).unwrap();
    assert_eq!((consumer.generation, consumer.written_at), (2, NOW));
    // Placement counts the providers of the new allocations, not those of the old ones.
    index.transfer(&[write(1, &[(1, CPU, 1)])], NOW).unwrap();
    assert_eq!((index.generation(Row(0)), index.generation(Row(1))), (3, 3));
    index.transfer(&[write(1, &[])], NOW).unwrap();
    assert_eq!((index.consumer(ConsumerId(1)), index.generation(Row(1))), (None, 4));
    assert_eq!(index.check(), Ok(()));
}

#[test]
fn all_consumers_change_or_none() {
    let index = index(1);
    index.transfer(&[write(1, &[(0, CPU, 6)])], NOW).unwrap();
    // The second consumer takes what the first releases, in one step.
    index.transfer(&[write(2, &[(0, CPU, 9)]), write(1, &[(0, CPU, 1)])], NOW).unwrap();
    let too_much = [write(1, &[(0, CPU, 2)]), write(3, &[(0, MEMORY, 1)])];
    assert!(matches!(
        index.transfer(&too_much, NOW),
        Err(TransferError::Refused(Refusal::Capacity { class: CPU, free: 0, .. }))
    ));
    assert_eq!((index.used(Row(0), CPU), index.used(Row(0), MEMORY)), (10, 0));
    assert_eq!(index.allocations(ConsumerId(3)), None);
    assert_eq!(index.holders(Row(0)), [ConsumerId(1), ConsumerId(2)]);
    assert_eq!(index.check(), Ok(()));
}

#[test]
fn an_overcommitted_provider_grants_no_more_but_lets_consumers_shrink() {
    let index = index(1);
    index.transfer(&[write(1, &[(0, CPU, 10)])], NOW).unwrap();
    index
        .write()
        .set_inventory(Row(0), CPU, Some(&Inventory { units: Inventory::of(10).units, ..Inventory::of(4) }))
        .unwrap();
    assert!(index.transfer(&[write(2, &[(0, CPU, 1)])], NOW).is_err());
    index.transfer(&[write(1, &[(0, CPU, 10), (0, MEMORY, 1)])], NOW).unwrap();
    index.transfer(&[write(1, &[(0, CPU, 7)])], NOW).unwrap();
    assert_eq!(index.used(Row(0), CPU), 7);
}

#[test]
fn generations_of_consumers_are_compared() {
    let index = index(1);
    let with = |generation| ConsumerWrite { generation, ..write(1, &[(0, CPU, 1)]) };
    let refused =
        |expected, found| Err(TransferError::ConsumerGeneration { consumer: ConsumerId(1), expected, found });
    let (new, first) = (ExpectedGeneration::New, ExpectedGeneration::Exactly(1));
    assert_eq!(index.transfer(&[with(first)], NOW), refused(first, None));
    assert_eq!(index.transfer(&[with(new)], NOW), Ok(()));
    assert_eq!(index.transfer(&[with(new)], NOW), refused(new, Some(1)));
    assert_eq!(index.transfer(&[with(first)], NOW), Ok(()));
    let twice = [with(ExpectedGeneration::Any), with(ExpectedGeneration::Any)];
    assert_eq!(index.transfer(&twice, NOW), Err(TransferError::WrittenTwice(ConsumerId(1))));
}

#[test]
fn a_removed_consumer_frees_capacity_but_counts_no_change() {
    let index = index(1);
    index.transfer(&[write(1, &[(0, CPU, 3)])], NOW).unwrap();
    let before = index.generation(Row(0));
    assert!(index.release_uncounted(ConsumerId(1)).is_some());
    assert_eq!((index.used(Row(0), CPU), index.generation(Row(0))), (0, before));
    assert_eq!((index.release_uncounted(ConsumerId(1)), index.holders(Row(0)).len()), (None, 0));
    assert_eq!(index.project_consumers("project"), []);
}

#[test]
fn a_reshape_moves_inventory_with_its_allocations() {
    let index = index(2);
    index.transfer(&[write(1, &[(0, CPU, 9)]), write(2, &[(0, MEMORY, 5)])], NOW).unwrap();
    let rewrite = |row: u32, generation, classes: &[ClassId]| Rewrite {
        row: Row(row),
        generation: Some(generation),
        inventories: classes.iter().map(|&class| (class, Inventory::of(20))).collect(),
    };
    let rewrites = [rewrite(0, 2, &[MEMORY]), rewrite(1, 1, &[CPU, MEMORY])];
    // Consumer 1 still holds an inventory to be removed.
    assert!(matches!(
        index.reshape(&rewrites, &[], NOW),
        Err(ReshapeError::Inventory(InventoryError::InUse(in_use))) if in_use.class == CPU
    ));
    // 19 CPUs fit the new inventory, not the current one.
    index.reshape(&rewrites, &[write(1, &[(1, CPU, 19)])], NOW).unwrap();
    assert_eq!((index.used(Row(0), CPU), index.used(Row(1), CPU)), (0, 19));
    assert_eq!(index.inventory(Row(0), CPU), None);
    assert_eq!((index.generation(Row(0)), index.generation(Row(1))), (4, 4));
    assert!(matches!(
        index.reshape(&rewrites, &[], NOW),
        Err(ReshapeError::Inventory(InventoryError::Generation { given: 2, found: 4, .. }))
    ));
    assert_eq!(index.check(), Ok(()));
}

/// The allocations of every consumer.
type Model = BTreeMap<u128, Vec<(u32, ClassId, u32)>>;

fn fits(model: &Model) -> bool {
    let mut sums: BTreeMap<(u32, ClassId), u32> = BTreeMap::new();
    for &(row, class, amount) in model.values().flatten() {
        *sums.entry((row, class)).or_default() += amount;
    }
    sums.values().all(|&sum| sum <= 10)
}

fn allocations() -> impl Strategy<Value = Vec<(u32, ClassId, u32)>> {
    let places =
        prop::collection::btree_map((0..3_u32, prop_oneof![Just(CPU), Just(MEMORY)]), 1..8_u32, 0..4);
    places.prop_map(|places| places.into_iter().map(|((row, class), amount)| (row, class, amount)).collect())
}

proptest! {
    #[test]
    fn transfers_agree_with_the_model(
        steps in prop::collection::vec(prop::collection::btree_map(0..5_u128, allocations(), 1..4), 1..20)
    ) {
        let index = index(3);
        let mut model = Model::new();
        for step in steps {
            let writes: Vec<ConsumerWrite> = step.iter().map(|(&consumer, held)| write(consumer, held)).collect();
            let mut after = model.clone();
            after.extend(step);
            let expected = fits(&after);
            prop_assert_eq!(index.transfer(&writes, NOW).is_ok(), expected);
            if expected {
                model = after;
            }
            for consumer in 0..5 {
                let held = index.allocations(ConsumerId(consumer)).unwrap_or_default();
                let held: Vec<_> = held.iter().map(|a| (a.row.0, a.class, a.amount)).collect();
                prop_assert_eq!(held, model.get(&consumer).cloned().unwrap_or_default());
            }
            prop_assert_eq!(index.check(), Ok(()));
        }
    }
}

/// Runs the parties concurrently.
fn race(parties: usize, party: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..parties {
            let party = &party;
            scope.spawn(move || party(number));
        }
    });
}

#[test]
fn the_last_unit_goes_to_exactly_one_consumer() {
    for round in 0..200_u128 {
        let index = index(1);
        index.transfer(&[write(99, &[(0, CPU, 9)])], NOW).unwrap();
        let granted = AtomicUsize::new(0);
        race(4, |number| {
            let consumer = round * 8 + number as u128;
            let outcome = index.transfer(&[write(1000 + consumer, &[(0, CPU, 1)])], NOW);
            granted.fetch_add(outcome.is_ok().into(), Ordering::Relaxed);
        });
        assert_eq!((granted.into_inner(), index.used(Row(0), CPU)), (1, 10));
    }
}

#[test]
fn one_of_several_writes_for_a_generation_wins() {
    let index = index(1);
    for generation in 0..200_u64 {
        let expected =
            if generation == 0 { ExpectedGeneration::New } else { ExpectedGeneration::Exactly(generation) };
        let won = AtomicUsize::new(0);
        race(3, |number| {
            let amount = u32::try_from(number).unwrap() + 1;
            let write = ConsumerWrite { generation: expected, ..write(1, &[(0, CPU, amount)]) };
            won.fetch_add(index.transfer(&[write], NOW).is_ok().into(), Ordering::Relaxed);
        });
        assert_eq!(won.into_inner(), 1);
        assert_eq!(index.consumer(ConsumerId(1)).unwrap().generation, generation + 1);
    }
    assert_eq!(index.check(), Ok(()));
}

/// Inventory moves back and forth between two providers with all its allocations, while other
/// consumers claim, and swap their allocations: nothing is lost, nothing granted twice.
#[test]
fn reshapes_transfers_and_claims_leave_the_books_straight() {
    let index = index(4);
    index.transfer(&[write(1, &[(0, CPU, 4)])], NOW).unwrap();
    race(4, |number| match number {
        0 => move_to_and_fro(&index),
        1 => swap(&index),
        _ => claim_and_release(&index, number as u128),
    });
    assert_eq!(index.check(), Ok(()));
    for row in (0..4).map(Row) {
        let over = |class| index.free(row, class).is_some_and(|free| free < 0);
        assert!(!over(CPU) && !over(MEMORY), "{row} granted more than its capacity");
    }
}

fn move_to_and_fro(index: &Index) {
    let full = vec![(CPU, Inventory::of(10)), (MEMORY, Inventory::of(10))];
    let bare = vec![(MEMORY, Inventory::of(10))];
    let mut moves = 0;
    let mut place = 0_u32;
    for _ in 0..100_000 {
        if moves == 100 {
            return;
        }
        let (from, to) = (Row(place), Row(1 - place));
        let generation = |row| Some(index.generation(row));
        let rewrites = [
            Rewrite { row: from, generation: generation(from), inventories: bare.clone() },
            Rewrite { row: to, generation: generation(to), inventories: full.clone() },
        ];
        let writes = [write(1, &[(to.0, CPU, 4)])];
        // Other claims make it fail: the inventory is in use, or has changed.
        if index.reshape(&rewrites, &writes, NOW).is_ok() {
            assert_eq!(index.inventory(from, CPU), None);
            place = 1 - place;
            moves += 1;
        }
    }
    panic!("only {moves} reshapes succeeded");
}

/// Two consumers that together fill two providers swap them repeatedly: that fits only as one
/// change.
fn swap(index: &Index) {
    for round in 0..2_000_u32 {
        let (a, b) = (2 + round % 2, 3 - round % 2);
        index.transfer(&[write(2, &[(a, CPU, 10)]), write(3, &[(b, CPU, 10)])], NOW).unwrap();
    }
}

fn claim_and_release(index: &Index, party: u128) {
    for round in 0..4_000_u128 {
        let consumer = ConsumerId(1_000_000 * party + round);
        let row = Row(u32::try_from(round % 2).unwrap());
        let allocations = [CPU, MEMORY].map(|class| Allocation { row, class, amount: 1 });
        if index.claim(consumer, &allocations).is_ok() {
            index.release(consumer).unwrap();
        }
        if round % 16 == 0 {
            thread::yield_now();
        }
    }
}
