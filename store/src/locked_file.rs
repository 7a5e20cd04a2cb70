//! The file of a store, locked before it is read or written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use rustix::fs::{Advice, fadvise};

/// An open file that no other process may use. Clones share the file and its lock.
///
/// redb locks the file as well, but only after recovery of an unclosed file has written to it
/// (`unclosed.rs`).
#[derive(Debug, Clone)]
pub(crate) struct LockedFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    path: PathBuf,
}

impl LockedFile {
    /// Opens and locks the file, and creates it if it is missing and `create` is set. A file that
    /// cannot be opened for writing is opened for reading.
    ///
    /// # Errors
    /// `WouldBlock` if another process has locked the file.
    pub(crate) fn open(path: &Path, create: bool) -> io::Result<Self> {
        loop {
            let file = open(path, create)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let locked = Self(Arc::new(Inner { file, path: path.to_owned() }));
            // Another process may have replaced the file between opening and locking.
            if locked.is_in_place()? {
                return Ok(locked);
            }
        }
    }

    /// Whether the path still refers to this file: it was neither deleted nor replaced.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        let Inner { file, path } = &*self.0;
        let at_path = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let open = file.metadata()?;
        Ok((open.dev(), open.ino()) == (at_path.dev(), at_path.ino()))
    }

    /// Drops cached pages, so that readers see the content of the disk. After a failed fsync, Linux
    /// still returns the pages that were not written.
    pub(crate) fn forget_what_is_not_on_disk(&self) {
        // A failed sync marks the unwritten pages as clean; the advice then drops them.
        let synced = self.0.file.sync_data();
        let dropped = fadvise(&self.0.file, 0, None, Advice::DontNeed);
        tracing::debug!(?synced, ?dropped, "dropped the cached pages of the store");
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let writable =
        OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path);
    match writable {
        Err(error) if is_write_protected(&error) => File::open(path),
        outcome => outcome,
    }
}

/// Whether the error reports that writing is not permitted.
pub(crate) fn is_write_protected(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

impl StorageBackend for LockedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.file.write_all_at(data, offset)
    }
}
