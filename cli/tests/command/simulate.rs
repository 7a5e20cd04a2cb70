//! `berth simulate`, `berth plan` and `berth compare`, as a planner calls them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const VMS: &str = "\
vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n\
b,10,3610,2,2048,10,m\n\
a,0,7200,4,4096,20,l\n\
c,3600,9000,4,4096,20,l\n\
d,7200,,1,1024,5,s\n";

fn berth(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BERTH_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).args(arguments).output().expect("berth starts")
}

fn prints(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn refuses(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("vms.csv"), VMS).expect("written");
    directory
}

/// A scenario of one line runs; the same scenario gives the same bytes on any number of threads; a mistake is named.
#[test]
fn scenarios() {
    let directory = directory();
    let run = |arguments: &[&str]| berth(directory.path(), arguments);
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
    write("one.toml", "workload.trace = \"vms.csv\"\n");
    let text = prints(&run(&["simulate", "one.toml", "--out", "one"]));
    assert!(text.contains("0.0000 % of the requested vCPU-hours rejected"), "{text}");

    let grid = "workload.trace = \"vms.csv\"\nworkload.resamples = 3\nfleet.hosts = \"4x64:2\"\n\
                [vary]\n\"scheduler.policy\" = [\"bestfit\", \"worstfit\"]\n";
    write("grid.toml", grid);
    prints(&run(&["simulate", "grid.toml", "--jobs", "1", "--out", "a"]));
    prints(&run(&["simulate", "grid.toml", "--jobs", "3", "--out", "b"]));
    for file in ["runs.parquet", "hosts.parquet", "rejections.parquet"] {
        let bytes = |out: &str| fs::read(directory.path().join(out).join(file)).expect("written");
        assert_eq!(bytes("a"), bytes("b"), "{file}");
    }
    let answer = |out: &str| {
        json(&fs::read_to_string(directory.path().join(out).join("answer.json")).expect("written"))
    };
    let (a, b) = (answer("a"), answer("b"));
    assert_eq!(a["scenarios"], b["scenarios"]);
    assert_eq!(a["scenarios"].as_array().map(Vec::len), Some(2));
    assert_eq!(a["provenance"]["trace"], "vms.csv");
    assert!(a["provenance"]["trace_sha256"].as_str().is_some_and(|digest| digest.len() == 64));
    // Finished runs are kept.
    let before = answer("a")["scenarios"].clone();
    prints(&run(&["simulate", "grid.toml", "--out", "a", "--resume"]));
    assert_eq!(answer("a")["scenarios"], before);
    let compared = prints(&run(&["compare", "a", "b"]));
    assert!(compared.contains("scheduler.policy = worstfit"), "{compared}");

    write("bad.toml", "[scheduler]\npolicies = \"bestfit\"\n");
    let error = refuses(&run(&["simulate", "bad.toml", "--out", "x"]));
    assert!(error.contains("bad.toml") && error.contains("did you mean `policy`?"), "{error}");
    write("bad.toml", "scheduler.policy = \"best\"\n");
    assert!(refuses(&run(&["simulate", "bad.toml", "--out", "x"])).contains("scheduler.policy"));
    assert!(refuses(&run(&["compare", "x"])).contains("answer.json"));
}

/// Hosts with two NUMA cells and a queue, in episodes.
#[test]
fn episodes_of_numa_cells() {
    let directory = directory();
    fs::write(directory.path().join("starts.txt"), "0\n1\n").expect("written");
    let scenario = "workload.trace = \"vms.csv\"\nworkload.episodes = { file = \"starts.txt\", beyond = 2 }\n\
                    fleet.hosts = \"8x16:1\"\nfleet.numa_cells = 2\nscheduler.split_above_gib = 10\nqueueing.mode = \"fifo\"\n\
                    [vary]\n\"scheduler.policy\" = [\"first\", \"balance\"]\n";
    fs::write(directory.path().join("cells.toml"), scenario).expect("written");
    let text = prints(&berth(directory.path(), &["simulate", "cells.toml", "--out", "cells"]));
    assert!(text.contains("scheduler.policy = balance"), "{text}");
}

#[test]
fn a_plan() {
    let directory = directory();
    let mut vms = "arrival_s,departure_s,vcpus,ram_mb\n".to_owned();
    for n in 0..1200 {
        vms += &format!("{},{},2,1024\n", n * 360, n * 360 + 2880);
    }
    fs::write(directory.path().join("steady.csv"), vms).expect("written");
    let plan = ["plan", "--trace", "steady.csv", "--shape", "4x64@10", "--shape", "8x64@25", "--out", "plan"];
    let text = prints(&berth(directory.path(), &plan));
    assert!(text.starts_with("4 hosts of 4x64 for 40 serve this load"), "{text}");
    let answer = fs::read_to_string(directory.path().join("plan/answer.json")).expect("written");
    assert_eq!(json(&answer)["plan"]["hosts"], 4);
    assert!(
        fs::read_to_string(directory.path().join("plan/report.html"))
            .expect("written")
            .contains("Service level against fleet size")
    );
    prints(&berth(directory.path(), &["compare", "plan", "plan"]));
    assert!(
        refuses(&berth(directory.path(), &["plan", "--shape", "4x64:3"]))
            .contains("the number is the answer")
    );
}
