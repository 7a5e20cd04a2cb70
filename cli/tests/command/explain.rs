//! `berth explain`: what it prints, as a table and as JSON, and what it says of bad input.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use super::{berth, fail, run, stderr, stdout};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// What the example prints with these arguments, and its exit code.
fn explain(arguments: &str) -> (String, Option<i32>) {
    let line = format!("explain --case explain-example.json {arguments}");
    let output = run(&docs(), line.split_whitespace());
    (stdout(&output), output.status.code())
}

/// The example without what is said of hosts by default, changed.
fn case_with(change: impl FnOnce(&mut Value)) -> TempDir {
    let mut case = json!({
        "hosts": [{ "host": "a", "node": "a", "uuid": "10000000-0000-4000-8000-000000000001", "vcpus": 8,
                    "memory_mb": 4096, "free_ram_mb": 4096, "local_gb": 10, "free_disk_gb": 10 }],
        "request": { "flavor": { "memory_mb": 1024 } },
        "filters": ["ComputeFilter"],
    });
    change(&mut case);
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("case.json"), serde_json::to_string_pretty(&case).unwrap()).unwrap();
    directory
}

#[test]
fn programs_have_a_choice_of_formats() {
    let (json, code) = explain("--tenant --json");
    assert_eq!((explain("--tenant -f json"), code), ((json.clone(), code), Some(3)));
    let document: Value = serde_json::from_str(&json).unwrap();
    let (yaml, _) = explain("--tenant --format yaml");
    assert!(yaml.lines().any(|line| line == format!("hosts: {}", document["hosts"])), "{yaml}");
    assert!(yaml.lines().any(|line| line == "result: no_host"), "{yaml}");
    let (values, _) = explain("--tenant -f value");
    assert!(values.lines().any(|line| line == "no_host") && !values.contains("result"), "{values}");
    let line = "explain --case explain-example.json --json -f yaml";
    let refused = stderr(&run(&docs(), line.split_whitespace()));
    assert!(refused.contains("--json") && refused.contains("--format"), "{refused}");
}

/// A block of the page is a command line and what it prints.
#[test]
fn the_page_shows_what_is_printed() {
    let page = fs::read_to_string(docs().join("explain.md")).unwrap();
    let mut lines = page.lines().peekable();
    let mut blocks = 0;
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("    $ berth explain ") else { continue };
        let mut shown = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with("    ")) {
            shown += line.strip_prefix("    ").unwrap_or(line);
            shown += "\n";
        }
        let output = run(&docs(), "explain".split(' ').chain(command.split_whitespace()));
        assert_eq!(shown.trim_end(), stdout(&output).trim_end(), "$ berth explain {command}");
        blocks += 1;
    }
    assert!(blocks >= 4, "{blocks} blocks were compared");
}

#[test]
fn the_exit_code_shows_whether_there_is_a_host() {
    assert_eq!(explain("").1, Some(3));
    assert_eq!(explain("--tenant --json").1, Some(3));
    let directory = case_with(|_| ());
    assert_eq!(run(directory.path(), ["explain", "--case", "case.json"]).status.code(), Some(0));
}

/// The table had a single line, and did not say what was missing.
#[test]
fn an_empty_fleet_is_named() {
    let directory = case_with(|case| case["hosts"] = json!([]));
    for view in ["", " --tenant"] {
        let output = run(directory.path(), format!("explain --case case.json{view}").split(' '));
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(stdout(&output), "No valid host was found.\nThe fleet has no hosts.\n", "{view}");
    }
}

#[test]
fn json_has_what_the_table_has() {
    let (text, _) = explain("--host rack1-1 --json");
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["hosts"], 9);
    assert_eq!(shown["ending"], json!({ "result": "no_host" }));
    let removed = shown["removed"].as_array().unwrap();
    let disabled =
        json!({ "constraint": "placement: no trait COMPUTE_STATUS_DISABLED", "entered": 9, "removed": 1 });
    assert_eq!(removed[0], disabled);
    let sum: u64 = removed.iter().map(|one| one["removed"].as_u64().unwrap()).sum();
    assert_eq!(sum, 9);
    let verdict = &shown["verdicts"][0];
    assert_eq!(verdict["constraint"], "placement: MEMORY_MB 65536");
    let details =
        json!({ "kind": "too_little", "details": { "class": "MEMORY_MB", "asked": 65_536, "free": 57_344 } });
    assert_eq!(verdict["reason"], details);
    let changes: Vec<_> = shown["relaxations"]["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["changes"][0]["change"])
        .collect();
    for change in ["memory", "zone", "outage", "more_hosts"] {
        assert!(changes.contains(&&json!(change)), "{change} is not in {changes:?}");
    }
}

#[test]
fn the_best_hosts_are_shown_with_their_weights() {
    let directory = case_with(|case| {
        let mut other = case["hosts"][0].clone();
        other["host"] = json!("b");
        other["node"] = json!("b");
        other["free_ram_mb"] = json!(2048);
        case["hosts"].as_array_mut().unwrap().push(other);
    });
    let output = run(directory.path(), ["explain", "--case", "case.json", "--json", "--top", "1"]);
    let shown: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(shown["ending"], json!({ "result": "found", "host": "a" }));
    assert_eq!(shown["standings"].as_array().unwrap().len(), 1);
    let scores = shown["standings"][0]["scores"].as_array().unwrap();
    let memory = scores.iter().find(|score| score["weigher"] == "RAMWeigher").unwrap();
    assert_eq!(
        *memory,
        json!({ "weigher": "RAMWeigher", "raw": 4096.0, "normalized": 1.0, "multiplier": 1.0, "score": 1.0 })
    );
}

#[test]
fn tenants_see_counts_and_what_they_could_ask_for() {
    let (table, _) = explain("--tenant");
    let (text, _) = explain("--tenant --json");
    for kept_back in ["rack", "firmware", "a0000000"] {
        assert!(!table.contains(kept_back) && !text.contains(kept_back), "{kept_back} is shown");
    }
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["result"], "no_host");
    assert_eq!(shown["removed"][0]["removed"], 1);
    let changes = shown["relaxations"].as_array().unwrap();
    assert!(!changes.is_empty() && changes.iter().all(|one| one["opens"].as_u64() > Some(0)));
    assert!(changes.iter().all(|one| one["changes"][0]["change"] != "outage"));
}

#[test]
fn a_case_can_come_from_standard_input_and_the_request_from_another_file() {
    let directory = case_with(|_| ());
    fs::write(directory.path().join("vm.json"), r#"{ "flavor": { "memory_mb": 8192 } }"#).unwrap();
    let mut child = berth(directory.path())
        .args(["explain", "--case", "-", "--request", "vm.json", "--placement"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let case = fs::read(directory.path().join("case.json")).unwrap();
    child.stdin.take().unwrap().write_all(&case).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("4096 MiB less memory: 4096 instead of 8192"), "{}", stdout(&output));
}

#[test]
fn bad_input_is_named_by_file_and_field() {
    type Break = fn(&mut Value);
    let cases: [(Break, &[&str]); 14] = [
        (
            |case| case["hosts"][0]["vcpus"] = json!("many"),
            &["case.json: hosts[0].vcpus: ", "line 14 column"],
        ),
        (|case| case["request"]["flavor"]["memory_mb"] = json!([]), &["request.flavor.memory_mb: "]),
        (|case| case["filters"] = json!(["RamFitler"]), &["filters[0]: ", "RamFitler"]),
        (|case| case["now"] = json!("today"), &["case.json: now: 'today'"]),
        (|case| case["request"] = json!(null), &["case.json: request: missing"]),
        (
            |case| case["hosts"][0]["numa_topology"] = json!({ "cells": 1 }),
            &["hosts[0].numa_topology.cells: "],
        ),
        (
            |case| case["hosts"][0]["inventories"] = json!({ "VCPU": { "total": 1, "reserved": 2 } }),
            &["host a, inventories.VCPU: ", "reserved: 2"],
        ),
        (|case| case["hosts"][0]["uuid"] = json!("a"), &["case.json: hosts[0].uuid: UUID parsing failed"]),
        (
            |case| case["config"] = json!({ "scheduler": { "max_attempts": 0 } }),
            &["config: [scheduler] max_attempts"],
        ),
        // Ignored fields mean their defaults.
        (
            |case| case["hosts"][0]["free_ram"] = json!(1024),
            &["case.json: hosts[0]: there is no field 'free_ram'; did you mean 'free_ram_mb'?"],
        ),
        (
            |case| case["request"]["flavor"]["memory"] = json!(1024),
            &["case.json: request.flavor: there is no field 'memory'; did you mean 'memory_mb'?"],
        ),
        (
            |case| case["hosts"][0]["service"] = json!({ "disabeld": true }),
            &["case.json: hosts[0].service: there is no field 'disabeld'; did you mean 'disabled'?"],
        ),
        (
            |case| case["config"] = json!({ "filter_scheduler": { "ram_weight": 2 } }),
            &[
                "config.filter_scheduler: there is no field 'ram_weight'; did you mean 'ram_weight_multiplier'?",
            ],
        ),
        (
            |case| case["xyz"] = json!(1),
            &["case.json: there is no field 'xyz'; the fields are now, config, "],
        ),
    ];
    for (spoil, words) in cases {
        let directory = case_with(spoil);
        let message = fail(directory.path(), 1, "explain --case case.json");
        words.iter().for_each(|word| assert!(message.contains(word), "{word:?} is not in: {message}"));
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = case_with(|_| ());
    fs::write(directory.path().join("cut.json"), "{\n  \"hosts\": [\n").unwrap();
    for (line, words) in [
        ("explain --case none.json", &["cannot read none.json"][..]),
        ("explain --case cut.json", &["cut.json: hosts: ", "line 3"]),
        ("explain --case case.json --request cut.json", &["cut.json: "]),
        ("explain --case case.json --host z", &["--host z: the case has no such host or node"]),
    ] {
        let message = fail(directory.path(), 1, line);
        words.iter().for_each(|word| assert!(message.contains(word), "{word:?} is not in: {message}"));
    }
    fail(directory.path(), 2, "explain --case case.json --tenant --host a");
    fail(directory.path(), 2, "explain");
}

/// Hint `_nova_check_type` is Nova's conductor's: a request that has it is judged as one that does
/// not.
#[test]
fn internal_hints_of_a_request_change_nothing() {
    let explained = |hints: Value| {
        let directory = case_with(|case| {
            case["request"]["flavor"] = json!({ "vcpus": 64, "memory_mb": 1024 });
            case["request"]["scheduler_hints"] = hints;
        });
        let output = run(directory.path(), "explain --case case.json --placement --json".split(' '));
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(explained(json!({ "_nova_check_type": ["rebuild"], "_x": ["y"] })), explained(json!({})));
}
