//! The mark: the latest acknowledged commit, kept beside the store.
//!
//! After a crash, redb goes back to the commit before the last one if a page of the last one is not what was written. That
//! is right for a commit that was under way, and wrong for one that was acknowledged and damaged afterwards. The file alone
//! cannot distinguish the two, so the revision of each commit is also written here, after the commit is durable and before
//! it is acknowledged. A store that is behind its mark is refused.
//!
//! The mark is synced when the store has been idle for a moment and when it is closed, not for each commit: that would
//! double the time of a commit. So a mark is complete after a crash of the process. After a loss of power it may lack the
//! last commits, and only those of the last moment under load.
//!
//! The mark also shows that a directory has had a store, so that a missing one is not taken for a new directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::store::Revision;

/// The bytes of an entry: a line of text.
const ENTRY: usize = 64;

/// Entries lie in different sectors and are written in turn: one of them is always whole.
const PLACES: [u64; 2] = [0, 4096];

/// What a mark states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// The identity of the store.
    pub(crate) store: u64,
    pub(crate) revision: Revision,
}

/// A mark of an open store.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    /// The place of the next entry.
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

    /// Writes that the commit is acknowledged. It outlives the process, and the machine after [`Self::sync`].
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

/// Puts the mark of another store in the place of the one before. The caller syncs the directory.
pub(crate) fn replace(path: &Path, acknowledged: Acknowledged) -> io::Result<()> {
    let unfinished = path.with_extension("mark.new");
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
    let file = options.open(&unfinished)?;
    file.write_all_at(&entry(acknowledged), PLACES[0])?;
    // Both places have blocks from now on: later entries need no free space.
    file.write_all_at(&entry(acknowledged), PLACES[1])?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// What the mark states; `None` without one.
///
/// # Errors
/// `InvalidData` when neither entry is whole.
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

/// The entry with the higher revision and its place.
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
        // It goes on where it was: a torn entry leaves the one before.
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
