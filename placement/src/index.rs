//! The index: ledger, topology, consumers and change journal together.

use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use rustc_hash::FxHasher;
use uuid::Uuid;

use crate::consumers::{Allocation, Allocations, Consumer, ConsumerId, Consumers, Entry, Locked};
use crate::groups::Groups;
use crate::holders::Holders;
use crate::ids::{ClassId, Row, Timestamp};
use crate::inventory::Inventory;
use crate::journal::Journal;
use crate::kernel::CLASSES;
use crate::ledger::{Ledger, Refusal};
use crate::recorder::{Recorder, consumer_changes};
use crate::reuse::Reuse;
use crate::topology::Topology;
use crate::writer::Writer;

type Lookup<K> = DashMap<K, Row, BuildHasherDefault<FxHasher>>;

/// The in-memory placement index.
///
/// Any number of threads share it by reference. Reading amounts and topology takes no lock. A claim
/// or release locks its consumer's shard, and shares only the change journal with claims on other
/// hosts. Members of a server group also share the group's lock, and an index made
/// [`with_holders`](Self::with_holders) shares the sets of holders.
#[derive(Default)]
pub struct Index {
    pub(crate) ledger: Ledger,
    topology: ArcSwap<Topology>,
    pub(crate) consumers: Consumers,
    pub(crate) holders: Option<Holders>,
    pub(crate) groups: Groups,
    journal: Journal,
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
    /// The serial number of the latest consumer entry.
    pub(crate) serials: AtomicU64,
    writer: Mutex<Reuse>,
    pub(crate) by_uuid: Lookup<Uuid>,
    pub(crate) by_name: Lookup<Arc<str>>,
}

/// Why a claim was refused; nothing has changed.
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

/// Whether a release advances the generations of the providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    Counted,
    Uncounted,
}

impl Index {
    /// An empty index with reverse lookups: the consumers of a provider ([`Self::holders`]) and of
    /// a project ([`Self::project_consumers`]). They make claims slightly slower.
    #[must_use]
    pub fn with_holders() -> Self {
        Self { holders: Some(Holders::default()), ..Self::default() }
    }

    /// Starts a batch of topology changes; waits until the previous writer is dropped.
    #[must_use]
    pub fn write(&self) -> Writer<'_> {
        self.write_at(Timestamp::default())
    }

    /// [`Self::write`] with the current time, which is stored as the time of each change.
    #[must_use]
    pub fn write_at(&self, now: Timestamp) -> Writer<'_> {
        Writer::new(self, self.only_writer(), now)
    }

    pub(crate) fn only_writer(&self) -> MutexGuard<'_, Reuse> {
        // A writer that panicked published what it had prepared: the snapshot is consistent.
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

    /// The provider with this name.
    #[must_use]
    pub fn find_named(&self, name: &str) -> Option<Row> {
        self.by_name.get(name).map(|row| *row)
    }

    /// The free capacity of a class; see [`Ledger::free`].
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

    /// Allocates all of `allocations` to `consumer`, or none.
    ///
    /// # Errors
    /// A consumer that has allocations already, or the first provider that refuses.
    pub fn claim(&self, consumer: ConsumerId, allocations: &[Allocation]) -> Result<(), ClaimError> {
        let recording = self.recording();
        let mut held = false;
        let reserved = self.consumers.add(consumer, || {
            self.ledger.check(allocations)?;
            held = true;
            self.ledger.reserve(allocations)?;
            let mut entry = Consumer::holding(Allocations::from_slice(allocations));
            if let Some(holders) = &self.holders {
                holders.replace(consumer, None, &entry);
            }
            recording.record(|| {
                entry.serial = self.next_serial();
                consumer_changes(consumer, None, Some(&entry), allocations)
            });
            Ok::<_, Refusal>(entry)
        });
        drop(recording);
        if held {
            // Also after a refusal: other threads may have observed the amounts that it held
            // briefly, and have to look again.
            self.journal_rows(allocations);
        }
        Ok(reserved.ok_or(ClaimError::ConsumerExists(consumer))??)
    }

    /// Releases everything that `consumer` holds, and returns it.
    ///
    /// # Errors
    /// A consumer without allocations.
    pub fn release(&self, consumer: ConsumerId) -> Result<Allocations, UnknownConsumer> {
        let held = self.release_as(consumer, Counting::Counted).ok_or(UnknownConsumer(consumer))?;
        Ok(held.allocations)
    }

    /// [`Self::release`], but the generations of the providers stay, as in Placement. Returns the
    /// consumer; `None` if it holds nothing.
    pub fn release_uncounted(&self, consumer: ConsumerId) -> Option<Consumer> {
        self.release_as(consumer, Counting::Uncounted)
    }

    fn release_as(&self, consumer: ConsumerId, counting: Counting) -> Option<Consumer> {
        let recording = self.recording();
        let mut locked = self.consumers.lock([consumer]);
        if counting == Counting::Uncounted && locked.get(consumer)?.allocations().is_empty() {
            return None;
        }
        let held = locked.remove(consumer)?;
        let counted: &[Allocation] = match counting {
            Counting::Counted => &held.allocations,
            Counting::Uncounted => &[],
        };
        self.ledger.bump_generations(counted);
        recording.record(|| consumer_changes(consumer, Some(&held), None, counted));
        self.vacate(consumer, &held, locked);
        drop(recording);
        self.journal_rows(&held.allocations);
        Some(held)
    }

    /// Completes the removal of the entry `held` of a consumer: it leaves the reverse lookups and
    /// its server group, then its allocations are released.
    pub(crate) fn vacate(&self, consumer: ConsumerId, held: &Consumer, locked: Locked<'_>) {
        if let Some(holders) = &self.holders {
            holders.remove(consumer, held);
        }
        if let Some(group) = &held.group {
            group.leave(consumer);
        }
        // Unlocked first: the capacity is free only when the consumer is no longer found.
        drop(locked);
        self.ledger.release_uncounted(&held.allocations);
    }

    /// The allocations of `consumer`.
    #[must_use]
    pub fn allocations(&self, consumer: ConsumerId) -> Option<Allocations> {
        self.consumers.get(consumer, Entry::allocations)
    }

    /// The whole entry of `consumer`.
    #[must_use]
    pub fn consumer(&self, consumer: ConsumerId) -> Option<Consumer> {
        self.consumers.get(consumer, |entry| entry.into())
    }

    /// Visits every consumer, in no particular order.
    pub fn for_each_consumer(&self, mut visit: impl FnMut(ConsumerId, &Consumer)) {
        self.consumers.for_each(|id, entry| visit(id, &entry.into()));
    }

    /// The number of consumers with allocations.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// All inventories of a provider and its generation, as of one moment.
    #[must_use]
    pub fn inventories(&self, row: Row) -> (u64, Vec<(ClassId, Inventory)>) {
        self.ledger.inventories(row, self.topology.load().classes().len())
    }

    /// The time of the provider's last change by a caller with a clock.
    #[must_use]
    pub fn changed_at(&self, row: Row) -> Timestamp {
        self.ledger.changed_at(row)
    }

    /// The next serial number for a consumer entry.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many numbers of removed classes and traits wait for readers that may know their former
    /// meaning.
    #[must_use]
    pub fn waiting_numbers(&self) -> usize {
        let mut reuse = self.only_writer();
        let oldest = reuse.oldest(self.topology.load().version());
        reuse.classes.waiting(oldest) + reuse.traits.waiting(oldest)
    }

    /// Publishes the next version of the topology.
    pub(crate) fn publish(&self, topology: &mut Topology, reuse: &mut Reuse) {
        topology.version += 1;
        reuse.replaced(&self.topology.swap(Arc::new(topology.clone())));
    }

    pub(crate) fn journal_rows(&self, allocations: &[Allocation]) {
        for (i, allocation) in allocations.iter().enumerate() {
            if i == 0 || allocations[i - 1].row != allocation.row {
                self.journal.push(allocation.row, false);
            }
        }
    }
}
