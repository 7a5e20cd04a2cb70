//! Rebuilds an index from the changes that a [`Recorder`](crate::Recorder) recorded, with every
//! number as before.

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

/// A recorded state that no index can have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RebuildError {
    /// An invalid provider.
    #[error("the resource provider in {row}: {error}")]
    Provider {
        /// The provider.
        row: Row,
        /// What is wrong.
        error: TopologyError,
    },
    /// A number above the limit of an index.
    #[error("{what} number {number} is above the limit")]
    Beyond {
        /// The kind of number.
        what: &'static str,
        /// The number.
        number: u64,
    },
    /// Two numbers with the same name.
    #[error("{what} {name} exists twice")]
    NameTwice {
        /// The kind of name.
        what: &'static str,
        /// The name.
        name: Arc<str>,
    },
    /// Allocations without an inventory.
    #[error("consumer {consumer} has an allocation of class {} on {row}, which has no inventory of it", class.0)]
    NoInventory {
        /// The consumer.
        consumer: Uuid,
        /// The provider.
        row: Row,
        /// The class.
        class: ClassId,
    },
    /// Two entries of one consumer.
    #[error("consumer {0} has two entries")]
    ConsumerTwice(Uuid),
}

/// An index under reconstruction: classes and traits come first, then providers, then their
/// inventories. Consumers follow after [`Self::finish`], through [`Index::readmit`].
pub struct Rebuild<'index> {
    index: &'index Index,
    writer: Writer<'index>,
    /// Providers that arrived before their parents.
    orphans: Vec<(Row, Row)>,
    counted: FxHashMap<Row, (u64, Timestamp)>,
}

impl Index {
    /// Starts the reconstruction of a recorded index in this empty one.
    #[must_use]
    pub fn rebuild(&self) -> Rebuild<'_> {
        Rebuild { index: self, writer: self.write(), orphans: Vec::new(), counted: FxHashMap::default() }
    }

    /// Restores a consumer and its allocations, even where they exceed the capacity, which happens
    /// after an inventory shrank. Several threads may restore consumers at once. Consumers of one
    /// owner should share it ([`Index::share`]).
    ///
    /// # Errors
    /// A consumer that exists already, or an allocation without an inventory.
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
        self.ledger.reserve_unchecked(&consumer.allocations);
        if let Some(holders) = &self.holders {
            holders.replace(id, None, &consumer);
        }
        locked.insert(id, consumer);
        Ok(())
    }
}

impl Index {
    /// The shared copy of an owner, in an index with holders.
    #[must_use]
    pub fn share(&self, owner: &Arc<Owner>) -> Arc<Owner> {
        self.holders.as_ref().map_or_else(|| Arc::clone(owner), |holders| holders.share(owner))
    }
}

impl Rebuild<'_> {
    /// Restores a resource class.
    ///
    /// # Errors
    /// A number above the limit, or a name that another class has.
    pub fn class(&mut self, id: ClassId, record: NameRecord) -> Result<(), RebuildError> {
        if id.index() >= Ledger::MAX_CLASSES {
            return Err(RebuildError::Beyond { what: "resource class", number: id.0.into() });
        }
        self.writer.put_back_class(id, record).map_err(|name| twice("resource class", name))
    }

    /// Restores a trait.
    ///
    /// # Errors
    /// A number above the limit, or a name that another trait has.
    pub fn of_trait(&mut self, id: TraitId, record: NameRecord) -> Result<(), RebuildError> {
        checked_trait(id)?;
        self.writer.put_back_trait(id, record).map_err(|name| twice("trait", name))
    }

    /// Restores a provider. Its parent may follow later.
    ///
    /// # Errors
    /// A row above the limit or in use, a UUID or name that is taken, or an unknown trait.
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

    /// Restores the inventories of a provider.
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

    /// Restores the number of rows ever used.
    ///
    /// # Errors
    /// A number above the limit.
    pub fn rows(&mut self, rows: u32) -> Result<(), RebuildError> {
        if rows as usize > Ledger::MAX_ROWS {
            return Err(RebuildError::Beyond { what: "row", number: rows.into() });
        }
        self.writer.put_back_rows(rows as usize);
        Ok(())
    }

    /// Restores a provider's generation and the time of its last change. The largest of several
    /// values counts. Where there is no provider, a value keeps the row from being given to
    /// another.
    pub fn counted(&mut self, row: Row, generation: u64, changed_at: Timestamp) {
        let (highest, latest) = self.counted.entry(row).or_default();
        (*highest, *latest) = ((*highest).max(generation), (*latest).max(changed_at));
    }

    /// Publishes the restored state.
    ///
    /// # Errors
    /// A provider whose parent is missing, or is one of its descendants.
    pub fn finish(mut self) -> Result<(), RebuildError> {
        for (row, parent) in self.orphans {
            let moved = self.writer.move_provider(row, Some(parent));
            moved.map_err(|error| RebuildError::Provider { row, error })?;
        }
        self.writer.find_free_numbers();
        // A count of a former provider would become one of its successor after another restart.
        let is_free = |row: Row| self.counted.get(&row).is_none_or(|counted| *counted == Default::default());
        self.writer.find_free_rows(is_free);
        let index = self.index;
        drop(self.writer);
        let topology = index.topology();
        for (row, _) in topology.providers() {
            // Restoring the providers counted changes that did not happen.
            let (generation, changed_at) = self.counted.get(&row).copied().unwrap_or_default();
            index.ledger.set_generation(row, generation);
            index.ledger.set_changed_at(row, changed_at);
        }
        Ok(())
    }
}

/// More traits than any fleet has, and few enough that a wrong number is harmless.
const MAX_TRAITS: u32 = 1 << 24;

pub(crate) fn checked_trait(id: TraitId) -> Result<(), RebuildError> {
    if id.0 < MAX_TRAITS {
        return Ok(());
    }
    Err(RebuildError::Beyond { what: "trait", number: id.0.into() })
}

fn twice(what: &'static str, name: Arc<str>) -> RebuildError {
    RebuildError::NameTwice { what, name }
}
