//! The data directory of a service.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read};
use std::marker::PhantomData;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use berth_placement::Index;
use rustix::fs::OFlags;

use crate::contents::Contents;
use crate::embedded::{EmbeddedStore, OpenError};
use crate::fill::fill;
use crate::fleet_records::FleetRecords;
use crate::load::{Loaded, StateError, load};
use crate::locked_file::{LockedFile, is_write_protected};
use crate::mark::{self, Acknowledged, Mark};
use crate::migrations::{MigrationError, migrate};
use crate::overlay::Overlay;
use crate::state_file::{StateFileError, StateReader};
use crate::store::{CommitError, Revision};
use crate::unclosed::was_closed;

pub(crate) const STORE: &str = "state.redb";
pub(crate) const UNFINISHED: &str = "state.redb.new";
const LOCK: &str = "lock";

/// Opens a file without following symbolic links.
#[expect(clippy::cast_possible_wrap, reason = "a flag")]
const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

/// The latest acknowledged commit (`mark.rs`).
const MARK: &str = "state.mark";

/// The state file of releases before the store. It is read only if no store exists.
const OLD_STATE: &str = "state.jsonl";

/// The name of that state file after its content was moved into a store.
const OLD_STATE_ASIDE: &str = "state.jsonl.replaced";

/// A directory with one state, locked by one process. `F` is the fleet's part of the state.
#[derive(Debug)]
pub struct DataDir<F> {
    pub(crate) directory: PathBuf,
    /// The lock file, which contains the process id while the directory is open. The kernel
    /// releases the lock however the process ends. `None` where no file can be created.
    lock: Option<File>,
    /// The file of the store, which is locked as well: an operator can remove the lock file, and
    /// other releases of redb do not check it.
    store: Mutex<Option<LockedFile>>,
    /// Whether an empty store may replace a missing one.
    init: bool,
    fleet: PhantomData<fn() -> F>,
}

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process uses the directory.
    #[error("{directory}: another process is using this directory{}", .process.as_ref().map(|id| format!(": {id}")).unwrap_or_default())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process id, if it is known.
        process: Option<String>,
    },
    /// A file or directory cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The store cannot be opened.
    #[error("{path}: {error}")]
    Open {
        /// The file of the store.
        path: PathBuf,
        /// The error.
        error: Box<OpenError>,
    },
    /// The store does not accept records.
    #[error("{path}: {error}")]
    Commit {
        /// The file of the store.
        path: PathBuf,
        /// The error.
        error: Box<CommitError>,
    },
    /// The records of the store are not a valid state.
    #[error("{path}: {error}")]
    State {
        /// The file of the store.
        path: PathBuf,
        /// The error.
        error: Box<StateError>,
    },
    /// The path is that of a file.
    #[error("{0}: this is no directory; a data directory is the one with the file {STORE}")]
    NoDirectory(PathBuf),
    /// The directory has no store.
    #[error(
        "{0}: this directory has no store: there is no file {STORE}; is it the directory of `berth serve --data`?"
    )]
    NoStore(PathBuf),
    /// The directory has no store, but had one before.
    #[error(
        "{0}: the store of this directory is missing: the file {STORE} was deleted or moved, or a volume is not mounted"
    )]
    Missing(PathBuf),
    /// The store is not the one that was in use.
    #[error("{0}: this is another store than the one that was in use")]
    Other(PathBuf),
    /// The store has lost commits that were acknowledged.
    #[error(
        "{path}: revision {} was acknowledged, and the store has only revision {}: its latest commits are damaged, or it is an older copy",
        .acknowledged.0, .found.0
    )]
    Behind {
        /// The file of the store.
        path: PathBuf,
        /// The latest commit that was acknowledged.
        acknowledged: Revision,
        /// The latest commit that the store has.
        found: Revision,
    },
    /// The mark of the latest acknowledged commit is damaged.
    #[error("{0}: the file is damaged")]
    Mark(PathBuf),
    /// A store that was just written does not read back as written.
    #[error("{0}: the store that was just written does not read back as written")]
    Different(PathBuf),
    /// The store has no records, not even a format record.
    #[error("{0}: the store is empty")]
    Empty(PathBuf),
    /// A state file cannot be read.
    #[error("{path}: {error}")]
    StateFile {
        /// The file.
        path: PathBuf,
        /// The error.
        error: Box<StateFileError>,
    },
}

impl DataError {
    /// Whether the stored data is damaged, so that a backup or a repair is needed.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open { error, .. } => error.is_damage(),
            Self::State { error, .. } => !matches!(**error, StateError::Later(_)),
            Self::StateFile { error, .. } => {
                !matches!(**error, StateFileError::Io(_) | StateFileError::Version(_))
            }
            Self::Empty(_) | Self::Behind { .. } | Self::Mark(_) => true,
            Self::InUse { .. }
            | Self::NoDirectory(_)
            | Self::NoStore(_)
            | Self::Missing(_)
            | Self::Other(_)
            | Self::Different(_)
            | Self::Io { .. }
            | Self::Commit { .. } => false,
        }
    }

    /// Whether writing fails for now although the state may be readable: the disk is full, or the
    /// file system was remounted read-only.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kind = match self {
            Self::Io { error, .. } => Some(error.kind()),
            Self::Open { error, .. } => error.io_kind(),
            _ => None,
        };
        matches!(kind, Some(StorageFull | QuotaExceeded | ReadOnlyFilesystem))
    }
}

impl<F: FleetRecords> DataDir<F> {
    /// Opens and locks a directory, and creates it if it is missing.
    ///
    /// # Errors
    /// The directory cannot be created or written, or another process uses it.
    pub fn open(directory: &Path) -> Result<Self, DataError> {
        make(directory)?;
        Self::take(directory, true, is_full)
    }

    /// Opens and locks an existing directory. A directory that cannot be written can still be read.
    ///
    /// # Errors
    /// The directory is missing or cannot be read, another process uses it, or it is that of
    /// something else.
    pub fn open_existing(directory: &Path) -> Result<Self, DataError> {
        let is_own =
            [LOCK, STORE, MARK, OLD_STATE, OLD_STATE_ASIDE].iter().any(|file| directory.join(file).exists());
        if directory.is_dir() && !is_own {
            return Err(DataError::NoStore(directory.to_owned()));
        }
        Self::take(directory, true, |error| is_write_protected(error) || is_full(error))
    }

    /// Opens and locks a directory with a state that is only read: no file is created. Without a
    /// lock file, the lock of the store keeps other processes out.
    ///
    /// # Errors
    /// The directory has no state or cannot be read, or another process uses it.
    pub fn open_to_read(directory: &Path) -> Result<Self, DataError> {
        let data = Self::take(directory, false, |error| is_write_protected(error) || is_full(error))?;
        if data.has_state()? { Ok(data) } else { Err(data.without_store()?) }
    }

    fn take(
        directory: &Path,
        creates_lock: bool,
        can_do_without: impl Fn(&io::Error) -> bool,
    ) -> Result<Self, DataError> {
        if !fs::metadata(directory).map_err(at(directory))?.is_dir() {
            return Err(DataError::NoDirectory(directory.to_owned()));
        }
        let lock = lock(directory, creates_lock, can_do_without)?;
        let data = Self {
            directory: directory.to_owned(),
            lock,
            store: Mutex::default(),
            init: false,
            fleet: PhantomData,
        };
        if data.has(STORE)? {
            data.locked_store()?;
        }
        Ok(data)
    }

    /// Allows an empty store to replace a missing one.
    #[must_use]
    pub fn or_init(mut self, init: bool) -> Self {
        self.init = init;
        self
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Whether a state exists.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn has_state(&self) -> Result<bool, DataError> {
        Ok(self.has(STORE)? || self.has(OLD_STATE)?)
    }

    /// Reads the state; `None` if none exists yet.
    ///
    /// # Errors
    /// The state cannot be read, or is damaged.
    pub fn load(&self) -> Result<Option<Contents<F>>, DataError> {
        if !self.has(STORE)? {
            return self.load_old();
        }
        Ok(self.look()?.map(|loaded| loaded.contents))
    }

    /// Reads the content of the store without writing to the directory.
    pub(crate) fn look(&self) -> Result<Option<Loaded<F>>, DataError> {
        let path = self.directory.join(STORE);
        look_at(&path, |store| self.standing(store).map(|_| ()))
    }

    /// Reads the state on disk while the directory cannot be written.
    ///
    /// # Errors
    /// There is no store, or it cannot be read.
    pub fn load_unwritable(&self) -> Result<Contents<F>, DataError> {
        if !self.has(STORE)? {
            return Err(DataError::NoStore(self.directory.clone()));
        }
        self.locked_store()?.forget_what_is_not_on_disk();
        let loaded = self.look()?.ok_or_else(|| DataError::Empty(self.directory.join(STORE)))?;
        Ok(loaded.contents)
    }

    /// Replaces the state by `contents`, which must not change meanwhile. After a crash the
    /// directory has either the old or the new state.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, contents: &Contents<F>) -> Result<(), DataError> {
        let unfinished = self.directory.join(UNFINISHED);
        remove_if_there(&unfinished)?;
        let mark = write_whole(&unfinished, contents)?;
        self.replace_store(&unfinished, mark)
    }

    /// Opens the store and loads its content. In a directory that never had a store, it creates one
    /// from the state file of an earlier release, or from an empty index.
    ///
    /// # Errors
    /// The store is missing or has lost acknowledged commits; the state cannot be read or is
    /// damaged; a file cannot be written.
    pub fn open_for_service(&self) -> Result<(EmbeddedStore, Loaded<F>), DataError> {
        if !self.has(STORE)? {
            if !self.init && self.has_had_store()? {
                return Err(DataError::Missing(self.directory.clone()));
            }
            let old = self.load_old()?;
            if old.is_some() {
                tracing::info!(directory = %self.directory.display(), "carrying the state over into the store");
            }
            self.save(&old.unwrap_or_else(|| Index::with_holders().into()))?;
        }
        self.open_store(Standing::accepted)
    }

    /// Opens the store that was in use before, and loads its content.
    ///
    /// # Errors
    /// As [`Self::open_for_service`]; also if another store has replaced it.
    pub fn open_again(&self) -> Result<(EmbeddedStore, Loaded<F>), DataError> {
        if !self.has(STORE)? {
            return Err(DataError::Missing(self.directory.clone()));
        }
        self.open_store(|standing| standing != Standing::Other)
    }

    /// Opens the store, attaches the mark to it, and loads its content.
    fn open_store(
        &self,
        accepts: impl Fn(Standing) -> bool,
    ) -> Result<(EmbeddedStore, Loaded<F>), DataError> {
        let path = self.directory.join(STORE);
        guarded(&path, || {
            let file = self.locked_store()?;
            if !was_closed(&file).map_err(at(&path))? {
                // Compare with the mark before opening: recovery writes to the file and may roll
                // back the last commit. A store that is refused must stay unchanged.
                let overlay = Overlay::over(&path).map_err(at(&path))?;
                self.standing(&EmbeddedStore::over(overlay).map_err(unopened(&path))?)?;
            }
            let store = EmbeddedStore::in_file(file).map_err(unopened(&path))?;
            let standing = self.standing(&store)?;
            if !accepts(standing) {
                return Err(DataError::Other(path.clone()));
            }
            let (mut store, loaded) = read(store, &path)?;
            let loaded = loaded.ok_or_else(|| DataError::Empty(path.clone()))?;
            if standing != Standing::Marked {
                self.mark(store.identify().map_err(unopened(&path))?)?;
            }
            let mark = self.directory.join(MARK);
            let mark = Mark::open(&mark).map_err(at(&mark))?;
            Ok((store.marked_by(mark), loaded))
        })
    }

    /// Compares the store with the mark.
    pub(crate) fn standing(&self, store: &EmbeddedStore) -> Result<Standing, DataError> {
        let path = self.directory.join(MARK);
        let marked = mark::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => DataError::Mark(path.clone()),
            _ => at(&path)(error),
        })?;
        let (identity, found) = store.latest();
        match marked {
            None => Ok(Standing::Unmarked),
            Some(Acknowledged { store, .. }) if identity.is_some_and(|identity| identity != store) => {
                Ok(Standing::Other)
            }
            Some(Acknowledged { revision: acknowledged, .. }) if found < acknowledged => {
                Err(DataError::Behind { path: self.directory.join(STORE), acknowledged, found })
            }
            Some(_) => Ok(Standing::Marked),
        }
    }

    /// Replaces the content of the mark.
    fn mark(&self, acknowledged: Acknowledged) -> Result<(), DataError> {
        let path = self.directory.join(MARK);
        mark::replace(&path, acknowledged).map_err(at(&path))?;
        sync(&self.directory)
    }

    /// Whether the directory has or ever had a store.
    fn has_had_store(&self) -> Result<bool, DataError> {
        Ok(self.has(MARK)? || self.has(OLD_STATE_ASIDE)?)
    }

    /// The error for a directory without a store.
    pub(crate) fn without_store(&self) -> Result<DataError, DataError> {
        let directory = self.directory.clone();
        Ok(if self.has_had_store()? { DataError::Missing(directory) } else { DataError::NoStore(directory) })
    }

    /// Opens and locks the file of the store.
    pub(crate) fn locked_store(&self) -> Result<LockedFile, DataError> {
        let path = self.directory.join(STORE);
        let mut held = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*held
            && file.is_in_place().map_err(at(&path))?
        {
            return Ok(file.clone());
        }
        let opened = LockedFile::open(&path, false).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                DataError::InUse { directory: self.directory.clone(), process: None }
            }
            _ => at(&path)(error),
        })?;
        Ok(held.insert(opened).clone())
    }

    fn load_old(&self) -> Result<Option<Contents<F>>, DataError> {
        let path = self.directory.join(OLD_STATE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let contents = StateReader::new(BufReader::with_capacity(1 << 20, file)).contents();
        contents.map(Some).map_err(|error| DataError::StateFile { path, error: error.into() })
    }

    /// Moves a new store to the path of the previous one. If a crash interrupts this, the mark is
    /// that of another store.
    pub(crate) fn replace_store(&self, with: &Path, acknowledged: Acknowledged) -> Result<(), DataError> {
        let path = self.directory.join(STORE);
        fs::rename(with, &path).map_err(at(&path))?;
        sync(&self.directory)?;
        self.mark(acknowledged)?;
        if self.has(OLD_STATE)? {
            let old = self.directory.join(OLD_STATE);
            fs::rename(&old, self.directory.join(OLD_STATE_ASIDE)).map_err(at(&old))?;
            sync(&self.directory)?;
        }
        Ok(())
    }

    pub(crate) fn has(&self, file: &str) -> Result<bool, DataError> {
        let path = self.directory.join(file);
        path.try_exists().map_err(at(&path))
    }
}

impl<F> Drop for DataDir<F> {
    fn drop(&mut self) {
        // If this fails, the lock file contains a stale process id.
        drop(self.lock.as_ref().map(|lock| lock.set_len(0)));
    }
}

/// How the store relates to the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The store has every acknowledged commit.
    Marked,
    /// There is no mark: an earlier release wrote the store, or it was copied here.
    Unmarked,
    /// The mark belongs to another store: this store was copied here.
    Other,
}

impl Standing {
    /// At startup, the store may be one that an operator restored.
    fn accepted(self) -> bool {
        if self == Self::Other {
            tracing::warn!("another store has taken the place of the one that was in use last");
        }
        true
    }
}

/// Locks a directory. Returns `None` if there is no lock file and it cannot or must not be created,
/// but the directory can be read without it.
fn lock(
    directory: &Path,
    creates: bool,
    can_do_without: impl Fn(&io::Error) -> bool,
) -> Result<Option<File>, DataError> {
    let path = directory.join(LOCK);
    let (mut options, mut reading) = (OpenOptions::new(), OpenOptions::new());
    reading.read(true).custom_flags(NO_FOLLOW);
    // A symbolic link could redirect the write to another file.
    options.create(creates).truncate(false).read(true).write(true).mode(0o600).custom_flags(NO_FOLLOW);
    let mut lock = match options.open(&path) {
        Ok(lock) => lock,
        Err(error) if !creates && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if can_do_without(&error) => match reading.open(&path) {
            Ok(lock) => lock,
            Err(_) => return Ok(None),
        },
        Err(error) => return Err(at(&path)(error)),
    };
    let held = lock.try_lock();
    let mut process = String::new();
    lock.read_to_string(&mut process).map_err(at(&path))?;
    match held {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let process = (!process.is_empty()).then_some(process);
            return Err(DataError::InUse { directory: directory.to_owned(), process });
        }
        Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
    }
    let number = std::process::id().to_string();
    if let Err(error) = lock.set_len(0).and_then(|()| lock.write_all_at(number.as_bytes(), 0)) {
        // The disk may be full; the state can still be read.
        tracing::debug!(%error, path = %path.display(), "cannot write");
    }
    Ok(Some(lock))
}

/// Whether the error reports a lack of disk space.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Loads the content of a store if the integrity check passes. Nothing is written.
pub(crate) fn look_at<F: FleetRecords>(
    path: &Path,
    check: impl FnOnce(&EmbeddedStore) -> Result<(), DataError>,
) -> Result<Option<Loaded<F>>, DataError> {
    let overlay = Overlay::over(path).map_err(at(path))?;
    guarded(path, || {
        let store = EmbeddedStore::over(overlay).map_err(unopened(path))?;
        check(&store)?;
        Ok(read(store, path)?.1)
    })
}

/// Loads the content of a store, migrated to the format of this release.
fn read<F: FleetRecords>(
    store: EmbeddedStore,
    path: &Path,
) -> Result<(EmbeddedStore, Option<Loaded<F>>), DataError> {
    let unfit = |error| DataError::State { path: path.to_owned(), error: Box::new(error) };
    migrate(&store).map_err(|error| match error {
        MigrationError::Load(error) => unfit(StateError::of_load::<F>(error)),
        MigrationError::Commit(error) => DataError::Commit { path: path.to_owned(), error: error.into() },
    })?;
    let loaded = load(&store).map_err(unfit)?;
    Ok((store, loaded))
}

/// Converts a panic of redb on damaged data into an error.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    let outcome = catch_unwind(AssertUnwindSafe(read));
    outcome.unwrap_or_else(|_| Err(unopened(path)(OpenError::panicked())))
}

pub(crate) fn unopened(path: &Path) -> impl FnOnce(OpenError) -> DataError {
    let path = path.to_owned();
    |error| DataError::Open { path, error: error.into() }
}

/// Writes a state into a new store; returns the content of its mark.
pub(crate) fn write_whole<F: FleetRecords>(
    path: &Path,
    contents: &Contents<F>,
) -> Result<Acknowledged, DataError> {
    let failed = |error| DataError::Commit { path: path.to_owned(), error: Box::new(error) };
    let mut store = EmbeddedStore::open(path).map_err(unopened(path))?;
    fill(&store, contents).map_err(failed)?;
    store.identify().map_err(unopened(path))
}

/// Creates the directory and its missing parents, and syncs them.
fn make(directory: &Path) -> Result<(), DataError> {
    let is_missing = |directory: &&Path| matches!(directory.try_exists(), Ok(false));
    let missing: Vec<&Path> = directory.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at(directory))?;
    let parents = missing.into_iter().filter_map(Path::parent);
    parents
        .map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        .try_for_each(sync)
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Syncs the entries of a directory.
fn sync(directory: &Path) -> Result<(), DataError> {
    File::open(directory).and_then(|open| open.sync_all()).map_err(at(directory))
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    |error| DataError::Io { path, error }
}
