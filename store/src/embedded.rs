//! The store on local disk: one redb file.
//!
//! redb is a copy-on-write B-tree: a commit writes new pages beside those in use, and then, with one fsync, a header that
//! names the new root and its checksum. After a crash the file is at the last commit whose pages all arrived; what is behind
//! that is cut off. On opening, the checksum of every page is verified.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use crate::feed::Feed;
use crate::store::{Batch, Changes, CommitError, Committed, Compacted, Entry, LoadError, Revision, Store};
use crate::unclosed::{bring_down, was_closed};

/// The name of the table with the records.
pub(crate) const TABLE: &str = "records";

/// Records by key. A value has a [`HEAD`] before it.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(TABLE);

/// What is known of the store as a whole.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const REVISION: &str = "revision";

/// Bytes before a value: the revision that wrote it, and the CRC-32 of key, revision and value.
const HEAD: usize = 12;

/// Of pages read lately. The state is in memory already, so it only has to hold the upper levels of the tree.
const CACHE_BYTES: usize = 64 << 20;

/// Keeps records in one file.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
    /// Locked while a batch is committed, so that commits are told of in their order.
    feed: Mutex<Feed>,
}

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store: {0}")]
pub struct OpenError(#[from] redb::Error);

impl OpenError {
    /// For a store on whose pages redb panicked.
    pub(crate) fn panicked() -> Self {
        Self(redb::Error::Corrupted("a page is not what it has to be".to_owned()))
    }

    /// Whether the file is not what was written, rather than out of reach.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match &self.0 {
            // What does not come from the system is redb's: this is no store, or it ends too early.
            redb::Error::Io(error) => error.raw_os_error().is_none(),
            redb::Error::DatabaseAlreadyOpen => false,
            _ => true,
        }
    }
}

impl EmbeddedStore {
    /// Opens the file, which is made if it is not there. After a crash it is brought to the last commit.
    ///
    /// # Errors
    /// A file that cannot be read or written, is not a store, or is damaged elsewhere than in what a crash leaves unfinished.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let backend = FileBackend::new(file.map_err(redb::Error::from)?).map_err(redb::Error::from)?;
        if !was_closed(&backend).map_err(redb::Error::from)? {
            let store = path.display().to_string();
            tracing::warn!(store, "it was not closed: going back to its last whole commit");
        }
        Self::on(backend)
    }

    /// A store on something else than a file: for tests that make it fail.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn on(backend: impl StorageBackend) -> Result<Self, OpenError> {
        bring_down(&backend).map_err(redb::Error::from)?;
        Self::over(backend)
    }

    /// A store on something that nobody will rely on: to look at what is in it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn over(backend: impl StorageBackend) -> Result<Self, OpenError> {
        Self::with_database(builder().create_with_backend(backend).map_err(redb::Error::from)?)
    }

    fn with_database(database: Database) -> Result<Self, OpenError> {
        let revision = latest(&database)?;
        Ok(Self { database, feed: Mutex::new(Feed::after(revision)) })
    }

    /// Gives back the room in the file that is not needed; returns whether there was any.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn compact(&mut self) -> Result<bool, OpenError> {
        Ok(self.database.compact().map_err(redb::Error::from)?)
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the batch, or says what is not as it expects.
    fn write(&self, batch: &Batch, revision: Revision) -> Result<Result<(), CommitError>, redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut records = transaction.open_table(RECORDS)?;
            for (key, expected) in &batch.expected {
                let found = records.get(key.as_slice())?.and_then(|stored| revision_of(stored.value()));
                if found != *expected {
                    let (key, expected) = (key.clone(), *expected);
                    return Ok(Err(CommitError::Conflict { key, expected, found }));
                }
            }
            change(&mut records, &batch.changes, revision)?;
            transaction.open_table(ABOUT)?.insert(REVISION, revision.0)?;
        }
        transaction.commit()?;
        Ok(Ok(()))
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn latest(database: &Database) -> Result<Revision, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(ABOUT) {
        Ok(about) => Ok(about.get(REVISION)?.map_or(Revision(0), |revision| Revision(revision.value()))),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(Revision(0)),
        Err(error) => Err(error.into()),
    }
}

fn change(
    records: &mut redb::Table<'_, &[u8], &[u8]>,
    changes: &Changes,
    revision: Revision,
) -> Result<(), redb::StorageError> {
    for (key, value) in changes {
        match value {
            Some(value) => {
                let mut place = records.insert_reserve(key.as_slice(), HEAD + value.len())?;
                let (head, body) = place.as_mut().split_at_mut(HEAD);
                head.copy_from_slice(&head_of(key, value, revision));
                body.copy_from_slice(value);
            }
            None => drop(records.remove(key.as_slice())?),
        }
    }
    Ok(())
}

fn head_of(key: &[u8], value: &[u8], Revision(revision): Revision) -> [u8; HEAD] {
    let revision = revision.to_be_bytes();
    let mut sum = crc32fast::Hasher::new();
    [key, &revision, value].into_iter().for_each(|part| sum.update(part));
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&revision);
    head[8..].copy_from_slice(&sum.finalize().to_be_bytes());
    head
}

fn revision_of(stored: &[u8]) -> Option<Revision> {
    stored.first_chunk().map(|bytes| Revision(u64::from_be_bytes(*bytes)))
}

/// The record, if it is as it was written.
pub(crate) fn entry<'a>(key: &'a [u8], stored: &'a [u8]) -> Result<Entry<'a>, LoadError> {
    let damaged = |what: &str| LoadError::Damaged { key: key.to_vec(), what: what.to_owned() };
    let (Some(revision), Some((head, value))) = (revision_of(stored), stored.split_at_checked(HEAD)) else {
        return Err(damaged("it is cut off"));
    };
    if head != head_of(key, value, revision) {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(Entry { key, value, revision })
}

impl Store for EmbeddedStore {
    fn load(&self, visit: &mut dyn FnMut(Entry<'_>) -> Result<(), String>) -> Result<Revision, LoadError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let records = match transaction.open_table(RECORDS) {
            Ok(records) => records,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Revision(0)),
            Err(error) => return Err(failed(error)),
        };
        let about = transaction.open_table(ABOUT).map_err(failed)?;
        let revision = about.get(REVISION).map_err(failed)?.map_or(0, |revision| revision.value());
        for record in records.iter().map_err(failed)? {
            let (key, stored) = record.map_err(failed)?;
            visit(entry(key.value(), stored.value())?).map_err(LoadError::Refused)?;
        }
        Ok(Revision(revision))
    }

    fn commit(&self, batch: Batch) -> Result<Revision, CommitError> {
        let mut feed = self.feed();
        let revision = Revision(feed.latest().0 + 1);
        self.write(&batch, revision).map_err(|error| CommitError::Failed(error.to_string()))??;
        Ok(feed.publish(batch.changes))
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.feed().watch(after)
    }
}

fn failed(error: impl Into<redb::Error>) -> LoadError {
    LoadError::Failed(error.into().to_string())
}
