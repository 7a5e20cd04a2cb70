//! Measures a process's memory in its own test binary: no other test can release memory that would
//! be reused unmeasured.

use berth_benches::memory::{MemoryOptions, run};
use berth_benches::suite::ObjectiveName;

#[test]
fn every_part_has_its_bytes() {
    let options = MemoryOptions { hosts: 2_000, vms: 20_000, goals: vec![ObjectiveName::Nova] };
    let report = run(&options, Vec::new(), &|_| true).unwrap();
    let bytes = |name: &str| report.rows.iter().find(|row| row.name == name).unwrap().p50;
    assert!((200.0..20_000.0).contains(&bytes("memory/host")), "{report:?}");
    assert!((60.0..2_000.0).contains(&bytes("memory/vm")), "{report:?}");
    assert!(bytes("memory/peak") >= bytes("memory/process"), "{report:?}");
}
