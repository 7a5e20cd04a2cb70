//! Restores an index from records.

use uuid::Uuid;

use crate::consumers::{Allocation, Allocations, Consumer};
use crate::ids::{Row, Timestamp};
use crate::index::Index;
use crate::inventory::InvalidInventory;
use crate::records::{AllocationRecord, ConsumerRecord, ProviderRecord, Record};
use crate::writer::{TopologyError, Writer};

/// Records that no index can hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// An invalid provider.
    #[error("resource provider {provider}: {error}")]
    Provider {
        /// The provider.
        provider: Uuid,
        /// What is wrong.
        error: TopologyError,
    },
    /// An inventory that breaks a rule.
    #[error("resource provider {provider}: {class}: {error}")]
    Inventory {
        /// The provider.
        provider: Uuid,
        /// The resource class.
        class: String,
        /// The rule.
        error: InvalidInventory,
    },
    /// More names than an index holds.
    #[error(transparent)]
    Full(TopologyError),
    /// A name that no earlier record introduced.
    #[error("{of} refers to {kind} {name}, which is missing")]
    Missing {
        /// The provider or consumer.
        of: Uuid,
        /// The kind of the name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Two records of one consumer.
    #[error("there are two records of consumer {0}")]
    ConsumerTwice(Uuid),
    /// A consumer's record precedes a record of another kind.
    #[error("records of classes, traits and providers have to precede those of consumers")]
    Order,
}

impl Index {
    /// Creates an index with holders from records: classes, traits and providers, then consumers.
    /// Consumers keep their allocations even where they exceed the capacity, which happens after an
    /// inventory shrank.
    ///
    /// # Errors
    /// The first record that does not fit the earlier ones, or an error of the source.
    pub fn restore<E: From<RestoreError>>(
        records: impl IntoIterator<Item = Result<Record, E>>,
    ) -> Result<Self, E> {
        let index = Self::with_holders();
        let mut restoring = Some(Restoring::new(&index));
        for record in records {
            match (record?, &mut restoring) {
                (Record::Consumer(consumer), restoring) => {
                    restoring.take().map_or(Ok(()), Restoring::finish)?;
                    index.restore_consumer(consumer)?;
                }
                (_, None) => return Err(RestoreError::Order.into()),
                (Record::Class(class), Some(restoring)) => {
                    restoring.writer.set_now(class.since);
                    restoring.writer.resource_class(&class.name).map_err(RestoreError::Full)?;
                }
                (Record::Trait(of), Some(restoring)) => {
                    restoring.writer.set_now(of.since);
                    restoring.writer.trait_named(&of.name);
                }
                (Record::Provider(provider), Some(restoring)) => restoring.add(&provider)?,
            }
        }
        restoring.map_or(Ok(()), Restoring::finish)?;
        Ok(index)
    }

    fn restore_consumer(&self, record: ConsumerRecord) -> Result<(), RestoreError> {
        let allocations = record.allocations.iter().map(|allocation| self.find_account(&record, allocation));
        let allocations: Allocations = allocations.collect::<Result<_, _>>()?;
        let ConsumerRecord { uuid, owner, generation, written_at, .. } = record;
        let owner = owner.map(|owner| self.share(&owner));
        let consumer = Consumer::new(allocations, owner, generation, written_at);
        // The accounts were just found.
        self.readmit(uuid.into(), consumer).map_err(|_| RestoreError::ConsumerTwice(uuid))
    }

    /// The account of an allocation. Its inventory has to exist.
    fn find_account(
        &self,
        of: &ConsumerRecord,
        allocation: &AllocationRecord,
    ) -> Result<Allocation, RestoreError> {
        let missing = |kind, name: String| RestoreError::Missing { of: of.uuid, kind, name };
        let AllocationRecord { provider, class, amount } = allocation;
        let row = self.find(*provider).ok_or_else(|| missing("resource provider", provider.to_string()))?;
        let id = self.topology().class(class).filter(|&id| self.inventory(row, id).is_some());
        let id = id.ok_or_else(|| missing("an inventory of", format!("{class} on {provider}")))?;
        Ok(Allocation { row, class: id, amount: *amount })
    }
}

/// The part of a restore that is one topology batch.
struct Restoring<'index> {
    index: &'index Index,
    writer: Writer<'index>,
    providers: Vec<RestoredProvider>,
}

/// What can be set only after all providers exist.
struct RestoredProvider {
    row: Row,
    uuid: Uuid,
    parent: Option<Uuid>,
    generation: u64,
    changed_at: Timestamp,
}

impl<'index> Restoring<'index> {
    fn new(index: &'index Index) -> Self {
        Self { index, writer: index.write(), providers: Vec::new() }
    }

    fn add(&mut self, record: &ProviderRecord) -> Result<(), RestoreError> {
        let &ProviderRecord { uuid, parent, generation, changed_at, .. } = record;
        let fail = |error| RestoreError::Provider { provider: uuid, error };
        // A parent that follows later is resolved in `finish`.
        let known_parent = parent.and_then(|parent| self.index.find(parent));
        let row = self.writer.add_provider(uuid, &record.name, known_parent).map_err(fail)?;
        self.set_inventories(row, record)?;
        let traits = record.traits.iter().map(|name| {
            let missing = || RestoreError::Missing { of: uuid, kind: "trait", name: name.to_string() };
            self.writer.topology().find_trait(name).ok_or_else(missing)
        });
        let traits = traits.collect::<Result<Vec<_>, _>>()?;
        self.writer.set_traits(row, &traits).map_err(fail)?;
        self.writer.set_aggregates(row, &record.aggregates).map_err(fail)?;
        self.providers.push(RestoredProvider { row, uuid, parent, generation, changed_at });
        Ok(())
    }

    /// Sets the provider's inventories.
    fn set_inventories(&mut self, row: Row, record: &ProviderRecord) -> Result<(), RestoreError> {
        let provider = record.uuid;
        for (name, inventory) in &record.inventories {
            let missing =
                || RestoreError::Missing { of: provider, kind: "resource class", name: name.to_string() };
            let class = self.writer.topology().class(name).ok_or_else(missing)?;
            inventory.validate().map_err(|error| {
                let class = name.to_string();
                RestoreError::Inventory { provider, class, error }
            })?;
            let written = self.writer.set_inventory(row, class, Some(inventory));
            written.map_err(|error| RestoreError::Provider { provider, error })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), RestoreError> {
        for &RestoredProvider { row, uuid, parent, .. } in &self.providers {
            let Some(parent) = parent else { continue };
            let missing =
                || RestoreError::Missing { of: uuid, kind: "resource provider", name: parent.to_string() };
            let parent = self.index.find(parent).ok_or_else(missing)?;
            let fail = |error| RestoreError::Provider { provider: uuid, error };
            self.writer.move_provider(row, Some(parent)).map_err(fail)?;
        }
        self.writer.set_now(Timestamp::default());
        drop(self.writer);
        for RestoredProvider { row, generation, changed_at, .. } in self.providers {
            self.index.ledger.set_generation(row, generation);
            self.index.ledger.set_changed_at(row, changed_at);
        }
        Ok(())
    }
}
