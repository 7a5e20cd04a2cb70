//! The `berth` command as its users meet it: the real binary, its files, its messages, its exit
//! codes.
#![allow(clippy::disallowed_methods, reason = "waits for a process, which takes real time")]

mod agents;
mod audit;
mod certs;
mod config;
mod doctor;
mod environment;
mod errors;
mod etcd;
mod explain;
mod fleet;
mod health;
mod interrupt;
mod operator;
mod output;
mod plan_capacity;
mod replay;
mod serve;
mod simulate;
mod store;
mod trace;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use berth_test_support::process::without_settings;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The command in `directory`, without a terminal, and without the settings of the user that runs
/// the tests.
fn berth(directory: &Path) -> Command {
    let mut command = without_settings(Command::new(env!("CARGO_BIN_EXE_berth")));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// Runs the command to its end.
fn run<A: AsRef<OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = A>) -> Output {
    berth(directory).args(arguments).output().expect("the binary runs")
}

/// Runs a command line that must succeed; returns what it printed.
fn succeed(directory: &Path, line: &str) -> String {
    let output = run(directory, line.split_whitespace());
    assert!(output.status.success(), "berth {line}: {}", stderr(&output));
    stdout(&output)
}

/// Runs a command line that must fail with this exit code; returns its message.
fn fail(directory: &Path, code: i32, line: &str) -> String {
    let output = run(directory, line.split_whitespace());
    assert_eq!(output.status.code(), Some(code), "berth {line}: {}", stderr(&output));
    stderr(&output)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(std::fs::read(path).expect("the file was written"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A directory with a trace of four VMs, `vms.csv`.
fn vms_directory() -> TempDir {
    let vms = "\
vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n\
b,10,3610,2,2048,10,m\n\
a,0,7200,4,4096,20,l\n\
c,3600,9000,4,4096,20,l\n\
d,7200,,1,1024,5,s\n";
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("vms.csv"), vms).expect("written");
    directory
}

/// The only run of a simulation's results.
fn run_of(results: &Path) -> serde_json::Value {
    let of_scenarios = std::fs::read_dir(results.join("runs")).expect("results");
    let mut runs = of_scenarios.flat_map(|scenario| std::fs::read_dir(scenario.unwrap().path()).unwrap());
    let run = runs.next().expect("a run").unwrap().path();
    assert!(runs.next().is_none(), "there are several runs");
    json(&std::fs::read_to_string(run).expect("written"))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}
