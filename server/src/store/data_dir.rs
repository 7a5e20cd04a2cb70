//! The folder with a service's state.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use berth_placement::Index;
use berth_placement::store::CommitError;

use super::embedded::{EmbeddedStore, OpenError};
use super::fill::fill;
use super::load::{Loaded, StateError, load};
use super::state_file::{StateFileError, StateReader};

const STORE: &str = "state.redb";
const UNFINISHED: &str = "state.redb.new";
const LOCK: &str = "lock";

/// Where releases before the store kept the state. It is read when there is no store yet.
const OLD_STATE: &str = "state.jsonl";

/// A folder with one state, held by one process.
#[derive(Debug)]
pub struct DataDir {
    folder: PathBuf,
    /// Locked as long as it is open; the system lets go of it however the process ends. It holds the number of the process,
    /// until that lets go of the folder by itself.
    lock: File,
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

impl DataDir {
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
        Ok(Self { folder: folder.to_owned(), lock })
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
    pub fn load(&self) -> Result<Option<Index>, DataError> {
        if !self.has(STORE)? {
            return self.load_old();
        }
        Ok(self.open_store()?.1.map(|loaded| loaded.index))
    }

    /// Puts the state of an index that nobody changes in the place of the one before. After a crash at any moment there is the
    /// one or the other.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, index: &Index) -> Result<(), DataError> {
        let unfinished = self.folder.join(UNFINISHED);
        remove_if_there(&unfinished)?;
        let failed = |error| DataError::Commit { path: unfinished.clone(), error: Box::new(error) };
        fill(&open(&unfinished)?, index).map_err(failed)?;
        self.replace_store(&unfinished)
    }

    /// The store and the index it keeps. A new store is given what an earlier release kept here, or an empty index.
    ///
    /// # Errors
    /// A state that cannot be read, or that is not as it was written; a file that cannot be written.
    pub(super) fn open_for_service(&self) -> Result<(EmbeddedStore, Loaded), DataError> {
        if !self.has(STORE)? {
            let old = self.load_old()?;
            if old.is_some() {
                tracing::info!(folder = %self.folder.display(), "carrying the state over into the store");
            }
            self.save(&old.unwrap_or_else(Index::with_holders))?;
        }
        let (store, loaded) = self.open_store()?;
        let path = self.folder.join(STORE);
        Ok((store, loaded.ok_or(DataError::Empty(path))?))
    }

    /// The store, and what it keeps.
    fn open_store(&self) -> Result<(EmbeddedStore, Option<Loaded>), DataError> {
        let path = self.folder.join(STORE);
        let store = open(&path)?;
        let loaded = load(&store).map_err(|error| DataError::State { path, error: error.into() })?;
        Ok((store, loaded))
    }

    fn load_old(&self) -> Result<Option<Index>, DataError> {
        let path = self.folder.join(OLD_STATE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let index = Index::restore(StateReader::new(BufReader::with_capacity(1 << 20, file)));
        index.map(Some).map_err(|error| DataError::StateFile { path, error: error.into() })
    }

    fn replace_store(&self, with: &Path) -> Result<(), DataError> {
        let path = self.folder.join(STORE);
        fs::rename(with, &path).map_err(at(&path))?;
        remove_if_there(&self.folder.join(OLD_STATE))?;
        sync(&self.folder)
    }

    fn has(&self, file: &str) -> Result<bool, DataError> {
        let path = self.folder.join(file);
        path.try_exists().map_err(at(&path))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // If it fails, the next process says more than it needs to.
        drop(self.lock.set_len(0));
    }
}

fn open(path: &Path) -> Result<EmbeddedStore, DataError> {
    // redb makes files that everybody may read.
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(at(path))?;
    EmbeddedStore::open(path).map_err(|error| DataError::Open { path: path.to_owned(), error: error.into() })
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

fn remove_if_there(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Brings a folder's list of files down to the disk.
fn sync(folder: &Path) -> Result<(), DataError> {
    File::open(folder).and_then(|open| open.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    |error| DataError::Io { path, error }
}
