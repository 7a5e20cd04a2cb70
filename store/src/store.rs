//! A [`Store`] keeps records: it loads all of them, commits batches, and publishes what was committed.
//!
//! To a store, a record is a key and a value of bytes. What they mean is not its business, so that one on local disk, one in
//! memory and one in a service for many can stand for each other. All of them pass one suite of tests
//! (`store/tests/store/suite.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// Counts the commits of a store: the first is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A record as a store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreEntry<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The commit that wrote it.
    pub revision: Revision,
}

/// The desired records by key; `None` removes a record.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A batch that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub revision: Revision,
    /// What it changed.
    pub changes: Arc<Changes>,
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store failed. Whether the batch was committed shows when the store is opened again; until then it takes no other.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Why records were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A record is not what was written.
    #[error("the record {} is damaged: {what}", hex(.key))]
    Damaged {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong with it.
        what: String,
    },
    /// The visitor wants no more.
    #[error("{0}")]
    Refused(String),
}

/// Commits that are not kept any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the commits before revision {} are not kept", .oldest.0)]
pub struct Compacted {
    /// The first that is.
    pub oldest: Revision,
}

/// Keeps records. Any number of threads may share it.
pub trait Store: Send + Sync {
    /// Visits every record in order of key, all as they stood at one moment; returns the revision of that moment.
    ///
    /// # Errors
    /// A store that fails, or a record that is damaged. `visit` may end the visit with a reason of its own.
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError>;

    /// Makes the changes, all or none. When it returns, they outlive the process and, if the store is on disk, the machine.
    /// A batch without changes is a commit as well.
    ///
    /// # Errors
    /// A store that fails.
    fn commit(&self, changes: Changes) -> Result<Revision, CommitError>;

    /// Completes what commits leave for later. The committer calls it when no commit waits.
    ///
    /// # Errors
    /// A store that fails.
    fn idle(&self) -> Result<(), CommitError> {
        Ok(())
    }

    /// Every commit after that revision, in order, as it is made. The receiver ends when it falls too far behind, or when the
    /// store does.
    ///
    /// # Errors
    /// A revision from which on not all commits are kept: then everything has to be loaded.
    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted>;
}

fn hex(key: &[u8]) -> String {
    use std::fmt::Write;
    key.iter().fold(String::with_capacity(2 * key.len()), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
