//! Runs that fail: the exit code, and a message that says what to mend.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::{TempDir, tempdir};

use super::{fail, run, stderr};

const VMS: &str = "vm_id,arrival_s,departure_s,vcpus,ram_mb,disk_gb,flavor\n";
const HOSTS: &str = "host_id,vcpus,ram_mb,disk_gb\n0,4,4096,40\n";

fn directory_with(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempdir().unwrap();
    for (name, contents) in files {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    directory
}

/// Replays these rows; returns the message of the failure.
fn message_for_rows(rows: &str) -> String {
    let vms = format!("{VMS}{rows}");
    let directory = directory_with(&[("vms.csv", vms.as_bytes()), ("hosts.csv", HOSTS.as_bytes())]);
    fail(directory.path(), 1, "replay --trace vms.csv --hosts hosts.csv --json")
}

fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn a_bad_row_is_named_by_file_line_column_and_value() {
    let good = "0,0,5,1,1024,8,c1\n";
    for (row, column, value) in [
        ("1,1,5,two,1024,8,c1\n", "vcpus", "two"),
        ("1,1,5,1,-7,8,c1\n", "ram_mb", "-7"),
        ("1,soon,5,1,1024,8,c1\n", "arrival_s", "soon"),
        ("1,3,2,1,1024,8,c1\n", "departure_s", "2"),
        ("1,1,5,1,1024,4294967296,c1\n", "disk_gb", "4294967296"),
    ] {
        let message = message_for_rows(&format!("{good}{row}"));
        assert_names(&message, &["vms.csv:3:", column, value]);
    }
    assert_names(&message_for_rows(&format!("{good}1,1,5,1\n")), &["vms.csv:3:", "7", "4"]);
    assert_names(&message_for_rows("0,5,9,1,1,1,c\n1,4,9,1,1,1,c\n"), &["vms.csv:3:", "arrival_s", "\"4\""]);
}

#[test]
fn a_bad_host_is_named_by_file_line_column_and_value() {
    let hosts = format!("{HOSTS}1,many,1,1\n");
    let directory = directory_with(&[("vms.csv", VMS.as_bytes()), ("hosts.csv", hosts.as_bytes())]);
    let message = fail(directory.path(), 1, "replay --trace vms.csv --hosts hosts.csv");
    assert_names(&message, &["hosts.csv:3:", "vcpus", "many"]);
}

#[test]
fn a_truncated_gzip_fails_instead_of_ending_early() {
    let rows: String = (0..20_000).map(|vm| format!("{vm},{vm},,1,{},8,c1\n", 1 + vm * 7919 % 999)).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(format!("{VMS}{rows}").as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    let directory = directory_with(&[("cut.csv.gz", &whole[..whole.len() * 2 / 3])]);
    let message = fail(directory.path(), 1, "replay --trace cut.csv.gz --host-shape 64x256:10 --out out");
    assert_names(&message, &["cut.csv.gz", "gzip", "placements.csv is incomplete"]);
    assert!(!directory.path().join("out/summary.json").exists(), "a summary of half a trace");
}

#[test]
fn an_unknown_policy_is_wrong_usage_and_the_policies_are_named() {
    let message = fail(tempdir().unwrap().path(), 2, "replay --policy best");
    assert_names(&message, &["best", "bestfit", "bestfit-cpu", "firstfit", "worstfit"]);
}

#[test]
fn wrong_usage_ends_with_2_and_names_what_is_known() {
    let directory = tempdir().unwrap();
    for (line, words) in [
        ("replay --reference huge", &["huge", "tiny", "s100k"][..]),
        ("replay --host-shape 64", &["64x256x3840:1000"]),
        ("replay --trace t.csv --format azure", &["neutral", "azure-v1-2017"]),
        ("replay --reference tiny --trace t.csv", &["--reference", "--trace"]),
        ("replay --format neutral", &["--trace"]),
        ("completions tcsh", &["bash", "zsh", "fish"]),
        ("plaice", &["plaice"]),
    ] {
        assert_names(&fail(directory.path(), 2, line), words);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "wrong usage wrote something");
}

#[test]
fn a_missing_file_is_named() {
    let directory = directory_with(&[("vms.csv", VMS.as_bytes())]);
    for line in ["replay --trace nowhere.csv", "replay --trace vms.csv --hosts nowhere.csv"] {
        assert_names(&fail(directory.path(), 1, line), &["nowhere.csv", "No such file"]);
    }
}

#[test]
fn a_trace_of_no_known_format_is_refused() {
    let directory = directory_with(&[("odd.csv", b"a,b,c\n1,2,3\n"), ("none.csv", b"")]);
    assert_names(&fail(directory.path(), 1, "replay --trace odd.csv"), &["odd.csv", "a,b,c"]);
    assert_names(&fail(directory.path(), 1, "replay --trace none.csv"), &["none.csv", "empty"]);
}

/// A full disk: small output fails at the last write, large output in the middle of the run.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_that_names_the_file() {
    let directory = tempdir().unwrap();
    for set in ["tiny", "mixed"] {
        let line = format!("replay --reference {set} --placements /dev/full");
        assert_names(&fail(directory.path(), 1, &line), &["/dev/full", "No space left"]);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let directory = directory_with(&[("file", b"in the way")]);
    for line in ["replay --reference tiny --out file/out", "replay --reference tiny --placements ."] {
        let message = fail(directory.path(), 1, line);
        assert_names(&message, &["cannot create", if line.contains("file") { "file" } else { "." }]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_standard_output_is_an_error() {
    let directory = tempdir().unwrap();
    let full = fs::File::create("/dev/full").unwrap();
    let output = super::berth(directory.path())
        .args(["replay", "--reference", "tiny", "--json"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_names(&stderr(&output), &["standard output"]);
}

/// No failure shows a Rust panic.
#[test]
fn nothing_panics() {
    let directory =
        directory_with(&[("hosts.csv", b"host_id,vcpus,ram_mb,disk_gb\n"), ("vms.csv", VMS.as_bytes())]);
    fs::write(directory.path().join("huge.csv"), "host_id,vcpus,ram_mb,disk_gb\n0,4294967295,1,1\n").unwrap();
    for line in [
        "replay --hosts hosts.csv --trace vms.csv --out out",
        "replay --hosts hosts.csv --out out",
        "replay --hosts huge.csv --trace vms.csv",
        "generate --vms 0",
        "generate --reference tiny --seed 18446744073709551615",
    ] {
        let output = run(Path::new(directory.path()), line.split_whitespace());
        assert!(matches!(output.status.code(), Some(0 | 1)), "berth {line}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "berth {line}: {}", stderr(&output));
    }
}
