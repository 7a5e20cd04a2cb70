//! Services over one etcd: one serves, and another one takes over with everything that was
//! acknowledged.
#![allow(clippy::disallowed_methods, reason = "waits for real processes")]

mod kept;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use berth_etcd::EtcdOptions;
use berth_server::EtcdHome;
use berth_store::EtcdStoreOptions;
use berth_test_support::etcd::{EtcdCluster, programs};
use serde_json::{Value, json};

use kept::Running;

/// Long enough for a slow machine; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(options: &EtcdStoreOptions) -> Running {
    Running::start(EtcdHome(options.clone()))
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Runs a test with each program that is installed.
fn each(test: impl Fn(&mut EtcdCluster, &EtcdStoreOptions)) {
    for program in programs() {
        eprintln!("{}", program.display());
        let mut cluster = EtcdCluster::start(Path::new(&program), 1, &[]);
        let etcd = EtcdOptions {
            members: cluster.addresses(),
            tls: None,
            credentials: None,
            timeout: PATIENCE,
            attempt_timeout: Duration::from_secs(2),
        };
        test(&mut cluster, &EtcdStoreOptions::new(etcd, "fleet", "test"));
    }
}

#[test]
fn a_service_that_waits_takes_over_what_was_acknowledged() {
    each(|_, options| {
        let first = start(options);
        assert_eq!(first.names(), Some(vec![]));
        assert_eq!(first.add("a"), 200);
        thread::scope(|scope| {
            let second = scope.spawn(|| start(options));
            assert_eq!(first.add("b"), 200);
            assert!(!second.is_finished(), "the first one is the writer");
            first.keeper.stop();
            let second = second.join().unwrap();
            assert_eq!(second.names(), Some(vec!["a".to_owned(), "b".to_owned()]));
            assert_eq!(second.add("a"), 409);
            assert_eq!(second.add("c"), 200);
            second.keeper.stop();
        });
    });
}

/// The former writer acknowledges nothing more, and is ready to be the writer again.
#[test]
fn a_service_that_lost_its_lease_waits_to_be_the_writer_again() {
    each(|cluster, options| {
        let first = start(options);
        assert_eq!(first.add("a"), 200);
        thread::scope(|scope| {
            let second = scope.spawn(|| start(options));
            let leases = || -> Value { read(&cluster.gateway(0, "/v3/lease/leases", "{}")) };
            until("the second one waits", || leases()["leases"].as_array().is_some_and(|all| all.len() == 2));
            // "fleet/writer", in base64 as the gateway wants it.
            let key = json!({"key": "ZmxlZXQvd3JpdGVy"}).to_string();
            let writer = read(&cluster.gateway(0, "/v3/kv/range", &key));
            let lease = json!({"ID": writer["kvs"][0]["lease"]}).to_string();
            cluster.gateway(0, "/v3/lease/revoke", &lease);
            let second = second.join().unwrap();
            assert_eq!(first.add("lost"), 503);
            assert_eq!(second.add("b"), 200);
            until("the former writer answers nothing", || first.names().is_none());
            second.keeper.stop();
            until("it is the writer again", || first.names().is_some());
            assert_eq!(first.names(), Some(vec!["a".to_owned(), "b".to_owned()]));
            assert_eq!(first.add("c"), 200);
            first.keeper.stop();
        });
    });
}

/// What is begun while etcd is down is not acknowledged, and no acknowledged change is lost.
#[test]
fn a_service_goes_on_when_etcd_does() {
    each(|cluster, options| {
        let service = start(options);
        assert_eq!(service.add("a"), 200);
        cluster.kill(0);
        until("reads are refused: another service could be the writer", || service.names().is_none());
        cluster.start_member(0);
        until("it goes on", || service.names().is_some());
        assert_eq!(service.names(), Some(vec!["a".to_owned()]));
        until("it is written again", || service.add("b") == 200);
        service.keeper.stop();
    });
}
