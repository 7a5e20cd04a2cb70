//! The index: ledger, topology, consumers and change journal as one.

use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use rustc_hash::FxHasher;
use uuid::Uuid;

use crate::consumers::{Allocation, Allocations, Consumer, ConsumerId, Consumers};
use crate::holders::Holders;
use crate::ids::{ClassId, Row, Timestamp};
use crate::inventory::Inventory;
use crate::journal::Journal;
use crate::kernel::CLASSES;
use crate::ledger::{Ledger, Refusal};
use crate::topology::Topology;
use crate::writer::Writer;

type Lookup<K> = DashMap<K, Row, BuildHasherDefault<FxHasher>>;

/// The in-memory placement index.
///
/// Shared by reference between any number of threads. Reading amounts and topology takes no lock. A claim or release takes
/// the lock of its consumer's shard, and otherwise shares with those on other hosts only the change journal.
#[derive(Default)]
pub struct Index {
    pub(crate) ledger: Ledger,
    topology: ArcSwap<Topology>,
    pub(crate) consumers: Consumers,
    pub(crate) holders: Option<Holders>,
    journal: Journal,
    writer: Mutex<()>,
    pub(crate) by_uuid: Lookup<Uuid>,
    pub(crate) by_name: Lookup<Arc<str>>,
}

/// Why a claim was not granted; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The consumer has allocations already.
    #[error("consumer {:032x} has allocations already", .0.0)]
    ConsumerExists(ConsumerId),
    /// A provider refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A consumer without allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("consumer {:032x} has no allocations", .0.0)]
pub struct UnknownConsumer(pub ConsumerId);

/// Something [`Index::check`] found wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// The used amount is not the sum of the consumers' allocations.
    #[error("{row} class {}: used {used}, allocations sum to {allocated}", class.0)]
    Used {
        /// The provider.
        row: Row,
        /// The class.
        class: ClassId,
        /// What the ledger says.
        used: i64,
        /// What the consumers hold.
        allocated: i64,
    },
    /// A provider's root or its place among the roots is not what its parents say.
    #[error("{0} has a wrong root")]
    Root(Row),
    /// A trait or an aggregate names a row without provider, or a lookup names another row.
    #[error("{row} is named in {place} wrongly")]
    Membership {
        /// The row.
        row: Row,
        /// Where.
        place: String,
    },
}

impl Index {
    /// An empty index that can also tell who holds something of a provider ([`Self::holders`]) and which consumers a
    /// project has ([`Self::project_consumers`]). Claims cost a little more for it.
    #[must_use]
    pub fn with_holders() -> Self {
        Self { holders: Some(Holders::default()), ..Self::default() }
    }

    /// Starts a batch of topology changes; waits for the writer before it.
    #[must_use]
    pub fn write(&self) -> Writer<'_> {
        self.write_at(Timestamp::default())
    }

    /// [`Self::write`] by somebody with a clock: what is changed will say when.
    #[must_use]
    pub fn write_at(&self, now: Timestamp) -> Writer<'_> {
        Writer::new(self, self.only_writer(), now)
    }

    pub(crate) fn only_writer(&self) -> MutexGuard<'_, ()> {
        // A writer that panicked published what it had prepared: the snapshot is whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current topology.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// The change journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The provider with this UUID.
    #[must_use]
    pub fn find(&self, uuid: Uuid) -> Option<Row> {
        self.by_uuid.get(&uuid).map(|row| *row)
    }

    /// What consumers may still take of a class; see [`Ledger::free`].
    #[inline]
    #[must_use]
    pub fn free(&self, row: Row, class: ClassId) -> Option<i64> {
        self.ledger.free(row, class)
    }

    /// The free amounts of the host classes; see [`Ledger::free`].
    #[inline]
    #[must_use]
    pub fn host_free(&self, row: Row) -> [Option<i64>; CLASSES] {
        self.ledger.host_free(row)
    }

    /// The sum of all allocations of a class on a provider.
    #[must_use]
    pub fn used(&self, row: Row, class: ClassId) -> i64 {
        self.ledger.used(row, class)
    }

    /// A provider's inventory of a class.
    #[must_use]
    pub fn inventory(&self, row: Row, class: ClassId) -> Option<Inventory> {
        self.ledger.inventory(row, class)
    }

    /// A provider's generation; see [`Ledger::generation`].
    #[must_use]
    pub fn generation(&self, row: Row) -> u64 {
        self.ledger.generation(row)
    }

    /// Gives `consumer` all of the allocations, or none.
    ///
    /// # Errors
    /// A consumer that has allocations already, or the first provider that refuses.
    pub fn claim(&self, consumer: ConsumerId, allocations: &[Allocation]) -> Result<(), ClaimError> {
        let mut held = false;
        let reserved = self.consumers.add(consumer, allocations, || {
            self.ledger.look(allocations)?;
            held = true;
            self.ledger.reserve(allocations)?;
            if let Some(holders) = &self.holders {
                holders.replace(consumer, None, &Consumer::holding(allocations));
            }
            Ok::<_, Refusal>(())
        });
        if held {
            // Even when refused: others may have seen the room it held for a moment, and have to look again.
            self.journal_rows(allocations);
        }
        Ok(reserved.ok_or(ClaimError::ConsumerExists(consumer))??)
    }

    /// Takes everything back from `consumer`; returns what it had.
    ///
    /// # Errors
    /// A consumer without allocations.
    pub fn release(&self, consumer: ConsumerId) -> Result<Allocations, UnknownConsumer> {
        let mut locked = self.consumers.lock([consumer]);
        let held = locked.remove(consumer).ok_or(UnknownConsumer(consumer))?;
        if let Some(holders) = &self.holders {
            holders.remove(consumer, &held);
        }
        drop(locked);
        self.ledger.release(&held.allocations);
        self.journal_rows(&held.allocations);
        Ok(held.allocations)
    }

    /// What `consumer` holds.
    #[must_use]
    pub fn allocations(&self, consumer: ConsumerId) -> Option<Allocations> {
        self.consumers.get(consumer, |entry| entry.allocations.clone())
    }

    /// Everything that is kept of `consumer`.
    #[must_use]
    pub fn consumer(&self, consumer: ConsumerId) -> Option<Consumer> {
        self.consumers.get(consumer, Clone::clone)
    }

    /// The number of consumers with allocations.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// All inventories of a provider and its generation, as they stood at one moment.
    #[must_use]
    pub fn inventories(&self, row: Row) -> (u64, Vec<(ClassId, Inventory)>) {
        self.ledger.inventories(row, self.topology.load().classes().len())
    }

    /// When the provider was last changed by somebody with a clock.
    #[must_use]
    pub fn changed_at(&self, row: Row) -> Timestamp {
        self.ledger.changed_at(row)
    }

    /// Rebuilds what can be derived and compares it with what is kept. For a moment without writers and claims.
    ///
    /// # Errors
    /// The first difference found.
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.check_used()?;
        let topology = self.topology();
        for (row, provider) in topology.providers() {
            let expected =
                provider.parent.map_or(Some(row), |parent| topology.provider(parent).map(|p| p.root));
            if expected != Some(provider.root)
                || topology.roots().contains(row.0) != provider.parent.is_none()
            {
                return Err(Inconsistency::Root(row));
            }
            let has = |parent| topology.provider(parent).is_some_and(|parent| parent.children.contains(&row));
            if !provider.parent.is_none_or(has) {
                return Err(Inconsistency::Root(row));
            }
            if self.find(provider.uuid) != Some(row)
                || self.by_name.get(&provider.name).map(|r| *r) != Some(row)
            {
                return Err(Inconsistency::Membership { row, place: "the lookups".to_owned() });
            }
        }
        let traits = topology.trait_rows.iter().map(|rows| ("a trait".to_owned(), rows));
        let aggregates = topology.aggregate_rows.iter().map(|(id, rows)| (format!("aggregate {id}"), rows));
        let roots = [("the roots".to_owned(), &topology.roots)];
        for (place, rows) in roots.into_iter().chain(traits).chain(aggregates) {
            if let Some(row) = rows.iter().map(Row).find(|&row| topology.provider(row).is_none()) {
                return Err(Inconsistency::Membership { row, place });
            }
        }
        Ok(())
    }

    fn check_used(&self) -> Result<(), Inconsistency> {
        let topology = self.topology();
        let (rows, classes) = (topology.rows(), topology.classes().len());
        let mut allocated = vec![0_i64; rows * classes];
        self.consumers.for_each(|_, consumer| {
            for allocation in &consumer.allocations {
                allocated[allocation.row.index() * classes + allocation.class.index()] +=
                    i64::from(allocation.amount);
            }
        });
        for (place, &allocated) in allocated.iter().enumerate() {
            let row = Row(u32::try_from(place / classes).expect("bounded by the ledger"));
            let class = ClassId(u16::try_from(place % classes).expect("bounded by the ledger"));
            let used = self.used(row, class);
            if used != allocated {
                return Err(Inconsistency::Used { row, class, used, allocated });
            }
        }
        Ok(())
    }

    pub(crate) fn publish(&self, topology: &mut Topology) {
        topology.version += 1;
        self.topology.store(Arc::new(topology.clone()));
    }

    pub(crate) fn journal_rows(&self, allocations: &[Allocation]) {
        for (i, allocation) in allocations.iter().enumerate() {
            if i == 0 || allocations[i - 1].row != allocation.row {
                self.journal.push(allocation.row, false);
            }
        }
    }
}
