//! A record as a row of a table, as a table of its own, or as JSON.

use anyhow::Result;
use clap::ValueEnum;
use prost_types::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::output;
use crate::table::{Cell, Grid};

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Named values in an order. The names are JSON's fields; a unit at their end becomes part of a
/// table's header.
#[derive(Default)]
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

    /// Prints all values of the record.
    pub(super) fn print(&self, format: Format) -> Result<()> {
        if format == Format::Json {
            return output::print_json(self);
        }
        let mut table = Grid::new(["field", "value"]);
        for (name, value) in &self.0 {
            table.row([Cell::from(header(name)), Cell::lines(parts(value))]);
        }
        output::print(&table.text())
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Prints a list: these columns as a table, or all values as JSON.
pub(super) fn print_list(format: Format, columns: &[&'static str], records: &[Record]) -> Result<()> {
    if format == Format::Json {
        return output::print_json(&records);
    }
    let mut table = Grid::new(columns.iter().map(|name| header(name)));
    for record in records {
        table.row(columns.iter().map(|name| parts(record.get(name)).join(", ")));
    }
    let is_number =
        |name: &str| records.iter().all(|record| matches!(record.get(name), Value::Number(_) | Value::Null));
    let numbers = columns.iter().enumerate().filter(|(_, name)| is_number(name)).map(|(at, _)| at);
    table.align_right(numbers);
    output::print(&table.text())
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
fn utc(micros: u64) -> String {
    let seconds = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(micros / 1_000 % 1_000).unwrap_or_default() * 1_000_000;
    Timestamp { seconds, nanos }.to_string()
}
