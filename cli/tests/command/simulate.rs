//! `berth simulate`, `berth plan` and `berth compare`, as a planner calls them.

use std::fs;

use super::{fail, json, run_of, succeed, vms_directory};

/// A scenario of one line runs; the same scenario gives the same bytes on any number of threads; a
/// mistake is named.
#[test]
fn scenarios() {
    let directory = vms_directory();
    let directory = directory.path();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("written");
    write("one.toml", "workload.trace = \"vms.csv\"\n");
    let text = succeed(directory, "simulate one.toml --out one");
    assert!(text.contains("0.0000 % of the requested vCPU-hours rejected"), "{text}");

    let grid = "workload.trace = \"vms.csv\"\nworkload.resamples = 3\nfleet.hosts = \"4x64:2\"\n\
                [vary]\n\"scheduler.policy\" = [\"bestfit\", \"worstfit\"]\n";
    write("grid.toml", grid);
    succeed(directory, "simulate grid.toml --jobs 1 --out a");
    succeed(directory, "simulate grid.toml --jobs 3 --out b");
    for file in ["runs.parquet", "hosts.parquet", "rejections.parquet"] {
        let bytes = |out: &str| fs::read(directory.join(out).join(file)).expect("written");
        assert_eq!(bytes("a"), bytes("b"), "{file}");
    }
    let answer =
        |out: &str| json(&fs::read_to_string(directory.join(out).join("answer.json")).expect("written"));
    let (a, b) = (answer("a"), answer("b"));
    assert_eq!(a["scenarios"], b["scenarios"]);
    assert_eq!(a["scenarios"].as_array().map(Vec::len), Some(2));
    assert_eq!(a["provenance"]["trace"], "vms.csv");
    assert!(a["provenance"]["trace_sha256"].as_str().is_some_and(|digest| digest.len() == 64));
    // Finished runs are kept.
    let before = answer("a")["scenarios"].clone();
    succeed(directory, "simulate grid.toml --out a --resume");
    assert_eq!(answer("a")["scenarios"], before);
    let compared = succeed(directory, "compare a b");
    assert!(compared.contains("scheduler.policy = worstfit"), "{compared}");

    write("retired.toml", "workload.trace = \"vms.csv\"\nworkload.retired_flavors = [\"l\"]\n");
    succeed(directory, "simulate retired.toml --out retired");
    assert_eq!(run_of(&directory.join("retired"))["vms"], 2, "of four");
    write("bad.toml", "workload.trace = \"vms.csv\"\nworkload.retired_flavors = [\"x\"]\n");
    assert!(fail(directory, 1, "simulate bad.toml --out x").contains("no VM has the flavor \"x\""));
    write("bad.toml", "[scheduler]\npolicies = \"bestfit\"\n");
    let error = fail(directory, 1, "simulate bad.toml --out x");
    assert!(error.contains("bad.toml") && error.contains("did you mean `policy`?"), "{error}");
    write("bad.toml", "scheduler.policy = \"best\"\n");
    assert!(fail(directory, 1, "simulate bad.toml --out x").contains("scheduler.policy"));
    assert!(fail(directory, 1, "compare x").contains("answer.json"));
}

/// Hosts with two NUMA cells and a queue, in episodes.
#[test]
fn episodes_of_numa_cells() {
    let directory = vms_directory();
    let directory = directory.path();
    fs::write(directory.join("starts.txt"), "0\n1\n").expect("written");
    let scenario = "workload.trace = \"vms.csv\"\nworkload.episodes = { file = \"starts.txt\", beyond = 2 }\n\
                    fleet.hosts = \"8x16:1\"\nfleet.numa_cells = 2\nscheduler.split_above_gib = 10\nqueueing.mode = \"fifo\"\n\
                    [vary]\n\"scheduler.policy\" = [\"first\", \"balance\"]\n";
    fs::write(directory.join("cells.toml"), scenario).expect("written");
    let text = succeed(directory, "simulate cells.toml --out cells");
    assert!(text.contains("scheduler.policy = balance"), "{text}");
}

#[test]
fn a_plan() {
    let directory = vms_directory();
    let directory = directory.path();
    let mut vms = "arrival_s,departure_s,vcpus,ram_mb\n".to_owned();
    for n in 0..1200 {
        vms += &format!("{},{},2,1024\n", n * 360, n * 360 + 2880);
    }
    fs::write(directory.join("steady.csv"), vms).expect("written");
    let text = succeed(directory, "plan --trace steady.csv --shape 4x64@10 --shape 8x64@25 --out plan");
    assert!(text.starts_with("4 hosts of 4x64 for 40 serve this load"), "{text}");
    let answer = fs::read_to_string(directory.join("plan/answer.json")).expect("written");
    assert_eq!(json(&answer)["plan"]["hosts"], 4);
    assert!(
        fs::read_to_string(directory.join("plan/report.html"))
            .expect("written")
            .contains("Service level against fleet size")
    );
    succeed(directory, "compare plan plan");
    assert!(fail(directory, 2, "plan --shape 4x64:3").contains("the number is the answer"));
    for (line, words) in [
        ("--shape 64", "host shape \"64\" is not of the form <vCPU>x<GiB>[x<disk GB>], like"),
        ("--shape 0x64", "vCPU \"0\" is not a whole number"),
    ] {
        assert!(fail(directory, 2, &format!("plan {line}")).contains(words), "{line}");
    }
    // Each of these was an answer, or a search without end.
    for (line, words) in [
        ("--warm-up 30d", "workload.warm_up: 30.00 days, but the last VM arrives 5.00 days after the first"),
        ("--growth -2", "workload.growth_per_month -2: "),
        ("--scale 0", "workload.scale 0: it is a number above 0"),
        ("--lifetime-error 0.5", "the policy bestfit does not use them"),
        ("--shape 1x1", "VMs with 100.00 % of the vCPU-hours fit no host"),
    ] {
        let shape = if line.contains("--shape") { "" } else { "--shape 4x64" };
        let error = fail(directory, 1, &format!("plan --trace steady.csv {shape} {line}"));
        assert!(error.contains(words), "{line}: {error}");
    }
    assert!(fail(directory, 2, "plan --shape 4x64@-1").contains("is not a number above 0"));
    assert!(fail(directory, 2, "plan --shape 4x64 --rejected 1.5").contains("a share from 0 to 1"));
}
