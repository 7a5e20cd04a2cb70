//! Reads the tables of a SQLite database file, row by row.
//!
//! The file format is documented and stable (<https://www.sqlite.org/fileformat2.html>), and one
//! trace needs it: to read tables takes 200 lines here, while SQLite itself is C code that takes a
//! minute to compile (docs/adr/0025-trace-files.md). There is no SQL: callers name a table and its
//! columns. A database that was not closed (with a `-wal` file) has to be opened and closed by
//! SQLite first.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::TraceError;

/// How every database begins.
pub(crate) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Deeper trees do not occur: a tree of this depth has more pages than a file may have.
const MOST_LEVELS: usize = 20;
/// Rows of traces are short.
const LONGEST_RECORD: u64 = 1 << 20;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Value {
    /// The number, if it is one.
    #[allow(clippy::cast_precision_loss)] // identifiers and times of traces are small
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Real(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            Self::Null => None,
        }
    }

    /// The value as text; empty for none.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Null => String::new(),
        }
    }
}

/// An open database file.
pub(crate) struct Database {
    path: PathBuf,
    file: File,
    page_size: u64,
    usable: usize,
}

/// A table: where it is, and its columns.
pub(crate) struct Table {
    root: u32,
    columns: Vec<String>,
    /// The column that is the row's number: SQLite stores nothing for it.
    number: Option<usize>,
}

impl Table {
    /// The position of the column, whatever its case.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mut header = [0; 100];
        let mut database = Self { path: path.to_owned(), file, page_size: 0, usable: 0 };
        database.read_at(&mut header, 0)?;
        let size = u64::from(u16::from_be_bytes([header[16], header[17]]));
        database.page_size = if size == 1 { 1 << 16 } else { size };
        if !header.starts_with(MAGIC) || !database.page_size.is_power_of_two() || database.page_size < 512 {
            return Err(database.damaged("not a SQLite database"));
        }
        if u32::from_be_bytes([header[56], header[57], header[58], header[59]]) > 1 {
            return Err(database.damaged("a SQLite database whose texts are not UTF-8"));
        }
        database.usable = usize::try_from(database.page_size).unwrap_or(0) - usize::from(header[20]);
        Ok(database)
    }

    /// The table with this name, whatever its case.
    pub(crate) fn table(&self, name: &str) -> Result<Table, TraceError> {
        let mut found = None;
        self.page(1, None, MOST_LEVELS, &mut |row| {
            if let [Value::Text(kind), Value::Text(own), _, Value::Integer(root), Value::Text(sql), ..] = row
                && kind == "table"
                && own.eq_ignore_ascii_case(name)
            {
                found = u32::try_from(*root).ok().map(|root| Table {
                    root,
                    columns: columns_of(sql),
                    number: number_of(sql),
                });
            }
            Ok(())
        })?;
        found.ok_or_else(|| self.damaged(&format!("there is no table {name:?}")))
    }

    /// Calls `each` with every row, in order of row number.
    pub(crate) fn each_row(
        &self,
        table: &Table,
        each: &mut dyn FnMut(&[Value]) -> Result<(), String>,
    ) -> Result<(), TraceError> {
        self.page(table.root, table.number, MOST_LEVELS, each)
    }

    fn page(
        &self,
        page_number: u32,
        number: Option<usize>,
        levels: usize,
        each: &mut dyn FnMut(&[Value]) -> Result<(), String>,
    ) -> Result<(), TraceError> {
        let page = self.read_page(page_number)?;
        let start = if page_number == 1 { 100 } else { 0 };
        let damaged = || self.damaged(&format!("page {page_number} is damaged"));
        let two = |at: usize| {
            page.get(at..at + 2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
        };
        let four = |at: usize| page.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let cells = two(start + 3).ok_or_else(damaged)?;
        match page[start] {
            0x0d => {
                for cell in 0..cells {
                    let at = two(start + 8 + 2 * cell).ok_or_else(damaged)?;
                    let (row, payload) = self.payload(&page, at)?.ok_or_else(damaged)?;
                    let mut values = record(&payload).ok_or_else(damaged)?;
                    if let Some(value @ Value::Null) = number.and_then(|column| values.get_mut(column)) {
                        *value = Value::Integer(row);
                    }
                    each(&values).map_err(|reason| self.damaged(&reason))?;
                }
                Ok(())
            }
            0x05 if levels > 0 => {
                for cell in 0..cells {
                    let at = two(start + 12 + 2 * cell).ok_or_else(damaged)?;
                    self.page(four(at).ok_or_else(damaged)?, number, levels - 1, each)?;
                }
                self.page(four(start + 8).ok_or_else(damaged)?, number, levels - 1, each)
            }
            _ => Err(damaged()),
        }
    }

    /// The row number and the record of the cell; `None` if it is damaged.
    fn payload(&self, page: &[u8], at: usize) -> Result<Option<(i64, Vec<u8>)>, TraceError> {
        let Some((length, at)) = varint(page, at) else { return Ok(None) };
        let Some((row, at)) = varint(page, at) else { return Ok(None) };
        if length > LONGEST_RECORD {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or(0);
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        let local = if length <= most {
            length
        } else {
            let wanted = least + (length - least) % (self.usable - 4);
            if wanted <= most { wanted } else { least }
        };
        let Some(bytes) = page.get(at..at + local) else { return Ok(None) };
        let mut payload = bytes.to_vec();
        let mut next =
            page.get(at + local..at + local + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        while payload.len() < length {
            let Some(number) = next.filter(|&number| number > 0) else { return Ok(None) };
            let overflow = self.read_page(number)?;
            next = Some(u32::from_be_bytes([overflow[0], overflow[1], overflow[2], overflow[3]]));
            let take = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(&overflow[4..4 + take]);
        }
        Ok(Some((row.cast_signed(), payload)))
    }

    fn read_page(&self, number: u32) -> Result<Vec<u8>, TraceError> {
        if number == 0 {
            return Err(self.damaged("a page has the number 0"));
        }
        let mut page = vec![0; usize::try_from(self.page_size).unwrap_or(0)];
        self.read_at(&mut page, u64::from(number - 1) * self.page_size)?;
        Ok(page)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<(), TraceError> {
        let read = self.file.read_exact_at(buffer, at);
        read.map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => self.damaged("the database ends early"),
            _ => TraceError::Io { path: self.path.clone(), source },
        })
    }

    fn damaged(&self, reason: &str) -> TraceError {
        TraceError::Damaged { path: self.path.clone(), reason: reason.to_owned() }
    }
}

/// The values of a record; `None` if it is damaged.
fn record(payload: &[u8]) -> Option<Vec<Value>> {
    let (header, mut at) = varint(payload, 0)?;
    let header = usize::try_from(header).ok()?;
    let mut content = header;
    let mut values = Vec::new();
    while at < header {
        let (serial, next) = varint(payload, at)?;
        at = next;
        let length = match serial {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(serial).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((serial - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = payload.get(content..content.checked_add(length)?)?;
        content += length;
        values.push(match serial {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            1..=6 => {
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                Value::Integer(bytes.iter().fold(sign, |value, &byte| value << 8 | i64::from(byte)))
            }
            _ => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        });
    }
    Some(values)
}

/// A number of up to nine bytes, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for i in 0..8 {
        let byte = *bytes.get(at + i)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + i + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), at + 9))
}

/// The definitions of a `CREATE TABLE` statement: columns and constraints.
fn definitions(sql: &str) -> Vec<String> {
    let body = sql.split_once('(').map_or("", |(_, body)| body);
    let body = body.rsplit_once(')').map_or(body, |(body, _)| body);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in body.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is one").push(letter);
    }
    parts
}

/// The name that a definition begins with.
fn name_of(definition: &str) -> Option<&str> {
    const CONSTRAINTS: [&str; 5] = ["PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"];
    let text = definition.trim();
    match text.chars().next()? {
        quote @ ('"' | '`' | '\'') => text[1..].split(quote).next(),
        '[' => text[1..].split(']').next(),
        _ => text
            .split_whitespace()
            .next()
            .filter(|name| !CONSTRAINTS.contains(&name.to_ascii_uppercase().as_str())),
    }
}

/// The names of the columns of a `CREATE TABLE` statement.
fn columns_of(sql: &str) -> Vec<String> {
    definitions(sql).iter().filter_map(|definition| name_of(definition)).map(ToOwned::to_owned).collect()
}

/// The position of its `INTEGER PRIMARY KEY`.
fn number_of(sql: &str) -> Option<usize> {
    let definitions = definitions(sql);
    let columns = definitions.iter().filter(|definition| name_of(definition).is_some());
    let words = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    columns.map(words).position(|column| column.contains(" INTEGER PRIMARY KEY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_statements() {
        let sql = "CREATE TABLE \"vm\" (\"vmId\" INTEGER, tenantId INT, [vmTypeId] NUMERIC(3,2), `priority` x,\n starttime REAL, PRIMARY KEY (vmId))";
        assert_eq!(columns_of(sql), ["vmId", "tenantId", "vmTypeId", "priority", "starttime"]);
        assert_eq!(number_of(sql), None);
        assert_eq!(number_of("CREATE TABLE t (a TEXT, id integer  primary key, b)"), Some(1));
    }

    #[test]
    fn numbers_of_any_length() {
        assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
        assert_eq!(varint(&[0x81, 0x00], 0), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9], 0), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0xff], 0), None);
    }
}
