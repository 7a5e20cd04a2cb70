//! The store in etcd: the suite of all stores, and what only several processes can get wrong.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use berth_etcd::EtcdOptions;
use berth_store::{Changes, EtcdReader, EtcdStore, EtcdStoreOptions, Revision, Store};
use berth_test_support::etcd::{EtcdCluster, programs};

use super::suite;

fn options(cluster: &EtcdCluster, prefix: &str) -> EtcdStoreOptions {
    let etcd = EtcdOptions {
        members: cluster.addresses(),
        tls: None,
        credentials: None,
        timeout: Duration::from_secs(60),
        attempt_timeout: Duration::from_secs(2),
    };
    EtcdStoreOptions::new(etcd, prefix, "test")
}

/// Runs a test with each program that is installed.
fn each(test: impl Fn(EtcdCluster)) {
    for program in programs() {
        eprintln!("{}", program.display());
        test(EtcdCluster::start(Path::new(&program), 1, &[]));
    }
}

/// Runs the suite, each store below a prefix of its own.
fn run(cluster: &EtcdCluster, set: impl Fn(&mut EtcdStoreOptions)) {
    let made = Cell::new(0);
    let open = || {
        let mut options = options(cluster, &format!("fleet/{}", made.get()));
        set(&mut options);
        EtcdStore::open(&options).unwrap()
    };
    let new = || {
        made.set(made.get() + 1);
        open()
    };
    let reopen = |store| {
        drop(store);
        open()
    };
    suite::run(new, reopen);
}

#[test]
fn an_etcd_store_is_a_store() {
    each(|cluster| run(&cluster, |_| {}));
}

/// Every commit is folded into runs of a few records, which are split and merged all the time.
#[test]
fn an_etcd_store_that_folds_all_the_time_is_a_store() {
    each(|cluster| {
        run(&cluster, |options| {
            options.fold_bytes = 1;
            options.run_bytes = 400;
        });
    });
}

/// A reader in another process receives every batch once, also while the members of etcd are
/// killed and stopped, batches have several parts, and the log is folded. History is not compacted:
/// folds follow each other so fast here that a watch on a stopped member would have to begin again.
/// The lease outlasts the elections of etcd's leader on a slow machine.
#[test]
fn a_reader_follows_through_failures() {
    for program in programs() {
        let mut cluster = EtcdCluster::start(Path::new(&program), 3, &[]);
        let (fold_bytes, compacts, lease) = (1 << 20, false, Duration::from_secs(30));
        let options = EtcdStoreOptions { fold_bytes, compacts, lease, ..options(&cluster, "fleet") };
        let store = EtcdStore::open(&options).unwrap();
        let reader = EtcdReader::open(&options).unwrap();
        let watcher = reader.watch(Revision(0)).unwrap();
        let mut revision = Revision(0);
        let mut commit = || {
            revision.0 += 1;
            // Every third batch has several parts.
            let size = if revision.0.is_multiple_of(3) { 700_000 } else { 10 };
            let value = |key: u8| vec![key ^ revision.0.to_le_bytes()[0]; size];
            let changes: Changes = (0..3).map(|key| (vec![key], Some(value(key)))).collect();
            assert_eq!(store.commit(changes.clone()).unwrap(), revision);
            let seen = watcher.recv().unwrap();
            assert_eq!((seen.revision, seen.changes.len()), (revision, 3));
            assert!(*seen.changes == changes, "revision {}", revision.0);
        };
        for member in 0..3 {
            cluster.pause(member);
            (0..4).for_each(|_| commit());
            cluster.resume(member);
            commit();
            cluster.kill(member);
            (0..4).for_each(|_| commit());
            cluster.start_member(member);
            commit();
        }
        let load = |store: &dyn Store| {
            let mut records = Vec::new();
            let revision = store.load(&mut |entry| {
                records.push((entry.key.to_vec(), entry.value.to_vec(), entry.revision));
                Ok(())
            });
            (revision.unwrap(), records)
        };
        assert_eq!(load(&reader), load(&store));
    }
}
