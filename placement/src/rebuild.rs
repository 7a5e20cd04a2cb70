//! Making an index again of what a [`Recorder`](crate::Recorder) took down, with every number as it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::consumers::{Consumer, ConsumerId, Owner};
use crate::ids::{ClassId, Row, Timestamp, TraitId};
use crate::index::Index;
use crate::inventory::Inventory;
use crate::ledger::Ledger;
use crate::recorder::ProviderState;
use crate::records::NameRecord;
use crate::writer::{TopologyError, Writer};

/// A state that no index can have been in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RebuildError {
    /// A provider that cannot be.
    #[error("the resource provider in {row}: {error}")]
    Provider {
        /// The provider.
        row: Row,
        /// What is wrong.
        error: TopologyError,
    },
    /// A number beyond what an index holds.
    #[error("{what} number {number} is beyond the limit")]
    Beyond {
        /// What it is the number of.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// A name that two numbers have.
    #[error("there are two of {what} {name}")]
    NameTwice {
        /// What it names.
        what: &'static str,
        /// The name.
        name: Arc<str>,
    },
    /// Allocations of something that is not there.
    #[error("consumer {consumer} holds something of class {} on {row}, of which there is no inventory", class.0)]
    NoInventory {
        /// The consumer.
        consumer: Uuid,
        /// The provider.
        row: Row,
        /// The class.
        class: ClassId,
    },
    /// Two entries of one consumer.
    #[error("consumer {0} is there twice")]
    ConsumerTwice(Uuid),
}

/// An index that is being made again: classes and traits first, then providers, then what they have. Consumers come when
/// that is finished ([`Index::readmit`]).
pub struct Rebuild<'index> {
    index: &'index Index,
    writer: Writer<'index>,
    /// Providers that came before their parents.
    orphans: Vec<(Row, Row)>,
    counted: FxHashMap<Row, (u64, Timestamp)>,
}

impl Index {
    /// Starts to make an empty index what another one was.
    #[must_use]
    pub fn rebuild(&self) -> Rebuild<'_> {
        Rebuild { index: self, writer: self.write(), orphans: Vec::new(), counted: FxHashMap::default() }
    }

    /// Puts back a consumer with what it holds, also where that is more than the capacity, as it can be after an
    /// inventory shrank. Several threads may do so at once. Consumers of one owner should share it ([`Index::share`]).
    ///
    /// # Errors
    /// A consumer that is there already, or that holds something of which there is no inventory.
    pub fn readmit(&self, id: ConsumerId, consumer: Consumer) -> Result<(), RebuildError> {
        let unknown = consumer.allocations.iter().find(|held| self.free(held.row, held.class).is_none());
        if let Some(held) = unknown {
            let (row, class) = (held.row, held.class);
            return Err(RebuildError::NoInventory { consumer: id.into(), row, class });
        }
        self.serials.fetch_max(consumer.serial, Ordering::Relaxed);
        let mut locked = self.consumers.lock([id]);
        if locked.get(id).is_some() {
            return Err(RebuildError::ConsumerTwice(id.into()));
        }
        self.ledger.take_unasked(&consumer.allocations);
        if let Some(holders) = &self.holders {
            holders.replace(id, None, &consumer);
        }
        locked.insert(id, consumer);
        Ok(())
    }
}

impl Index {
    /// The one copy of an owner that consumers of an index with holders share.
    #[must_use]
    pub fn share(&self, owner: &Arc<Owner>) -> Arc<Owner> {
        self.holders.as_ref().map_or_else(|| Arc::clone(owner), |holders| holders.share(owner))
    }
}

impl Rebuild<'_> {
    /// Puts back a resource class.
    ///
    /// # Errors
    /// A number beyond the limit, or a name that another class has.
    pub fn class(&mut self, id: ClassId, record: NameRecord) -> Result<(), RebuildError> {
        if id.index() >= Ledger::MAX_CLASSES {
            return Err(RebuildError::Beyond { what: "resource class", number: id.0.into() });
        }
        self.writer.put_back_class(id, record).map_err(|name| twice("resource class", name))
    }

    /// Puts back a trait.
    ///
    /// # Errors
    /// A number beyond the limit, or a name that another trait has.
    pub fn of_trait(&mut self, id: TraitId, record: NameRecord) -> Result<(), RebuildError> {
        if id.0 >= MAX_TRAITS {
            return Err(RebuildError::Beyond { what: "trait", number: id.0.into() });
        }
        self.writer.put_back_trait(id, record).map_err(|name| twice("trait", name))
    }

    /// Puts back a provider. Its parent may come later.
    ///
    /// # Errors
    /// A row beyond the limit or that another provider has, a UUID or name that is taken, or an unknown trait.
    pub fn provider(&mut self, row: Row, state: &ProviderState) -> Result<(), RebuildError> {
        let fail = |error| RebuildError::Provider { row, error };
        let parent = state.parent.filter(|&parent| self.writer.topology().provider(parent).is_some());
        self.writer.put_back_provider(row, state.uuid, &state.name, parent).map_err(fail)?;
        if let (Some(missing), None) = (state.parent, parent) {
            self.orphans.push((row, missing));
        }
        self.writer.set_traits(row, &state.traits).map_err(fail)?;
        self.writer.associate(row, &state.aggregates).map_err(fail)
    }

    /// Puts back what a provider has.
    ///
    /// # Errors
    /// An unknown provider or class, or an inventory that breaks a rule.
    pub fn inventories(
        &mut self,
        row: Row,
        inventories: Vec<(ClassId, Inventory)>,
    ) -> Result<(), RebuildError> {
        let outcome = self.writer.set_inventories(row, None, inventories);
        outcome.map(|_| ()).map_err(|error| RebuildError::Provider { row, error })
    }

    /// Puts back how many rows were ever used, so that none is given to another provider.
    ///
    /// # Errors
    /// A number beyond the limit.
    pub fn rows(&mut self, rows: u32) -> Result<(), RebuildError> {
        if rows as usize > Ledger::MAX_ROWS {
            return Err(RebuildError::Beyond { what: "row", number: rows.into() });
        }
        self.writer.put_back_rows(rows as usize);
        Ok(())
    }

    /// Puts back how often a provider was changed, and when the last time. Of several such, the largest numbers count; one
    /// of a provider that is not there does not.
    pub fn counted(&mut self, row: Row, generation: u64, changed_at: Timestamp) {
        let (highest, latest) = self.counted.entry(row).or_default();
        (*highest, *latest) = ((*highest).max(generation), (*latest).max(changed_at));
    }

    /// Publishes what was put back.
    ///
    /// # Errors
    /// A provider whose parent is not there, or stands below it.
    pub fn finish(mut self) -> Result<(), RebuildError> {
        for (row, parent) in self.orphans {
            let moved = self.writer.move_provider(row, Some(parent));
            moved.map_err(|error| RebuildError::Provider { row, error })?;
        }
        let index = self.index;
        drop(self.writer);
        let topology = index.topology();
        for (row, _) in topology.providers() {
            // Putting it back counted changes that were none.
            let (generation, changed_at) = self.counted.get(&row).copied().unwrap_or_default();
            index.ledger.set_generation(row, generation);
            index.ledger.set_changed_at(row, changed_at);
        }
        Ok(())
    }
}

/// More than anybody has, and few enough that a wrong number does no harm.
const MAX_TRAITS: u32 = 1 << 24;

fn twice(what: &'static str, name: Arc<str>) -> RebuildError {
    RebuildError::NameTwice { what, name }
}
