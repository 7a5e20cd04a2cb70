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
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
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
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.folder.join(STATE).exists()
    }

    /// The state; `None` when none was written yet.
    ///
    /// # Errors
    /// A state that cannot be read, or that is not as it was written.
    pub fn load(&self) -> Result<Option<Index>, DataError> {
        Self::read(&self.folder)
    }

    /// The state of a folder that another process may be using: the last that it has written.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn read(folder: &Path) -> Result<Option<Index>, DataError> {
        let path = folder.join(STATE);
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
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(at(&self.folder))?;
        Ok(written)
    }
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
