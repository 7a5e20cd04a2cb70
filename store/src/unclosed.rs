//! Rewrites a store that was not closed, before its content is trusted.
//!
//! When an fsync fails, Linux marks the unwritten pages as clean. No later fsync writes them, while
//! readers of the file may still see them. A process that then opens the file sees the failed
//! commit as if it had succeeded. If it wrote further commits on top, a loss of power could remove
//! pages that these depend on. A file that was not closed is therefore rewritten, each page as it
//! is read, and synced.
//!
//! A loss of power during the rewrite is harmless. Where the disk differs from what is read, it
//! holds pages of an unfinished commit, and a commit never overwrites pages of the commit before
//! it.

use std::io;

use redb::StorageBackend;

/// The magic number of a redb file. The byte of flags follows it.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// The flag that is set while a process has the file open for writing.
const NEEDS_RECOVERY: u8 = 2;

/// The number of bytes per read.
const BLOCK: usize = 1 << 20;

/// The number of bytes per write: a page of redb.
const PAGE: usize = 4096;

/// Whether the last process that wrote the file closed it. An empty file and a file of another
/// format count as closed; opening them reports the problem.
pub(crate) fn was_closed(backend: &impl StorageBackend) -> io::Result<bool> {
    let mut head = [0; MAGIC.len() + 1];
    if backend.len()? < head.len() as u64 {
        return Ok(true);
    }
    backend.read(0, &mut head)?;
    Ok(head[..MAGIC.len()] != MAGIC || head[MAGIC.len()] & NEEDS_RECOVERY == 0)
}

/// Writes the readable content of a file that was not closed to disk.
pub(crate) fn rewrite_to_disk(backend: &impl StorageBackend) -> io::Result<()> {
    if was_closed(backend)? {
        return Ok(());
    }
    let (length, mut block) = (backend.len()?, vec![0; BLOCK]);
    for offset in (0..length).step_by(BLOCK) {
        let size = usize::try_from(length - offset).map_or(BLOCK, |rest| rest.min(BLOCK));
        backend.read(offset, &mut block[..size])?;
        for (number, page) in (0..).zip(block[..size].chunks(PAGE)) {
            // A used page is never empty; writing empty ones would fill the holes of a sparse file.
            if page.iter().any(|&byte| byte != 0) {
                backend.write(offset + number * PAGE as u64, page)?;
            }
        }
    }
    backend.sync_data()
}
