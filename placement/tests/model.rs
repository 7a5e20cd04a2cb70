//! The index compared with a naive model: ordered maps, without atomics and without stored derived
//! state.
//!
//! Every step runs on both. They must give the same answer, including the same error, and be in the
//! same state afterwards.
#![cfg(not(loom))]

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::{
    Allocation, ClaimError, ClassId, ConsumerId, HOST_CLASSES, HostChange, HostFree, Index, InvalidInventory,
    Inventory, InventoryInUse, Refusal, Row, SHARES_VIA_AGGREGATE, TopologyError, TraitId, Units, View,
    Writer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

const CONSUMERS: u8 = 12;
const UUIDS: u8 = 16;

/// An inventory whose ratio is a multiple of a quarter, so that the model needs no floating point.
#[derive(Debug, Clone, Copy)]
struct Offer {
    total: u32,
    reserved: u32,
    units: Units,
    quarters: u32,
}

impl Offer {
    fn inventory(&self) -> Inventory {
        let Self { total, reserved, units, quarters } = *self;
        Inventory { total, reserved, units, allocation_ratio: f64::from(quarters) / 4.0 }
    }

    fn capacity(&self) -> i64 {
        i64::from(self.total - self.reserved) * i64::from(self.quarters) / 4
    }

    /// The first field out of bounds.
    fn bad_field(&self) -> Option<&'static str> {
        let Units { min_unit, max_unit, step_size } = self.units;
        let fields = [
            ("total", self.total == 0),
            ("reserved", self.reserved > self.total),
            ("min_unit", min_unit == 0),
            ("max_unit", max_unit == 0),
            ("step_size", step_size == 0),
            ("allocation_ratio", self.quarters == 0),
        ];
        fields.into_iter().find(|(_, bad)| *bad).map(|(field, _)| field)
    }

    fn allows(&self, amount: u32) -> bool {
        let Units { min_unit, max_unit, step_size } = self.units;
        (min_unit..=max_unit).contains(&amount) && amount.is_multiple_of(step_size)
    }
}

/// Numbers select rows, classes and traits modulo their count plus one, so that some are unknown.
#[derive(Debug, Clone)]
enum Edit {
    Add { uuid: u8, name: u8, parent: Option<u8> },
    Remove { row: u8 },
    Inventory { row: u8, class: u8, offer: Option<Offer> },
    Class { name: u8 },
    Traits { row: u8, traits: Vec<u8> },
    Trait { name: u8 },
    Aggregates { row: u8, aggregates: Vec<u8> },
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Edit>),
    Claim { consumer: u8, takes: Vec<(u8, u8, u32)> },
    Release { consumer: u8 },
    Refresh,
}

fn offer() -> impl Strategy<Value = Offer> {
    let amount = prop_oneof![20 => 1..40_u32, 1 => Just(0)];
    let max_unit = prop_oneof![2 => 1..12_u32, 3 => 30..200_u32, 1 => Just(0)];
    let ones = || prop_oneof![6 => Just(1_u32), 3 => 1..4_u32, 1 => 0..4_u32];
    let quarters = prop_oneof![4 => Just(4_u32), 4 => 1..20_u32, 1 => Just(0)];
    let reserved = prop_oneof![3 => Just(0_u32), 1 => 0..42_u32];
    (amount, reserved, ones(), max_unit, ones(), quarters).prop_map(
        |(total, reserved, min_unit, max_unit, step_size, quarters)| Offer {
            total,
            reserved,
            units: Units { min_unit, max_unit, step_size },
            quarters,
        },
    )
}

fn edit() -> impl Strategy<Value = Edit> {
    let row = any::<u8>;
    prop_oneof![
        4 => (0..UUIDS, 0..UUIDS, proptest::option::of(row())).prop_map(|(uuid, name, parent)| Edit::Add { uuid, name, parent }),
        2 => row().prop_map(|row| Edit::Remove { row }),
        8 => (row(), any::<u8>(), proptest::option::weighted(0.8, offer()))
            .prop_map(|(row, class, offer)| Edit::Inventory { row, class, offer }),
        1 => (0..3_u8).prop_map(|name| Edit::Class { name }),
        1 => (0..4_u8).prop_map(|name| Edit::Trait { name }),
        2 => (row(), vec(0..5_u8, 0..3)).prop_map(|(row, traits)| Edit::Traits { row, traits }),
        2 => (row(), vec(0..4_u8, 0..3)).prop_map(|(row, aggregates)| Edit::Aggregates { row, aggregates }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![8 => 1..9_u32, 2 => 0..60_u32, 1 => Just(u32::MAX)];
    prop_oneof![
        5 => vec(edit(), 1..6).prop_map(Step::Write),
        6 => (0..CONSUMERS, vec((any::<u8>(), any::<u8>(), amount), 1..4))
            .prop_map(|(consumer, takes)| Step::Claim { consumer, takes }),
        3 => (0..CONSUMERS).prop_map(|consumer| Step::Release { consumer }),
        1 => Just(Step::Refresh),
    ]
}

#[derive(Debug, Clone)]
struct Node {
    uuid: Uuid,
    name: String,
    parent: Option<Row>,
    traits: BTreeSet<u32>,
    aggregates: BTreeSet<Uuid>,
}

struct Model {
    rows: u32,
    classes: Vec<String>,
    traits: Vec<String>,
    nodes: BTreeMap<Row, Node>,
    offers: BTreeMap<(Row, ClassId), Offer>,
    consumers: BTreeMap<ConsumerId, Vec<Allocation>>,
}

impl Model {
    fn new() -> Self {
        Self {
            rows: 0,
            classes: ["VCPU", "MEMORY_MB", "DISK_GB"].map(str::to_owned).to_vec(),
            traits: Vec::new(),
            nodes: BTreeMap::new(),
            offers: BTreeMap::new(),
            consumers: BTreeMap::new(),
        }
    }

    fn row(&self, pick: u8) -> Row {
        Row(u32::from(pick) % (self.rows + 1))
    }

    fn class(&self, pick: u8) -> ClassId {
        ClassId(u16::from(pick) % (u16::try_from(self.classes.len()).unwrap() + 1))
    }

    fn used(&self, row: Row, class: ClassId) -> i64 {
        let held = self.consumers.values().flatten().filter(|a| (a.row, a.class) == (row, class));
        held.map(|a| i64::from(a.amount)).sum()
    }

    fn root(&self, row: Row) -> Row {
        self.nodes[&row].parent.map_or(row, |parent| self.root(parent))
    }

    fn known(&mut self, row: Row) -> Result<&mut Node, TopologyError> {
        self.nodes.get_mut(&row).ok_or(TopologyError::UnknownProvider(row))
    }

    fn add(&mut self, uuid: Uuid, name: &str, parent: Option<Row>) -> Result<Row, TopologyError> {
        if self.nodes.values().any(|node| node.uuid == uuid) {
            return Err(TopologyError::DuplicateUuid(uuid));
        }
        if self.nodes.values().any(|node| node.name == name) {
            return Err(TopologyError::DuplicateName(name.to_owned()));
        }
        if let Some(parent) = parent {
            self.known(parent)?;
        }
        let row = Row(self.rows);
        self.rows += 1;
        let (traits, aggregates) = Default::default();
        self.nodes.insert(row, Node { uuid, name: name.to_owned(), parent, traits, aggregates });
        Ok(row)
    }

    fn remove(&mut self, row: Row) -> Result<(), TopologyError> {
        self.known(row)?;
        if self.nodes.values().any(|node| node.parent == Some(row)) {
            return Err(TopologyError::HasChildren(row));
        }
        let classes = (0..self.classes.len()).map(|class| ClassId(u16::try_from(class).unwrap()));
        if let Some(class) = classes.into_iter().find(|&class| self.used(row, class) > 0) {
            return Err(InventoryInUse { row, class }.into());
        }
        self.nodes.remove(&row);
        self.offers.retain(|&(owner, _), _| owner != row);
        Ok(())
    }

    fn set_offer(&mut self, row: Row, class: ClassId, offer: Option<Offer>) -> Result<(), TopologyError> {
        self.known(row)?;
        if class.index() >= self.classes.len() {
            return Err(TopologyError::UnknownClass(class));
        }
        match offer {
            Some(offer) => {
                if let Some(field) = offer.bad_field() {
                    return Err(InvalidInventory { field, value: String::new(), rule: "" }.into());
                }
                self.offers.insert((row, class), offer);
            }
            None if self.used(row, class) > 0 => return Err(InventoryInUse { row, class }.into()),
            None => drop(self.offers.remove(&(row, class))),
        }
        Ok(())
    }

    fn claim(&mut self, consumer: ConsumerId, allocations: &[Allocation]) -> Result<(), ClaimError> {
        if self.consumers.contains_key(&consumer) {
            return Err(ClaimError::ConsumerExists(consumer));
        }
        for (i, &Allocation { row, class, amount }) in allocations.iter().enumerate() {
            let Some(offer) = self.offers.get(&(row, class)) else {
                return Err(Refusal::NoInventory { row, class }.into());
            };
            if !offer.allows(amount) {
                return Err(Refusal::Units { row, class, amount, units: offer.units }.into());
            }
            let before = allocations[..i].iter().filter(|a| (a.row, a.class) == (row, class));
            let before: i64 = before.map(|a| i64::from(a.amount)).sum();
            let free = offer.capacity() - self.used(row, class) - before;
            if free < i64::from(amount) {
                return Err(Refusal::Capacity { row, class, amount, free }.into());
            }
        }
        self.consumers.insert(consumer, allocations.to_vec());
        Ok(())
    }
}

/// The index and the model, with a view that is refreshed from time to time.
struct Pair {
    index: Index,
    model: Model,
    view: View,
    /// The state that the view's reported changes add up to.
    reported: BTreeMap<Row, HostFree>,
}

impl Pair {
    fn new() -> Self {
        let index = Index::default();
        let view = View::new(&index);
        Self { index, model: Model::new(), view, reported: BTreeMap::new() }
    }

    fn step(&mut self, step: Step) {
        let before = self.generations();
        let changed = match step {
            Step::Write(edits) => return self.write(edits),
            Step::Claim { consumer, takes } => self.claim(consumer, &takes),
            Step::Release { consumer } => self.release(consumer),
            Step::Refresh => return self.refresh(),
        };
        self.assert_generations(&before, &changed);
    }

    fn claim(&mut self, consumer: u8, takes: &[(u8, u8, u32)]) -> BTreeSet<Row> {
        let consumer = ConsumerId(consumer.into());
        let allocations: Vec<Allocation> = takes
            .iter()
            .map(|&(row, class, amount)| Allocation {
                row: self.model.row(row),
                class: self.model.class(class),
                amount,
            })
            .collect();
        let (found, expected) =
            (self.index.claim(consumer, &allocations), self.model.claim(consumer, &allocations));
        let places: BTreeSet<_> = allocations.iter().map(|a| (a.row, a.class)).collect();
        // When one amount breaks two rules, or a class is requested twice, any of the refusals may
        // come first.
        if places.len() < allocations.len() || self.breaks_two_rules(expected) {
            assert_eq!(found.is_ok(), expected.is_ok(), "claim of {allocations:?}: {found:?}, {expected:?}");
        } else {
            assert_eq!(found, expected, "claim of {allocations:?}");
        }
        let rows = allocations.iter().map(|a| a.row);
        if found.is_ok() { rows.collect() } else { BTreeSet::new() }
    }

    /// Whether an amount breaks the unit rules and also exceeds the free capacity.
    fn breaks_two_rules(&self, verdict: Result<(), ClaimError>) -> bool {
        let Err(ClaimError::Refused(Refusal::Units { row, class, amount, .. })) = verdict else {
            return false;
        };
        self.index.free(row, class).is_some_and(|free| free < i64::from(amount))
    }

    fn release(&mut self, consumer: u8) -> BTreeSet<Row> {
        let consumer = ConsumerId(consumer.into());
        let (found, expected) = (self.index.release(consumer), self.model.consumers.remove(&consumer));
        assert_eq!(found.ok().map(|held| held.to_vec()), expected, "release of {consumer:?}");
        expected.unwrap_or_default().iter().map(|a| a.row).collect()
    }

    fn refresh(&mut self) {
        let reported = &mut self.reported;
        self.view.refresh(&self.index, |_, change| apply_change(reported, change));
        assert_same_view(&self.view, &self.index);
        assert!(
            self.reported.iter().map(|(&row, &free)| (row, free)).eq(self.view.iter()),
            "unreported changes"
        );
    }

    fn write(&mut self, edits: Vec<Edit>) {
        let mut writer = self.index.write();
        let published = self.index.topology().version();
        let before = generations(&self.index, self.model.rows);
        let mut changed = BTreeSet::new();
        for edit in edits {
            changed.extend(apply(&mut writer, &mut self.model, edit));
            assert_eq!(self.index.topology().version(), published, "readers see an unfinished batch");
        }
        drop(writer);
        self.assert_generations(&before, &changed);
    }

    fn generations(&self) -> Vec<u64> {
        generations(&self.index, self.model.rows + 1)
    }

    fn assert_generations(&self, before: &[u64], changed: &BTreeSet<Row>) {
        assert_changed(before, &self.generations(), changed);
    }

    fn assert_same_state(&self) {
        self.assert_same_topology();
        self.assert_same_amounts();
        assert_eq!(self.index.check(), Ok(()));
    }

    fn assert_same_topology(&self) {
        let (topology, model) = (self.index.topology(), &self.model);
        assert_eq!(topology.rows(), model.rows as usize);
        let found: Vec<_> = topology
            .providers()
            .map(|(row, p)| (row, p.uuid, p.name.to_string(), p.parent, p.root))
            .collect();
        let expected: Vec<_> = model
            .nodes
            .iter()
            .map(|(&row, node)| (row, node.uuid, node.name.clone(), node.parent, model.root(row)))
            .collect();
        assert_eq!(found, expected);
        let members = |contains: &dyn Fn(u32) -> bool| -> Vec<u32> {
            (0..model.rows + 200).filter(|&row| contains(row)).collect()
        };
        let roots = members(&|row| topology.roots().contains(row));
        assert_eq!(roots, rows_of(model, |node| node.parent.is_none()), "roots");
        for uuid in (0..UUIDS).map(uuid) {
            let expected = model.nodes.iter().find(|(_, node)| node.uuid == uuid).map(|(&row, _)| row);
            assert_eq!(self.index.find(uuid), expected);
        }
        for (number, name) in (0..).zip(&model.traits) {
            let id = topology.find_trait(name).unwrap();
            assert_eq!(id, TraitId(number));
            let rows = topology.rows_with_trait(id).unwrap();
            assert_eq!(
                members(&|row| rows.contains(row)),
                rows_of(model, |node| node.traits.contains(&number)),
                "trait {name}"
            );
        }
        for aggregate in (0..4).map(aggregate) {
            let rows = topology.rows_in_aggregate(aggregate);
            let found = members(&|row| rows.is_some_and(|rows| rows.contains(row)));
            let expected = rows_of(model, |node| node.aggregates.contains(&aggregate));
            assert_eq!(found, expected, "aggregate {aggregate}");
        }
        for (number, name) in (0..).zip(&model.classes) {
            assert_eq!(topology.class(name), Some(ClassId(number)));
        }
    }

    fn assert_same_amounts(&self) {
        let (index, model) = (&self.index, &self.model);
        for row in (0..=model.rows).map(Row) {
            for class in (0..=model.classes.len()).map(|class| ClassId(u16::try_from(class).unwrap())) {
                let offer = model.offers.get(&(row, class));
                let (used, place) = (model.used(row, class), (row, class));
                assert_eq!(index.used(row, class), used, "used {place:?}");
                assert_eq!(index.inventory(row, class), offer.map(Offer::inventory), "inventory {place:?}");
                assert_eq!(index.free(row, class), offer.map(|o| o.capacity() - used), "free {place:?}");
            }
            assert_eq!(index.host_free(row), HOST_CLASSES.map(|class| index.free(row, class)));
        }
        assert_eq!(index.consumers(), model.consumers.len());
        for consumer in (0..CONSUMERS).map(|consumer| ConsumerId(consumer.into())) {
            let found = index.allocations(consumer).map(|held| held.to_vec());
            assert_eq!(found.as_ref(), model.consumers.get(&consumer), "{consumer:?}");
        }
    }
}

/// Applies one edit to both; returns the row that it changed.
fn apply(writer: &mut Writer<'_>, model: &mut Model, edit: Edit) -> BTreeSet<Row> {
    let (found, expected, row) = match edit {
        Edit::Class { name } => {
            let name = format!("CUSTOM_{name}");
            if !model.classes.contains(&name) {
                model.classes.push(name.clone());
            }
            assert_eq!(
                writer.resource_class(&name).map(|class| class.index()),
                Ok(place(&model.classes, &name))
            );
            return BTreeSet::new();
        }
        Edit::Trait { name } => {
            let name = if name == 0 { SHARES_VIA_AGGREGATE.to_owned() } else { format!("TRAIT_{name}") };
            if !model.traits.contains(&name) {
                model.traits.push(name.clone());
            }
            assert_eq!(writer.trait_named(&name).0 as usize, place(&model.traits, &name));
            return BTreeSet::new();
        }
        Edit::Add { uuid: number, name, parent } => {
            let (uuid, name) = (uuid(number), format!("provider {name}"));
            let parent = parent.map(|pick| model.row(pick));
            let (found, expected) =
                (writer.add_provider(uuid, &name, parent), model.add(uuid, &name, parent));
            let row = *found.as_ref().unwrap_or(&Row(0));
            if let Ok(expected) = expected {
                assert_eq!(row, expected, "a row was reused");
            }
            (found.map(drop), expected.map(drop), row)
        }
        Edit::Remove { row } => {
            let row = model.row(row);
            (writer.remove_provider(row), model.remove(row), row)
        }
        Edit::Inventory { row, class, offer } => {
            let (row, class) = (model.row(row), model.class(class));
            let inventory = offer.map(|offer| offer.inventory());
            (writer.set_inventory(row, class, inventory.as_ref()), model.set_offer(row, class, offer), row)
        }
        Edit::Traits { row, traits } => {
            let row = model.row(row);
            let known = u32::try_from(model.traits.len()).unwrap();
            let traits: Vec<u32> = traits.iter().map(|&pick| u32::from(pick) % (known + 1)).collect();
            let unknown = traits.iter().find(|&&number| number >= known).map(|&number| TraitId(number));
            let expected = model.known(row).and_then(|node| match unknown {
                Some(unknown) => Err(TopologyError::UnknownTrait(unknown)),
                None => {
                    node.traits = traits.iter().copied().collect();
                    Ok(())
                }
            });
            let ids: Vec<TraitId> = traits.into_iter().map(TraitId).collect();
            (writer.set_traits(row, &ids), expected, row)
        }
        Edit::Aggregates { row, aggregates } => {
            let row = model.row(row);
            let aggregates: Vec<Uuid> = aggregates.into_iter().map(aggregate).collect();
            let expected =
                model.known(row).map(|node| node.aggregates = aggregates.iter().copied().collect());
            (writer.set_aggregates(row, &aggregates), expected, row)
        }
    };
    assert_eq!(kind(&found), kind(&expected));
    if found.is_ok() { BTreeSet::from([row]) } else { BTreeSet::new() }
}

/// The error, reduced to the field for an invalid inventory.
fn kind(result: &Result<(), TopologyError>) -> Result<(), TopologyError> {
    match result {
        Err(TopologyError::Inventory(InvalidInventory { field, .. })) => {
            Err(InvalidInventory { field, value: String::new(), rule: "" }.into())
        }
        other => other.clone(),
    }
}

fn place(names: &[String], name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap()
}

fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1000)
}

fn aggregate(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 5000)
}

fn rows_of(model: &Model, belongs: impl Fn(&Node) -> bool) -> Vec<u32> {
    model.nodes.iter().filter(|(_, node)| belongs(node)).map(|(row, _)| row.0).collect()
}

fn generations(index: &Index, rows: u32) -> Vec<u64> {
    (0..rows).map(|row| index.generation(Row(row))).collect()
}

/// Checks that generations increased exactly where something changed. New rows may begin with any
/// generation.
fn assert_changed(before: &[u64], after: &[u64], changed: &BTreeSet<Row>) {
    for (row, (before, after)) in (0..).map(Row).zip(before.iter().zip(after)) {
        if changed.contains(&row) {
            assert!(after > before, "{row} changed, but not its generation");
        } else {
            assert_eq!(after, before, "{row} did not change, but its generation did");
        }
    }
}

fn apply_change(reported: &mut BTreeMap<Row, HostFree>, change: HostChange) {
    let before = match change.after {
        Some(free) => reported.insert(change.row, free),
        None => reported.remove(&change.row),
    };
    assert_eq!(change.before, before, "{} is reported with another former state", change.row);
}

/// Checks that a refreshed view equals a new one.
fn assert_same_view(view: &View, index: &Index) {
    let fresh = View::new(index);
    assert_eq!(view.check(index), Ok(()));
    assert_eq!(fresh.check(index), Ok(()));
    assert!(view.iter().eq(fresh.iter()), "other hosts or amounts than a fresh view");
    let rules = |view: &View, row: Row| view.shapes()[view.shape_of()[row.index()].0 as usize];
    for (row, _) in fresh.iter() {
        assert_eq!(rules(view, row), rules(&fresh, row), "unit rules of {row}");
        // Unit rules that free capacity implies are equal for all hosts.
        let units = HOST_CLASSES.map(|class| {
            let inventory = index.inventory(row, class)?;
            Some(if inventory.capacity_implies_units() { Units::ANY } else { inventory.units })
        });
        assert_eq!(rules(view, row), units, "unit rules of {row}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_is_what_the_model_is(steps in vec(step(), 1..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            pair.assert_same_state();
        }
        pair.refresh();
    }
}

const WHOLE: Inventory = Inventory::of(100);

/// Hosts with 100 of each host class.
fn fleet(hosts: u32) -> Index {
    let index = Index::default();
    let mut writer = index.write();
    for host in 0..hosts {
        let row = writer.add_provider(Uuid::from_u128(host.into()), &format!("host {host}"), None).unwrap();
        for class in HOST_CLASSES {
            writer.set_inventory(row, class, Some(&WHOLE)).unwrap();
        }
    }
    drop(writer);
    index
}

fn vcpus(row: u32, amount: u32) -> [Allocation; 1] {
    [Allocation { row: Row(row), class: ClassId::VCPU, amount }]
}

/// The journal holds 65,536 entries; more changes than that happen between two refreshes.
#[test]
fn a_view_that_fell_a_whole_journal_behind_finds_everything() {
    let index = fleet(200);
    let mut reported = BTreeMap::new();
    let mut view = View::new(&index);
    reported.extend(view.iter());
    for turn in 0..35_000_u32 {
        index.claim(ConsumerId(1), &vcpus(turn % 200, 1 + turn % 7)).unwrap();
        index.release(ConsumerId(1)).unwrap();
    }
    index.claim(ConsumerId(2), &vcpus(3, 60)).unwrap();
    let mut writer = index.write();
    writer.remove_provider(Row(70)).unwrap();
    writer.set_inventory(Row(5), ClassId::MEMORY_MB, None).unwrap();
    writer.add_provider(Uuid::from_u128(9999), "newcomer", None).unwrap();
    drop(writer);
    for turn in 0..70_000_u32 {
        index.claim(ConsumerId(1), &vcpus(turn % 60, 1)).unwrap();
        index.release(ConsumerId(1)).unwrap();
    }
    view.refresh(&index, |_, change| apply_change(&mut reported, change));
    assert_same_view(&view, &index);
    assert!(reported.into_iter().eq(view.iter()));
    assert_eq!(view.host(Row(3)), Some([40, 100, 100]));
    assert_eq!((view.host(Row(5)).unwrap()[1], view.host(Row(70))), (i32::MIN, None));
}

#[test]
fn an_inventory_is_valid_before_its_batch_is_published() {
    let index = fleet(3);
    let mut view = View::new(&index);
    let mut writer = index.write();
    writer.set_inventory(Row(1), ClassId::VCPU, Some(&Inventory::of(7))).unwrap();
    assert_eq!(index.free(Row(1), ClassId::VCPU), Some(7));
    view.refresh(&index, |_, _| ());
    assert_eq!(view.host(Row(1)), Some([7, 100, 100]));
    assert_same_view(&view, &index);
}

#[test]
fn a_claim_on_a_row_that_never_existed_is_refused() {
    let index = fleet(1);
    for row in [1, 5000, u32::MAX] {
        let refusal = Refusal::NoInventory { row: Row(row), class: ClassId::VCPU };
        assert_eq!(index.claim(ConsumerId(1), &vcpus(row, 1)), Err(refusal.into()));
    }
    assert_eq!((index.consumers(), index.check()), (0, Ok(())));
}

#[test]
fn a_removed_provider_leaves_its_name_but_not_its_row() {
    let index = fleet(2);
    let mut writer = index.write();
    writer.remove_provider(Row(0)).unwrap();
    assert_eq!(writer.add_provider(Uuid::from_u128(0), "host 0", None), Ok(Row(2)));
    drop(writer);
    assert!(index.claim(ConsumerId(1), &vcpus(0, 1)).is_err(), "granted from a removed provider");
    assert!(index.claim(ConsumerId(1), &vcpus(2, 1)).is_err(), "granted from the old provider's inventory");
    assert_eq!(index.check(), Ok(()));
}
