//! Filters, weighers and whole decisions, compared with recorded answers of the real Nova.
//!
//! `nova/scheduler_cases.py` and `nova/number_cases.py` make the cases and ask Nova; the committed
//! ones are replayed here, larger sets by the example `nova_vectors`.

use std::path::{Path, PathBuf};

use berth_test_support::replay::{Replayed, Report, lines, replay};
use serde_json::{Map, Value, json};

/// Differences worth reading at once.
const MOST_SHOWN: usize = 20;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Replays a file and returns how many records it has.
fn assert_all_pass(path: &Path) -> usize {
    let lines = lines(path).expect("readable");
    let mut report = Report::default();
    let mut shown = Vec::new();
    for line in &lines {
        let verdict = replay(line);
        report.add(&verdict);
        let differences =
            verdict.differences.iter().map(|difference| format!("{}: {difference}", verdict.id));
        shown.extend(differences);
    }
    shown.truncate(MOST_SHOWN);
    assert_eq!(report.failed(), 0, "{}:\n{}\n{}", path.display(), shown.join("\n"), report.summary());
    lines.len()
}

#[test]
fn recorded_answers_are_ours() {
    assert!(assert_all_pass(&here("tests/nova/scheduler-cases.jsonl.gz")) >= 300);
}

/// Numbers in any script and of any size, in metadata, extra specs, hints, image properties and
/// server groups.
#[test]
fn recorded_numbers_are_ours() {
    assert!(assert_all_pass(&here("tests/nova/number-cases.jsonl.gz")) >= 100);
}

/// Every place of a value as a JSON pointer. Of long lists, the first and the last items.
fn places(value: &Value, pointer: String, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, item) in fields {
                places(item, format!("{pointer}/{key}"), out);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate().filter(|(at, _)| *at < 2 || at + 1 == items.len()) {
                places(item, format!("{pointer}/{at}"), out);
            }
        }
        _ => {}
    }
    out.push(pointer);
}

/// What could stand in a place by mistake: another value, a field or an item less, a field more.
fn mistakes(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(fields) => {
            let mut all: Vec<_> = fields.keys().map(|key| without(fields, key).into()).collect();
            let mut more = fields.clone();
            more.insert("no such field".to_owned(), Value::Null);
            all.push(more.into());
            all
        }
        Value::Array(items) if items.is_empty() => vec![json!([1])],
        Value::Array(items) => vec![items[1..].into(), items[..items.len() - 1].into()],
        Value::Number(number) => {
            let other = match (number.as_i64(), number.as_f64().unwrap_or(0.0)) {
                (Some(n), _) => json!(n - 1),
                (None, 0.0) => json!(1.0),
                (None, x) => json!(x / 2.0),
            };
            vec![other, Value::Null]
        }
        Value::Bool(truth) => vec![json!(!truth)],
        Value::String(text) => vec![json!(format!("{text}x")), Value::Null],
        Value::Null => vec![json!(1)],
    }
}

fn without(fields: &Map<String, Value>, key: &str) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(name, _)| *name != key)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The harness once passed over messages, types of errors, the request on the bus and weighers that
/// were missing.
#[test]
fn every_place_of_a_recording_counts() {
    let mut tried = 0;
    for file in ["scheduler-cases", "number-cases"] {
        let lines = lines(&here(&format!("tests/nova/{file}.jsonl.gz"))).expect("readable");
        for line in lines.iter().step_by(9) {
            let replayed = Replayed::new(line).expect("a readable record");
            let expected = Value::Object(without(&replayed.expected, "request_wire"));
            let wire = replayed.expected.get("request_wire");
            let mut all = Vec::new();
            places(&expected, String::new(), &mut all);
            for place in all.iter().filter(|place| !replayed.has_own_message(place)) {
                for mistake in mistakes(expected.pointer(place).expect("a place")) {
                    let mut changed = expected.clone();
                    *changed.pointer_mut(place).expect("a place") = mistake;
                    let mut changed = changed.as_object().expect("fields").clone();
                    changed.extend(wire.map(|wire| ("request_wire".to_owned(), wire.clone())));
                    assert!(
                        !replayed.compare(&changed).is_empty(),
                        "{place} of {line:.60}… passes: {changed:?}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 10_000, "few mistakes: {tried}");
}

/// Finds a record with the request on the bus and replays it with that request changed.
fn with_wire(change: impl Fn(&mut Value)) -> bool {
    let lines = lines(&here("tests/nova/number-cases.jsonl.gz")).expect("readable");
    let line = lines.iter().find(|line| line.contains("\"request_wire\"")).expect("a request on the bus");
    let replayed = Replayed::new(line).expect("a readable record");
    let mut expected = replayed.expected.clone();
    change(expected.get_mut("request_wire").expect("the request"));
    replayed.compare(&expected).is_empty()
}

#[test]
fn the_request_on_the_bus_counts() {
    const DATA: &str = "nova_object.data";
    assert!(with_wire(|_| ()));
    assert!(!with_wire(|wire| wire[DATA]["flavor"][DATA]["vcpus"] = json!(99)));
    assert!(!with_wire(|wire| wire[DATA]["project_id"] = json!("another")));
    assert!(!with_wire(|wire| wire[DATA]["flavor"][DATA]["no such field"] = json!(1)));
    assert!(!with_wire(|wire| *wire = Value::Null));
}

#[test]
fn fields_and_kinds_that_nothing_reads_are_refused() {
    let lines = lines(&here("tests/nova/scheduler-cases.jsonl.gz")).expect("readable");
    for place in ["", "/request", "/request/flavor", "/hosts/0", "/hosts/0/service", "/config"] {
        let mut record: Value = serde_json::from_str(&lines[0]).expect("JSON");
        record["input"].pointer_mut(place).expect("a place")["no_such_field"] = json!({"a": 1});
        assert!(!replay(&record.to_string()).differences.is_empty(), "{place}");
    }
    assert!(!replay(r#"{"id": "x", "input": {"schema": "other"}}"#).differences.is_empty());
    let unknown_kind = r#"{"id": "x", "input": {"schema": "nova-sched-oracle/1", "kind": "new"}}"#;
    assert!(!replay(unknown_kind).differences.is_empty());
}
