//! The folder with a service's state.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read};
use std::marker::PhantomData;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use berth_placement::Index;

use crate::contents::Contents;
use crate::embedded::{EmbeddedStore, OpenError};
use crate::fill::fill;
use crate::fleet_records::FleetRecords;
use crate::load::{Loaded, StateError, load};
use crate::migrations::{MigrationError, migrate};
use crate::overlay::Overlay;
use crate::state_file::{StateFileError, StateReader};
use crate::store::CommitError;

pub(crate) const STORE: &str = "state.redb";
pub(crate) const UNFINISHED: &str = "state.redb.new";
const LOCK: &str = "lock";

/// Where releases before the store kept the state. It is read when there is no store yet.
const OLD_STATE: &str = "state.jsonl";

/// What it is called when a store has taken its place.
const OLD_STATE_ASIDE: &str = "state.jsonl.replaced";

/// A folder with one state, held by one process. `F` is the fleet's part of the state.
#[derive(Debug)]
pub struct DataDir<F> {
    pub(crate) folder: PathBuf,
    /// Locked as long as it is open; the system lets go of it however the process ends. It holds the number of the process,
    /// until that lets go of the folder by itself.
    lock: File,
    fleet: PhantomData<fn() -> F>,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process has it.
    #[error("{folder}: another process is using this folder{}", .process.as_ref().map(|id| format!(": {id}")).unwrap_or_default())]
    InUse {
        /// Which.
        folder: PathBuf,
        /// The process's number, if it has told.
        process: Option<String>,
    },
    /// A file or folder cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// The store cannot be opened.
    #[error("{path}: {error}")]
    Open {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<OpenError>,
    },
    /// The store takes no records.
    #[error("{path}: {error}")]
    Commit {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<CommitError>,
    },
    /// What the store has is no state.
    #[error("{path}: {error}")]
    State {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<StateError>,
    },
    /// There is no store in the folder.
    #[error("{0}: there is no store in this folder")]
    NoStore(PathBuf),
    /// A store that was just written keeps something else.
    #[error("{0}: what was written is not what is read")]
    Different(PathBuf),
    /// The store has no records, not even of its format.
    #[error("{0}: the store is empty")]
    Empty(PathBuf),
    /// A state file cannot be read.
    #[error("{path}: {error}")]
    StateFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<StateFileError>,
    },
}

impl DataError {
    /// Whether what is kept is not what was written: then it takes a backup or a repair.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open { error, .. } => error.is_damage(),
            Self::State { error, .. } => !matches!(**error, StateError::Later(_)),
            Self::StateFile { error, .. } => {
                !matches!(**error, StateFileError::Io(_) | StateFileError::Version(_))
            }
            Self::Empty(_) => true,
            Self::InUse { .. }
            | Self::NoStore(_)
            | Self::Different(_)
            | Self::Io { .. }
            | Self::Commit { .. } => false,
        }
    }
}

impl<F: FleetRecords> DataDir<F> {
    /// Takes possession of a folder, which is made if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made or written, or that another process holds.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        make(folder)?;
        Self::open_existing(folder)
    }

    /// Takes possession of a folder that is there.
    ///
    /// # Errors
    /// A folder that is not there or cannot be written, or that another process holds.
    pub fn open_existing(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut lock = options.open(&path).map_err(at(&path))?;
        let held = lock.try_lock();
        let mut process = String::new();
        lock.read_to_string(&mut process).map_err(at(&path))?;
        let process = (!process.is_empty()).then_some(process);
        match held {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataError::InUse { folder: folder.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
        let number = std::process::id().to_string();
        if let Err(error) = lock.set_len(0).and_then(|()| lock.write_all_at(number.as_bytes(), 0)) {
            // The disk may be full. What is there can be read all the same.
            tracing::warn!(%error, path = %path.display(), "cannot write");
        }
        Ok(Self { folder: folder.to_owned(), lock, fleet: PhantomData })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a state already.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn has_state(&self) -> Result<bool, DataError> {
        Ok(self.has(STORE)? || self.has(OLD_STATE)?)
    }

    /// The state; `None` when there is none yet.
    ///
    /// # Errors
    /// A state that cannot be read, or that is not as it was written.
    pub fn load(&self) -> Result<Option<Contents<F>>, DataError> {
        if !self.has(STORE)? {
            return self.load_old();
        }
        Ok(self.look()?.map(|loaded| loaded.contents))
    }

    /// What the store keeps. Nothing is written.
    pub(crate) fn look(&self) -> Result<Option<Loaded<F>>, DataError> {
        look_at(&self.folder.join(STORE))
    }

    /// Puts a state that nobody changes in the place of the one before. After a crash at any moment there is the one or the
    /// other.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, contents: &Contents<F>) -> Result<(), DataError> {
        let unfinished = self.folder.join(UNFINISHED);
        remove_if_there(&unfinished)?;
        write_whole(&unfinished, contents)?;
        self.replace_store(&unfinished)
    }

    /// The store and what it keeps. A new store is given what an earlier release kept here, or an empty index.
    ///
    /// # Errors
    /// A state that cannot be read, or that is not as it was written; a file that cannot be written.
    pub fn open_for_service(&self) -> Result<(EmbeddedStore, Loaded<F>), DataError> {
        if !self.has(STORE)? {
            let old = self.load_old()?;
            if old.is_some() {
                tracing::info!(folder = %self.folder.display(), "carrying the state over into the store");
            }
            self.save(&old.unwrap_or_else(|| Index::with_holders().into()))?;
        }
        self.open_again()
    }

    /// The store that is there, and what it keeps.
    ///
    /// # Errors
    /// As [`Self::open_for_service`], or a store that is not there any more.
    pub fn open_again(&self) -> Result<(EmbeddedStore, Loaded<F>), DataError> {
        if !self.has(STORE)? {
            return Err(DataError::NoStore(self.folder.clone()));
        }
        let (store, loaded) = self.open_store()?;
        let path = self.folder.join(STORE);
        Ok((store, loaded.ok_or(DataError::Empty(path))?))
    }

    /// The store, and what it keeps.
    fn open_store(&self) -> Result<(EmbeddedStore, Option<Loaded<F>>), DataError> {
        let path = self.folder.join(STORE);
        guarded(&path, || read(open(&path)?, &path))
    }

    fn load_old(&self) -> Result<Option<Contents<F>>, DataError> {
        let path = self.folder.join(OLD_STATE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let contents = StateReader::new(BufReader::with_capacity(1 << 20, file)).contents();
        contents.map(Some).map_err(|error| DataError::StateFile { path, error: error.into() })
    }

    pub(crate) fn replace_store(&self, with: &Path) -> Result<(), DataError> {
        let path = self.folder.join(STORE);
        fs::rename(with, &path).map_err(at(&path))?;
        sync(&self.folder)?;
        if self.has(OLD_STATE)? {
            let old = self.folder.join(OLD_STATE);
            fs::rename(&old, self.folder.join(OLD_STATE_ASIDE)).map_err(at(&old))?;
            sync(&self.folder)?;
        }
        Ok(())
    }

    pub(crate) fn has(&self, file: &str) -> Result<bool, DataError> {
        let path = self.folder.join(file);
        path.try_exists().map_err(at(&path))
    }
}

impl<F> Drop for DataDir<F> {
    fn drop(&mut self) {
        // If it fails, the next process says more than it needs to.
        drop(self.lock.set_len(0));
    }
}

/// What a store keeps. Nothing is written.
pub(crate) fn look_at<F: FleetRecords>(path: &Path) -> Result<Option<Loaded<F>>, DataError> {
    let overlay = Overlay::over(path).map_err(at(path))?;
    guarded(path, || Ok(read(EmbeddedStore::over(overlay).map_err(unopened(path))?, path)?.1))
}

/// What a store keeps, in the format of this release.
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

/// Damage that redb panics at is an error as any other.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    let outcome = catch_unwind(AssertUnwindSafe(read));
    outcome.unwrap_or_else(|_| Err(unopened(path)(OpenError::panicked())))
}

pub(crate) fn unopened(path: &Path) -> impl FnOnce(OpenError) -> DataError {
    let path = path.to_owned();
    |error| DataError::Open { path, error: error.into() }
}

pub(crate) fn open(path: &Path) -> Result<EmbeddedStore, DataError> {
    // redb makes files that everybody may read.
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(at(path))?;
    EmbeddedStore::open(path).map_err(unopened(path))
}

/// Writes a state into a new store.
pub(crate) fn write_whole<F: FleetRecords>(path: &Path, contents: &Contents<F>) -> Result<(), DataError> {
    let failed = |error| DataError::Commit { path: path.to_owned(), error: Box::new(error) };
    fill(&open(path)?, contents).map_err(failed)
}

/// Makes the folder and those above it that are missing, down to the disk.
fn make(folder: &Path) -> Result<(), DataError> {
    let is_missing = |folder: &&Path| matches!(folder.try_exists(), Ok(false));
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
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

/// Brings a folder's list of files down to the disk.
fn sync(folder: &Path) -> Result<(), DataError> {
    File::open(folder).and_then(|open| open.sync_all()).map_err(at(folder))
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    |error| DataError::Io { path, error }
}
