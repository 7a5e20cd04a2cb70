//! State files: a line for each record, between one that names the format and one with the checksum of all before.

use std::io::{self, BufRead, Write};

use berth_placement::{Index, Record, RestoreError};
use sha2::{Digest, Sha256};

use crate::contents::Contents;
use crate::fleet_records::FleetRecords;
use crate::line::{End, Entry, Header, Line};

/// The format that is written, and the last that is read.
const VERSION: u32 = 2;

/// The format of a file without a fleet: the format before, which earlier releases can read.
const WITHOUT_FLEET: u32 = 1;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The number of records.
    pub records: u64,
    /// The size of the file.
    pub bytes: u64,
}

/// A state file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The system's word.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is not of the format.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Another version of Berth has written it.
    #[error("the state is of format {0}, and only formats 1 to {VERSION} can be read")]
    Version(u32),
    /// It is cut off.
    #[error("the state is not complete: its last line is missing")]
    Incomplete,
    /// It is not what was written.
    #[error("the state is damaged: its checksum or number of records is another")]
    Damaged,
    /// It is as it was written, but makes no sense.
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

/// Passes text on and hashes it.
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

/// The records of the index in a state file, one after the other; those of the fleet are gathered. Only when the last was good is
/// the file known to be whole.
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

    /// The state in the file.
    ///
    /// # Errors
    /// A file that is not as it was written, or makes no sense.
    pub fn contents(mut self) -> Result<Contents<F>, StateFileError> {
        let index = Index::restore(self.by_ref())?;
        Ok(Contents { index, fleet: self.fleet })
    }

    /// The fleet, when all records have been read.
    pub fn into_fleet(self) -> F {
        self.fleet
    }

    /// The next record; `None` after the last line, when everything before it is as it was written.
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
        // The first line and this one are no records.
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

/// A record as the text of its line.
pub(crate) fn record_text(record: Record) -> Vec<u8> {
    serde_json::to_vec(&Line::from(record)).expect("names and numbers can always be written")
}

/// A record of a fleet as the text of its line.
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

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok());
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| <[u8; 2]>::try_from(pair).ok());
    bytes.map(|pair| pair.map(|[high, low]| high << 4 | low)).collect()
}
