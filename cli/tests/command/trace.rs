//! `berth trace`, as a planner calls it.

use std::fs;

use super::{fail, json, run, stdout, succeed, vms_directory};

#[test]
fn a_trace_is_imported_checked_described_and_scaled() {
    let directory = vms_directory();
    let directory = directory.path();
    let text = succeed(directory, "trace import vms.csv --out vms.parquet");
    assert!(text.starts_with("4 VMs, "), "{text}");
    succeed(directory, "trace import vms.parquet --out again.csv");
    let again = fs::read_to_string(directory.join("again.csv")).expect("written");
    assert!(again.contains("\na,0,7200,4,4096,20,l\nb,10,3610,"), "sorted: {again}");

    let line = "trace check vms.parquet --host-shape 2x64:1 --json";
    let checked = run(directory, line.split_whitespace());
    assert_eq!(checked.status.code(), Some(4));
    let checked = json(&stdout(&checked));
    assert_eq!(checked["findings"][0]["name"], "never-fits");
    assert_eq!(checked["findings"][0]["vms"], 2);
    assert!(succeed(directory, "trace check vms.parquet").starts_with("4 VMs: nothing is wrong\n"));

    let described = json(&succeed(directory, "trace describe vms.parquet --json"));
    assert_eq!(described["vms"], 4);
    assert_eq!(described["peak"]["vcpus"], 10);
    assert!(succeed(directory, "trace describe vms.csv").contains("peak"));

    succeed(directory, "trace scale vms.csv --factor 3 --out three.parquet");
    assert_eq!(json(&succeed(directory, "trace describe three.parquet --json"))["vms"], 12);
    assert!(fail(directory, 1, "trace import none.csv --out x").contains("none.csv: cannot be read"));
}
