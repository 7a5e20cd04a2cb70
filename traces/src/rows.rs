//! Rows of a CSV file with a header and no quoting, by column name.
//!
//! A row is a line, so an error can name the exact line of any file, with either line end. (A CSV
//! library skips blank lines and counts the end of a CRLF line late: its line numbers drift.)

use std::path::Path;

use compact_str::CompactString;

use crate::error::{Reason, TraceError, shown};
use crate::number::{NumberError, decimal, integer};
use crate::source::Source;
use crate::{Micros, Pair, Progress};

/// No row of any format is nearly as long; binary data without line ends stops here.
const LONGEST_ROW: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file whose header has been read.
pub(crate) struct Rows {
    source: Source,
    header: Vec<u8>,
    line: Vec<u8>,
    /// The number of the line last read.
    number: u64,
}

impl Rows {
    /// Reads the header line.
    pub(crate) fn start(source: Source) -> Result<Self, TraceError> {
        let mut rows = Self { source, header: Vec::new(), line: Vec::new(), number: 0 };
        if !rows.advance()? {
            return Err(TraceError::Empty { path: rows.path().to_owned() });
        }
        let header = rows.row();
        rows.header = header.strip_prefix(BYTE_ORDER_MARK).unwrap_or(header).to_owned();
        Ok(rows)
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.source.progress()
    }

    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.header.split(|&b| b == b',').any(|column| column == name.as_bytes())
    }

    /// Moves to the next line; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, TraceError> {
        self.source.read_line(&mut self.line, LONGEST_ROW)?;
        self.number += 1;
        if self.line.len() == LONGEST_ROW {
            return Err(TraceError::RowTooLong {
                path: self.path().to_owned(),
                line: self.number,
                limit: LONGEST_ROW,
            });
        }
        Ok(!self.line.is_empty())
    }

    /// The line last read, without its end.
    fn row(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// The columns of a reader, in the order of its names.
pub(crate) struct Columns<const N: usize> {
    rows: Rows,
    names: [&'static str; N],
    /// The position of each column in the file; none for an optional one that is missing.
    places: [Option<usize>; N],
    /// The end of each field of the current row, in file order.
    ends: Vec<usize>,
    width: usize,
}

impl<const N: usize> Columns<N> {
    /// Finds the columns `names` in the header, in any order. Those that are also in `optional` may
    /// be missing: their fields are empty. The header may also have the columns `unused`, and no
    /// other.
    pub(crate) fn find(
        rows: Rows,
        names: [&'static str; N],
        optional: &[&str],
        unused: &[&str],
    ) -> Result<Self, TraceError> {
        let header: Vec<&[u8]> = rows.header.split(|&b| b == b',').collect();
        let mut places = [None; N];
        for (place, column) in places.iter_mut().zip(names) {
            *place = header.iter().position(|name| *name == column.as_bytes());
            if place.is_none() && !optional.contains(&column) {
                return Err(TraceError::MissingColumn { path: rows.path().to_owned(), column });
            }
        }
        for (i, name) in header.iter().enumerate() {
            let known = names.iter().chain(unused).any(|column| column.as_bytes() == *name);
            if !known || header[..i].contains(name) {
                return Err(TraceError::UnexpectedColumn {
                    path: rows.path().to_owned(),
                    column: shown(name),
                });
            }
        }
        let width = header.len();
        Ok(Self { rows, names, places, ends: Vec::with_capacity(width), width })
    }

    /// The fields of the next row, in the order of the names; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<[Field<'_>; N]>, TraceError> {
        if !self.rows.advance()? {
            return Ok(None);
        }
        let row = self.rows.row();
        self.ends.clear();
        self.ends.extend(row.iter().enumerate().filter(|(_, b)| **b == b',').map(|(at, _)| at));
        self.ends.push(row.len());
        if self.ends.len() != self.width {
            return Err(TraceError::FieldCount {
                path: self.rows.path().to_owned(),
                line: self.rows.number,
                expected: self.width,
                found: self.ends.len(),
            });
        }
        let field = |column: usize| {
            let value = self.places[column].map_or(&[][..], |place| {
                let start = if place == 0 { 0 } else { self.ends[place - 1] + 1 };
                &row[start..self.ends[place]]
            });
            Field { value, column: self.names[column], rows: &self.rows }
        };
        Ok(Some(std::array::from_fn(field)))
    }
}

/// One field of a row.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    value: &'a [u8],
    column: &'static str,
    rows: &'a Rows,
}

impl Field<'_> {
    /// An error for this field.
    #[cold]
    pub(crate) fn bad(&self, reason: impl Into<Reason>) -> TraceError {
        TraceError::BadValue {
            path: self.rows.path().to_owned(),
            line: self.rows.number,
            column: self.column,
            value: shown(self.value),
            reason: reason.into(),
        }
    }

    pub(crate) fn text(&self) -> Result<CompactString, TraceError> {
        CompactString::from_utf8(self.value).map_err(|_| self.bad(Reason::NotUtf8))
    }

    /// Texts separated by `;`. An empty field has none.
    pub(crate) fn texts(&self) -> Result<Vec<CompactString>, TraceError> {
        let text = self.text()?;
        let texts = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        Ok(texts.map(CompactString::from).collect())
    }

    /// Pairs `key=value`, separated by `;`. An empty field has none.
    pub(crate) fn pairs(&self) -> Result<Vec<Pair>, TraceError> {
        let pair = |text: &CompactString| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.trim().into(), value.trim().into())),
            _ => Err(self.bad(Reason::NotAPair)),
        };
        self.texts()?.iter().map(pair).collect()
    }

    pub(crate) fn integer(&self) -> Result<u64, TraceError> {
        integer(self.value).map_err(|e| self.bad(e))
    }

    pub(crate) fn count(&self) -> Result<u32, TraceError> {
        self.narrow(self.integer()?)
    }

    /// A decimal with at most `places` decimals, as an integer count of `10^-places`.
    pub(crate) fn decimal(&self, places: u32) -> Result<u64, TraceError> {
        decimal(self.value, places).map_err(|e| self.bad(e))
    }

    /// Seconds with at most 3 decimals.
    pub(crate) fn seconds(&self) -> Result<Micros, TraceError> {
        let micros = self.decimal(3)?.checked_mul(1000);
        micros.map(Micros).ok_or_else(|| self.bad(NumberError::OutOfRange))
    }

    /// The parsed field, or `None` if it is empty.
    pub(crate) fn optional<T>(
        &self,
        parse: impl Fn(&Self) -> Result<T, TraceError>,
    ) -> Result<Option<T>, TraceError> {
        if self.value.is_empty() { Ok(None) } else { parse(self).map(Some) }
    }

    /// A value computed from the field, checked to fit 32 bits.
    pub(crate) fn narrow(&self, value: u64) -> Result<u32, TraceError> {
        u32::try_from(value).map_err(|_| self.bad(NumberError::OutOfRange))
    }

    /// The field as an identifier that counts rows from 0.
    pub(crate) fn sequential(&self, expected: u64) -> Result<CompactString, TraceError> {
        if self.integer()? != expected {
            return Err(self.bad(Reason::NotInSequence { expected }));
        }
        self.text()
    }

    /// The field as an arrival, which must not be earlier than the previous one, `before`.
    pub(crate) fn arrival(&self, before: Micros) -> Result<Micros, TraceError> {
        let arrival = self.seconds()?;
        if arrival < before { Err(self.bad(Reason::OutOfOrder)) } else { Ok(arrival) }
    }
}
