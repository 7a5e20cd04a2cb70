//! Replays recorded answers of the real Nova and reports where Berth's differ.
//!
//! One record is one line of JSON: `{"id", "input", "expected"}`.

mod answer;
mod case;
mod conductor;
mod difference;
mod filtering;
mod lines;
mod placement;
mod report;
mod selecting;
mod weighing;
mod wire;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use conductor::check_type;
pub use difference::Difference;
pub use lines::lines;
pub use placement::check as check_query;
pub use report::Report;

use answer::Answer;
use berth_scheduler::RequestSpec;
use case::Case;
use difference::Differences;

/// What was found for one record.
pub struct Verdict {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Filters and weighers it exercises.
    pub parts: Vec<String>,
    /// Where the answers differ.
    pub differences: Vec<Difference>,
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
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "id")]
    _id: Option<String>,
    input: Case,
    expected: Map<String, Value>,
}

/// Replays one record.
pub fn replay(line: &str) -> Verdict {
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
    match Replayed::new(line) {
        Ok(replayed) => {
            let differences = replayed.compare(&replayed.expected);
            Verdict { id, kind, parts: replayed.parts, differences }
        }
        Err(error) => unreadable(id, kind, error),
    }
}

/// A record of the scheduler and Berth's answer to it.
pub struct Replayed {
    /// Nova's answer.
    pub expected: Map<String, Value>,
    parts: Vec<String>,
    request: RequestSpec,
    has_wire: bool,
    answer: Answer,
    /// What is wrong whatever Nova answers.
    inconsistent: Vec<Difference>,
}

impl Replayed {
    /// Answers the case of a record.
    ///
    /// # Errors
    ///
    /// The record cannot be read, or has fields that nothing reads.
    pub fn new(line: &str) -> Result<Self, String> {
        let Record { input, expected, .. } = read_whole(line)?;
        let mut case = input.prepared();
        case.request.check_type = check_type(line)?;
        let mut hosts = case.hosts()?;
        let (mut answer, mut out) = (Answer::default(), Differences::default());
        let filtered = filtering::answer(&case, &hosts, &mut answer, &mut out);
        weighing::answer(&case, &hosts, filtered.left, &mut answer, &mut out);
        selecting::answer(&mut case, &mut hosts, &mut answer, &mut out);
        let parts = case.parts();
        let has_wire = case.emit_wire;
        Ok(Self { expected, parts, request: case.request, has_wire, answer, inconsistent: out.found })
    }

    /// Whether Berth has a message of its own in this place.
    pub fn has_own_message(&self, place: &str) -> bool {
        self.answer.has_own_message(place)
    }

    /// Where Berth's answer differs from this one.
    pub fn compare(&self, expected: &Map<String, Value>) -> Vec<Difference> {
        let mut out = Differences::default();
        let mut expected = expected.clone();
        match (expected.remove("request_wire"), self.has_wire) {
            (Some(primitive), true) => wire::compare(&primitive, &self.request, &mut out),
            (None, false) => {}
            _ => out.push("request_wire", "is where nothing asked for it, or is missing"),
        }
        self.answer.compare(&expected, &mut out);
        out.found.extend(self.inconsistent.iter().cloned());
        out.found
    }
}

/// Fields of recordings that Berth has no use for: no filter and no weigher reads them.
const UNREAD: [&str; 14] = [
    "input.hosts.?.metrics.?.source",
    "input.hosts.?.metrics.?.timestamp",
    "input.id",
    "input.kind",
    "input.schema",
    "input.hosts.?.current_workload",
    "input.hosts.?.running_vms",
    "input.request.flavor.flavorid",
    "input.request.flavor.id",
    "input.request.image.?.min_disk",
    "input.request.image.?.min_ram",
    "input.request.image.?.name",
    "input.request.image.?.size",
    "input.request.image.?.status",
];

fn read<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(line))
        .map_err(|error| error.to_string())
}

/// Reads a record of which every field has a reader.
fn read_whole<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    let mut unread = BTreeSet::new();
    let mut reader = serde_json::Deserializer::from_str(line);
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
    let read = serde_ignored::deserialize(reader, |path| {
        let path: Vec<String> = path.to_string().split('.').map(without_number).collect();
        unread.insert(path.join("."));
    });
    let read = read.map_err(|error| format!("{}: {error}", track.path()))?;
    unread.retain(|path| !UNREAD.contains(&path.as_str()));
    if unread.is_empty() { Ok(read) } else { Err(format!("nothing reads the fields {unread:?}")) }
}

fn without_number(step: &str) -> String {
    if step.bytes().all(|b| b.is_ascii_digit()) { "?".to_owned() } else { step.to_owned() }
}

fn unreadable(id: String, kind: String, error: String) -> Verdict {
    let differences = vec![Difference { part: "record".to_owned(), text: error }];
    Verdict { id, kind, parts: Vec::new(), differences }
}
