//! What is known of one thing, as a row of a table, a table of its own, or JSON.

use anyhow::{Context, Result};
use clap::ValueEnum;
use prost_types::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{output, table};

/// How to print.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Named values in an order. The names are JSON's fields; a unit at their end becomes part of a table's header.
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

    /// A text that may be missing.
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

    /// Prints all that is known of one thing.
    pub(super) fn print(&self, format: Format) -> Result<()> {
        if format == Format::Json {
            return json(self);
        }
        let mut table = table::grid(["field", "value"]);
        for (name, value) in &self.0 {
            table.add_row([header(name), cell(value, "\n")]);
        }
        output::print(&table::text(&table))
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Prints many of a kind: these columns of them, or all as JSON.
pub(super) fn print_list(format: Format, columns: &[&'static str], records: &[Record]) -> Result<()> {
    if format == Format::Json {
        return json(&records);
    }
    let mut table = table::grid(columns.iter().map(|name| header(name)));
    for record in records {
        table.add_row(columns.iter().map(|name| cell(record.get(name), ", ")));
    }
    let is_number =
        |name: &str| records.iter().all(|record| matches!(record.get(name), Value::Number(_) | Value::Null));
    let numbers = columns.iter().enumerate().filter(|(_, name)| is_number(name)).map(|(at, _)| at);
    table::align_right(&mut table, numbers);
    output::print(&table::text(&table))
}

fn json(value: &impl Serialize) -> Result<()> {
    output::print(&(serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n"))
}

/// `memory_mb` is headed `memory MiB`.
fn header(name: &str) -> String {
    let unit = [("_mb", " MiB"), ("_gb", " GiB")].into_iter();
    let with_unit = unit.filter_map(|(end, unit)| Some(format!("{}{unit}", name.strip_suffix(end)?))).next();
    with_unit.unwrap_or_else(|| name.to_owned()).replace('_', " ")
}

/// A value for people; `separator` stands between the parts of one.
fn cell(value: &Value, separator: &str) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(parts) => parts.iter().map(|part| cell(part, ", ")).collect::<Vec<_>>().join(separator),
        Value::Object(parts) => {
            let parts = parts.iter().map(|(key, part)| format!("{key}={}", cell(part, ", ")));
            parts.collect::<Vec<_>>().join(separator)
        }
    }
}

/// A time in UTC, to the millisecond.
fn utc(micros: u64) -> String {
    let seconds = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(micros / 1_000 % 1_000).unwrap_or_default() * 1_000_000;
    Timestamp { seconds, nanos }.to_string()
}
