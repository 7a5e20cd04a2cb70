//! A read-only view of a file that keeps writes in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::StorageBackend;

const PAGE: usize = 4096;

/// A storage backend that leaves the file unchanged. Opening a store writes to it, because recovery
/// does; a reader uses this backend to preserve a damaged file.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: File,
    /// The number of bytes of the file that are still visible.
    file_bytes: u64,
    written: RwLock<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// Overwritten pages by number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(crate) fn over(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, file_bytes: len, written: RwLock::new(Written { len, pages: BTreeMap::new() }) })
    }

    fn seen(&self) -> RwLockReadGuard<'_, Written> {
        self.written.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> RwLockWriteGuard<'_, Written> {
        self.written.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page of the file, with zeros after the end of the file.
    fn read_page(&self, number: u64) -> io::Result<Vec<u8>> {
        let (mut page, start) = (vec![0; PAGE], number * PAGE as u64);
        let there = usize::try_from(self.file_bytes.saturating_sub(start)).unwrap_or(PAGE).min(PAGE);
        self.file.read_exact_at(&mut page[..there], start)?;
        Ok(page)
    }
}

/// Splits a range of bytes at page boundaries: page, offset in it, offset in the range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let place = offset + done as u64;
        let within = usize::try_from(place % PAGE as u64).expect("less than a page");
        let part = (PAGE - within).min(length - done);
        let range = done..done + part;
        done += part;
        (part > 0).then_some((place / PAGE as u64, within, range))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.seen().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.seen();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > written.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if written.pages.is_empty() && offset + out.len() as u64 <= self.file_bytes {
            return self.file.read_exact_at(out, offset);
        }
        for (number, within, range) in parts(offset, out.len()) {
            let length = range.len();
            match written.pages.get(&number) {
                Some(page) => out[range].copy_from_slice(&page[within..within + length]),
                None => out[range].copy_from_slice(&self.read_page(number)?[within..within + length]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.changed();
        if len < written.len {
            // Bytes after a truncated end read as zeros when the file grows again.
            let (first, within) = (len / PAGE as u64, usize::try_from(len % PAGE as u64).expect("small"));
            let mut last = match written.pages.remove(&first) {
                Some(page) => page,
                None => self.read_page(first)?,
            };
            last[within..].fill(0);
            written.pages.split_off(&first);
            written.pages.insert(first, last);
            for number in first + 1..self.file_bytes.div_ceil(PAGE as u64) {
                written.pages.insert(number, vec![0; PAGE]);
            }
        }
        written.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.changed();
        for (number, within, range) in parts(offset, data.len()) {
            let mut page = match written.pages.remove(&number) {
                Some(page) => page,
                None => self.read_page(number)?,
            };
            page[within..within + range.len()].copy_from_slice(&data[range]);
            written.pages.insert(number, page);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_and_not_in_the_file() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("file");
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let overlay = Overlay::over(&path).unwrap();
        let mut model = bytes.clone();
        let read = |offset: usize, length: usize| {
            let mut out = vec![0; length];
            overlay.read(offset as u64, &mut out).map(|()| out)
        };
        assert_eq!(read(4000, 6000).unwrap(), model[4000..]);
        overlay.write(4090, &[7; 20]).unwrap();
        model[4090..4110].fill(7);
        overlay.set_len(5000).unwrap();
        assert!(read(4999, 2).is_err());
        overlay.set_len(20_000).unwrap();
        model.truncate(5000);
        model.resize(20_000, 0);
        overlay.write(12_000, &[9; 5000]).unwrap();
        model[12_000..17_000].fill(9);
        assert_eq!(read(0, 20_000).unwrap(), model);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
