//! The content of an index as records in UUIDs and names. Stores keep them, and migrations move
//! them to and from other Placement services.
//!
//! Server groups are not included: they live only as long as the requests that create them.

mod capture;
mod restore;

use std::sync::Arc;

use uuid::Uuid;

use crate::consumers::Owner;
use crate::ids::Timestamp;
use crate::inventory::Inventory;

pub use capture::{Mark, Snapshot};
pub use restore::RestoreError;

/// One item of an index.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A resource class.
    Class(NameRecord),
    /// A trait.
    Trait(NameRecord),
    /// A resource provider with its inventories, traits and aggregates.
    Provider(ProviderRecord),
    /// A consumer and its allocations.
    Consumer(ConsumerRecord),
}

/// A resource class or a trait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRecord {
    /// Its name.
    pub name: Arc<str>,
    /// The time when it was added or last renamed.
    pub since: Timestamp,
}

/// A resource provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRecord {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// Its parent; `None` for a root.
    pub parent: Option<Uuid>,
    /// Its generation.
    pub generation: u64,
    /// The time of its last change.
    pub changed_at: Timestamp,
    /// Its inventories, by class.
    pub inventories: Vec<(Arc<str>, Inventory)>,
    /// Its traits.
    pub traits: Vec<Arc<str>>,
    /// Its aggregates.
    pub aggregates: Vec<Uuid>,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its owner, if known.
    pub owner: Option<Arc<Owner>>,
    /// Its generation: the number of writes of its allocations.
    pub generation: u64,
    /// The time of the last write.
    pub written_at: Timestamp,
    /// Its allocations.
    pub allocations: Vec<AllocationRecord>,
}

/// An amount of one class on one provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllocationRecord {
    /// The provider.
    pub provider: Uuid,
    /// The resource class.
    pub class: Arc<str>,
    /// The amount.
    pub amount: u32,
}
