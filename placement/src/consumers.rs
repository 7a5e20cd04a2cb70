//! Who holds what: the consumers and their allocations.

use std::hash::BuildHasherDefault;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use uuid::Uuid;

use crate::ids::{ClassId, Row};

/// The UUID of a consumer: a VM, or a migration that holds its old place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u128);

impl From<Uuid> for ConsumerId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
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

/// A consumer's allocations; those of a plain VM fit without a heap allocation.
pub type Allocations = SmallVec<[Allocation; 3]>;

/// The table of consumers, sharded; a shard is locked while one entry is added, its room being taken, or removed.
#[derive(Default)]
pub(crate) struct Consumers {
    table: DashMap<ConsumerId, Allocations, BuildHasherDefault<FxHasher>>,
}

impl Consumers {
    /// Adds a consumer whose room `reserve` takes; `None` when it already exists. Nothing is added when
    /// `reserve` fails.
    pub(crate) fn add<E>(
        &self,
        consumer: ConsumerId,
        allocations: &[Allocation],
        reserve: impl FnOnce() -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        match self.table.entry(consumer) {
            Entry::Occupied(_) => None,
            Entry::Vacant(entry) => Some(reserve().map(|()| {
                entry.insert(SmallVec::from_slice(allocations));
            })),
        }
    }

    pub(crate) fn remove(&self, consumer: ConsumerId) -> Option<Allocations> {
        self.table.remove(&consumer).map(|(_, allocations)| allocations)
    }

    pub(crate) fn get(&self, consumer: ConsumerId) -> Option<Allocations> {
        self.table.get(&consumer).map(|allocations| allocations.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Visits every allocation, in no particular order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Allocation)) {
        for entry in &self.table {
            entry.value().iter().for_each(&mut visit);
        }
    }
}
