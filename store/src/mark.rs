//! The mark: a file beside the store that records the latest acknowledged commit.
//!
//! After a crash, redb rolls back the last commit if one of its pages is damaged. That is correct
//! for a commit in progress, and wrong for an acknowledged commit that was damaged later. The store
//! alone cannot distinguish the two. The service therefore writes the revision of each commit to
//! the mark after the commit is durable and before it is acknowledged, and refuses a store that is
//! older than its mark.
//!
//! The mark is synced when the store is idle and when it is closed, not after each commit, which
//! would double the time of a commit. After a crash of the process the mark is complete. After a
//! loss of power it may lack the last commits; under load, those of the last moment only.
//!
//! The mark also shows that a directory had a store, so that a missing store is not mistaken for a
//! new directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::store::Revision;

/// The length of an entry, one line of text, in bytes.
const ENTRY: usize = 64;

/// The offsets of the two entries. They lie in different sectors and are written alternately, so
/// one of them is always intact.
const PLACES: [u64; 2] = [0, 4096];

/// The content of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// The identifier of the store.
    pub(crate) store: u64,
    pub(crate) revision: Revision,
}

/// The mark of an open store.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    /// The slot of the next entry.
    next: usize,
    is_synced: bool,
}

impl Mark {
    /// Opens a mark for writing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let next = latest(&entries(&file)?).map_or(0, |(place, _)| 1 - place);
        Ok(Self { file, next, is_synced: true })
    }

    /// Records that the commit is acknowledged. The entry survives a crash of the process, and
    /// after [`Self::sync`] a crash of the machine.
    pub(crate) fn write(&mut self, acknowledged: Acknowledged) -> io::Result<()> {
        self.file.write_all_at(&entry(acknowledged), PLACES[self.next])?;
        self.next = 1 - self.next;
        self.is_synced = false;
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }
}

/// Replaces the mark by that of another store. The caller syncs the directory.
pub(crate) fn replace(path: &Path, acknowledged: Acknowledged) -> io::Result<()> {
    let unfinished = path.with_extension("mark.new");
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
    let file = options.open(&unfinished)?;
    file.write_all_at(&entry(acknowledged), PLACES[0])?;
    // Both slots have disk blocks from now on: later entries need no free space.
    file.write_all_at(&entry(acknowledged), PLACES[1])?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Reads the mark; `None` if it is missing.
///
/// # Errors
/// `InvalidData` if neither entry is intact.
pub(crate) fn read(path: &Path) -> io::Result<Option<Acknowledged>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let entries = entries(&file)?;
    let (_, acknowledged) = latest(&entries).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some(acknowledged))
}

type Entries = [Option<Acknowledged>; 2];

fn entries(file: &File) -> io::Result<Entries> {
    let mut entries = [None; 2];
    for (entry, place) in entries.iter_mut().zip(PLACES) {
        let mut bytes = [0; ENTRY];
        match file.read_exact_at(&mut bytes, place) {
            Ok(()) => *entry = parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// The entry with the higher revision, and its slot.
fn latest(entries: &Entries) -> Option<(usize, Acknowledged)> {
    let whole = entries.iter().enumerate().filter_map(|(place, entry)| Some((place, (*entry)?)));
    whole.max_by_key(|(_, entry)| entry.revision)
}

fn entry(Acknowledged { store, revision }: Acknowledged) -> [u8; ENTRY] {
    let text = format!("berth {store:016x} {:020} ", revision.0);
    let text = format!("{text}{:08x}", crc32fast::hash(text.as_bytes()));
    let mut bytes = [b' '; ENTRY];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes[ENTRY - 1] = b'\n';
    bytes
}

fn parse(bytes: &[u8; ENTRY]) -> Option<Acknowledged> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split_ascii_whitespace();
    let (_, store, revision) = (words.next()?, words.next()?, words.next()?);
    let store = u64::from_str_radix(store, 16).ok()?;
    let acknowledged = Acknowledged { store, revision: Revision(revision.parse().ok()?) };
    (entry(acknowledged) == *bytes).then_some(acknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: u64) -> Acknowledged {
        Acknowledged { store: 7, revision: Revision(revision) }
    }

    #[test]
    fn the_latest_whole_entry_counts() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("mark");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, at(1)).unwrap();
        let mut mark = Mark::open(&path).unwrap();
        for revision in 2..=3 {
            mark.write(at(revision)).unwrap();
            assert_eq!(read(&path).unwrap(), Some(at(revision)));
        }
        drop(mark);
        // Writing continues at the next slot: a torn entry leaves the previous one intact.
        let mut mark = Mark::open(&path).unwrap();
        mark.write(at(4)).unwrap();
        mark.sync().unwrap();
        let last = 1 - mark.next;
        mark.file.write_all_at(b"x", PLACES[last] + 9).unwrap();
        assert_eq!(read(&path).unwrap(), Some(at(3)));
        mark.file.write_all_at(b"x", PLACES[1 - last] + 9).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        replace(&path, at(2)).unwrap();
        assert_eq!(read(&path).unwrap(), Some(at(2)), "also with a lower revision");
    }
}
