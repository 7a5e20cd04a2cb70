//! The placement model and its lock-free in-memory index.
//!
//! An [`Index`] holds every resource provider of a fleet: its [`Inventory`] records, the
//! allocations of consumers, traits, aggregates and position in a provider tree. A claim or release
//! is a compare-and-swap on one cell per resource class. Topology is published as immutable
//! snapshots. A decider works on a private [`View`] that it refreshes from the change journal.
//! Terms follow OpenStack Placement.
//!
//! This crate performs no I/O, reads no clock, draws no random number and starts no thread.
//!
//! # Structure
//!
//! **Ledger.** Every provider is a row. The accounts (capacity, used) of the three *host classes*
//! VCPU, MEMORY_MB and DISK_GB are on one cache line with the words that guard them: the
//! generation, the sequence number of inventory changes, and one bit per class whose unit rules
//! need no check. So a claim of a plain VM touches one line of the ledger. Other classes have a
//! column of accounts each, and every class a column of inventory records. Columns consist of
//! segments of 1,024 rows, allocated on first use. Segments never move, so readers need no lock
//! while a column grows.
//!
//! **Topology.** Everything that is not an amount is an immutable snapshot behind `arc-swap`.
//! Traits, aggregates, inventories and roots are bitmaps of rows, most of them also of the trees in
//! which they occur. A snapshot shares unchanged parts with its predecessor: providers in chunks of
//! 256, each bitmap by itself. One [`Writer`] at a time prepares the next snapshot, which is
//! published when the writer is dropped. Inventories, and the lookups by UUID and name, change
//! immediately.
//!
//! **Consumers.** A sharded map from consumer to allocations. A claim holds its consumer's shard
//! during the reservation, so two claims of one consumer cannot both succeed. No search accesses
//! the map.
//!
//! **Journal.** A ring of 65,536 entries, each with a row that changed and whether more than its
//! use changed. An entry says only *that* a row changed: the reader reads the row's current state,
//! so an entry that is read twice or late is harmless. A reader that falls a whole ring behind
//! copies every row.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `ids.rs` | dense numbers: `Row` (provider), `ClassId` (resource class), `TraitId` |
//! | `row_set.rs` | row sets, as roaring bitmaps and as plain words |
//! | `inventory.rs` | an inventory record, its rules and its capacity |
//! | `ledger.rs`, `ledger/` | capacity and use of every (provider, class): reservations, releases, rewrites of inventories, changes of several accounts as one |
//! | `segment.rs` | a column that grows in segments that never move |
//! | `consumers.rs` | allocations of consumers |
//! | `transfer.rs` | writes of several consumers as one change; reshapes |
//! | `holders.rs` | reverse lookups: consumers of a provider and of a project |
//! | `groups/` | server groups: members and their hosts, and claims that respect the policy |
//! | `topology.rs` | providers, trees, traits, aggregates: one immutable snapshot |
//! | `members.rs` | the members of a trait, an aggregate or a class: rows and trees |
//! | `consistency.rs` | rebuilds derived state and compares it |
//! | `candidates/` | allocation candidates on demand, of the fleet or of one tree: `docs/candidates.md` |
//! | `names.rs` | names to dense numbers, append-only |
//! | `standard/` | the standard traits and resource classes of OpenStack |
//! | `writer.rs`, `writer/` | the only writer of the topology; batches of changes |
//! | `journal.rs` | changed rows, in a bounded lock-free ring |
//! | `view.rs` | a decider's private copy of the free amounts |
//! | `kernel.rs` | operations on 64 rows at once, scalar and AVX2; the only `unsafe` |
//! | `index.rs` | all of these as one: `Index` |
//! | `records/` | the content of an index in UUIDs and names: captured at one moment (`capture.rs`), restored (`restore.rs`) |
//! | `reuse.rs` | which numbers of removed classes, traits and providers can be given again |
//! | `recorder.rs` | reports every change in an order of which every prefix is a possible state |
//! | `follow.rs` | applying the outcome of a batch of changes that another index recorded |
//! | `rebuild.rs` | rebuilds an index from recorded changes, with the same numbers |
//! | `custom.rs`, `message.rs` | names of custom traits and classes; errors of the writer with names and UUIDs instead of numbers |
//! | `sync.rs` | atomics and locks of `std`, or of `loom` when its models run |
//!
//! Tests: all interleavings of small claims (`loom.rs`), the index against a naive model
//! (`model.rs`), real threads (`stress.rs`), candidates against a naive search and Placement's
//! answers (`candidates/`), server groups in all three ways (`groups/`, `loom.rs`), transfers,
//! growing columns, captured and restored state, and recorded changes.
//!
//! # Invariants
//!
//! - No UUID and no name on the path of a decision: they are looked up at the edge, inside there
//!   are rows. (A consumer is a UUID, looked up once for each claim or release.)
//! - No floating point in an amount. It appears in the allocation ratio, from which a capacity is
//!   computed once, when the inventory is written, and in weighing.
//! - While an index exists, a row is not given to a second provider, so a decision about a removed
//!   provider cannot hit its successor. Rows that are free when an index is restored are given.
//! - Reading free amounts never waits, and no reader delays a claim. A claim, or a read of a whole
//!   inventory record, waits for a few stores while that provider's inventory is rewritten.
//! - [`Index::check`] and [`View::check`] compute derived state and compare it; they repair
//!   nothing.

pub mod candidates;
mod consistency;
mod consumers;
pub mod custom;
mod follow;
mod groups;
mod holders;
mod ids;
mod index;
mod inventory;
mod journal;
pub mod kernel;
mod ledger;
mod members;
pub mod message;
mod names;
mod rebuild;
mod recorder;
mod records;
mod reuse;
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
pub use follow::ChangeSet;
pub use groups::{ConsumerGroup, GroupError, GroupId, GroupPolicy, Member, Roster};
pub use ids::{ClassId, Row, Timestamp, TraitId};
pub use index::{ClaimError, Index, UnknownConsumer};
pub use inventory::{InvalidInventory, Inventory, Units};
pub use journal::{Journal, JournalEntry, JournalRead};
pub use ledger::{InventoryError, InventoryInUse, Ledger, Refusal, ReshapeRefusal, Rewrite};
pub use members::Members;
pub use names::Names;
pub use rebuild::{Rebuild, RebuildError};
pub use recorder::{ProviderState, Recorder, Replaced, StateChange, Ticket};
pub use records::{
    AllocationRecord, ConsumerRecord, Mark, NameRecord, ProviderRecord, Record, RestoreError, Snapshot,
};
pub use row_set::RowSet;
pub use topology::{Provider, SHARES_VIA_AGGREGATE, Topology};
pub use transfer::{ConsumerWrite, ExpectedGeneration, ReshapeError, TransferError};
pub use view::{HOST_CLASSES, HostChange, HostFree, ShapeId, View};
pub use writer::{TopologyError, Writer};
