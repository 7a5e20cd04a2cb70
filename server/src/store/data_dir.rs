//! The folder with a service's state.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use berth_placement::{Index, Snapshot};

use super::state_file::{StateError, StateReader, Written, write_state};

const STATE: &str = "state.jsonl";
const UNFINISHED: &str = "state.jsonl.new";
const LOCK: &str = "lock";

/// A folder with one state, held by one process.
#[derive(Debug)]
pub struct DataDir {
    folder: PathBuf,
    /// Locked as long as it is open; the system lets go of it however the process ends.
    _lock: File,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process has it.
    #[error("{0}: another process is using this folder")]
    InUse(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// The state cannot be read.
    #[error("{path}: {error}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: StateError,
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
        let lock =
            options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }

    /// Whether a state was written already.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn has_state(&self) -> Result<bool, DataError> {
        let path = self.folder.join(STATE);
        path.try_exists().map_err(at(&path))
    }

    /// The state; `None` when none was written yet.
    ///
    /// # Errors
    /// A state that cannot be read, or that is not as it was written.
    pub fn load(&self) -> Result<Option<Index>, DataError> {
        let path = self.folder.join(STATE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let index = Index::restore(StateReader::new(BufReader::with_capacity(1 << 20, file)));
        index.map(Some).map_err(|error| DataError::State { path, error })
    }

    /// Puts a state in the place of the one before. After a crash at any moment there is the one or the other.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, snapshot: &Snapshot) -> Result<Written, DataError> {
        let (state, unfinished) = (self.folder.join(STATE), self.folder.join(UNFINISHED));
        let written = write_through(&unfinished, snapshot).map_err(at(&unfinished))?;
        fs::rename(&unfinished, &state).map_err(at(&state))?;
        sync(&self.folder)?;
        Ok(written)
    }
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

/// Brings a folder's list of files down to the disk.
fn sync(folder: &Path) -> Result<(), DataError> {
    File::open(folder).and_then(|open| open.sync_all()).map_err(at(folder))
}

/// Writes the file, down to the disk.
fn write_through(path: &Path, snapshot: &Snapshot) -> io::Result<Written> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let written = write_state(&mut out, snapshot.records())?;
    out.flush()?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(written)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    let path = path.to_owned();
    |error| DataError::Io { path, error }
}
