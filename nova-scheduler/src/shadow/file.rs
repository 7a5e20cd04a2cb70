//! The file of records: one JSON object a line, bounded.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::record::ShadowRecord;

/// Records in a file. When it has reached half of the bound, it takes the name with `.1` at its
/// end, in the place of the one before, and another one begins.
#[derive(Debug)]
pub(super) struct RecordFile {
    path: PathBuf,
    bytes: u64,
    open: Mutex<Option<(File, u64)>>,
}

impl RecordFile {
    /// The file at this path; both files together have at most so many bytes.
    pub(super) const fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes, open: Mutex::new(None) }
    }

    /// Opens the file for the first record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn check(&self) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = Some(self.opened()?);
        Ok(())
    }

    /// Appends a record.
    ///
    /// # Errors
    /// The file cannot be written. The next record opens it again.
    pub(super) fn append(&self, record: &ShadowRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let length = line.len() as u64;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, mut size) = match open.take() {
            Some(known) => known,
            None => self.opened()?,
        };
        if size > 0 && size + length > self.bytes / 2 {
            std::fs::rename(&self.path, older(&self.path))?;
            (file, size) = self.opened()?;
        }
        // One write: a reader meets whole lines, but for a crash in the middle of one.
        file.write_all(&line)?;
        *open = Some((file, size + length));
        Ok(())
    }

    fn opened(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }
}

/// The path of the earlier records.
fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Calls `each` with every record of a file, and of the one before it, in order. Returns how many
/// lines are no records: a crash may cut one.
///
/// # Errors
/// The file cannot be read.
pub fn read_shadow_records(path: &Path, mut each: impl FnMut(ShadowRecord)) -> io::Result<u64> {
    let mut unreadable = 0;
    let before = older(path);
    let files = [before.exists().then_some(before.as_path()), Some(path)];
    for path in files.into_iter().flatten() {
        for line in BufReader::new(File::open(path)?).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(record) => each(record),
                Err(_) => unreadable += 1,
            }
        }
    }
    Ok(unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Agreement, ShadowAnswer};
    use super::*;

    fn record(at: i64) -> ShadowRecord {
        let hosts = ShadowAnswer::Hosts(vec!["c1".to_owned()]);
        ShadowRecord {
            at,
            request_id: "req-1".to_owned(),
            project: "p".to_owned(),
            flavor: "m1".to_owned(),
            instances: 1,
            berth_us: 60,
            nova_us: 35_000,
            berth: hosts.clone(),
            nova: hosts,
            agreement: Agreement::Same,
            cause: None,
            stale: Vec::new(),
            explanation: None,
        }
    }

    #[test]
    fn both_files_stay_within_the_bound_and_are_read_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shadow.jsonl");
        let length = serde_json::to_vec(&record(100)).expect("JSON").len() as u64 + 1;
        let bytes = length * 8;
        let file = RecordFile::new(path.clone(), bytes);
        file.check().expect("is writable");
        (100..110).for_each(|at| file.append(&record(at)).expect("is written"));
        drop(file);
        // Another process goes on where this one ended.
        let file = RecordFile::new(path.clone(), bytes);
        (110..117).for_each(|at| file.append(&record(at)).expect("is written"));
        let size = |path: &Path| std::fs::metadata(path).expect("exists").len();
        assert!(size(&path) + size(&older(&path)) <= bytes);
        OpenOptions::new().append(true).open(&path).expect("opens").write_all(b"{\"at\": 1").expect("is cut");
        let mut seen = Vec::new();
        let unreadable = read_shadow_records(&path, |record| seen.push(record.at)).expect("reads");
        assert_eq!((unreadable, seen.last()), (1, Some(&116)));
        assert!(seen.len() >= 4 && seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error() {
        let file = RecordFile::new("/nowhere/shadow.jsonl".into(), 1 << 20);
        assert!(file.check().is_err() && file.append(&record(1)).is_err());
    }
}
