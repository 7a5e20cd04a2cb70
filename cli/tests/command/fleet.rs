//! `berth fleet snapshot`: the fleet of a running service, of its directory and of a dump of the
//! original Placement, and simulations that start from it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::serve::Serving;
use super::{fail, run_of, succeed};

/// A host in an aggregate, and an instance on it, which is in a server group.
const STATE: &[u8] = include_bytes!("../../../server/tests/state/version-2.jsonl");
/// A database of Placement 16, with awkward names and more in use than there is.
const DUMP: &str = include_str!("../../../server/tests/migration/placement-16.jsonl");

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap()
}

/// The rows of a CSV file without quotes, each as pairs of column and field.
fn rows(text: &str) -> Vec<Vec<(String, String)>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    lines.map(|fields| header.iter().cloned().zip(fields).collect()).collect()
}

fn field<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
    row.iter().find(|(name, _)| name == column).map_or("", |(_, field)| field)
}

#[test]
fn a_service_and_its_directory_give_the_same_fleet() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fs::write(place.join("given"), STATE).unwrap();
    succeed(place, "store restore given data");
    let said = succeed(place, "fleet snapshot --data data --out kept");
    assert_eq!(said, "1 hosts and 1 VMs are in kept\n");
    let serving = Serving::on(&place.join("data"));
    succeed(place, &format!("fleet snapshot --service http://{} --out live", serving.grpc));
    serving.stop();
    assert_eq!(read(place, "kept/hosts.csv"), read(place, "live/hosts.csv"));
    let host = &rows(&read(place, "live/hosts.csv"))[0];
    assert_eq!((field(host, "host_id"), field(host, "vcpus")), ("h1", "8"), "{host:?}");
    for directory in ["kept", "live"] {
        let vm = &rows(&read(place, &format!("{directory}/vms.csv")))[0];
        let named = ["vm_id", "vcpus", "ram_mb", "disk_gb", "flavor", "host", "project", "policy", "name"];
        let expected = [
            "6fe991c9-f662-410f-93e5-7db9c2103122",
            "2",
            "512",
            "1",
            "small",
            "h1",
            "p",
            "anti-affinity",
            "it",
        ];
        assert_eq!(named.map(|column| field(vm, column)), expected, "{directory}: {vm:?}");
        let age: u64 = field(vm, "age_s").parse().unwrap();
        assert!(age < 100 * 365 * 86_400, "{age}");
    }

    // From today's fleet on: the host has six of eight vCPUs free, and the VM stays.
    let vms = "arrival_s,departure_s,vcpus,ram_mb\n0,100,4,512\n10,100,4,512\n20,100,2,512\n";
    fs::write(place.join("vms.csv"), vms).unwrap();
    let scenario = "workload.trace = \"vms.csv\"\nfleet.snapshot = \"live\"\nfleet.vms_stay = true\n";
    fs::write(place.join("one.toml"), scenario).unwrap();
    succeed(place, "simulate one.toml --out results");
    let run = run_of(&place.join("results"));
    assert_eq!((run["placed"].as_u64(), run["rejected"].as_u64()), (Some(2), Some(1)), "{run}");
    // With another ratio in place of the one that the fleet has, everything fits.
    fs::write(place.join("two.toml"), format!("{scenario}fleet.cpu_ratio = 20.0\n")).unwrap();
    succeed(place, "simulate two.toml --out more");
    assert_eq!(run_of(&place.join("more"))["placed"].as_u64(), Some(3));
    fs::write(place.join("bad.toml"), format!("{scenario}fleet.file = \"live/hosts.csv\"\n")).unwrap();
    assert!(fail(place, 1, "simulate bad.toml --out bad").contains("only one of file and snapshot"));
}

#[test]
fn a_dump_of_the_original_placement_is_a_fleet() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fs::write(place.join("dump.jsonl"), DUMP).unwrap();
    let said = succeed(place, "fleet snapshot --placement-dump dump.jsonl --out then");
    assert_eq!(said, "2 hosts and 5 VMs are in then\n");
    let scenario = "workload.vms = 100\nfleet.snapshot = \"then\"\nscheduler.kind = \"nova\"\n";
    fs::write(place.join("one.toml"), scenario).unwrap();
    succeed(place, "simulate one.toml --out results");
    let run = run_of(&place.join("results"));
    assert_eq!(run["figures"]["capacity"][0].as_u64(), Some(32), "{run}");
    assert_eq!(run["points"][0]["used"][0].as_u64(), Some(48), "more is in use than there is: {run}");
    assert_eq!(run["placed"].as_u64(), Some(0), "{run}");
}

/// A day from a snapshot on: what the service decided, and what left, is in its log.
#[test]
fn a_recorded_day_replays_to_the_same_hosts() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fs::create_dir(place.join("monday")).unwrap();
    fs::write(place.join("monday/hosts.csv"), "host_id,vcpus,ram_mb,disk_gb\nkvm-1,8,8192,100\n").unwrap();
    let vms = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,host,age_s\n\
               old,0,,7,512,0,kvm-1,100\nstays,0,,1,512,0,kvm-1,1000000\n";
    fs::write(place.join("monday/vms.csv"), vms).unwrap();
    let line = |decision: &str| {
        let fields = serde_json::json!({"timestamp": "", "level": "INFO", "target": "decisions", "decision": decision});
        format!("{fields}\n")
    };
    let decided = |at: u64, instance: &str, hosts: &str| {
        line(&format!(
            "{{\"at_us\":{at},\"instances\":[\"{instance}\"],\"hosts\":[{hosts}],\"flavor\":\"f\",\"vcpus\":7,\
             \"memory_mb\":512,\"disk_gb\":0,\"extra_specs\":{{}},\"project\":\"p\",\"zone\":\"\"}}"
        ))
    };
    let log = [
        decided(900_000, "old", "\"kvm-1\""), // before the snapshot was complete
        decided(1_000_000, "early", ""),
        line("{\"at_us\":2000000,\"released\":\"old\"}"),
        decided(3_000_000, "late", "\"kvm-1\""),
    ];
    fs::write(place.join("monday/decisions.log"), log.concat()).unwrap();
    let scenario =
        "workload.trace = \"monday/decisions.log\"\nfleet.snapshot = \"monday\"\nscheduler.kind = \"nova\"\n";
    fs::write(place.join("monday.toml"), scenario).unwrap();
    let said = succeed(place, "simulate monday.toml --out results");
    let answer: serde_json::Value = serde_json::from_str(&read(place, "results/answer.json")).unwrap();
    let recorded = &answer["scenarios"][0]["recorded"][0];
    assert_eq!((recorded["decisions"].as_u64(), recorded["same"].as_u64()), (Some(2), Some(2)), "{said}");
    assert_eq!(recorded["sha256"], recorded["recorded_sha256"]);
    assert!(
        answer["answer"].as_str().unwrap().contains("All 2 decisions are those of the recording"),
        "{answer}"
    );

    // The service decided otherwise.
    fs::write(place.join("monday/decisions.log"), log.concat().replace("[]", "[\\\"kvm-1\\\"]")).unwrap();
    succeed(place, "simulate monday.toml --out other");
    let answer = read(place, "other/answer.json");
    assert!(
        answer.contains("1 of 2 decisions are those of the recording") && answer.contains("VM early"),
        "{answer}"
    );
}

#[test]
fn a_snapshot_says_what_it_cannot_read() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    let error = fail(place, 1, "fleet snapshot --data nowhere --out x");
    assert!(error.contains("nowhere"), "{error}");
    fs::write(place.join("empty.jsonl"), "[\"end\",0,0,0,0,0,0,0,0]\n").unwrap();
    let error = fail(place, 1, "fleet snapshot --placement-dump empty.jsonl --out x");
    assert!(error.contains("there are no hosts"), "{error}");
    fs::write(place.join("dump.jsonl"), DUMP).unwrap();
    for (url, words) in [
        ("db.example", "--nova-database"),
        ("oracle://a:secret@b/c", "--nova-database"),
        ("mysql://nova:secret@127.0.0.1:1/nova_api", "--nova-database"),
    ] {
        let line = format!("fleet snapshot --placement-dump dump.jsonl --out x --nova-database {url}");
        let error = fail(place, 1, &line);
        assert!(error.contains(words) && !error.contains("secret"), "{error}");
    }
    assert!(!place.join("x").exists(), "nothing is written then");
    fail(place, 2, "fleet snapshot --data a --placement-dump b --out x");
}
