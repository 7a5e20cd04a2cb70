//! Results of commands that look at something: a text for people, or a document for programs.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::{output, yaml};

/// The format of a result.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct DocumentOptions {
    /// The format of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    #[default]
    Table,
    /// JSON, with all fields
    Json,
    /// YAML, with all fields
    Yaml,
    /// The values of a table without its header: those of a list's record on one line, those of a
    /// single one on a line each
    Value,
}

impl Format {
    /// Prints a document for programs: as YAML, or else as JSON.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn print_document(self, document: &impl Serialize) -> Result<()> {
        match self {
            Self::Yaml => {
                let value = serde_json::to_value(document).context("cannot write YAML")?;
                output::print_json_text(&yaml::text(&value))
            }
            _ => output::print_json(document),
        }
    }
}

impl DocumentOptions {
    /// Whether the result is for programs.
    pub(crate) fn is_document(self) -> bool {
        self.json || self.format != Format::Table
    }

    /// Prints the result for programs.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn print(self, result: &impl Serialize) -> Result<()> {
        match self.format {
            Format::Value => {
                output::print(&values(&serde_json::to_value(result).context("cannot write values")?))
            }
            format => format.print_document(result),
        }
    }

    /// [`Self::print`] of JSON that is a text already.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn print_json(self, document: &str) -> Result<()> {
        match self.format {
            Format::Json | Format::Table => output::print_json_text(document),
            _ => self.print(&serde_json::from_str::<Value>(document).context("this is no JSON")?),
        }
    }
}

fn values(result: &Value) -> String {
    let line = |value: &Value| match value {
        Value::Object(fields) => fields.values().map(word).collect::<Vec<_>>().join(" ") + "\n",
        value => word(value) + "\n",
    };
    match result {
        Value::Array(elements) => elements.iter().map(line).collect(),
        Value::Object(fields) => fields.values().map(|value| word(value) + "\n").collect(),
        value => line(value),
    }
}

/// A text as it is, anything else as JSON.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stand_without_their_names() {
        let checks = json!([{"name": "store", "is_ok": true, "detail": "3 GB free"}, {"name": "bus"}]);
        assert_eq!(values(&checks), "3 GB free true store\nbus\n");
        assert_eq!(values(&json!({"a": 1, "b": [1, 2]})), "1\n[1,2]\n");
        assert_eq!(values(&json!("x")), "x\n");
    }
}
