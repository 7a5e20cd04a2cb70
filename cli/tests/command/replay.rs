//! Runs that succeed.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::tempdir;

use super::{berth, fail, json, sha256, succeed};

#[test]
fn a_reference_run_prints_json_and_writes_the_reference_placements() {
    let directory = tempdir().unwrap();
    let printed = succeed(directory.path(), "replay --reference tiny --placements placed.csv --json");
    let summary = &json(&printed)["summary"];
    assert_eq!((&summary["policy"], &summary["complete"]), (&"bestfit".into(), &true.into()));
    assert_eq!((&summary["totals"]["placed"], &summary["totals"]["rejected"]), (&492.into(), &108.into()));
    assert_eq!(sha256(&directory.path().join("placed.csv"))[..8], *"b51bc189");
}

#[test]
fn every_policy_writes_its_reference_placements_with_either_search() {
    let directory = tempdir().unwrap();
    let expected = [
        ("bestfit", "b51bc189"),
        ("bestfit-cpu", "843109c1"),
        ("firstfit", "52d7eaf7"),
        ("worstfit", "4b195cfe"),
    ];
    for (policy, digest) in expected {
        for search in ["", "--exhaustive"] {
            let line = format!("replay --reference tiny --policy {policy} {search} --placements p.csv");
            let printed = succeed(directory.path(), &line);
            assert!(printed.contains(policy), "{printed}");
            assert_eq!(sha256(&directory.path().join("p.csv"))[..8], *digest, "{line}");
        }
    }
}

#[test]
fn out_writes_placements_summary_and_report() {
    let directory = tempdir().unwrap();
    let printed = succeed(directory.path(), "replay --reference tiny --out a/b --json");
    let out = directory.path().join("a/b");
    assert_eq!(sha256(&out.join("placements.csv"))[..8], *"b51bc189");
    assert_eq!(fs::read_to_string(out.join("summary.json")).unwrap(), printed);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.to_lowercase().starts_with("<!doctype html") && page.contains("</html>"));
}

#[test]
fn the_same_command_writes_the_same_bytes() {
    let directory = tempdir().unwrap();
    for out in ["one", "two"] {
        succeed(directory.path(), &format!("replay --reference mixed --seed 9 --out {out}"));
    }
    for file in ["placements.csv", "summary.json", "report.html"] {
        let read = |out: &str| fs::read(directory.path().join(out).join(file)).unwrap();
        assert!(read("one") == read("two"), "{file} differs");
    }
}

/// What `generate` writes, `replay` reads: plain, and compressed whatever its name.
#[test]
fn generated_files_replay_like_the_workload_itself() {
    let directory = tempdir().unwrap();
    let listed = succeed(directory.path(), "generate --reference tiny --out wl");
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let vms = fs::read(directory.path().join("wl/tiny.vms.csv")).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vms).unwrap();
    fs::write(directory.path().join("wl/packed"), gzip.finish().unwrap()).unwrap();
    for trace in ["wl/tiny.vms.csv", "wl/packed"] {
        let line = format!("replay --hosts wl/tiny.hosts.csv --trace {trace} --placements p.csv");
        succeed(directory.path(), &line);
        assert_eq!(sha256(&directory.path().join("p.csv"))[..8], *"b51bc189", "{trace}");
    }
}

#[test]
fn without_arguments_a_sample_is_replayed_and_its_report_named() {
    let directory = tempdir().unwrap();
    let printed = succeed(directory.path(), "replay");
    assert!(printed.contains("berth-out/report.html"), "{printed}");
    for file in ["placements.csv", "summary.json", "report.html"] {
        assert!(directory.path().join("berth-out").join(file).is_file(), "{file}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let directory = tempdir().unwrap();
    let mut child = berth(directory.path())
        .args(["replay", "--reference", "tiny", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", super::stderr(&output));
}

#[test]
fn help_shows_examples() {
    let directory = tempdir().unwrap();
    let help = succeed(directory.path(), "replay --help");
    assert!(help.contains("Examples:") && help.contains("berth replay --reference"), "{help}");
    let help = succeed(directory.path(), "--help");
    assert!(help.contains("replay") && help.contains("Exit codes:"), "{help}");
}

#[test]
fn completions_know_the_commands() {
    let directory = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(directory.path(), &format!("completions {shell}"));
        assert!(
            script.contains("berth") && script.contains("replay") && script.contains("policy"),
            "{shell}"
        );
    }
}

/// Zones and traits come from the files, weights from `nova.conf`, server groups from batches.
#[test]
fn nova_decides_by_its_own_rules() {
    let directory = tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write(
        "hosts.csv",
        "host_id,vcpus,ram_mb,disk_gb,zone,traits\n0,8,8192,100,,\n1,8,8192,100,az1,CUSTOM_GOLD\n2,8,8192,100,az1,\n",
    );
    write(
        "vms.csv",
        "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor,batch,zone,extra_specs\n\
         0,0,,1,512,1,f,,az1,\n1,1,,1,512,1,f,,az1,\n2,2,,1,512,1,f,,az1,trait:CUSTOM_GOLD=required\n\
         3,3,,1,512,1,f,,az2,\n4,4,,1,512,1,f,7,,\n5,5,,1,512,1,f,7,,\n",
    );
    write(
        "nova.conf",
        "[filter_scheduler]\nram_weight_multiplier = -1\ncpu_weight_multiplier = -1\ndisk_weight_multiplier = -1\n",
    );
    let replay = |options: &str| {
        let line =
            format!("replay --hosts hosts.csv --trace vms.csv --placements p.csv --scheduler nova {options}");
        let printed = succeed(directory.path(), &line);
        assert!(printed.contains("nova") || options.contains("--policy"), "{printed}");
        let placements = fs::read_to_string(directory.path().join("p.csv")).unwrap();
        let hosts = placements.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_owned());
        hosts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(replay(""), "1 2 1 rejected 0 0");
    assert_eq!(replay("--nova-conf nova.conf"), "1 1 1 rejected 1 1");
    assert_eq!(replay("--nova-conf nova.conf --batch-policy anti-affinity"), "1 1 1 rejected 1 0");
    assert_eq!(replay("--policy firstfit"), "1 1 1 rejected 0 0");
}

#[test]
fn options_of_novas_pipeline_need_it() {
    let directory = tempdir().unwrap();
    for (options, words) in [
        ("--nova-conf nova.conf", "--scheduler nova"),
        ("--batch-policy affinity", "--scheduler nova"),
        ("--scheduler nova --exhaustive", "--exhaustive"),
        ("--scheduler nova --nova-conf none", "cannot read none"),
    ] {
        let message = fail(directory.path(), 1, &format!("replay --reference tiny {options}"));
        assert!(message.contains(words), "{options}: {message}");
    }
}
