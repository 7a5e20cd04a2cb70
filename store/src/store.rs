//! The [`Store`] trait: load all records, commit batches, and publish the commits.
//!
//! A store treats a record as a key and a value of bytes and does not interpret them. Stores on
//! local disk, in memory and on a remote service therefore differ in how they are opened only. All
//! of them pass one test suite (`store/tests/store/suite.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// The number of a commit; the first is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A stored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreEntry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The commit that wrote it.
    pub revision: Revision,
}

/// New values by key; `None` removes a record.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub revision: Revision,
    /// The changes.
    pub changes: Arc<Changes>,
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store failed. Whether the batch was committed is known when the store is opened again;
    /// until then the store accepts no further batch.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Why records were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A record is damaged.
    #[error("the record {} is damaged: {what}", hex(.key))]
    Damaged {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong with it.
        what: String,
    },
    /// The visitor stopped the visit.
    #[error("{0}")]
    Refused(String),
}

/// The requested commits are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the commits before revision {} are not kept", .oldest.0)]
pub struct Compacted {
    /// The oldest revision that is kept.
    pub oldest: Revision,
}

/// A durable map of records. Threads may share it.
pub trait Store: Send + Sync {
    /// Visits every record in order of key, as of one revision, and returns that revision.
    ///
    /// # Errors
    /// The store fails, a record is damaged, or `visit` returns an error.
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError>;

    /// Commits all changes or none. When this returns, they survive a crash of the process and, if
    /// the store is on disk, of the machine. A batch without changes is a commit, too.
    ///
    /// # Errors
    /// The store fails.
    fn commit(&self, changes: Changes) -> Result<Revision, CommitError>;

    /// Completes work that commits deferred. The committer calls it when no change awaits a commit,
    /// and again every second until there is one.
    ///
    /// # Errors
    /// The store fails, or another process writes it now.
    fn idle(&self) -> Result<(), CommitError> {
        Ok(())
    }

    /// Whether this process may answer for the store; `None` if no other process can write it.
    fn tenure(&self) -> Option<Arc<dyn Tenure>> {
        None
    }

    /// Subscribes to every commit after the revision, in order. The receiver is closed when it lags
    /// too far behind or when the store is closed.
    ///
    /// # Errors
    /// The store no longer keeps all commits after the revision; the caller must load everything.
    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted>;
}

/// The time in which no other process can have written the store.
pub trait Tenure: Send + Sync {
    /// Whether it lasts still. A response to a read that is asked after the read reports the latest
    /// state.
    fn is_held(&self) -> bool;
}

fn hex(key: &[u8]) -> String {
    use std::fmt::Write;
    key.iter().fold(String::with_capacity(2 * key.len()), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
