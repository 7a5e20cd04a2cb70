//! A record as a row of a table, as a table of its own, as JSON or YAML, or as values alone.

use std::borrow::Cow;

use anyhow::{Result, bail};
use clap::Args;
use prost_types::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::SERVICE;
use crate::document::Format;
use crate::output;
use crate::table::{Cell, Grid};

/// What to print, and how.
#[derive(Debug, Args)]
pub(super) struct OutputOptions {
    /// How to print
    #[arg(
        long,
        short = 'f',
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        global = true,
        help_heading = SERVICE
    )]
    format: Format,
    /// Print only this column or field (may be repeated), such as name; upper case and blanks are
    /// as in the table or not
    #[arg(long, short = 'c', value_name = "NAME", global = true, help_heading = SERVICE)]
    column: Vec<String>,
}

impl OutputOptions {
    /// Whether it is for people.
    pub(super) fn is_table(&self) -> bool {
        self.format == Format::Table
    }
}

/// Named values in an order. The names are JSON's fields; a unit at their end becomes part of a
/// table's header.
#[derive(Clone, Default)]
pub(super) struct Record(Vec<(&'static str, Value)>);

impl Record {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// A text; empty for none.
    pub(super) fn text(self, name: &'static str, text: String) -> Self {
        self.with(name, if text.is_empty() { Value::Null } else { text.into() })
    }

    /// Microseconds since 1970, as a time in UTC; 0 for never.
    pub(super) fn time(self, name: &'static str, micros: u64) -> Self {
        self.with(name, (micros > 0).then(|| utc(micros)))
    }

    pub(super) fn map<V: Into<Value>>(
        self,
        name: &'static str,
        map: impl IntoIterator<Item = (String, V)>,
    ) -> Self {
        self.with(name, map.into_iter().map(|(key, value)| (key, value.into())).collect::<Value>())
    }

    fn get(&self, name: &str) -> &Value {
        self.0.iter().find(|(known, _)| *known == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// Its fields.
    fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    /// The record with these fields only, in this order.
    fn only(&self, names: &[&'static str]) -> Self {
        Self(names.iter().map(|name| (*name, self.get(name).clone())).collect())
    }

    /// Prints the record: all of it, or the columns that the user asks for.
    pub(super) fn print(&self, options: &OutputOptions) -> Result<()> {
        let names = chosen(&options.column, &self.names())?;
        let record = if names.is_empty() { Cow::Borrowed(self) } else { Cow::Owned(self.only(&names)) };
        match options.format {
            Format::Json | Format::Yaml => options.format.print_document(&*record),
            Format::Value => {
                let lines = record.0.iter().map(|(_, value)| parts(value).join(", ") + "\n");
                output::print(&lines.collect::<String>())
            }
            Format::Table => {
                let mut table = Grid::new(["field", "value"]);
                for (name, value) in &record.0 {
                    table.row([Cell::from(header(name)), Cell::lines(parts(value))]);
                }
                output::print(&table.text())
            }
        }
    }
}

/// The fields with the names that the user gave, in the user's order.
fn chosen(wanted: &[String], known: &[&'static str]) -> Result<Vec<&'static str>> {
    let plain = |name: &str| name.to_lowercase().replace(' ', "_");
    let find = |name: &String| {
        let is_it = |field: &&&str| [plain(field), plain(&header(field))].contains(&plain(name));
        match known.iter().find(is_it) {
            Some(field) => Ok(*field),
            None => bail!("--column: {name:?} is none of {}", known.join(", ")),
        }
    };
    wanted.iter().map(find).collect()
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Prints a list: these columns as a table or as values, or all fields as JSON or YAML; or the
/// columns that the user asks for.
pub(super) fn print_list(
    options: &OutputOptions,
    columns: &[&'static str],
    records: &[Record],
) -> Result<()> {
    let known = records.first().map_or_else(|| columns.to_vec(), Record::names);
    let names = chosen(&options.column, &known)?;
    let columns = if names.is_empty() { columns } else { &names };
    match options.format {
        Format::Json | Format::Yaml if names.is_empty() => options.format.print_document(&records),
        Format::Json | Format::Yaml => options
            .format
            .print_document(&records.iter().map(|record| record.only(&names)).collect::<Vec<_>>()),
        Format::Value => {
            let values = |record: &Record| {
                let values = columns.iter().map(|name| parts(record.get(name)).join(","));
                values.collect::<Vec<_>>().join(" ") + "\n"
            };
            output::print(&records.iter().map(values).collect::<String>())
        }
        Format::Table => output::print(&table(columns, records).text()),
    }
}

fn table(columns: &[&'static str], records: &[Record]) -> Grid {
    let mut table = Grid::new(columns.iter().map(|name| header(name)));
    for record in records {
        table.row(columns.iter().map(|name| parts(record.get(name)).join(", ")));
    }
    let is_number =
        |name: &str| records.iter().all(|record| matches!(record.get(name), Value::Number(_) | Value::Null));
    let numbers = columns.iter().enumerate().filter(|(_, name)| is_number(name)).map(|(at, _)| at);
    table.align_right(numbers);
    table
}

/// `memory_mb` is headed `memory MiB`.
fn header(name: &str) -> String {
    let unit = [("_mb", " MiB"), ("_gb", " GiB")].into_iter();
    let with_unit = unit.filter_map(|(end, unit)| Some(format!("{}{unit}", name.strip_suffix(end)?))).next();
    with_unit.unwrap_or_else(|| name.to_owned()).replace('_', " ")
}

/// A value for people, in the parts that it has.
fn parts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(parts) => parts.iter().map(text).collect(),
        Value::Object(parts) => parts.iter().map(|(key, part)| format!("{key}={}", text(part))).collect(),
        value => vec![text(value)],
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => parts(value).join(", "),
    }
}

/// A time in UTC, to the millisecond.
pub(super) fn utc(micros: u64) -> String {
    let seconds = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(micros / 1_000 % 1_000).unwrap_or_default() * 1_000_000;
    Timestamp { seconds, nanos }.to_string()
}
