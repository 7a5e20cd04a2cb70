//! The store on local disk: one redb file.
//!
//! redb is a copy-on-write B-tree. A commit writes new pages next to those in use and then, with
//! one fsync, a header that names the new root and its checksum. After a crash, recovery selects
//! the last commit whose pages are all intact. Opening a file verifies the checksum of every page.
//! The mark (`mark.rs`) records whether the last commit was acknowledged.

use std::io;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use uuid::Uuid;

use crate::feed::Feed;
use crate::locked_file::LockedFile;
use crate::mark::{Acknowledged, Mark};
use crate::store::{Changes, CommitError, Committed, Compacted, LoadError, Revision, Store, StoreEntry};
use crate::unclosed::{rewrite_to_disk, was_closed};

/// The name of the table with the records.
pub(crate) const TABLE: &str = "records";

/// Records by key. Each value follows a header of [`HEAD`] bytes.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(TABLE);

/// Properties of the store as a whole.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const REVISION: &str = "revision";
/// The key of a random number that identifies the store. Stores of earlier releases lack it until
/// they are opened for writing.
const IDENTITY: &str = "identity";

/// The length of the header before a value: the revision that wrote it, and the CRC-32 of key,
/// revision and value.
const HEAD: usize = 12;

/// The size of the page cache. The service keeps the state in memory, so the cache needs to hold
/// only the upper levels of the tree.
const CACHE_BYTES: usize = 64 << 20;

/// A store in one file.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
    /// The file; `None` for a store on another backend.
    file: Option<LockedFile>,
    identity: Option<u64>,
    /// Locked during a commit, so that commits are published in order.
    commits: Mutex<Commits>,
}

#[derive(Debug)]
struct Commits {
    feed: Feed,
    mark: Option<Mark>,
    /// Whether a commit has failed. The content of the file is unknown from then on.
    has_failed: bool,
}

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store: {0}")]
pub struct OpenError(#[from] redb::Error);

impl OpenError {
    /// The error for a store on whose pages redb panicked.
    pub(crate) fn panicked() -> Self {
        Self(redb::Error::Corrupted("a page of the file is damaged".to_owned()))
    }

    /// The operating system's error kind, if the operating system caused the error.
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.0 {
            redb::Error::Io(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether the file is damaged, as opposed to inaccessible.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match &self.0 {
            // redb itself reports errors without an OS error code: the file is not a store, or is
            // truncated.
            redb::Error::Io(error) => error.raw_os_error().is_none(),
            redb::Error::DatabaseAlreadyOpen => false,
            _ => true,
        }
    }
}

impl EmbeddedStore {
    /// Opens the file, and creates it if it is missing. After a crash, the store is recovered to
    /// the last commit.
    ///
    /// # Errors
    /// The file cannot be read or written, is not a store, or has damage that a crash cannot
    /// explain.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::in_file(LockedFile::open(path, true).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => redb::Error::DatabaseAlreadyOpen,
            _ => redb::Error::Io(error),
        })?)
    }

    /// [`Self::open`] for a file that is already locked.
    pub(crate) fn in_file(file: LockedFile) -> Result<Self, OpenError> {
        if !was_closed(&file).map_err(redb::Error::from)? {
            tracing::warn!("the store was not closed: it is recovered to its last commit");
        }
        let mut store = Self::on(file.clone())?;
        store.file = Some(file);
        Ok(store)
    }

    /// Opens a store on another backend than a file, such as one that injects faults in tests.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn on(backend: impl StorageBackend) -> Result<Self, OpenError> {
        rewrite_to_disk(&backend).map_err(redb::Error::from)?;
        Self::over(backend)
    }

    /// Opens a store on a temporary backend, to inspect its content. Durability is not needed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn over(backend: impl StorageBackend) -> Result<Self, OpenError> {
        Self::with_database(builder().create_with_backend(backend).map_err(redb::Error::from)?)
    }

    fn with_database(database: Database) -> Result<Self, OpenError> {
        let revision = Revision(about(&database, REVISION)?.unwrap_or_default());
        let identity = about(&database, IDENTITY)?;
        let commits = Commits { feed: Feed::after(revision), mark: None, has_failed: false };
        Ok(Self { database, file: None, identity, commits: Mutex::new(commits) })
    }

    /// The latest commit, and the identifier of the store if it has one.
    pub(crate) fn latest(&self) -> (Option<u64>, Revision) {
        (self.identity, self.commits().feed.latest())
    }

    /// Assigns an identifier to the store if it has none; returns the content of its mark.
    pub(crate) fn identify(&mut self) -> Result<Acknowledged, OpenError> {
        let store = match self.identity {
            Some(identity) => identity,
            None => {
                #[expect(clippy::disallowed_methods, reason = "distinguishes two files, decides nothing")]
                let (identity, _) = Uuid::new_v4().as_u64_pair();
                self.set_identity(identity)?;
                identity
            }
        };
        self.identity = Some(store);
        Ok(Acknowledged { store, revision: self.commits().feed.latest() })
    }

    fn set_identity(&self, identity: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(ABOUT)?.insert(IDENTITY, identity)?;
        Ok(transaction.commit()?)
    }

    /// Writes every later commit to the mark.
    pub(crate) fn marked_by(self, mark: Mark) -> Self {
        self.commits().mark = Some(mark);
        self
    }

    /// Releases unused space in the file; returns whether there was any.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn compact(&mut self) -> Result<bool, OpenError> {
        Ok(self.database.compact().map_err(redb::Error::from)?)
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that a durable commit may be acknowledged, and writes it to the mark.
    fn acknowledge(&self, mark: Option<&mut Mark>, revision: Revision) -> io::Result<()> {
        if let Some(file) = &self.file
            && !file.is_in_place()?
        {
            return Err(io::Error::other("its file was deleted or replaced while it was in use"));
        }
        match (mark, self.identity) {
            (Some(mark), Some(store)) => mark.write(Acknowledged { store, revision }),
            _ => Ok(()),
        }
    }

    fn write(&self, changes: &Changes, revision: Revision) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        change(&mut transaction.open_table(RECORDS)?, changes, revision)?;
        transaction.open_table(ABOUT)?.insert(REVISION, revision.0)?;
        Ok(transaction.commit()?)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn about(database: &Database, what: &str) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(ABOUT) {
        Ok(about) => Ok(about.get(what)?.map(|found| found.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
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

/// Decodes a record and verifies its checksum.
pub(crate) fn entry<'a>(key: &'a [u8], stored: &'a [u8]) -> Result<StoreEntry<'a>, LoadError> {
    let damaged = |what: &str| LoadError::Damaged { key: key.to_vec(), what: what.to_owned() };
    let (Some(revision), Some((head, value))) = (revision_of(stored), stored.split_at_checked(HEAD)) else {
        return Err(damaged("it is cut off"));
    };
    if head != head_of(key, value, revision) {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(StoreEntry { key, value, revision })
}

impl Store for EmbeddedStore {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
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

    fn commit(&self, changes: Changes) -> Result<Revision, CommitError> {
        let Commits { feed, mark, has_failed } = &mut *self.commits();
        if *has_failed {
            return Err(CommitError::Failed("a commit before has failed".to_owned()));
        }
        let revision = Revision(feed.latest().0 + 1);
        *has_failed = true;
        self.write(&changes, revision).map_err(|error| CommitError::Failed(error.to_string()))?;
        let acknowledged = self.acknowledge(mark.as_mut(), revision);
        acknowledged.map_err(|error| CommitError::Failed(error.to_string()))?;
        *has_failed = false;
        Ok(feed.publish(changes))
    }

    fn idle(&self) -> Result<(), CommitError> {
        let synced = self.commits().mark.as_mut().map_or(Ok(()), Mark::sync);
        synced.map_err(|error| CommitError::Failed(error.to_string()))
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.commits().feed.watch(after)
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        if let Err(error) = self.idle() {
            tracing::warn!(%error, "cannot sync the mark of the store");
        }
    }
}

fn failed(error: impl Into<redb::Error>) -> LoadError {
    LoadError::Failed(error.into().to_string())
}
