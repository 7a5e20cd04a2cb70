//! docs/plan-capacity.md: every command of the page runs, in its order, on a small cloud.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{run, stderr};

const PAGE: &str = include_str!("../../../docs/plan-capacity.md");
const SCENARIOS: &str = include_str!("../../../docs/scenarios.md");
/// What the commands name, and what stands in for it here: files of other machines, and workloads
/// that take minutes without optimisation.
const STAND_INS: [(&str, &str); 3] =
    [("/etc/nova/nova.conf", "nova.conf"), ("s10k", "tiny"), ("s1k", "tiny")];

/// The commands of a page: indented lines that begin with the program's name, without comments.
fn commands(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("    berth"));
    let stripped = lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    let replaced =
        stripped.map(|line| STAND_INS.iter().fold(line, |line, (from, to)| line.replace(from, to)));
    replaced.collect()
}

/// Three days of VMs, in batches of two, that live for two hours, and hosts for them.
fn cloud(directory: &Path) {
    let mut vms = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor,batch\n".to_owned();
    for number in 0..432 {
        let arrival = number * 600;
        let _ = writeln!(vms, "{number},{arrival},{},4,8192,20,c4,{}", arrival + 7200, number / 2);
    }
    let mut hosts = "host_id,vcpus,ram_mb,disk_gb\n".to_owned();
    for number in 0..20 {
        let _ = writeln!(hosts, "{number},64,262144,3840");
    }
    let example = SCENARIOS.split_once("```toml\n").expect("an example").1;
    let scenario = example.split_once("```").expect("its end").0;
    for (name, content) in [
        ("vms.csv", vms.as_str()),
        // What a file is follows from its first bytes, so this name is as good as any.
        ("vms.csv.gz", &vms),
        ("hosts.csv", &hosts),
        ("nova.conf", "[filter_scheduler]\nhost_subset_size = 1\n"),
        ("scenario.toml", scenario),
    ] {
        fs::write(directory.join(name), content).expect("written");
    }
}

#[test]
fn every_command_of_the_page_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    cloud(directory.path());
    let commands = commands(PAGE);
    assert!(commands.len() >= 10, "{commands:?}");
    for line in commands {
        let output = run(directory.path(), line.split_whitespace());
        assert!(output.status.success(), "berth {line}: {}", stderr(&output));
    }
    for written in ["vms.parquet", "plan/report.html", "results/report.html", "berth-out/report.html"] {
        assert!(directory.path().join(written).exists(), "{written}");
    }
}
