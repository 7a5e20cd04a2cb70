//! State files: one line per record, after a line that names the format and before a line with the
//! checksum of all previous lines.

use std::io::{self, BufRead, Write};

use berth_placement::{Index, Record, RestoreError};
use sha2::{Digest, Sha256};

use crate::contents::Contents;
use crate::fleet_records::FleetRecords;
use crate::line::{End, Entry, Header, Line};

/// The format that is written, and the latest that can be read.
const VERSION: u32 = 2;

/// The format of a file without a fleet: the previous format, which earlier releases can read.
const WITHOUT_FLEET: u32 = 1;

/// The result of writing a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The number of records.
    pub records: u64,
    /// The size of the file in bytes.
    pub bytes: u64,
}

/// The reason why a state file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// An error of the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is invalid.
    #[error("line {line}: {problem}")]
    Line {
        /// The line number, from 1.
        line: u64,
        /// What is wrong with the line.
        problem: String,
    },
    /// A later version of Berth wrote the file.
    #[error("the state is of format {0}, and only formats 1 to {VERSION} can be read")]
    Version(u32),
    /// The file is truncated.
    #[error("the state is not complete: its last line is missing")]
    Incomplete,
    /// The file is damaged.
    #[error("the state is damaged: its checksum or number of records is another")]
    Damaged,
    /// The file is intact, but its records are inconsistent.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Writes the records of an index, and a fleet, as a state file.
///
/// # Errors
/// Errors of `out`.
pub fn write_state(
    out: impl Write,
    records: impl IntoIterator<Item = Record>,
    fleet: &impl FleetRecords,
) -> io::Result<Written> {
    let mut out = Hashing { out, sha256: Sha256::new(), bytes: 0 };
    let mut entries = fleet.records().map(|(key, value)| entry(&key, &value)).peekable();
    let version = if entries.peek().is_some() { VERSION } else { WITHOUT_FLEET };
    out.line(&Line::BerthState(Header { version }))?;
    let mut count = 0;
    for line in records.into_iter().map(Line::from).chain(entries) {
        out.line(&line)?;
        count += 1;
    }
    let sha256 = hex(&out.sha256.clone().finalize());
    out.line(&Line::End(End { records: count, sha256 }))?;
    out.flush()?;
    Ok(Written { records: count, bytes: out.bytes })
}

/// A writer that hashes what it writes.
struct Hashing<W> {
    out: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.write_all(&text)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let written = self.out.write(text)?;
        self.sha256.update(&text[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The index records of a state file; records of the fleet are collected. The file is known to be
/// intact only after the last record.
pub struct StateReader<R, F> {
    input: R,
    sha256: Sha256,
    text: Vec<u8>,
    line: u64,
    fleet: F,
    ended: bool,
}

impl<R: BufRead, F: FleetRecords> StateReader<R, F> {
    /// Reads from the start of a file.
    pub fn new(input: R) -> Self {
        Self { input, sha256: Sha256::new(), text: Vec::new(), line: 0, fleet: F::default(), ended: false }
    }

    /// Reads the state in the file.
    ///
    /// # Errors
    /// The file is damaged, or its records are inconsistent.
    pub fn contents(mut self) -> Result<Contents<F>, StateFileError> {
        let index = Index::restore(self.by_ref())?;
        Ok(Contents { index, fleet: self.fleet })
    }

    /// The fleet, after all records have been read.
    pub fn into_fleet(self) -> F {
        self.fleet
    }

    /// The next record; `None` after the last line, whose checksum confirms everything before it.
    fn read(&mut self) -> Result<Option<Record>, StateFileError> {
        loop {
            let line = self.read_line()?;
            match &line {
                Line::BerthState(Header { version }) if !(1..=VERSION).contains(version) => {
                    return Err(StateFileError::Version(*version));
                }
                Line::BerthState(_) if self.line == 1 => {}
                _ if self.line == 1 => return Err(self.problem("this is no state of Berth")),
                Line::BerthState(_) => return Err(self.problem("a state begins in the middle of another")),
                Line::End(end) => return self.finish(end).map(|()| None),
                Line::Fleet(entry) => self.put_back(entry)?,
                Line::Class(_) | Line::Trait(_) | Line::Provider(_) | Line::Consumer(_) => {}
            }
            self.sha256.update(&self.text);
            if let Some(record) = line.into_record() {
                return Ok(Some(record));
            }
        }
    }

    fn put_back(&mut self, Entry { key, value }: &Entry) -> Result<(), StateFileError> {
        let digits = |field, text| {
            unhex(text).ok_or_else(|| self.problem(&format!("{field} is not in hexadecimal digits")))
        };
        let (key, value) = (digits("key", key)?, digits("value", value)?);
        self.fleet.insert(&key, &value).map_err(|error| self.problem(&error.to_string()))
    }

    fn read_line(&mut self) -> Result<Line, StateFileError> {
        self.text.clear();
        self.line += 1;
        self.input.read_until(b'\n', &mut self.text)?;
        if !self.text.ends_with(b"\n") {
            return Err(StateFileError::Incomplete);
        }
        serde_json::from_slice(&self.text).map_err(|error| self.problem(&error.to_string()))
    }

    fn finish(&mut self, end: &End) -> Result<(), StateFileError> {
        // The first and the last line are not records.
        let is_whole = end.records + 2 == self.line && end.sha256 == hex(&self.sha256.finalize_reset());
        if !is_whole {
            return Err(StateFileError::Damaged);
        }
        match self.input.fill_buf()? {
            [] => Ok(()),
            _ => Err(self.problem("something follows the last line")),
        }
    }

    fn problem(&self, problem: &str) -> StateFileError {
        StateFileError::Line { line: self.line, problem: problem.to_owned() }
    }
}

impl<R: BufRead, F: FleetRecords> Iterator for StateReader<R, F> {
    type Item = Result<Record, StateFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// Formats a record as its line.
pub(crate) fn record_text(record: Record) -> Vec<u8> {
    serde_json::to_vec(&Line::from(record)).expect("names and numbers can always be written")
}

/// Formats a record of a fleet as its line.
pub(crate) fn entry_text(key: &[u8], value: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&entry(key, value)).expect("digits can always be written")
}

fn entry(key: &[u8], value: &[u8]) -> Line {
    Line::Fleet(Entry { key: hex(key), value: hex(value) })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok());
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| <[u8; 2]>::try_from(pair).ok());
    bytes.map(|pair| pair.map(|[high, low]| high << 4 | low)).collect()
}
