//! Rows of a CSV file, by column name.
//!
//! A row without quotes is a line, split at the delimiter; only a row that contains a quote passes
//! through the CSV library. So an error can name the exact line of any file, with either line end.
//! (A CSV library counts the end of a CRLF line late: its line numbers drift.)

use std::path::Path;

use compact_str::CompactString;
use csv_core::ReadRecordResult;

use crate::error::{InvalidField, TraceError, shown};
use crate::moment;
use crate::number::{NumberError, decimal, decimal_up, integer};
use crate::source::Source;
use crate::{BatchNumber, Micros, Pair, ReadProgress};

/// No row of any format is nearly as long; binary data without line ends stops here.
const LONGEST_ROW: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What exports write for a missing value.
const MISSING: [&[u8]; 7] = [b"", b"NULL", b"\\N", b"None", b"NaN", b"nan", b"null"];

/// A file whose first line has been read.
pub(crate) struct Rows {
    source: Source,
    header: Vec<CompactString>,
    /// The first line, for messages.
    first: Vec<u8>,
    delimiter: u8,
    line: Vec<u8>,
    /// The row without its quotes, if it has any.
    unquoted: Vec<u8>,
    is_quoted: bool,
    /// The end of each field of the current row, in file order.
    ends: Vec<usize>,
    /// The number of the line last read.
    number: u64,
    /// The first line of the current row.
    row_number: u64,
    /// The first line is a row of its own.
    first_is_row: bool,
    /// [`line`](Self::line) has returned the first line.
    is_first_read: bool,
}

impl Rows {
    /// Reads the first line, which names the columns.
    pub(crate) fn start(source: Source) -> Result<Self, TraceError> {
        let mut rows = Self {
            source,
            header: Vec::new(),
            first: Vec::new(),
            delimiter: b',',
            line: Vec::new(),
            unquoted: Vec::new(),
            is_quoted: false,
            ends: Vec::new(),
            number: 0,
            row_number: 0,
            first_is_row: false,
            is_first_read: false,
        };
        if !rows.read_row()? {
            return Err(TraceError::Empty { path: rows.path().to_owned() });
        }
        if rows.line.starts_with(BYTE_ORDER_MARK) {
            rows.line.drain(..BYTE_ORDER_MARK.len());
        }
        let line = rows.row().to_owned();
        rows.delimiter = [b',', b'\t', b';'].into_iter().find(|byte| line.contains(byte)).unwrap_or(b',');
        rows.split();
        let names = (0..rows.ends.len()).map(|place| shown(rows.value(place)).trim().into());
        rows.header = names.collect();
        rows.first = line;
        Ok(rows)
    }

    /// Makes the first line a row, of a format without a header whose columns these are.
    pub(crate) fn without_header(mut self, columns: &[&'static str]) -> Self {
        self.header = columns.iter().map(|&name| name.into()).collect();
        self.first_is_row = true;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    pub(crate) fn progress(&self) -> ReadProgress {
        self.source.progress()
    }

    /// The first line.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// The number of fields of the first line.
    pub(crate) fn width(&self) -> usize {
        self.header.len()
    }

    /// The names of the columns, in file order.
    pub(crate) fn header(&self) -> &[CompactString] {
        &self.header
    }

    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// The position of the column in the file.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The position of the first of these columns that exists, whatever the case of its name.
    pub(crate) fn place_of_any(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.header.iter().position(|column| column.eq_ignore_ascii_case(name)))
    }

    /// The position of a column that has to exist.
    pub(crate) fn require(&self, column: &'static str) -> Result<usize, TraceError> {
        self.place(column).ok_or_else(|| TraceError::MissingColumn { path: self.path().to_owned(), column })
    }

    /// Refuses a header that has a column twice.
    pub(crate) fn refuse_repeated(&self) -> Result<(), TraceError> {
        for (i, name) in self.header.iter().enumerate() {
            if self.header[..i].contains(name) {
                let (path, column) = (self.path().to_owned(), name.to_string());
                return Err(TraceError::RepeatedColumn { path, column });
            }
        }
        Ok(())
    }

    /// Moves to the next row; `false` at the end of the file. Blank lines are skipped.
    pub(crate) fn advance(&mut self) -> Result<bool, TraceError> {
        if self.first_is_row {
            self.first_is_row = false;
        } else if !self.read_row()? {
            return Ok(false);
        }
        self.split();
        if self.ends.len() != self.header.len() {
            return Err(TraceError::FieldCount {
                path: self.path().to_owned(),
                line: self.row_number,
                expected: self.header.len(),
                found: self.ends.len(),
            });
        }
        Ok(true)
    }

    /// The next line of a format whose rows are not separated by a delimiter, without its end, and
    /// its number.
    pub(crate) fn line(&mut self) -> Result<Option<(u64, &[u8])>, TraceError> {
        if self.number > 1 || std::mem::replace(&mut self.is_first_read, true) {
            self.line.clear();
            if !self.read_line()? {
                return Ok(None);
            }
        }
        Ok(Some((self.number, self.row())))
    }

    /// A field of the current row; empty if the file lacks the column.
    #[inline]
    pub(crate) fn field(&self, place: Option<usize>, column: &'static str) -> Field<'_> {
        let value = place.map_or(&[][..], |place| self.value(place));
        Field { value, column, rows: self }
    }

    /// A field of the current row as text, in place of characters that are not UTF-8 a sign that
    /// says so.
    pub(crate) fn lossy(&self, place: usize) -> CompactString {
        CompactString::from_utf8_lossy(self.value(place))
    }

    #[inline]
    fn value(&self, place: usize) -> &[u8] {
        let row = if self.is_quoted { &self.unquoted } else { &self.line };
        let start = if place == 0 { 0 } else { self.ends[place - 1] + usize::from(!self.is_quoted) };
        &row[start..self.ends[place]]
    }

    fn read_row(&mut self) -> Result<bool, TraceError> {
        loop {
            self.line.clear();
            if !self.read_line()? {
                return Ok(false);
            }
            self.row_number = self.number;
            if !self.row().is_empty() || self.number == 1 {
                break;
            }
        }
        self.is_quoted = self.line.contains(&b'"');
        // A quoted field may contain line ends.
        while self.is_quoted && self.line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
            if !self.read_line()? {
                break;
            }
        }
        Ok(true)
    }

    /// Appends the next line; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        let before = self.line.len();
        self.source.read_line(&mut self.line, LONGEST_ROW - before)?;
        self.number += 1;
        if self.line.len() == LONGEST_ROW {
            let (path, line) = (self.path().to_owned(), self.number);
            return Err(TraceError::RowTooLong { path, line, limit: LONGEST_ROW });
        }
        Ok(self.line.len() > before)
    }

    /// The line last read, without its end.
    fn row(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    fn split(&mut self) {
        self.ends.clear();
        if self.is_quoted {
            self.unquote();
            return;
        }
        let length = self.row().len();
        let (row, delimiter) = (&self.line[..length], self.delimiter);
        self.ends.extend(row.iter().enumerate().filter(|(_, b)| **b == delimiter).map(|(at, _)| at));
        self.ends.push(length);
    }

    fn unquote(&mut self) {
        let length = self.row().len();
        let mut reader = csv_core::ReaderBuilder::new().delimiter(self.delimiter).build();
        self.unquoted.resize(length + 1, 0);
        self.ends.resize(length + 2, 0);
        let (mut read, mut written, mut count) = (0, 0, 0);
        loop {
            let (result, more_read, more_written, more) = reader.read_record(
                &self.line[read..length],
                &mut self.unquoted[written..],
                &mut self.ends[count..],
            );
            (read, written, count) = (read + more_read, written + more_written, count + more);
            match result {
                // With the whole row read, the library has to see the end of the data.
                ReadRecordResult::InputEmpty => {}
                _ => break,
            }
        }
        self.ends.truncate(count);
    }
}

/// The columns of a reader, in the order of its names.
pub(crate) struct Columns<const N: usize> {
    rows: Rows,
    names: [&'static str; N],
    /// The position of each column in the file; none for an optional one that is missing.
    places: [Option<usize>; N],
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
        let mut places = [None; N];
        for (place, column) in places.iter_mut().zip(names) {
            *place = rows.place(column);
            if place.is_none() && !optional.contains(&column) {
                return Err(TraceError::MissingColumn { path: rows.path().to_owned(), column });
            }
        }
        rows.refuse_repeated()?;
        for name in rows.header() {
            if !names.iter().chain(unused).any(|column| column == name) {
                let (path, column) = (rows.path().to_owned(), name.to_string());
                return Err(TraceError::UnexpectedColumn { path, column });
            }
        }
        Ok(Self { rows, names, places })
    }

    /// The fields of the next row, in the order of the names; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<[Field<'_>; N]>, TraceError> {
        if !self.rows.advance()? {
            return Ok(None);
        }
        Ok(Some(std::array::from_fn(|column| self.rows.field(self.places[column], self.names[column]))))
    }
}

/// One field of a row.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    value: &'a [u8],
    column: &'static str,
    rows: &'a Rows,
}

impl<'a> Field<'a> {
    /// An error for this field.
    #[cold]
    pub(crate) fn bad(&self, reason: impl Into<InvalidField>) -> TraceError {
        TraceError::BadValue {
            path: self.rows.path().to_owned(),
            line: self.rows.row_number,
            column: self.column,
            value: shown(self.value),
            reason: reason.into(),
        }
    }

    /// The bytes of the field.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.value
    }

    /// Whether the field is empty, or has what exports write for a missing value.
    pub(crate) fn is_missing(&self) -> bool {
        self.value.is_empty() || MISSING.contains(&self.value.trim_ascii())
    }

    pub(crate) fn text(&self) -> Result<CompactString, TraceError> {
        CompactString::from_utf8(self.value).map_err(|_| self.bad(InvalidField::NotUtf8))
    }

    /// The text, or nothing for a missing value.
    pub(crate) fn present_text(&self) -> Result<CompactString, TraceError> {
        if self.is_missing() { Ok(CompactString::default()) } else { self.text() }
    }

    /// Texts separated by `;` or `|`. An empty field has none.
    pub(crate) fn texts(&self) -> Result<Vec<CompactString>, TraceError> {
        let text = self.present_text()?;
        let texts = text.split([';', '|']).map(str::trim).filter(|text| !text.is_empty());
        Ok(texts.map(CompactString::from).collect())
    }

    /// Pairs `key=value`, separated by `;`. An empty field has none.
    pub(crate) fn pairs(&self) -> Result<Vec<Pair>, TraceError> {
        let pair = |text: &str| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.trim().into(), value.trim().into())),
            _ => Err(self.bad(InvalidField::NotAPair)),
        };
        let text = self.present_text()?;
        let texts = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        texts.map(pair).collect()
    }

    pub(crate) fn integer(&self) -> Result<u64, TraceError> {
        integer(self.value.trim_ascii()).map_err(|e| self.bad(e))
    }

    /// The number of a batch.
    pub(crate) fn batch(&self) -> Result<BatchNumber, TraceError> {
        BatchNumber::new(self.integer()?).ok_or_else(|| self.bad(NumberError::OutOfRange))
    }

    pub(crate) fn count(&self) -> Result<u32, TraceError> {
        self.narrow(self.integer()?)
    }

    /// A decimal with at most `places` decimals, as an integer count of `10^-places`.
    pub(crate) fn decimal(&self, places: u32) -> Result<u64, TraceError> {
        decimal(self.value.trim_ascii(), places).map_err(|e| self.bad(e))
    }

    /// A decimal as an integer count of `10^-places`, rounded up.
    pub(crate) fn decimal_up(&self, places: u32) -> Result<u64, TraceError> {
        decimal_up(self.value.trim_ascii(), places).map_err(|e| self.bad(e))
    }

    /// A share such as `0.0125` or `1.5e-05` of a unit that has `parts` parts, rounded up to whole
    /// parts. A share is less precise than a float in every published trace.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked against the range before
    pub(crate) fn parts_of(&self, parts: u32) -> Result<u32, TraceError> {
        let text =
            std::str::from_utf8(self.value.trim_ascii()).map_err(|_| self.bad(InvalidField::NotUtf8))?;
        let share: f64 = text.parse().map_err(|_| self.bad(NumberError::NotANumber))?;
        if !share.is_finite() || share < 0.0 {
            return Err(self.bad(if share < 0.0 { NumberError::Negative } else { NumberError::NotANumber }));
        }
        // A share that is a whole number of parts, but for its last bits, stays that number.
        let scaled = (share * f64::from(parts) - 1e-6).ceil().max(0.0);
        if scaled > f64::from(u32::MAX) { Err(self.bad(NumberError::OutOfRange)) } else { Ok(scaled as u32) }
    }

    /// A time or duration in seconds, of which whole microseconds count.
    pub(crate) fn seconds(&self) -> Result<Micros, TraceError> {
        moment::seconds(self.value.trim_ascii()).map_err(|e| self.bad(e))
    }

    /// A moment: seconds, or a date and time as ISO 8601 writes them.
    pub(crate) fn moment(&self) -> Result<Micros, TraceError> {
        moment::moment(self.value.trim_ascii()).map_err(|e| self.bad(e))
    }

    /// The parsed field, or `None` if it is missing.
    pub(crate) fn optional<T>(
        &self,
        parse: impl Fn(&Self) -> Result<T, TraceError>,
    ) -> Result<Option<T>, TraceError> {
        if self.is_missing() { Ok(None) } else { parse(self).map(Some) }
    }

    /// A value computed from the field, checked to fit 32 bits.
    pub(crate) fn narrow(&self, value: u64) -> Result<u32, TraceError> {
        u32::try_from(value).map_err(|_| self.bad(NumberError::OutOfRange))
    }

    /// The field as an arrival, which must not be earlier than the previous one, `before`.
    pub(crate) fn arrival(&self, before: Micros) -> Result<Micros, TraceError> {
        let arrival = self.moment()?;
        if arrival < before { Err(self.bad(InvalidField::OutOfOrder)) } else { Ok(arrival) }
    }
}
