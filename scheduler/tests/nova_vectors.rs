//! Filters, weighers and whole decisions, compared with recorded answers of the real Nova.
//!
//! `nova/scheduler_cases.py` makes the cases and asks Nova; the committed ones are replayed here, larger sets by
//! the example `nova_vectors`.

#[path = "nova/replay/mod.rs"]
mod replay;

use std::path::{Path, PathBuf};

use replay::{Report, lines, replay};

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

#[test]
fn a_wrong_answer_is_noticed() {
    let lines = lines(&here("tests/nova/scheduler-cases.jsonl.gz")).expect("readable");
    let passing = |line: &String| line.replacen("\"pass\": [0", "\"pass\": [1000", 1);
    let changed: Vec<String> =
        lines.iter().map(passing).zip(&lines).filter(|(new, old)| new != *old).map(|(new, _)| new).collect();
    assert!(!changed.is_empty() && changed.iter().all(|line| !replay(line).differences.is_empty()));
    assert!(!replay(r#"{"id": "x", "input": {"schema": "other"}}"#).differences.is_empty());
    assert!(
        !replay(r#"{"id": "x", "input": {"schema": "nova-sched-oracle/1", "kind": "new"}}"#)
            .differences
            .is_empty()
    );
}
