//! State that outlives the process: the index and the fleet's records in one local file.
//!
//! Every change of the index passes through a [`Queue`] to a [`Committer`], which commits whatever waits as one batch of a
//! [`Store`] (group commit). Answers wait for it ([`Durability`]). docs/durability.md states what that guarantees.

#![forbid(unsafe_code)]

mod committer;
mod contents;
mod data_dir;
mod digest;
mod durability;
mod embedded;
mod encoder;
mod feed;
mod fill;
mod fit;
mod fleet_records;
mod line;
mod load;
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

pub use committer::{Committer, Progress};
pub use contents::Contents;
pub use data_dir::{DataDir, DataError};
pub use digest::{Digest, Summary};
pub use durability::{Durability, DurabilityMode, DurabilityOptions};
pub use embedded::{EmbeddedStore, OpenError};
pub use encoder::Encoder;
pub use feed::Feed;
pub use fill::{fill, probe};
pub use fleet_records::{FleetRecords, InvalidFleetRecord};
pub use load::{Loaded, StateError, load};
pub use memory::MemoryStore;
pub use queue::{Group, Queue};
pub use salvage::Damage;
pub use state_file::{StateFileError, StateReader, Written, write_state};
pub use store::{Batch, Changes, CommitError, Committed, Compacted, Entry, LoadError, Revision, Store};
pub use upkeep::{Inspection, Repair};
