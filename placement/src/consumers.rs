//! The table of consumers and their allocations.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::{Arc, PoisonError};

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::groups::{ConsumerGroup, GroupId};
use crate::ids::{ClassId, Row, Timestamp};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

mod entry;

pub(crate) use entry::Entry;
use entry::Key;

/// The UUID of a consumer: an instance, or a migration that holds the allocations on the source
/// host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u128);

impl From<Uuid> for ConsumerId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
    }
}

impl From<ConsumerId> for Uuid {
    fn from(consumer: ConsumerId) -> Self {
        Self::from_u128(consumer.0)
    }
}

/// An amount of one resource class on one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allocation {
    /// The provider.
    pub row: Row,
    /// The resource class.
    pub class: ClassId,
    /// How much, in the class's unit.
    pub amount: u32,
}

/// A consumer's allocations; those of a plain VM need no heap allocation.
pub type Allocations = SmallVec<[Allocation; 3]>;

/// The project, user and type of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The project that owns it.
    pub project: Arc<str>,
    /// The user that requested it.
    pub user: Arc<str>,
    /// For example `INSTANCE` or `MIGRATION`; `None` when the client sent none.
    pub consumer_type: Option<Arc<str>>,
}

/// A consumer, as readers and recorders get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its allocations.
    pub allocations: Allocations,
    /// Its owner; `None` for a consumer that was not written through the Placement API.
    pub owner: Option<Arc<Owner>>,
    /// The number of writes of its allocations.
    pub generation: u64,
    /// The time when its allocations were last written.
    pub written_at: Timestamp,
    /// The serial number of this entry, if a recorder is attached; otherwise 0.
    pub serial: u64,
    /// The server group that it joined, which may have been removed since.
    pub(crate) group: Option<Arc<ConsumerGroup>>,
}

impl Consumer {
    /// The server group it is in.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.group.as_ref().filter(|group| group.roster().is_some()).map(|group| group.id())
    }

    /// A consumer outside any group.
    #[must_use]
    pub const fn new(
        allocations: Allocations,
        owner: Option<Arc<Owner>>,
        generation: u64,
        written_at: Timestamp,
    ) -> Self {
        Self { allocations, owner, generation, written_at, serial: 0, group: None }
    }

    /// A consumer with these allocations and no other properties.
    pub(crate) fn holding(allocations: Allocations) -> Self {
        Self::new(allocations, None, 1, Timestamp::default())
    }
}

/// The number of shards.
#[cfg(not(loom))]
const SHARDS: usize = 128;
#[cfg(loom)]
const SHARDS: usize = 2;

/// One shard of the table.
pub(crate) type Shard = FxHashMap<Key, Entry>;

/// The sharded table of consumers. A shard is locked while its entries and the amounts they hold
/// change. A caller that needs several shards locks them in ascending order ([`Self::lock`]).
pub(crate) struct Consumers {
    shards: Box<[RwLock<Shard>]>,
}

impl Default for Consumers {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Consumers {
    /// Adds a consumer whose allocations `reserve` takes; returns `None` when it already exists.
    /// Adds nothing when `reserve` fails.
    pub(crate) fn add<E>(
        &self,
        consumer: ConsumerId,
        reserve: impl FnOnce() -> Result<Consumer, E>,
    ) -> Option<Result<(), E>> {
        use std::collections::hash_map::Entry as Place;
        match self.write(shard_of(consumer)).entry(consumer.into()) {
            Place::Occupied(_) => None,
            Place::Vacant(place) => Some(reserve().map(|consumer| {
                place.insert(consumer.into());
            })),
        }
    }

    /// Returns what `read_entry` reads from the consumer's entry.
    pub(crate) fn get<T>(&self, consumer: ConsumerId, read_entry: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.read(shard_of(consumer)).get(&consumer.into()).map(read_entry)
    }

    /// Locks the shards of all these consumers, so that other threads observe the changes as one.
    pub(crate) fn lock(&self, consumers: impl IntoIterator<Item = ConsumerId>) -> Locked<'_> {
        let mut shards: Vec<usize> = consumers.into_iter().map(shard_of).collect();
        shards.sort_unstable();
        shards.dedup();
        Locked { shards: shards.into_iter().map(|shard| (shard, self.write(shard))).collect() }
    }

    /// Locks everything for reading.
    pub(crate) fn lock_all(&self) -> Vec<RwLockReadGuard<'_, Shard>> {
        (0..SHARDS).map(|shard| self.read(shard)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        (0..SHARDS).map(|shard| self.read(shard).len()).sum()
    }

    /// Visits every consumer, in no particular order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(ConsumerId, &Entry)) {
        for shard in 0..SHARDS {
            #[expect(clippy::iter_over_hash_type, reason = "the order is documented as arbitrary")]
            for (&consumer, entry) in &*self.read(shard) {
                visit(consumer.into(), entry);
            }
        }
    }

    // A thread that panicked with a shard locked had changed the whole shard or nothing.

    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard> {
        self.shards[shard].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard> {
        self.shards[shard].write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shards locked together.
pub(crate) struct Locked<'table> {
    shards: SmallVec<[(usize, RwLockWriteGuard<'table, Shard>); 1]>,
}

impl Locked<'_> {
    pub(crate) fn get(&self, consumer: ConsumerId) -> Option<&Entry> {
        let place = self.place(consumer);
        self.shards[place].1.get(&consumer.into())
    }

    pub(crate) fn get_mut(&mut self, consumer: ConsumerId) -> Option<&mut Entry> {
        let place = self.place(consumer);
        self.shards[place].1.get_mut(&consumer.into())
    }

    pub(crate) fn insert(&mut self, id: ConsumerId, consumer: Consumer) {
        let place = self.place(id);
        self.shards[place].1.insert(id.into(), consumer.into());
    }

    pub(crate) fn remove(&mut self, consumer: ConsumerId) -> Option<Consumer> {
        let place = self.place(consumer);
        self.shards[place].1.remove(&consumer.into()).map(Consumer::from)
    }

    fn place(&self, consumer: ConsumerId) -> usize {
        let shard = shard_of(consumer);
        self.shards.binary_search_by_key(&shard, |(locked, _)| *locked).expect("its shard was locked")
    }
}

#[allow(clippy::cast_possible_truncation)] // a remainder below SHARDS
fn shard_of(consumer: ConsumerId) -> usize {
    // The table inside a shard uses the hash's lowest and highest bits: these are in between.
    let hash = BuildHasherDefault::<FxHasher>::default().hash_one(consumer);
    (hash >> 40) as usize % SHARDS
}
