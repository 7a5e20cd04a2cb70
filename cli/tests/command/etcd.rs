//! A state in etcd: copied there and back, read by every command that reads, and refused where it
//! must be.

use std::fs;

use berth_test_support::etcd::{EtcdCluster, programs};
use tempfile::TempDir;

use super::store::{WITH_FLEET, digest};
use super::{fail, succeed};

#[test]
fn a_state_is_copied_to_etcd_and_back() {
    for program in programs() {
        let cluster = EtcdCluster::start(&program, 1, &[]);
        let address = &cluster.addresses()[0];
        let state = format!("etcd://{address}/berth/one");
        let directory = TempDir::new().unwrap();
        let place = directory.path();
        fs::write(place.join("given"), WITH_FLEET).unwrap();
        let whole = succeed(place, "store restore given data");
        let copied = succeed(place, &format!("store copy data {state}"));
        assert_eq!(digest(&copied), digest(&whole));
        let verified = succeed(place, &format!("store verify {state}"));
        assert_eq!(digest(&verified), digest(&whole));
        assert!(verified.contains("fleet records                 7"), "{verified}");
        assert_eq!(succeed(place, &format!("store dump {state}")).into_bytes(), WITH_FLEET);
        assert_eq!(digest(&succeed(place, &format!("store backup {state} backup"))), digest(&whole));
        assert_eq!(fs::read(place.join("backup")).unwrap(), WITH_FLEET);
        succeed(place, &format!("store copy {state} back"));
        assert_eq!(digest(&succeed(place, "store verify back")), digest(&whole));
        let second = format!("etcd://{address}/berth/two");
        assert_eq!(digest(&succeed(place, &format!("store restore backup {second}"))), digest(&whole));
        for (line, words) in [
            (format!("store copy data {state}"), "has a state below this prefix already"),
            (format!("store restore backup {state} --replace"), "is not replaced; choose another prefix"),
            (format!("store copy {state} back"), "back: there is a state already; --replace"),
            (format!("store verify etcd://{address}/berth/none"), "there is no state below this prefix"),
            (format!("store verify etcd://{address}"), "has no prefix"),
        ] {
            let error = fail(place, 1, &line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}

#[test]
fn settings_for_etcd_are_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    for (line, words) in [
        ("serve --store http://a/b", "serve.store"),
        ("serve --store etcd://a/b --set serve.data=d", "serve.store"),
        ("serve --store etcds://a/b", "serve.etcd.ca_file: is needed with etcds://"),
        ("serve --store etcd://a/b --set serve.etcd.user=u", "serve.etcd.password_file: is needed"),
        ("serve --store etcd://a/b --set serve.etcd.key=k", "etcd:// does not use TLS"),
    ] {
        let error = fail(place, 1, line);
        assert!(error.contains(words), "{line}: {error}");
    }
    let error = fail(place, 2, "serve --store etcd://a/b --data d");
    assert!(error.contains("cannot be used with"), "{error}");
}
