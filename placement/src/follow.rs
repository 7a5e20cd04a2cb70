//! An index that follows another: it applies the outcome of whole batches of recorded changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::consumers::{Consumer, ConsumerId};
use crate::ids::{ClassId, Row, Timestamp, TraitId};
use crate::index::Index;
use crate::inventory::Inventory;
use crate::ledger::Ledger;
use crate::rebuild::{RebuildError, checked_trait};
use crate::recorder::ProviderState;
use crate::records::NameRecord;
use crate::writer::{TopologyError, Writer};

/// The outcome of a batch of changes: everything that it changed, once, as it is afterwards. `None`
/// stands for: removed.
#[derive(Debug, Default)]
pub struct ChangeSet {
    /// Resource classes.
    pub classes: BTreeMap<ClassId, Option<NameRecord>>,
    /// Traits.
    pub traits: BTreeMap<TraitId, Option<NameRecord>>,
    /// The number of rows that were ever given to providers.
    pub rows: Option<u32>,
    /// Providers.
    pub providers: BTreeMap<Row, Option<ProviderState>>,
    /// All inventories of a provider.
    pub inventories: BTreeMap<Row, Vec<(ClassId, Inventory)>>,
    /// Generations and times of change. They never go back.
    pub counts: BTreeMap<Row, (u64, Timestamp)>,
    /// Consumers whose entries are removed or replaced.
    pub released: Vec<ConsumerId>,
    /// New entries of consumers.
    pub consumers: Vec<(ConsumerId, Consumer)>,
}

impl Index {
    /// Applies the outcome of a batch of another index's changes, which had before what this index
    /// has. Readers can see parts of it until it returns.
    ///
    /// # Errors
    /// A change that does not fit what the index has. The index is of no use then.
    pub fn apply(&self, changes: ChangeSet) -> Result<(), RebuildError> {
        let ChangeSet { classes, traits, rows, providers, inventories, counts, released, consumers } =
            changes;
        released.into_iter().for_each(|consumer| self.withdraw(consumer));
        let changed = || providers.keys().chain(inventories.keys()).chain(counts.keys()).copied();
        // Writing counts changes that were counted before. A row without a provider may have counts
        // of a former one.
        let topology = self.topology();
        let here = changed().filter(|&row| topology.provider(row).is_some());
        let mut counted: BTreeMap<Row, (u64, Timestamp)> =
            changed().map(|row| (row, Default::default())).collect();
        counted.extend(here.map(|row| (row, (self.generation(row), self.changed_at(row)))));
        drop(topology);
        for (row, (generation, at)) in counts {
            let (highest, latest) = counted.entry(row).or_default();
            (*highest, *latest) = ((*highest).max(generation), (*latest).max(at));
        }
        let mut writer = self.write();
        let names_change = !classes.is_empty() || !traits.is_empty();
        writer.apply_classes(classes)?;
        writer.apply_traits(traits)?;
        if names_change {
            writer.find_free_numbers();
        }
        if let Some(rows) = rows {
            writer.put_back_rows(rows as usize);
        }
        writer.apply_providers(&providers)?;
        for (row, inventories) in inventories {
            let outcome = writer.set_inventories(row, None, inventories);
            outcome.map_err(|error| RebuildError::Provider { row, error })?;
        }
        drop(writer);
        let topology = self.topology();
        for (row, (generation, at)) in counted {
            if topology.provider(row).is_some() {
                self.ledger.set_generation(row, generation);
                self.ledger.set_changed_at(row, at);
            }
        }
        for (id, consumer) in consumers {
            let allocations = consumer.allocations.clone();
            self.readmit(id, consumer)?;
            self.journal_rows(&allocations);
        }
        Ok(())
    }

    /// Removes a consumer's entry without counting it.
    fn withdraw(&self, consumer: ConsumerId) {
        let mut locked = self.consumers.lock([consumer]);
        let Some(held) = locked.remove(consumer) else { return };
        self.vacate(consumer, &held, locked);
        self.journal_rows(&held.allocations);
    }
}

impl Writer<'_> {
    fn apply_classes(&mut self, classes: BTreeMap<ClassId, Option<NameRecord>>) -> Result<(), RebuildError> {
        if let Some(beyond) = classes.keys().find(|id| id.index() >= Ledger::MAX_CLASSES) {
            return Err(RebuildError::Beyond { what: "resource class", number: beyond.0.into() });
        }
        // Names may move from one number to another.
        classes.keys().for_each(|&id| self.forget_class(id));
        for (id, record) in classes.into_iter().filter_map(|(id, record)| Some((id, record?))) {
            let what = "resource class";
            self.put_back_class(id, record).map_err(|name| RebuildError::NameTwice { what, name })?;
        }
        Ok(())
    }

    fn apply_traits(&mut self, traits: BTreeMap<TraitId, Option<NameRecord>>) -> Result<(), RebuildError> {
        traits.keys().try_for_each(|&id| checked_trait(id))?;
        traits.keys().for_each(|&id| self.forget_trait(id));
        for (id, record) in traits.into_iter().filter_map(|(id, record)| Some((id, record?))) {
            let what = "trait";
            self.put_back_trait(id, record).map_err(|name| RebuildError::NameTwice { what, name })?;
        }
        Ok(())
    }

    fn apply_providers(
        &mut self,
        providers: &BTreeMap<Row, Option<ProviderState>>,
    ) -> Result<(), RebuildError> {
        let failed = |row: Row| move |error: TopologyError| RebuildError::Provider { row, error };
        let is_known = |writer: &Self, row: Row| writer.topology().provider(row).is_some();
        let parent_of =
            |writer: &Self, row: Row| writer.topology().provider(row).and_then(|known| known.parent);
        // Whatever moves or goes leaves its tree first, so that it has no children and is nobody's
        // child.
        for (&row, after) in providers {
            let stays = after.as_ref().is_some_and(|after| after.parent == parent_of(self, row));
            if is_known(self, row) && !stays {
                self.move_provider(row, None).map_err(failed(row))?;
            }
        }
        for (&row, after) in providers {
            if is_known(self, row) && after.is_none() {
                self.remove_provider(row).map_err(failed(row))?;
            }
        }
        // Names may move from one provider to another.
        let names = providers.iter().filter_map(|(&row, after)| Some((row, &after.as_ref()?.name)));
        let renamed: Vec<(Row, &Arc<str>)> = names.filter(|(row, _)| is_known(self, *row)).collect();
        self.rename_providers(&renamed).map_err(|(row, error)| failed(row)(error))?;
        let after = || providers.iter().filter_map(|(&row, after)| Some((row, after.as_ref()?)));
        for (row, state) in after() {
            if !is_known(self, row) {
                self.put_back_provider(row, state.uuid, &state.name, None).map_err(failed(row))?;
            }
        }
        for (row, state) in after() {
            self.move_provider(row, state.parent).map_err(failed(row))?;
            self.set_traits(row, &state.traits).map_err(failed(row))?;
            self.associate(row, &state.aggregates).map_err(failed(row))?;
        }
        Ok(())
    }
}
