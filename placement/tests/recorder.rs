//! Recorded changes: an index can be rebuilt from all of them, and from every prefix of them.

#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;

use berth_placement::{
    Allocation, ClassId, Consumer, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory,
    NameRecord, Owner, ProviderState, Record, Recorder, Rewrite, Row, StateChange, Ticket, Timestamp,
    TraitId,
};
use proptest::prelude::*;
use uuid::Uuid;

/// The recorded changes, in order.
#[derive(Default)]
struct Tape {
    units: Mutex<Vec<Vec<StateChange>>>,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Recorder for Tape {
    fn begin(&self) -> Ticket {
        Ticket(self.begun.fetch_add(1, Ordering::SeqCst))
    }

    fn record(&self, changes: Vec<StateChange>) {
        self.units.lock().unwrap().push(changes);
    }

    fn end(&self, _: Ticket) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// The state after some of the changes.
#[derive(Default, Clone)]
struct Kept {
    classes: BTreeMap<ClassId, NameRecord>,
    traits: BTreeMap<TraitId, NameRecord>,
    providers: BTreeMap<Row, ProviderState>,
    inventories: BTreeMap<Row, Vec<(ClassId, Inventory)>>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    counted: BTreeMap<Row, (u64, Timestamp)>,
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Kept {
    fn apply(&mut self, change: StateChange, index: &Index) {
        match change {
            StateChange::Class(id, record) => set(&mut self.classes, id, record),
            StateChange::Trait(id, record) => set(&mut self.traits, id, record),
            StateChange::Provider(row, state) => {
                if state.is_none() {
                    self.inventories.remove(&row);
                    self.counted.remove(&row);
                }
                set(&mut self.providers, row, state);
            }
            StateChange::Inventories(row, inventories) => {
                assert!(self.providers.contains_key(&row), "inventories of an unknown provider");
                self.inventories.insert(row, inventories);
            }
            StateChange::Counted(row) => {
                assert!(self.providers.contains_key(&row), "a count of an unknown provider");
                self.counted.insert(row, (index.generation(row), index.changed_at(row)));
            }
            StateChange::Consumer { id, replaces, after } => {
                let before = self.consumers.get(&id).map(|before| before.serial);
                assert_eq!(replaces.map(|replaced| replaced.serial), before);
                assert!(after.as_ref().is_none_or(|after| after.serial > before.unwrap_or(0)));
                set(&mut self.consumers, id, after);
            }
        }
    }

    /// Rebuilds the index from this state.
    fn rebuilt(&self) -> Index {
        let index = Index::with_holders();
        let mut rebuild = index.rebuild();
        self.classes.iter().for_each(|(id, record)| rebuild.class(*id, record.clone()).unwrap());
        self.traits.iter().for_each(|(id, record)| rebuild.of_trait(*id, record.clone()).unwrap());
        self.providers.iter().for_each(|(row, state)| rebuild.provider(*row, state).unwrap());
        for (row, inventories) in &self.inventories {
            rebuild.inventories(*row, inventories.clone()).unwrap();
        }
        self.counted.iter().for_each(|(&row, &(generation, at))| rebuild.counted(row, generation, at));
        rebuild.finish().unwrap();
        for (id, consumer) in &self.consumers {
            index.readmit(*id, consumer.clone()).expect("every allocation has an inventory");
        }
        index.check().unwrap();
        index
    }

    /// Checks that nothing was granted twice, where capacities never shrink.
    fn assert_within_capacity(&self) {
        let mut used: BTreeMap<(Row, ClassId), i64> = BTreeMap::new();
        for held in self.consumers.values().flat_map(|consumer| &consumer.allocations) {
            *used.entry((held.row, held.class)).or_default() += i64::from(held.amount);
        }
        for (&(row, class), &used) in &used {
            let inventory = self.inventories[&row].iter().find(|(of, _)| *of == class);
            let (_, inventory) = inventory.expect("every allocation has an inventory");
            assert!(used <= inventory.capacity(), "{used} of {inventory:?} on {row}");
        }
    }
}

fn records(index: &Index) -> Vec<Record> {
    index.snapshot().records().collect()
}

fn owner() -> Arc<Owner> {
    Arc::new(Owner { project: "p".into(), user: "u".into(), consumer_type: None })
}

fn write(consumer: u128, held: &[(Row, u32)]) -> ConsumerWrite {
    let allocation = |&(row, amount): &(Row, u32)| Allocation { row, class: ClassId::VCPU, amount };
    let allocations = held.iter().map(allocation).collect();
    ConsumerWrite {
        consumer: ConsumerId(consumer),
        generation: ExpectedGeneration::Any,
        owner: owner(),
        allocations,
    }
}

#[derive(Debug, Clone)]
enum Op {
    Add(u8, Option<u8>),
    Remove(u8),
    Rename(u8),
    Move(u8, Option<u8>),
    Inventory(u8, u8, Option<u32>),
    Inventories(u8, u32),
    Traits(u8, u8),
    Aggregates(u8, u8),
    RemoveTrait(u8),
    RenameClass,
    Claim(u8, u8, u32),
    Transfer(u8, u8, u8, u32),
    Release(u8),
    RemoveConsumer(u8),
    Reshape(u8, u8, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let (p, c) = (0..6_u8, 0..8_u8);
    let parent = || proptest::option::of(0..6_u8);
    prop_oneof![
        2 => (p.clone(), parent()).prop_map(|(p, q)| Op::Add(p, q)),
        1 => p.clone().prop_map(Op::Remove),
        1 => p.clone().prop_map(Op::Rename),
        1 => (p.clone(), parent()).prop_map(|(p, q)| Op::Move(p, q)),
        2 => (p.clone(), 0..3_u8, proptest::option::of(1..20_u32)).prop_map(|(p, k, n)| Op::Inventory(p, k, n)),
        2 => (p.clone(), 1..20_u32).prop_map(|(p, n)| Op::Inventories(p, n)),
        1 => (p.clone(), 0..8_u8).prop_map(|(p, t)| Op::Traits(p, t)),
        1 => (p.clone(), 0..8_u8).prop_map(|(p, t)| Op::Aggregates(p, t)),
        1 => (0..3_u8).prop_map(Op::RemoveTrait),
        1 => Just(Op::RenameClass),
        3 => (c.clone(), p.clone(), 1..9_u32).prop_map(|(c, p, n)| Op::Claim(c, p, n)),
        3 => (c.clone(), c.clone(), p.clone(), 0..9_u32).prop_map(|(c, d, p, n)| Op::Transfer(c, d, p, n)),
        2 => c.clone().prop_map(Op::Release),
        1 => c.clone().prop_map(Op::RemoveConsumer),
        1 => (p, c, 1..9_u32).prop_map(|(p, c, n)| Op::Reshape(p, c, n)),
    ]
}

fn provider(index: &Index, number: u8) -> Row {
    index.find(Uuid::from_u128(number.into())).unwrap_or(Row(9999))
}

/// Performs the operation; a refusal is fine too.
fn perform(index: &Index, op: &Op, now: Timestamp) {
    let mut writer = index.write_at(now);
    let _outcome: Option<()> = match *op {
        Op::Add(p, parent) => {
            let parent = parent.map(|parent| provider(index, parent));
            writer.add_provider(Uuid::from_u128(p.into()), &format!("p{p}"), parent).ok().map(drop)
        }
        Op::Remove(p) => writer.remove_provider(provider(index, p)).ok(),
        Op::Rename(p) => writer.rename_provider(provider(index, p), &format!("p{p} {now:?}")).ok(),
        Op::Move(p, parent) => {
            writer.move_provider(provider(index, p), parent.map(|parent| provider(index, parent))).ok()
        }
        Op::Inventory(p, class, total) => {
            let class = match class {
                0 => ClassId::VCPU,
                1 => ClassId::DISK_GB,
                _ => writer.resource_class("CUSTOM_A").unwrap(),
            };
            let inventory = total.map(Inventory::of);
            writer.set_inventory(provider(index, p), class, inventory.as_ref()).ok()
        }
        Op::Inventories(p, total) => {
            let inventories = vec![(ClassId::VCPU, Inventory::of(total))];
            writer.set_inventories(provider(index, p), None, inventories).ok().map(drop)
        }
        Op::Traits(p, bits) => {
            let names = ["A", "B", "C"].iter().zip(0..).filter(|(_, bit)| bits >> bit & 1 == 1);
            let traits: Vec<_> = names.map(|(name, _)| writer.trait_named(name)).collect();
            writer.set_traits(provider(index, p), &traits).ok()
        }
        Op::Aggregates(p, n) => {
            writer.set_aggregates(provider(index, p), &[Uuid::from_u128(u128::from(n) + 100)]).ok()
        }
        Op::RemoveTrait(t) => {
            let id = writer.topology().find_trait(["A", "B", "C"][usize::from(t)]);
            id.and_then(|id| writer.remove_trait(id).ok())
        }
        Op::RenameClass => {
            let class = writer.resource_class("CUSTOM_B").unwrap();
            writer.rename_class(class, "CUSTOM_C").ok()
        }
        ref other => {
            drop(writer);
            perform_on_consumers(index, other, now);
            return;
        }
    };
}

fn perform_on_consumers(index: &Index, op: &Op, now: Timestamp) {
    match *op {
        Op::Claim(c, p, amount) => {
            let allocation = Allocation { row: provider(index, p), class: ClassId::VCPU, amount };
            index.claim(ConsumerId(c.into()), &[allocation]).ok();
        }
        Op::Transfer(c, d, p, amount) => {
            let held = if amount == 0 { vec![] } else { vec![(provider(index, p), amount)] };
            index.transfer(&[write(c.into(), &held), write(d.into(), &[])], now).ok();
        }
        Op::Release(c) => drop(index.release(ConsumerId(c.into()))),
        Op::RemoveConsumer(c) => drop(index.release_uncounted(ConsumerId(c.into()))),
        Op::Reshape(p, c, total) => {
            let row = provider(index, p);
            let inventories = vec![(ClassId::VCPU, Inventory::of(total))];
            let rewrite = Rewrite { row, generation: None, inventories };
            index.reshape(&[rewrite], &[write(c.into(), &[(row, total)])], now).ok();
        }
        _ => unreachable!("the writer performs it"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_recorded_state_equals_the_index(ops in proptest::collection::vec(op(), 1..60)) {
        let tape = Arc::new(Tape::default());
        let index = Index::with_holders().recorded_by(tape.clone());
        let mut kept = Kept::default();
        for (op, now) in ops.iter().zip(1..) {
            perform(&index, op, Timestamp(now));
            prop_assert_eq!(tape.begun.load(Ordering::SeqCst), tape.ended.load(Ordering::SeqCst));
            tape.units.lock().unwrap().drain(..).flatten().for_each(|change| kept.apply(change, &index));
            prop_assert_eq!(records(&kept.rebuilt()), records(&index), "after {:?}", op);
        }
    }
}

/// Threads claim and release the same scarce capacity, and inventories grow. After every prefix of
/// the recorded changes, nothing is held twice.
#[test]
fn every_prefix_is_a_possible_state() {
    const HOSTS: u32 = 3;
    let tape = Arc::new(Tape::default());
    let index = Index::with_holders().recorded_by(tape.clone());
    for host in 0..HOSTS {
        let mut writer = index.write();
        let row = writer.add_provider(Uuid::from_u128(host.into()), &host.to_string(), None).unwrap();
        writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(4))).unwrap();
    }
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let index = &index;
            scope.spawn(move || {
                for turn in 0..500_u32 {
                    let (row, other) = (Row((turn + thread) % HOSTS), Row((turn * 7 + thread) % HOSTS));
                    let id = u128::from(thread % 3) + 10;
                    match turn % 4 {
                        0 => drop(index.claim(ConsumerId(id), &[take(row, 1 + turn % 3)])),
                        1 if row != other => {
                            index.transfer(&[write(id, &[(row, 1), (other, 2)])], Timestamp(1)).ok();
                        }
                        2 => drop(index.release(ConsumerId(id))),
                        _ => {
                            index.transfer(&[write(id, &[(row, 2)]), write(id + 1, &[])], Timestamp(1)).ok();
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            for total in 5..40 {
                let row = Row(total % HOSTS);
                index.write().set_inventory(row, ClassId::VCPU, Some(&Inventory::of(total))).unwrap();
            }
        });
    });
    let mut kept = Kept::default();
    let units = std::mem::take(&mut *tape.units.lock().unwrap());
    assert!(units.len() > 1000, "the threads did nothing");
    for unit in units {
        unit.into_iter().for_each(|change| kept.apply(change, &index));
        kept.assert_within_capacity();
    }
    assert_eq!(records(&kept.rebuilt()), records(&index));
}

fn take(row: Row, amount: u32) -> Allocation {
    Allocation { row, class: ClassId::VCPU, amount }
}

/// Stores the used amount at the end of each change.
#[derive(Default)]
struct AtTheEnd {
    index: OnceLock<Weak<Index>>,
    used: Mutex<Vec<i64>>,
}

impl Recorder for AtTheEnd {
    fn begin(&self) -> Ticket {
        Ticket(0)
    }

    fn record(&self, _: Vec<StateChange>) {}

    fn end(&self, _: Ticket) {
        if let Some(index) = self.index.get().and_then(Weak::upgrade) {
            self.used.lock().unwrap().push(index.used(Row(0), ClassId::VCPU));
        }
    }
}

/// Regression test: a release ended before its capacity was free, so a client that knew that the
/// consumer was gone could still be refused.
#[test]
fn when_a_release_has_ended_its_capacity_is_free() {
    let recorder = Arc::new(AtTheEnd::default());
    let index = Arc::new(Index::with_holders().recorded_by(recorder.clone()));
    let mut writer = index.write();
    let row = writer.add_provider(Uuid::from_u128(1), "host", None).unwrap();
    writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(4))).unwrap();
    drop(writer);
    recorder.index.set(Arc::downgrade(&index)).unwrap();
    index.claim(ConsumerId(1), &[take(row, 4)]).unwrap();
    index.release(ConsumerId(1)).unwrap();
    index.claim(ConsumerId(2), &[take(row, 3)]).unwrap();
    index.release_uncounted(ConsumerId(2)).unwrap();
    assert_eq!(*recorder.used.lock().unwrap(), [4, 0, 3, 0]);
}

/// Regression test: when all providers of 256 consecutive rows were gone and others followed,
/// restoring those panicked.
#[test]
fn rows_far_from_each_other_are_restored() {
    let index = Index::with_holders();
    let mut rebuild = index.rebuild();
    for row in [3, 1700] {
        let (name, parent) = (row.to_string().into(), None);
        let (traits, aggregates) = ([].into(), [].into());
        let state = ProviderState { uuid: Uuid::from_u128(row.into()), name, parent, traits, aggregates };
        rebuild.provider(Row(row), &state).unwrap();
    }
    rebuild.rows(5000).unwrap();
    rebuild.finish().unwrap();
    let added = index.write().add_provider(Uuid::from_u128(1), "new", None).unwrap();
    assert_eq!(added, Row(0), "a row without a provider is given again");
    index.check().unwrap();
}
