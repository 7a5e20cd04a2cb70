use std::fs;

use berth_traces::reference::{self, ReferenceError, ReferenceSet};
use berth_traces::{HostShapes, Trace, neutral};
use sha2::{Digest, Sha256};

use crate::drain;

/// The digests of the two files, as hexadecimal text.
fn digests(set: &ReferenceSet) -> [String; 2] {
    let directory = tempfile::tempdir().unwrap();
    set.write_csv(directory.path())
        .unwrap()
        .map(|path| format!("{:x}", Sha256::digest(fs::read(path).unwrap())))
}

#[track_caller]
fn check(name: &str, hosts: &str, vms: &str) {
    assert_eq!(digests(&reference::set(name).unwrap()), [hosts, vms], "{name}");
}

#[test]
fn tiny() {
    check(
        "tiny",
        "8d119b75f1ae2dbddb271b7b606337aee26b87647004ccdfcad1435ad12c4728",
        "649b102a64bfdddd0fc0568be6af764638aaf3dd2c96b8f3795b5c8af61a945a",
    );
}

#[test]
fn mixed() {
    check(
        "mixed",
        "28b5e3f161cc4178149f2418c30d2dadf27d81b1375395d35b1c7cf2c53c58fc",
        "3b56b8e9e12c2824c3d084419735e478ac74a0f76a025b7760fbd5377688a96e",
    );
}

#[test]
fn s1k() {
    check(
        "s1k",
        "bdc4880076e2adfb00f66c2917486a49063c1ff216467e4c10108db20d63722d",
        "13926cce27fc40ecaa6879ec8e961202b1436f1cdc95b9de1a6755a17556c841",
    );
}

#[test]
#[ignore = "a million VMs: run in release"]
fn s10k() {
    check(
        "s10k",
        "1731179d71c3b1e0a93ce29791a8e7904740d5a719d4bfc77fd128051dee4a40",
        "b520fb291b956d7a14a6ba74e1069d1f9b423f6429a98265cabc36229fa8641a",
    );
}

#[test]
#[ignore = "a million VMs: run in release"]
fn s100k() {
    check(
        "s100k",
        "99a17362427d819ace81310087b79ac726ca412bac889c4bbf97a135f44782f4",
        "a9ee212382521ed9386096ef97a58523188928b3c24cc5fe7aadb7a7b96c7d6e",
    );
}

#[test]
fn names_are_known() {
    for name in reference::NAMES {
        assert_eq!(reference::set(name).unwrap().name(), name);
    }
    assert_eq!(reference::set("s1m"), None);
}

#[test]
fn files_and_memory_hold_the_same() {
    let set = reference::set("mixed").unwrap().with_seed(77);
    let directory = tempfile::tempdir().unwrap();
    let [hosts, vms] = set.write_csv(directory.path()).unwrap();
    assert_eq!(neutral::read_hosts(hosts).unwrap(), set.hosts());
    assert_eq!(drain(Trace::open(vms, None)).0, drain(Ok(set.vms())).0);
}

#[test]
fn a_set_built_from_its_parameters_equals_the_named_one() {
    let fleet: HostShapes = "64x256x3840:1000".parse().unwrap();
    let set = ReferenceSet::new("s1k", fleet, 100_000, 0.80, 1).unwrap();
    assert_eq!(Some(set), reference::set("s1k"));
}

#[test]
fn impossible_sets_are_refused() {
    let new = |fleet: &str, vms, load| {
        ReferenceSet::new("x", fleet.parse().unwrap(), vms, load, 1).map(|set| drain(Ok(set.vms())).0.len())
    };
    assert_eq!(new("1x2:1", 10, 5.0), Ok(10));
    assert_eq!(new("64x1:100", 10, 1.0), Err(ReferenceError::HostsTooSmall));
    assert_eq!(new("64x256:1", 0, 1.0), Err(ReferenceError::Idle));
    assert_eq!(new("64x256:1", 10, 0.001), Err(ReferenceError::Idle));
    assert_eq!(new("64x256:1", 10, -1.0), Err(ReferenceError::Load(-1.0)));
    assert_eq!(new("64x256:1", 10, f64::INFINITY), Err(ReferenceError::Load(f64::INFINITY)));
}
