//! The state that a list of recorded changes makes, by a model that knows nothing of stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use berth_placement::{
    ClassId, Consumer, ConsumerId, Index, Inventory, NameRecord, ProviderState, Row, StateChange, Timestamp,
    TraitId,
};

/// Changes that were recorded as one.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    changes: Vec<StateChange>,
    /// What the index counted of the rows it names, then.
    counts: Vec<(Row, Count)>,
}

/// A provider's generation, and the time of its last change.
pub(crate) type Count = (u64, Timestamp);

impl Unit {
    pub(crate) fn new(changes: &[StateChange], index: &Index) -> Self {
        let counted = changes.iter().filter_map(|change| match *change {
            StateChange::Counted(row) => Some((row, (index.generation(row), index.changed_at(row)))),
            _ => None,
        });
        Self { changes: changes.to_vec(), counts: counted.collect() }
    }
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Kept {
    classes: BTreeMap<ClassId, NameRecord>,
    traits: BTreeMap<TraitId, NameRecord>,
    providers: BTreeMap<Row, ProviderState>,
    inventories: BTreeMap<Row, Vec<(ClassId, Inventory)>>,
    consumers: BTreeMap<ConsumerId, Consumer>,
    used: BTreeMap<(Row, ClassId), i64>,
    counts: BTreeMap<Row, Count>,
    /// Rows that were ever given to providers.
    rows: u32,
    /// Rows without a provider when the store was opened, which may be given once more.
    free: BTreeSet<Row>,
}

impl Kept {
    /// What an index holds.
    pub(crate) fn of(index: &Index) -> Self {
        let mut kept = Self::default();
        let mut changes: Vec<_> = index.snapshot().changes().collect();
        for change in &mut changes {
            if let StateChange::Consumer { id, after, .. } = change {
                *after = index.consumer(*id); // with its own serial
            }
        }
        kept.enter(&Unit::new(&changes, index));
        kept.rows = u32::try_from(index.topology().rows()).expect("rows are numbered by u32");
        kept.free = (0..kept.rows).map(Row).filter(|row| !kept.providers.contains_key(row)).collect();
        kept
    }

    /// Applies a unit; panics where it makes what cannot be.
    pub(crate) fn apply(&mut self, unit: &Unit) {
        let before = self.used.clone();
        self.enter(unit);
        for (&(row, class), &used) in &self.used {
            if used > before.get(&(row, class)).copied().unwrap_or(0) {
                let capacity = self.capacity(row, class);
                assert!(used <= capacity, "{used} granted of {capacity} on {row} by {unit:?}");
            }
        }
    }

    fn enter(&mut self, unit: &Unit) {
        unit.changes.iter().for_each(|change| self.change(change));
        for &(row, (generation, at)) in &unit.counts {
            assert!(self.providers.contains_key(&row), "nobody was counted: {unit:?}");
            let (old_generation, old_at) = self.counts.get(&row).copied().unwrap_or_default();
            assert!(generation >= old_generation && at >= old_at, "{row} went back by {unit:?}");
            self.counts.insert(row, (generation, at));
        }
    }

    fn capacity(&self, row: Row, class: ClassId) -> i64 {
        let inventories = self.inventories.get(&row).map_or(&[][..], Vec::as_slice);
        let inventory = inventories.iter().find(|(of, _)| *of == class);
        inventory.expect("only inventories are held").1.capacity()
    }

    fn change(&mut self, change: &StateChange) {
        match change {
            StateChange::Class(id, record) => set(&mut self.classes, *id, record.clone()),
            StateChange::Trait(id, record) => set(&mut self.traits, *id, record.clone()),
            StateChange::Provider(row, state) => {
                if !self.providers.contains_key(row) {
                    assert!(row.0 >= self.rows || self.free.remove(row), "{row} is given again");
                    self.rows = self.rows.max(row.0 + 1);
                }
                if state.is_none() {
                    self.inventories.remove(row);
                    self.counts.remove(row);
                }
                set(&mut self.providers, *row, state.clone());
            }
            StateChange::Inventories(row, inventories) => {
                assert!(self.providers.contains_key(row), "inventories of nobody");
                let inventories = Some(inventories.clone()).filter(|inventories| !inventories.is_empty());
                set(&mut self.inventories, *row, inventories);
            }
            StateChange::Counted(_) => {}
            StateChange::Consumer { id, replaces, after } => {
                self.consumer(*id, replaces.as_ref().map(|replaced| replaced.serial), after.as_ref());
            }
        }
    }

    fn consumer(&mut self, id: ConsumerId, replaces: Option<u64>, after: Option<&Consumer>) {
        let before = self.consumers.remove(&id);
        assert_eq!(replaces, before.as_ref().map(|before| before.serial), "{id:?}");
        if let (Some(before), Some(after)) = (&before, after) {
            assert!(after.serial > before.serial && after.generation >= before.generation, "{id:?}");
        }
        for held in before.iter().flat_map(|before| &before.allocations) {
            *self.used.get_mut(&(held.row, held.class)).expect("it was counted") -= i64::from(held.amount);
        }
        for held in after.iter().flat_map(|after| &after.allocations) {
            *self.used.entry((held.row, held.class)).or_default() += i64::from(held.amount);
        }
        self.used.retain(|_, used| *used != 0);
        set(&mut self.consumers, id, after.cloned());
    }

    /// Why `found` is not this; counts may have gone further.
    pub(crate) fn differs_from(&self, found: &Self) -> Option<String> {
        let differences = [
            differs("classes", &self.classes, &found.classes),
            differs("traits", &self.traits, &found.traits),
            differs("providers", &self.providers, &found.providers),
            differs("inventories", &self.inventories, &found.inventories),
            differs("consumers", &self.consumers, &found.consumers),
            differs("used", &self.used, &found.used),
            differs("rows", &self.rows, &found.rows),
        ];
        if let Some(difference) = differences.into_iter().flatten().next() {
            return Some(difference);
        }
        let lower = |&(row, count): &(&Row, &Count)| {
            let found = found.counts.get(row).copied().unwrap_or_default();
            self.providers.contains_key(row) && (found.0 < count.0 || found.1 < count.1)
        };
        let lost = self.counts.iter().find(lower);
        lost.map(|(row, count)| format!("{row} went back from {count:?} to {:?}", found.counts.get(row)))
    }

    pub(crate) fn generation(&self, row: Row) -> Option<u64> {
        self.providers
            .contains_key(&row)
            .then(|| self.counts.get(&row).map_or(0, |(generation, _)| *generation))
    }
}

fn differs<T: PartialEq + Debug>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected:?}, found {found:?}"))
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
