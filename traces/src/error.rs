//! Why a trace cannot be read or written.

use std::io;
use std::path::PathBuf;

use crate::number::NumberError;

/// Why a trace or a host file cannot be read. Every message names the file; those about a row name
/// its line (the header is line 1) too.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The operating system refused to open or read the file.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The gzip data ends early or fails its checks: the rows so far are not the whole trace.
    #[error("{}: truncated or corrupt gzip data", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        source: io::Error,
    },
    /// The file is neither text nor gzip.
    #[error("{}: {what}; a trace is text (UTF-8), plain or compressed with gzip, Parquet or SQLite", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file has no header line.
    #[error("{}: empty, expected a header line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The header is of no known format.
    #[error("{}: no known trace format has the header {header:?}: {hint}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The header line, shortened.
        header: String,
        /// What it may be, or what it lacks.
        hint: String,
    },
    /// The header lacks a column.
    #[error("{}: the header lacks the column {column:?}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: &'static str,
    },
    /// The header has a column twice.
    #[error("{}: the header has the column {column:?} twice", path.display())]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The column's name, shortened.
        column: String,
    },
    /// A binary file is damaged, or not of the format.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The header has a column that the format does not have.
    #[error("{}: the header has an unknown column {column:?}", path.display())]
    UnexpectedColumn {
        /// The file.
        path: PathBuf,
        /// The column's name, shortened.
        column: String,
    },
    /// A row has more or fewer fields than the header.
    #[error("{}:{line}: expected {expected} fields, found {found}", path.display())]
    FieldCount {
        /// The file.
        path: PathBuf,
        /// The row's line.
        line: u64,
        /// Fields in the header.
        expected: usize,
        /// Fields in the row.
        found: usize,
    },
    /// A row is longer than any real row could be.
    #[error("{}:{line}: longer than {limit} bytes", path.display())]
    RowTooLong {
        /// The file.
        path: PathBuf,
        /// The row's line.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A field has an invalid value.
    #[error("{}:{line}: {column} {value:?}: {reason}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The row's line.
        line: u64,
        /// The column's name.
        column: &'static str,
        /// The field as written, shortened.
        value: String,
        /// What is wrong with it.
        reason: InvalidField,
    },
}

/// Why a field is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// Not a number, or out of the column's range.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A name is missing.
    #[error("empty")]
    Empty,
    /// A name that an earlier row has.
    #[error("an earlier row has this name")]
    NotUnique,
    /// A count that is not a whole number.
    #[error("not a whole number")]
    NotWhole,
    /// An item that is not a pair of key and value.
    #[error("not of the form key=value;key=value")]
    NotAPair,
    /// Zero, where at least one is required.
    #[error("must be positive")]
    Zero,
    /// Rows are sorted by arrival; this one is not.
    #[error(
        "earlier than the arrival of the row before; `berth trace import` and `berth replay --sort` sort the rows"
    )]
    OutOfOrder,
    /// A policy that no server group has.
    #[error("not a policy of server groups: {}", crate::neutral::POLICIES.join(", "))]
    NotAPolicy,
    /// A number that no event of the trace has.
    #[error("not a kind of event of this trace")]
    NotAnEvent,
    /// The departure is before the arrival.
    #[error("before the arrival")]
    BeforeArrival,
}

/// Why a trace cannot be written in the neutral format.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system refused to create or write the file.
    #[error("{}: cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A Parquet file cannot be written.
    #[error("{}: cannot be written: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The trace being copied cannot be read.
    #[error("the trace being written cannot be read")]
    Trace(#[from] TraceError),
    /// The format cannot represent this.
    #[error("VM {id:?}: the neutral format cannot hold {what}")]
    Inexpressible {
        /// The VM's identifier in the trace.
        id: String,
        /// The property that it cannot hold.
        what: &'static str,
    },
}

/// A value as shown in messages: lossy where it is not UTF-8, truncated where it is long.
pub(crate) fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(value);
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn long_and_broken_values_are_shown_short_and_readable() {
        assert_eq!(shown(b"12x"), "12x");
        assert_eq!(shown(b"\xff1"), "\u{fffd}1");
        assert_eq!(shown(&[b'9'; 60]), "9".repeat(60));
        assert_eq!(shown("é".repeat(5000).as_bytes()), "é".repeat(60) + "…");
    }
}
