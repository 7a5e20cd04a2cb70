//! Builds a consistent state from salvaged records. Records that are inconsistent with others are
//! dropped and reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use berth_placement::{
    ClassId, Consumer, ConsumerId, Index, Inventory, NameRecord, Owner, ProviderState, Row, Timestamp,
    TraitId,
};

use crate::contents::Contents;
use crate::fleet_records::FleetRecords;
use crate::record::{self, Key, Unreadable};
use crate::salvage::Salvage;

/// The increase of generations where the stored ones were lost. It exceeds any lag of a client, so
/// a client with an older generation receives a conflict and reads again.
const LEAP: u64 = 1 << 20;

/// Builds a state from the records; also returns one line for each record that was dropped or made
/// up.
pub(crate) fn fit<F: FleetRecords>(salvage: &Salvage) -> (Contents<F>, Vec<String>) {
    let mut fitting = Fitting::default();
    for (key, stored) in &salvage.records {
        fitting.enter(key, &stored.value);
    }
    fitting.fit_names();
    fitting.name_lost_classes();
    fitting.fit_providers();
    fitting.fit_consumers();
    let counts_are_whole = salvage.damages.is_empty();
    fitting.finish(counts_are_whole)
}

type Allocations = Vec<(Row, ClassId, u32)>;

#[derive(Default)]
struct Fitting<F> {
    rows: u32,
    classes: BTreeMap<ClassId, NameRecord>,
    traits: BTreeMap<TraitId, NameRecord>,
    providers: BTreeMap<Row, ProviderState>,
    inventories: BTreeMap<Row, BTreeMap<ClassId, Inventory>>,
    counts: BTreeMap<Row, (u64, Timestamp)>,
    owners: BTreeMap<u32, Arc<Owner>>,
    /// Consumers by serial.
    consumers: BTreeMap<u64, (ConsumerId, Consumer)>,
    fleet: F,
    notes: Vec<String>,
}

impl<F: FleetRecords> Fitting<F> {
    fn note(&mut self, what: impl Display) {
        self.notes.push(what.to_string());
    }

    fn enter(&mut self, key: &[u8], value: &[u8]) {
        if let Err(error) = self.put(key, value) {
            self.note(format_args!("dropped {}: {error}", record::words::<F>(key)));
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        match Key::read(key)? {
            Key::Format => {}
            Key::Rows => self.rows = self.rows.max(record::read_rows(value)?),
            Key::Class(id) => drop(self.classes.insert(id, record::read_name(value)?)),
            Key::Trait(id) => drop(self.traits.insert(id, record::read_name(value)?)),
            Key::Provider(row) => drop(self.providers.insert(row, record::read_provider(value)?)),
            Key::Inventories(row) => {
                self.inventories.insert(row, record::read_inventories(value)?.into_iter().collect());
            }
            Key::CountBlock(_) | Key::CountDelta(_) => {
                for (row, generation, at) in record::read_counts(value)? {
                    let count = self.counts.entry(row).or_default();
                    *count = (count.0.max(generation), count.1.max(at));
                }
            }
            Key::Owner(number) => drop(self.owners.insert(number, record::read_owner(value)?.into())),
            Key::Consumer(serial) => self.put_consumer(serial, value)?,
            Key::Fleet(_) => self.fleet.insert(key, value)?,
        }
        Ok(())
    }

    fn put_consumer(&mut self, serial: u64, value: &[u8]) -> Result<(), Unreadable> {
        let owner = record::read_owner_number(value)?;
        let known = owner.and_then(|number| self.owners.get(&number)).cloned();
        let is_lost = owner.is_some() && known.is_none();
        let (id, consumer) = record::read_consumer_of(serial, value, known)?;
        if is_lost {
            self.note(format_args!("consumer {} has no project and user any more", uuid::Uuid::from(id)));
        }
        self.consumers.insert(serial, (id, consumer));
        Ok(())
    }

    /// Drops classes and traits whose name is not unique.
    fn fit_names(&mut self) {
        fn twice<K: Copy + Ord>(names: &BTreeMap<K, NameRecord>) -> Vec<(K, Arc<str>)> {
            let mut seen = BTreeSet::new();
            let names = names.iter().map(|(&id, record)| (id, Arc::clone(&record.name)));
            names.filter(|(_, name)| !seen.insert(Arc::clone(name))).collect()
        }
        for (id, name) in twice(&self.classes) {
            self.classes.remove(&id);
            self.note(format_args!("dropped the resource class {name} with number {}: there are two", id.0));
        }
        for (id, name) in twice(&self.traits) {
            self.traits.remove(&id);
            self.note(format_args!("dropped the trait {name} with number {}: there are two", id.0));
        }
    }

    /// A class whose name is lost keeps its number and its allocations: dropping these would grant
    /// their capacity twice.
    fn name_lost_classes(&mut self) {
        let had = self.inventories.values().flat_map(|inventories| inventories.keys());
        let held = self.consumers.values().flat_map(|(_, consumer)| &consumer.allocations);
        let lost: BTreeSet<ClassId> = had
            .chain(held.map(|held| &held.class))
            .filter(|class| !self.classes.contains_key(class))
            .copied()
            .collect();
        // Standard classes have the same number in every index.
        let fixed = Index::with_holders().topology();
        for class in lost {
            let made_up = || format!("CUSTOM_LOST_{}", class.0);
            let name = fixed.classes().name(class.0.into()).map_or_else(made_up, str::to_owned);
            self.note(format_args!(
                "the name of the resource class with number {} is lost: it is {name} now",
                class.0
            ));
            self.classes.insert(class, NameRecord { name: name.into(), since: Timestamp::default() });
        }
    }

    fn fit_providers(&mut self) {
        let (mut uuids, mut names, mut notes) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        self.providers.retain(|row, provider| {
            let is_new = uuids.insert(provider.uuid) && names.insert(Arc::clone(&provider.name));
            if !is_new {
                notes.push(format!("dropped the provider {} in {row}: there are two", provider.name));
            }
            is_new
        });
        let traits = &self.traits;
        for provider in self.providers.values_mut() {
            let lost = provider.traits.iter().filter(|id| !traits.contains_key(id)).count();
            if lost > 0 {
                provider.traits =
                    provider.traits.iter().filter(|id| traits.contains_key(id)).copied().collect();
                notes.push(format!(
                    "the provider {} has lost {lost} traits whose names are lost",
                    provider.name
                ));
            }
        }
        self.notes.append(&mut notes);
        let astray: Vec<Row> = self.providers.keys().copied().filter(|&row| !self.has_root(row)).collect();
        for row in astray {
            // Breaking an earlier loop may have connected this provider to a root.
            if !self.has_root(row)
                && let Some(provider) = self.providers.get_mut(&row)
            {
                provider.parent = None;
                let name = Arc::clone(&provider.name);
                self.note(format_args!("the provider {name} is a root provider now: its parent is lost"));
            }
        }
        self.fit_inventories();
    }

    /// Whether the chain of parents from a provider ends at a root.
    fn has_root(&self, row: Row) -> bool {
        let mut at = Some(row);
        for _ in 0..=self.providers.len() {
            match at.map(|row| self.providers.get(&row)) {
                None => return true,
                Some(None) => return false,
                Some(Some(provider)) => at = provider.parent,
            }
        }
        false
    }

    fn fit_inventories(&mut self) {
        let mut notes = Vec::new();
        let (providers, classes) = (&self.providers, &self.classes);
        self.inventories.retain(|row, inventories| {
            let Some(provider) = providers.get(row) else {
                notes.push(format!("dropped the inventories of {row}: its provider is lost"));
                return false;
            };
            inventories.retain(|class, inventory| {
                let fault = if classes.contains_key(class) {
                    inventory.validate().err().map(|error| error.to_string())
                } else {
                    Some("its name is lost".to_owned())
                };
                if let Some(fault) = &fault {
                    let name = &provider.name;
                    notes.push(format!(
                        "dropped what {name} has of the class with number {}: {fault}",
                        class.0
                    ));
                }
                fault.is_none()
            });
            true
        });
        self.notes.append(&mut notes);
    }

    fn fit_consumers(&mut self) {
        let latest: BTreeMap<ConsumerId, u64> =
            self.consumers.iter().map(|(&serial, (id, _))| (*id, serial)).collect();
        let mut notes = Vec::new();
        let (providers, classes) = (&self.providers, &self.classes);
        self.consumers.retain(|serial, (id, consumer)| {
            let uuid = uuid::Uuid::from(*id);
            if latest.get(id) != Some(serial) {
                notes.push(format!("dropped an earlier record of consumer {uuid}"));
                return false;
            }
            let held = consumer.allocations.len();
            consumer.allocations.retain(|held| {
                let is_known = providers.contains_key(&held.row) && classes.contains_key(&held.class);
                if !is_known {
                    let (amount, row, class) = (held.amount, held.row, held.class.0);
                    notes.push(format!(
                        "dropped {amount} of class {} that consumer {uuid} holds on {}: that is lost",
                        classes
                            .get(&held.class)
                            .map_or_else(|| class.to_string(), |class| class.name.to_string()),
                        providers
                            .get(&row)
                            .map_or_else(|| row.to_string(), |provider| provider.name.to_string()),
                    ));
                }
                is_known
            });
            let is_left = held == 0 || !consumer.allocations.is_empty();
            if !is_left {
                notes.push(format!("dropped consumer {uuid}: it holds nothing any more"));
            }
            is_left
        });
        self.notes.append(&mut notes);
        self.stand_in();
    }

    /// Recreates a lost inventory with exactly the capacity that its allocations use, until the
    /// inventory is reported again. Dropping the allocations would grant their capacity twice.
    fn stand_in(&mut self) {
        let mut held: BTreeMap<(Row, ClassId), u64> = BTreeMap::new();
        let allocations: Allocations = self
            .consumers
            .values()
            .flat_map(|(_, consumer)| {
                consumer.allocations.iter().map(|held| (held.row, held.class, held.amount))
            })
            .collect();
        for (row, class, amount) in allocations {
            if self.inventories.get(&row).is_none_or(|inventories| !inventories.contains_key(&class)) {
                *held.entry((row, class)).or_default() += u64::from(amount);
            }
        }
        for ((row, class), amount) in held {
            let total = u32::try_from(amount).unwrap_or(u32::MAX).clamp(1, Inventory::MAX_AMOUNT);
            self.inventories.entry(row).or_default().insert(class, Inventory::of(total));
            let (provider, class) = (&self.providers[&row].name, &self.classes[&class].name);
            let note =
                format!("{provider} has {total} {class} until it is reported again: as much as is held");
            self.notes.push(note);
        }
    }

    fn finish(mut self, counts_are_whole: bool) -> (Contents<F>, Vec<String>) {
        let index = Index::with_holders();
        if let Err(error) = self.rebuild(&index, counts_are_whole) {
            self.note(format_args!("no state can be made of what is left: {error}"));
            return (Index::with_holders().into(), self.notes);
        }
        for (serial, (id, mut consumer)) in std::mem::take(&mut self.consumers) {
            consumer.owner = consumer.owner.map(|owner| index.share(&owner));
            if let Err(error) = index.readmit(id, consumer) {
                self.note(format_args!("dropped the consumer with serial {serial}: {error}"));
            }
        }
        let fleet = std::mem::take(&mut self.fleet);
        self.notes.extend(fleet.without_capacity(&index));
        (Contents { index, fleet }, self.notes)
    }

    fn rebuild(
        &mut self,
        index: &Index,
        counts_are_whole: bool,
    ) -> Result<(), berth_placement::RebuildError> {
        let mut rebuild = index.rebuild();
        for (id, name) in std::mem::take(&mut self.classes) {
            rebuild.class(id, name)?;
        }
        for (id, name) in std::mem::take(&mut self.traits) {
            rebuild.of_trait(id, name)?;
        }
        let last = self.providers.keys().next_back().map_or(0, |row| row.0 + 1);
        rebuild.rows(self.rows.max(last))?;
        for (&row, provider) in &self.providers {
            rebuild.provider(row, provider)?;
        }
        for (row, inventories) in std::mem::take(&mut self.inventories) {
            rebuild.inventories(row, inventories.into_iter().collect())?;
        }
        let leap = if counts_are_whole { 0 } else { LEAP };
        for &row in self.providers.keys() {
            let (generation, at) = self.counts.get(&row).copied().unwrap_or_default();
            rebuild.counted(row, generation + leap, at);
        }
        rebuild.finish()
    }
}
