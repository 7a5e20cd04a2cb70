//! Durable state: the index and the fleet's records in one local file, or in etcd.
//!
//! Every change of the index passes through a [`Queue`] to a [`Committer`], which commits all
//! queued changes as one batch of a [`Store`] (group commit). Responses wait for the commit
//! ([`Durability`]). docs/durability.md states the guarantees.
//!
//! # From a change to its acknowledgement
//!
//! 1. A claim, release or write of the `Index` begins a ticket of its recorder, the [`Queue`].
//!    While it holds the locks of what it changes, it records the changes, so the queue has them in
//!    an order in which the index could have applied them. Commands of the fleet add their records
//!    beside them ([`Queue::record_beside`]).
//! 2. The thread of the [`Committer`] takes everything up to the first change in progress
//!    ([`Queue::wait`]).
//! 3. The [`Encoder`] turns the changes into records, with the generations of the providers as they
//!    are now.
//! 4. [`Store::commit`] writes one batch with one fsync, and the committer publishes its progress.
//! 5. A response that waits in [`Durability::wait_durable`] is sent, if everything that had begun
//!    before the wait is in a commit.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `store.rs`, `memory.rs`, `embedded.rs`, `feed.rs` | the `Store` trait; a store in memory and one on disk (redb); the latest commits for watchers |
//! | `etcd/` | a store in etcd, for several processes |
//! | `queue.rs`, `encoder.rs`, `committer.rs`, `durability.rs` | queued changes; changes as records; group commits; responses that wait for commits |
//! | `record.rs`, `message.rs`, `migrations.rs`, `load.rs`, `fill.rs` | keys and messages of the format, migrations between formats, a store as an index and an index as a store |
//! | `follower.rs` | a state that is kept by the commits of a store alone |
//! | `locked_file.rs`, `mark.rs` | the file of a store, locked before it is read; the latest acknowledged revision beside it |
//! | `fleet_records.rs`, `contents.rs` | the fleet's records as a store sees them; an index and a fleet as one state |
//! | `data_dir.rs`, `overlay.rs`, `unclosed.rs` | the directory of a service; reading a store without writing to it; a file that was not closed |
//! | `pages.rs`, `salvage.rs`, `fit.rs`, `upkeep.rs` | a damaged file read page by page, its consistent records, commands of operators |
//! | `line.rs`, `state_file.rs`, `digest.rs` | a state as text: backups and dumps; a digest that compares two states |
//!
//! # Keys
//!
//! A store is a sorted map of bytes, and `record.rs` chooses the keys by how they are written. A
//! consumer's key is the serial number of its entry, not its UUID, so that new entries fill a page
//! together instead of one page each. Owners have numbers. The generations of providers are written
//! as one record per commit, with one block of all generations in turn (`encoder.rs`).
//!
//! Tests: the suite that every store has to pass (`tests/store/`); index, queue, committer and redb
//! with followers on a simulated disk with faults (`tests/fault_simulation/`); missing, replaced
//! and damaged stores (`tests/directory.rs`).
//!
//! Invariants: the store does not interpret the fleet's records ([`FleetRecords`]), and depends on
//! no service and no protocol. Stored data has its own versioned types (`message.rs` for the store,
//! `line.rs` for state files), so the records of `placement` can change without the format.

#![forbid(unsafe_code)]

mod committer;
mod contents;
mod data_dir;
mod digest;
mod durability;
mod embedded;
mod encoder;
mod etcd;
mod feed;
mod fill;
mod fit;
mod fleet_records;
mod follower;
mod line;
mod load;
mod locked_file;
mod mark;
mod memory;
mod message;
mod migrations;
mod overlay;
mod pages;
mod queue;
mod record;
mod salvage;
mod state_file;
mod store;
mod unclosed;
mod upkeep;

pub use committer::{CommitProgress, Committer};
pub use contents::Contents;
pub use data_dir::{DataDir, DataError};
pub use digest::{Digest, Summary};
pub use durability::{Durability, DurabilityMode, DurabilityOptions};
pub use embedded::{EmbeddedStore, OpenError};
pub use encoder::Encoder;
pub use etcd::{EtcdReader, EtcdStore, EtcdStoreError, EtcdStoreOptions};
pub use feed::Feed;
pub use fill::{fill, probe};
pub use fleet_records::{FleetRecords, InvalidFleetRecord};
pub use follower::{FollowError, Follower};
pub use load::{Loaded, StateError, load};
pub use memory::MemoryStore;
pub use queue::{CommitGroup, Queue};
pub use salvage::Damage;
pub use state_file::{StateFileError, StateReader, Written, write_state};
pub use store::{Changes, CommitError, Committed, Compacted, LoadError, Revision, Store, StoreEntry, Tenure};
pub use upkeep::{Inspection, Repair};
