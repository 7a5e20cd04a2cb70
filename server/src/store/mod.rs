//! State that outlives the process.
//!
//! Every change of the index goes through a queue to a thread that makes whatever waits durable as one commit of the store
//! (group commit). Answers wait for it. docs/durability.md says what that promises.

mod committer;
mod contents;
mod control;
mod data_dir;
mod durability;
mod embedded;
mod encoder;
mod fill;
mod fit;
mod keeper;
mod line;
mod load;
mod message;
mod migrations;
mod overlay;
mod pages;
mod queue;
mod record;
mod salvage;
mod state_file;
mod unclosed;
mod upkeep;

pub use committer::{Committer, Progress};
pub use contents::Contents;
pub use control::{Control, ControlError, backup_online};
pub use data_dir::{DataDir, DataError};
pub use durability::{Durability, DurabilityMode, DurabilityOptions};
pub use embedded::{EmbeddedStore, OpenError};
pub use encoder::Encoder;
pub use fill::fill;
pub use keeper::{Keeper, StartError};
pub use load::{Loaded, StateError, load};
pub use queue::{Group, Queue};
pub use salvage::Damage;
pub use state_file::{StateFileError, StateReader, Written, write_state};
pub(crate) use state_file::{entry_text, hex, record_text};
pub use upkeep::{Inspection, Repair};
