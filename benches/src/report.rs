//! The result of a run: JSON with a schema version.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// The schema version that this program writes, and the only one that it reads.
pub const SCHEMA: u32 = 1;

/// A measurement with its machine, command and date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The commit of the program, with `-dirty` when files were changed; absent outside a checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The command line.
    pub command: Vec<String>,
    /// The start of the run in UTC, in the format of RFC 3339.
    pub date: String,
    /// The machine.
    pub machine: Machine,
    /// Whether the run ended before its last round: the rows have what was measured until then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended_early: bool,
    /// The measured rows.
    pub rows: Vec<ReportRow>,
}

/// The unit of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowUnit {
    /// Nanoseconds: less is better.
    Ns,
    /// Operations per second: more is better.
    PerSecond,
    /// Bytes: less is better.
    Bytes,
}

/// A parameter of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Number(u64),
    /// A word.
    Text(String),
}

/// Parameters by name.
pub type Parameters = BTreeMap<String, Parameter>;

/// One measured quantity. Rows of two reports with the same name and parameters are compared with
/// each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportRow {
    /// The name of the measurement, for example `decisions/recurrent`.
    pub name: String,
    /// The parameters of the measurement.
    #[serde(default)]
    pub parameters: Parameters,
    /// The unit of the numbers.
    pub unit: RowUnit,
    /// The number of measurements in all rounds together.
    pub n: u64,
    /// Median of all measurements.
    pub p50: f64,
    /// 90th percentile. For a rate, this and the following percentiles are of its distribution from
    /// slow to fast.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The median of every round, in order. Comparisons use these.
    pub rounds: Vec<f64>,
    /// Other counts, for example of conflicts. Not compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
}

/// An invalid report; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum ReportFileError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not JSON, or not of this schema.
    #[error("{}: {field}: {problem}", .path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, for example `rows[3].p50`.
        field: String,
        /// The problem with it.
        problem: String,
    },
}

impl Report {
    /// Reads a report from a file.
    ///
    /// # Errors
    /// The file, and the invalid field.
    pub fn read(path: &Path) -> Result<Self, ReportFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ReportFileError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(field, problem)| ReportFileError::Field {
            path: path.to_owned(),
            field,
            problem,
        })
    }

    /// The report as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a report has only maps with text keys");
        text.push('\n');
        text
    }

    /// Parses a report; the error is the field and its problem.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let mut json = serde_json::Deserializer::from_str(text);
        // Reports another version by its number, instead of the first changed field.
        let version: VersionOnly = serde_path_to_error::deserialize(&mut json).map_err(field_of)?;
        json.end().map_err(|error| ("the end".to_owned(), error.to_string()))?;
        if version.schema != SCHEMA {
            let problem = format!("version {} is not supported, only {SCHEMA} is", version.schema);
            return Err(("schema".to_owned(), problem));
        }
        let report: Self = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(field_of)?;
        report.validate()?;
        Ok(report)
    }

    fn validate(&self) -> Result<(), (String, String)> {
        let mut seen = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let field = |name: &str| format!("rows[{number}].{name}");
            for (round, &value) in row.rounds.iter().enumerate() {
                if !(value.is_finite() && value > 0.0) {
                    return Err((field(&format!("rounds[{round}]")), format!("{value} is not positive")));
                }
            }
            if row.rounds.is_empty() {
                return Err((field("rounds"), "there is no round".to_owned()));
            }
            if let Some(first) = seen.insert(row.key(), number) {
                return Err((field("name"), format!("the same name and parameters as rows[{first}]")));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct VersionOnly {
    schema: u32,
}

fn field_of(error: serde_path_to_error::Error<serde_json::Error>) -> (String, String) {
    let path = error.path().to_string();
    (if path == "." { "the document".to_owned() } else { path }, error.into_inner().to_string())
}

impl ReportRow {
    /// The key that matches rows of two reports.
    #[must_use]
    pub fn key(&self) -> (&str, &Parameters) {
        (&self.name, &self.parameters)
    }

    /// The parameters as `name=value` words.
    #[must_use]
    pub fn parameters_text(&self) -> String {
        let words: Vec<String> =
            self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.join(" ")
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<u64> for Parameter {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Parameter {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with one row of these rounds for every name.
    pub(crate) fn report(rows: &[(&str, &[f64])]) -> Report {
        let row = |&(name, rounds): &(&str, &[f64])| ReportRow {
            name: name.to_owned(),
            parameters: [("hosts".to_owned(), 1_000_u32.into())].into(),
            unit: RowUnit::Ns,
            n: 10,
            p50: 1.0,
            p90: 1.0,
            p99: 1.0,
            p999: 1.0,
            max: 1.0,
            mean: 1.0,
            rounds: rounds.to_vec(),
            counters: BTreeMap::new(),
        };
        Report {
            schema: SCHEMA,
            commit: None,
            command: vec!["berth".to_owned()],
            date: "2026-01-01T00:00:00Z".to_owned(),
            machine: Machine::default(),
            ended_early: false,
            rows: rows.iter().map(row).collect(),
        }
    }

    fn error_of(text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new.json");
        std::fs::write(&path, text).unwrap();
        let error = Report::read(&path).unwrap_err().to_string();
        error.replace(&directory.path().display().to_string(), "")
    }

    #[test]
    fn a_report_reads_back_as_written() {
        let report = report(&[("a", &[1.0, 2.5]), ("b", &[3.0])]);
        assert_eq!(Report::parse(&report.to_json()), Ok(report));
    }

    #[test]
    fn an_error_names_file_and_field() {
        let good = report(&[("a", &[1.0, 2.0])]).to_json();
        assert!(error_of("").starts_with("/new.json: the document: EOF"), "{}", error_of(""));
        let text = error_of(&good.replace("\"p50\": 1.0", "\"p50\": \"fast\""));
        assert!(text.starts_with("/new.json: rows[0].p50: invalid type: string \"fast\""), "{text}");
        let text = error_of(&good.replace("\"unit\": \"ns\"", "\"unit\": \"hours\""));
        assert!(text.starts_with("/new.json: rows[0].unit"), "{text}");
        let text = error_of(&good.replace("\"schema\": 1", "\"schema\": 9"));
        assert_eq!(text, "/new.json: schema: version 9 is not supported, only 1 is");
        let text = error_of(&good.replace("2.0", "-2.0"));
        assert_eq!(text, "/new.json: rows[0].rounds[1]: -2 is not positive");
        let text = error_of(&report(&[("a", &[])]).to_json());
        assert_eq!(text, "/new.json: rows[0].rounds: there is no round");
        let text = error_of(&report(&[("a", &[1.0]), ("a", &[1.0])]).to_json());
        assert_eq!(text, "/new.json: rows[1].name: the same name and parameters as rows[0]");
        let missing = Report::read(Path::new("/no/such.json")).unwrap_err().to_string();
        assert_eq!(missing, "cannot read /no/such.json");
    }
}
