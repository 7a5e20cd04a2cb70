//! Explanations against the pipeline and against decisions: counts add up, every host is refused by
//! the constraint that removed it, every relaxation makes a decision find a host, and where none is
//! suggested no single change does.
//!
//! The checks run over the recorded cases of the comparison with Nova and over random fleets.

mod checks;
mod decision;
mod devices;
mod fleets;
mod nested;
mod placement;
mod units;

use std::path::Path;

use berth_scheduler::explain::{Case, CaseRecord, ExplanationScope, explain};
use berth_test_support::replay::{check_type, lines};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    id: String,
    input: CaseRecord,
}

/// What recorded cases have shown, so that a test that shows nothing fails.
#[derive(Default)]
struct Seen {
    cases: usize,
    failing: usize,
    relaxed: usize,
    pairs: usize,
}

impl Seen {
    fn check(&mut self, name: &str, record: &CaseRecord) {
        let explained = checks::check(record).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        self.cases += 1;
        if let Some(relaxations) = explained.relaxations {
            self.failing += 1;
            self.relaxed += usize::from(!relaxations.found.is_empty());
            self.pairs += usize::from(relaxations.found.iter().any(|one| one.changes.len() == 2));
        }
    }
}

fn check_file(path: &Path) -> Seen {
    let mut seen = Seen::default();
    for line in lines(path).expect("readable") {
        let mut recorded: Recorded = serde_json::from_str(&line).expect("a case");
        if let Some(request) = &mut recorded.input.request {
            request.check_type = check_type(&line).expect("a case");
        }
        seen.check(&recorded.id, &recorded.input);
    }
    seen
}

#[test]
fn recorded_cases() {
    let seen = check_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nova/scheduler-cases.jsonl.gz"));
    assert!(seen.cases >= 300 && seen.failing >= 20 && seen.relaxed >= 20, "too little was seen");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_fleets(record in fleets::record()) {
        checks::check(&record).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Placement's answers come from a search of an index.
    #[test]
    fn random_fleets_behind_placement(record in fleets::with_placement()) {
        checks::check(&record).map_err(TestCaseError::fail)?;
    }
}

/// The smallest fleet on which only a pair helps.
#[test]
fn pairs_come_when_no_single_change_helps() {
    let record: CaseRecord = serde_json::from_value(serde_json::json!({
        "filters": ["RamFilter", "CoreFilter"],
        "hosts": [{ "host": "a", "node": "a", "uuid": uuid(0), "memory_mb": 1024, "free_ram_mb": 1024, "vcpus": 2 }],
        "request": { "flavor": { "memory_mb": 4096, "vcpus": 8 } },
    }))
    .expect("a case");
    let explained = checks::check(&record).expect("holds");
    let found = explained.relaxations.expect("no host").found;
    let texts: Vec<String> = found[0].changes.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["3072 MiB less memory: 1024 instead of 4096", "6 vCPUs less: 2 instead of 8"]);
    assert_eq!(found.len(), 1);
}

#[test]
fn placement_comes_first_and_says_by_how_much() {
    let record: CaseRecord = serde_json::from_value(serde_json::json!({
        "aggregates": [{ "id": 1, "uuid": uuid(90), "hosts": ["b", "c"], "metadata": { "availability_zone": "az2" } },
                       { "id": 2, "hosts": ["a", "d", "e", "f"], "metadata": { "availability_zone": "az1" } }],
        "hosts": [
            { "host": "a", "node": "a", "uuid": uuid(0), "vcpus": 8, "memory_mb": 4096, "free_ram_mb": 3072,
              "local_gb": 10, "traits": ["X"] },
            { "host": "b", "node": "b", "uuid": uuid(1), "vcpus": 8, "memory_mb": 8192, "free_ram_mb": 8192,
              "local_gb": 10, "traits": [] },
            { "host": "c", "node": "c", "uuid": uuid(2), "vcpus": 8, "memory_mb": 8192, "free_ram_mb": 8192,
              "local_gb": 10, "traits": ["X"] },
            { "host": "d", "node": "d", "uuid": uuid(3), "vcpus": 8, "memory_mb": 8192, "free_ram_mb": 8192,
              "local_gb": 10, "traits": ["X", "Y"] },
            { "host": "f", "node": "f", "uuid": uuid(5), "traits": ["X"],
              "inventories": { "VCPU": { "total": 8 }, "MEMORY_MB": { "total": 9000, "step_size": 5 }, "DISK_GB": { "total": 10 } } },
            { "host": "e", "node": "e", "uuid": uuid(4), "vcpus": 8, "memory_mb": 8192, "free_ram_mb": 8192,
              "local_gb": 10, "traits": ["X"], "service": { "disabled": true, "disabled_reason": "disk" } },
        ],
        "request": { "availability_zone": "az1",
                     "requested_destination": { "forbidden_aggregates": [uuid(90)] },
                     "flavor": { "memory_mb": 4096, "extra_specs": { "trait:X": "required", "trait:Y": "forbidden" } } },
    }))
    .expect("a case");
    let case = Case::load(record, false).expect("loads");
    let question = case.question();
    let wanted = ExplanationScope { hosts: question.scene.hosts.rows().collect(), standings: 3 };
    let verdicts = explain(&question, &wanted).verdicts;
    let texts: Vec<_> = verdicts
        .iter()
        .map(|one| (one.constraint.as_ref().map(ToString::to_string).unwrap_or_default(), one.text.as_str()))
        .collect();
    let expected = [
        ("placement: MEMORY_MB 4096", "asked 4096 MEMORY_MB, 3072 free"),
        ("placement: trait X", "trait X is missing"),
        ("placement: zone az1", "asked zone az1, the host is in az2"),
        ("placement: no trait Y", "trait Y is forbidden"),
        (
            "placement: MEMORY_MB 4096",
            "asked 4096 MEMORY_MB, one allocation may have 1 to 2147483647 in steps of 5",
        ),
        ("placement: no trait COMPUTE_STATUS_DISABLED", "the service is disabled: disk"),
    ];
    assert_eq!(texts, expected.map(|(by, text)| (by.to_owned(), text)));
}

fn uuid(number: u32) -> String {
    format!("10000000-0000-4000-8000-{number:012}")
}
