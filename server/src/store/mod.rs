//! State that outlives the process: one file that holds everything, written anew as a whole.

mod data_dir;
mod keeper;
mod line;
mod state_file;

pub use data_dir::{DataDir, DataError};
pub use keeper::Keeper;
pub use state_file::{StateError, StateReader, Written, write_state};
pub(crate) use state_file::{hex, record_text};
