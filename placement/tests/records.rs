//! An index equals the one restored from its records, even when it changes during the capture.

#![cfg(not(loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerRecord, ConsumerWrite, ExpectedGeneration, Index, Inventory,
    NameRecord, Owner, ProviderRecord, Record, RestoreError, Row, Timestamp,
};
use uuid::Uuid;

fn restored(records: impl IntoIterator<Item = Record>) -> Result<Index, RestoreError> {
    Index::restore(records.into_iter().map(Ok::<_, RestoreError>))
}

fn copy(index: &Index) -> Index {
    let records: Vec<Record> = index.snapshot().records().collect();
    Index::restore(records.into_iter().map(Ok::<_, Box<dyn std::error::Error>>)).expect("its own records")
}

fn owner(kind: Option<&str>) -> Arc<Owner> {
    Arc::new(Owner { project: "p".into(), user: "u".into(), consumer_type: kind.map(Into::into) })
}

fn write(consumer: u128, row: Row, class: ClassId, amount: u32) -> ConsumerWrite {
    ConsumerWrite {
        consumer: ConsumerId(consumer),
        generation: ExpectedGeneration::Any,
        owner: owner(Some("INSTANCE")),
        allocations: [Allocation { row, class, amount }].into_iter().collect(),
    }
}

/// A fleet with a tree whose root is younger than its child, a sharing provider, and more in use
/// than the capacity.
fn fleet() -> Index {
    let index = Index::with_holders();
    let mut writer = index.write_at(Timestamp(5));
    let gold = writer.resource_class("CUSTOM_GOLD").unwrap();
    let fast = writer.trait_named("CUSTOM_FAST");
    let shares = writer.trait_named("MISC_SHARES_VIA_AGGREGATE");
    let child = writer.add_provider(Uuid::from_u128(1), "child", None).unwrap();
    let root = writer.add_provider(Uuid::from_u128(2), "root \"ü\"", None).unwrap();
    let gone = writer.add_provider(Uuid::from_u128(3), "gone", None).unwrap();
    let share = writer.add_provider(Uuid::from_u128(4), "share", None).unwrap();
    writer.move_provider(child, Some(root)).unwrap();
    writer.remove_provider(gone).unwrap();
    let ratio = Inventory { allocation_ratio: 1.1, ..Inventory::of(100) };
    writer.set_inventories(child, None, vec![(gold, ratio), (ClassId::VCPU, Inventory::of(8))]).unwrap();
    writer.set_inventory(share, ClassId::DISK_GB, Some(&Inventory::of(1000))).unwrap();
    writer.set_traits(child, &[fast]).unwrap();
    writer.set_traits(share, &[shares]).unwrap();
    writer.set_aggregates(share, &[Uuid::from_u128(77), Uuid::from_u128(78)]).unwrap();
    drop(writer);
    index
        .transfer(&[write(10, child, ClassId::VCPU, 8), write(11, share, ClassId::DISK_GB, 1)], Timestamp(9))
        .unwrap();
    index.write_at(Timestamp(12)).set_inventory(child, ClassId::VCPU, Some(&Inventory::of(4))).unwrap();
    index
}

#[test]
fn an_index_is_restored_as_it_was() {
    let index = fleet();
    let copy = copy(&index);
    copy.check().unwrap();
    assert!(index.snapshot().records().eq(copy.snapshot().records()));
    let child = copy.find(Uuid::from_u128(1)).unwrap();
    assert_eq!(copy.free(child, ClassId::VCPU), Some(-4), "more is in use than the capacity");
    assert_eq!(copy.generation(child), index.generation(index.find(Uuid::from_u128(1)).unwrap()));
    assert_eq!(copy.project_consumers("p"), [ConsumerId(10), ConsumerId(11)]);
    assert_eq!(copy.holders(child), [ConsumerId(10)]);
    assert_eq!(copy.release(ConsumerId(10)).unwrap().len(), 1);
    copy.check().unwrap();
}

#[test]
fn marks_show_whether_anything_changed() {
    let index = fleet();
    let mark = index.mark();
    let _ = index.snapshot();
    assert_eq!(index.mark(), mark);
    index.release_uncounted(ConsumerId(11)).unwrap();
    let removed = index.mark();
    assert_ne!(removed, mark);
    index.write().trait_named("CUSTOM_NEW");
    assert_ne!(index.mark(), removed);
}

#[test]
fn records_that_do_not_fit_together_are_named() {
    let class = || Record::Class(NameRecord { name: "VCPU".into(), since: Timestamp(1) });
    let provider = |parent: Option<u128>, inventory| {
        Record::Provider(ProviderRecord {
            uuid: Uuid::from_u128(1),
            name: "p".into(),
            parent: parent.map(Uuid::from_u128),
            generation: 3,
            changed_at: Timestamp(1),
            inventories: vec![("VCPU".into(), inventory)],
            traits: Vec::new(),
            aggregates: Vec::new(),
        })
    };
    let plain = || provider(None, Inventory::of(8));
    let consumer = |class: &str| {
        let allocation = berth_placement::AllocationRecord {
            provider: Uuid::from_u128(1),
            class: class.into(),
            amount: 1,
        };
        Record::Consumer(ConsumerRecord {
            uuid: Uuid::from_u128(9),
            owner: None,
            generation: 1,
            written_at: Timestamp(1),
            allocations: vec![allocation],
        })
    };
    let error = |records: Vec<Record>| restored(records).err().expect("they do not fit").to_string();
    assert!(error(vec![class(), plain(), plain()]).contains("00000001"));
    assert!(error(vec![class(), provider(Some(7), Inventory::of(8))]).contains("00000007"));
    assert!(error(vec![class(), provider(Some(1), Inventory::of(8))]).contains("its own descendant"));
    assert!(
        error(vec![class(), provider(None, Inventory::of(0))]).contains("VCPU: inventory field total: 0")
    );
    assert!(error(vec![consumer("VCPU")]).contains("resource provider 00000000"));
    assert!(error(vec![class(), plain(), consumer("DISK_GB")]).contains("DISK_GB on"));
    let twice = vec![class(), plain(), consumer("VCPU"), consumer("VCPU")];
    assert!(error(twice).contains("two records"));
    assert_eq!(error(vec![class(), plain(), consumer("VCPU"), class()]), RestoreError::Order.to_string());
}

/// Two consumers swap places repeatedly. Every snapshot has to contain both, on different
/// providers.
#[test]
fn a_snapshot_is_of_one_moment() {
    let index = Index::with_holders();
    let mut writer = index.write();
    for number in 0..2_u32 {
        let row = writer.add_provider(Uuid::from_u128(number.into()), &format!("p{number}"), None).unwrap();
        writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(8))).unwrap();
    }
    drop(writer);
    let place = |turn: u32| {
        let writes =
            [0, 1].map(|thread: u32| write(thread.into(), Row((turn + thread) % 2), ClassId::VCPU, 8));
        index.transfer(&writes, Timestamp(1)).expect("they swap");
    };
    place(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| (1..).take_while(|_| !done.load(Ordering::Relaxed)).for_each(place));
        for _ in 0..200 {
            let copy = copy(&index);
            copy.check().expect("nothing is held twice");
            assert_eq!([Row(0), Row(1)].map(|row| copy.used(row, ClassId::VCPU)), [8, 8]);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_error_of_the_source_is_passed_on() {
    let broken = Index::restore([Err::<Record, _>(Broken)]);
    assert!(broken.is_err());
}

#[derive(Debug)]
struct Broken;

impl From<RestoreError> for Broken {
    fn from(_: RestoreError) -> Self {
        Self
    }
}
