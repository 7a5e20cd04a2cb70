//! `berth trace`, as a planner calls it.

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

#[test]
fn a_trace_is_imported_checked_described_and_scaled() {
    let directory = directory();
    let run = |arguments: &[&str]| berth(directory.path(), arguments);
    let text = prints(&run(&["trace", "import", "vms.csv", "--out", "vms.parquet"]));
    assert!(text.starts_with("4 VMs, "), "{text}");
    prints(&run(&["trace", "import", "vms.parquet", "--out", "again.csv"]));
    let again = fs::read_to_string(directory.path().join("again.csv")).expect("written");
    assert!(again.contains("\na,0,7200,4,4096,20,l\nb,10,3610,"), "sorted: {again}");

    let checked = run(&["trace", "check", "vms.parquet", "--host-shape", "2x64:1", "--json"]);
    assert_eq!(checked.status.code(), Some(4));
    let checked = json(&String::from_utf8_lossy(&checked.stdout));
    assert_eq!(checked["findings"][0]["name"], "never-fits");
    assert_eq!(checked["findings"][0]["vms"], 2);
    assert!(prints(&run(&["trace", "check", "vms.parquet"])).starts_with("4 VMs: nothing is wrong\n"));

    let described = json(&prints(&run(&["trace", "describe", "vms.parquet", "--json"])));
    assert_eq!(described["vms"], 4);
    assert_eq!(described["peak"]["vcpus"], 10);
    assert!(prints(&run(&["trace", "describe", "vms.csv"])).contains("peak"));

    prints(&run(&["trace", "scale", "vms.csv", "--factor", "3", "--out", "three.parquet"]));
    assert_eq!(json(&prints(&run(&["trace", "describe", "three.parquet", "--json"])))["vms"], 12);
    assert!(
        refuses(&run(&["trace", "import", "none.csv", "--out", "x"])).contains("none.csv: cannot be read")
    );
}
