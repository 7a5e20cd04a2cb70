//! Replays recorded answers of the real Nova and tells where Berth's differ.
//!
//! One record is one line of JSON: `{"id", "input", "expected"}`. The test `nova_vectors` and the example of the same
//! name share this module.

mod case;
mod conductor;
mod difference;
mod filtering;
mod lines;
mod placement;
mod report;
mod selecting;
mod weighing;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use difference::Difference;
pub(crate) use lines::lines;
pub(crate) use report::Report;

use case::Case;
use difference::Differences;

/// What was found for one record.
pub(crate) struct Verdict {
    /// Its id.
    pub(crate) id: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Filters and weighers it exercises.
    pub(crate) parts: Vec<String>,
    /// Where the answers differ.
    pub(crate) differences: Vec<Difference>,
}

/// What every record has, whatever its kind.
#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    id: String,
    input: InputHeader,
}

#[derive(Deserialize)]
struct InputHeader {
    #[serde(default)]
    schema: String,
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct Record<I> {
    input: I,
    expected: Value,
}

/// Replays one record.
pub(crate) fn replay(line: &str) -> Verdict {
    let header: Header = match read(line) {
        Ok(header) => header,
        Err(error) => return unreadable(String::new(), "unreadable".to_owned(), error),
    };
    match header.input.schema.as_str() {
        "nova-sched-oracle/1" => replay_scheduling(header, line),
        "nova-sched-placement/1" => replay_placement(header.id, line),
        schema => unreadable(header.id, format!("schema {schema}"), "unknown schema".to_owned()),
    }
}

fn replay_placement(id: String, line: &str) -> Verdict {
    let differs = |text| Difference { part: "query".to_owned(), text };
    let differences = placement::check(line).err().map(differs).into_iter().collect();
    Verdict { id, kind: "placement query".to_owned(), parts: Vec::new(), differences }
}

const KINDS: [&str; 6] = ["filter", "weigher", "preselect", "pipeline", "pipeline_ext", "select"];

fn replay_scheduling(header: Header, line: &str) -> Verdict {
    let Header { id, input: InputHeader { kind, .. } } = header;
    if !KINDS.contains(&kind.as_str()) {
        return unreadable(id, kind, "unknown kind".to_owned());
    }
    let record: Record<Case> = match read(line) {
        Ok(record) => record,
        Err(error) => return unreadable(id, kind, error),
    };
    let (mut case, expected) = (record.input.prepared(), record.expected);
    case.request.check_type = match conductor::check_type(line) {
        Ok(check_type) => check_type,
        Err(error) => return unreadable(id, kind, error),
    };
    let parts = case.parts();
    let mut differences = Differences::default();
    match case.hosts() {
        Ok(mut hosts) => {
            let filtered = filtering::compare(&case, &hosts, &expected, &mut differences);
            weighing::compare(&case, &hosts, filtered, &expected, &mut differences);
            selecting::compare(&mut case, &mut hosts, &expected, &mut differences);
        }
        Err(error) => differences.push("hosts", error),
    }
    Verdict { id, kind, parts, differences: differences.found }
}

fn read<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(line))
        .map_err(|error| error.to_string())
}

fn unreadable(id: String, kind: String, error: String) -> Verdict {
    let differences = vec![Difference { part: "record".to_owned(), text: error }];
    Verdict { id, kind, parts: Vec::new(), differences }
}
