//! The treatment of a store that was not closed, before its content is trusted.
//!
//! When an fsync fails, Linux forgets which pages did not reach the disk: they are marked clean, so that no later fsync
//! writes them, while readers of the file may still see them. To a process that opens it then, the commit that failed looks as if
//! it had succeeded. Were it built on, a loss of power would take its pages away from under everything after it. So a file
//! that was not closed is rewritten, every page as it is read, and synced: what is trusted then is on disk.
//!
//! A loss of power meanwhile does no harm: wherever the disk differs from what is read, it has what an unfinished commit
//! left, and a commit never writes where the one before it lives.

use std::io;

use redb::StorageBackend;

/// What a redb file begins with; behind it stands the byte of flags.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// Set as long as a process has the file open for writing.
const NEEDS_RECOVERY: u8 = 2;

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// Bytes that are written at a time: a page of redb.
const PAGE: usize = 4096;

/// Whether the last process that wrote the file closed it. What is no store yet needs no care; what is none at all is found
/// out elsewhere.
pub(crate) fn was_closed(backend: &impl StorageBackend) -> io::Result<bool> {
    let mut head = [0; MAGIC.len() + 1];
    if backend.len()? < head.len() as u64 {
        return Ok(true);
    }
    backend.read(0, &mut head)?;
    Ok(head[..MAGIC.len()] != MAGIC || head[MAGIC.len()] & NEEDS_RECOVERY == 0)
}

/// Brings everything that is read of a file which was not closed down to the disk.
pub(crate) fn bring_down(backend: &impl StorageBackend) -> io::Result<()> {
    if was_closed(backend)? {
        return Ok(());
    }
    let (length, mut block) = (backend.len()?, vec![0; BLOCK]);
    for offset in (0..length).step_by(BLOCK) {
        let size = usize::try_from(length - offset).map_or(BLOCK, |rest| rest.min(BLOCK));
        backend.read(offset, &mut block[..size])?;
        for (number, page) in (0..).zip(block[..size].chunks(PAGE)) {
            // A page that is used is never empty; writing the others would fill the holes of the file.
            if page.iter().any(|&byte| byte != 0) {
                backend.write(offset + number * PAGE as u64, page)?;
            }
        }
    }
    backend.sync_data()
}
