//! The placement model and its lock-free in-memory index.
//!
//! An [`Index`] holds every resource provider of a fleet: what it has ([`Inventory`]), what is taken
//! (allocations of consumers), its traits, aggregates and place in a provider tree. Claims and releases are
//! compare-and-swap on one cell per resource class; topology is published as immutable snapshots; a decider
//! works on a private [`View`] that the change journal keeps fresh. Words follow OpenStack Placement.
//!
//! This crate performs no I/O, reads no clock, draws no random number and spawns no thread.

pub mod candidates;
mod consistency;
mod consumers;
mod groups;
mod holders;
mod ids;
mod index;
mod inventory;
mod journal;
pub mod kernel;
mod ledger;
mod members;
mod names;
mod rebuild;
mod recorder;
mod records;
mod row_set;
mod segment;
pub mod standard;
mod sync;
mod topology;
mod transfer;
mod view;
mod writer;

pub use consistency::Inconsistency;
pub use consumers::{Allocation, Allocations, Consumer, ConsumerId, Owner};
pub use groups::{Group, GroupError, GroupId, GroupPolicy, Member, Roster};
pub use ids::{ClassId, Row, Timestamp, TraitId};
pub use index::{ClaimError, Index, UnknownConsumer};
pub use inventory::{InvalidInventory, Inventory, Units};
pub use journal::{Entry as JournalEntry, Journal, Read as JournalRead};
pub use ledger::{InventoryError, InventoryInUse, Ledger, Refusal, ReshapeRefusal, Rewrite};
pub use members::Members;
pub use names::Names;
pub use rebuild::{Rebuild, RebuildError};
pub use recorder::{ProviderState, Recorder, StateChange, Ticket};
pub use records::{
    AllocationRecord, ConsumerRecord, Mark, NameRecord, ProviderRecord, Record, RestoreError, Snapshot,
};
pub use row_set::RowSet;
pub use topology::{Provider, SHARES_VIA_AGGREGATE, Topology};
pub use transfer::{ExpectedGeneration, ReshapeError, TransferError, Write};
pub use view::{Change, HOST_CLASSES, HostFree, ShapeId, View};
pub use writer::{TopologyError, Writer};
