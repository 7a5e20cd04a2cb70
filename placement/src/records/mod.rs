//! Everything an index holds, as records that say it in UUIDs and names: what stores keep and what is carried from and to
//! other Placement services.
//!
//! Server groups are not among them: they are as short-lived as the requests that made them.

mod capture;
mod restore;

use std::sync::Arc;

use uuid::Uuid;

use crate::consumers::Owner;
use crate::ids::Timestamp;
use crate::inventory::Inventory;

pub use capture::{Mark, Snapshot};
pub use restore::RestoreError;

/// One thing that an index holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A resource class.
    Class(NameRecord),
    /// A trait.
    Trait(NameRecord),
    /// A resource provider, with all that is its own.
    Provider(ProviderRecord),
    /// A consumer and what it holds.
    Consumer(ConsumerRecord),
}

/// A resource class or a trait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRecord {
    /// Its name.
    pub name: Arc<str>,
    /// When it was added or last renamed.
    pub since: Timestamp,
}

/// A resource provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderRecord {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// The provider that it stands below; `None` for a root.
    pub parent: Option<Uuid>,
    /// How often it was changed.
    pub generation: u64,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// What it has, by class.
    pub inventories: Vec<(Arc<str>, Inventory)>,
    /// Its traits.
    pub traits: Vec<Arc<str>>,
    /// The aggregates it is in.
    pub aggregates: Vec<Uuid>,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Its UUID.
    pub uuid: Uuid,
    /// To whom it belongs, if that was told.
    pub owner: Option<Arc<Owner>>,
    /// How often its allocations were written.
    pub generation: u64,
    /// When they were last written.
    pub written_at: Timestamp,
    /// What it holds.
    pub allocations: Vec<AllocationRecord>,
}

/// An amount of one class on one provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllocationRecord {
    /// The provider.
    pub provider: Uuid,
    /// The resource class.
    pub class: Arc<str>,
    /// How much.
    pub amount: u32,
}
