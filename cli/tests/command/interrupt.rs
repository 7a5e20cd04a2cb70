//! Ctrl-C.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::{berth, json, stderr};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run of minutes, which has begun to write placements.
fn long_run(directory: &Path) -> Child {
    let child = berth(directory)
        .args(["replay", "--reference", "s10k", "--exhaustive", "--out", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || fs::metadata(directory.join("out/placements.csv")).is_ok_and(|file| file.len() > 0);
    wait_until("the run has begun", begun);
    child
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_interrupted_run_writes_a_report_marked_partial() {
    for name in ["-INT", "-TERM"] {
        let directory = tempdir().unwrap();
        let mut child = long_run(directory.path());
        signal(&child, name);
        wait_until("the run has ended", || child.try_wait().unwrap().is_some());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(stderr(&output).contains("partial"), "{}", stderr(&output));

        let out = directory.path().join("out");
        let summary = &json(&fs::read_to_string(out.join("summary.json")).unwrap())["summary"];
        assert_eq!(summary["complete"], false);
        let vms = summary["totals"]["vms"].as_u64().unwrap();
        let placements = fs::read_to_string(out.join("placements.csv")).unwrap();
        assert_eq!(placements.lines().count() as u64, 1 + vms, "placements and summary differ");
        assert!(placements.ends_with('\n') && 0 < vms && vms < 1_000_000);
        assert!(out.join("report.html").is_file());
    }
}
