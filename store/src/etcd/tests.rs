//! What only the keys in etcd show.

use std::path::Path;

use berth_etcd::{EtcdOptions, KeyRange, Transaction};
use berth_test_support::etcd::{EtcdCluster, programs};

use super::layout::{Change, Part};
use super::*;

/// Runs a test with each program that is installed.
fn each(test: impl Fn(&EtcdStoreOptions)) {
    for program in programs() {
        eprintln!("{}", program.display());
        let cluster = EtcdCluster::start(Path::new(&program), 1, &[]);
        let etcd = EtcdOptions {
            members: cluster.addresses(),
            tls: None,
            credentials: None,
            timeout: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(2),
        };
        test(&EtcdStoreOptions::new(etcd, "fleet", "test"));
    }
}

fn open(options: &EtcdStoreOptions) -> EtcdStore {
    EtcdStore::open(options).unwrap()
}

fn change(key: &str, value: &str) -> Changes {
    Changes::from([(key.into(), Some(value.into()))])
}

fn keys(store: &EtcdStore, range: KeyRange) -> Vec<String> {
    store.runtime().block_on(async {
        let (mut keys, mut pages) = (Vec::new(), store.client.pages(range, 100));
        while let Some(page) = pages.next().await.unwrap() {
            keys.extend(page.iter().map(|entry| String::from_utf8(entry.key.to_vec()).unwrap()));
        }
        keys
    })
}

fn content(store: &dyn Store) -> Vec<(String, String, u64)> {
    let mut records = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let loaded = store.load(&mut |entry| {
        records.push((text(entry.key), text(entry.value), entry.revision.0));
        Ok(())
    });
    loaded.unwrap();
    records
}

fn transact(store: &EtcdStore, transaction: &Transaction) {
    let outcome = store.runtime().block_on(store.client.transact(transaction));
    assert!(outcome.unwrap().succeeded);
}

/// The lease is a hint, and the key decides: the store does not know yet that it has lost it.
#[test]
fn a_writer_without_its_key_commits_nothing() {
    each(|options| {
        let store = open(options);
        store.commit(change("a", "1")).unwrap();
        transact(&store, &Transaction::default().delete(KeyRange::key(store.layout.writer())));
        assert!(store.tenure().unwrap().is_held());
        store.idle().unwrap();
        let error = store.commit(change("a", "2")).unwrap_err();
        assert!(error.to_string().contains("not the writer any more"), "{error}");
        let error = store.commit(change("a", "3")).unwrap_err();
        assert!(error.to_string().contains("a commit before has failed"), "{error}");
        assert_eq!(content(&store), [("a".to_owned(), "1".to_owned(), 1)]);
        let folded = store.runtime().block_on(fold::fold(&store.client, &store.layout, &store.writer, 100));
        assert!(matches!(folded, Err(EtcdStoreError::NotWriter)), "{folded:?}");
        assert_eq!(keys(&store, store.layout.log()), ["fleet/log/0000000000000001/0000"]);
    });
}

/// A writer that stopped without a word is followed by another one when its lease has ended, and
/// finds out by its next commit.
#[test]
fn another_writer_takes_over_after_the_lease() {
    each(|options| {
        let mut former = open(options);
        former.commit(change("a", "1")).unwrap();
        let tenure = former.tenure().unwrap();
        drop(former.lease.take());
        let impatient = EtcdStoreOptions { patience: Some(Duration::from_millis(100)), ..options.clone() };
        assert!(matches!(EtcdStore::open(&impatient), Err(EtcdStoreError::OtherWriter)));
        let latter = open(options);
        assert!(!tenure.is_held(), "the former writer answers nothing before another one exists");
        assert_eq!(latter.commit(change("a", "2")).unwrap(), Revision(2));
        assert!(former.commit(change("a", "lost")).is_err());
        drop(former);
        assert_eq!(latter.commit(change("b", "3")).unwrap(), Revision(3), "and it goes on");
        let expected = [("a", "2", 2), ("b", "3", 3)];
        assert_eq!(content(&latter), expected.map(|(key, value, at)| (key.into(), value.into(), at)));
    });
}

#[test]
fn an_incomplete_batch_never_happened() {
    each(|options| {
        let store = open(options);
        store.commit(change("a", "1")).unwrap();
        let part = |number, is_last, value: &str| {
            let changes = vec![Change { key: b"a".into(), value: Some(value.into()) }];
            let key = store.layout.part(Revision(2), number);
            let part = Part { fence: store.writer.fence, is_last, changes };
            let value = store.layout.seal(&key, &part);
            transact(&store, &Transaction::default().put(key, value));
        };
        part(0, false, "2");
        let reader = EtcdReader::open(options).unwrap();
        let watcher = reader.watch(Revision(0)).unwrap();
        part(1, false, "3");
        assert_eq!(content(&reader), [("a".to_owned(), "1".to_owned(), 1)]);
        drop(store);
        let store = open(options);
        store.commit(change("b", "4")).unwrap();
        let seen = [watcher.recv().unwrap(), watcher.recv().unwrap()];
        assert_eq!(seen[0].revision, Revision(1));
        assert_eq!((seen[1].revision, &*seen[1].changes), (Revision(2), &change("b", "4")));
        assert_eq!(content(&store).len(), 2);
    });
}

#[test]
fn a_batch_that_is_missing_is_damage() {
    each(|options| {
        let store = open(options);
        for number in 1..=3 {
            store.commit(change("a", &number.to_string())).unwrap();
        }
        let second = KeyRange::key(store.layout.part(Revision(2), 0));
        transact(&store, &Transaction::default().delete(second));
        let error = store.load(&mut |_| Ok(())).unwrap_err().to_string();
        let missing = "fleet/log/0000000000000003/0000 is damaged: fleet/log/0000000000000002/0000, which precedes \
                       it, is missing";
        assert!(error.contains(missing), "{error}");
    });
}

/// Runs are split as they grow and merged as they shrink, and a fold that is repeated changes
/// nothing.
#[test]
fn a_fold_moves_the_log_into_runs() {
    each(|options| {
        let options = EtcdStoreOptions { fold_bytes: u64::MAX, ..options.clone() };
        let store = open(&options);
        let many = |value: Option<&str>, numbers: std::ops::Range<u32>| -> Changes {
            let key = |number| format!("key {number:04}").into_bytes();
            numbers.map(|number| (key(number), value.map(Into::into))).collect()
        };
        let fold = || {
            let before = content(&store);
            let folded = fold::fold(&store.client, &store.layout, &store.writer, 1000);
            store.runtime().block_on(folded).unwrap();
            assert_eq!(content(&store), before);
            assert_eq!(keys(&store, store.layout.log()), [""; 0]);
            keys(&store, store.layout.runs()).len()
        };
        store.commit(many(Some("value"), 0..200)).unwrap();
        let split = fold();
        assert!(split >= 5, "{split}");
        assert_eq!(fold(), split, "there is nothing to fold");
        store.commit(many(Some("other"), 20..30)).unwrap();
        assert_eq!(fold(), split);
        store.commit(many(None, 3..199)).unwrap();
        assert_eq!(fold(), 1);
        assert_eq!(content(&store).len(), 4);
        store.commit(many(None, 0..200)).unwrap();
        assert_eq!(fold(), 1, "the first run stays");
        let reader = EtcdReader::open(&options).unwrap();
        assert_eq!(reader.watch(Revision(3)).unwrap_err().oldest, Revision(5));
        store.commit(change("z", "1")).unwrap();
        assert_eq!(reader.watch(Revision(4)).unwrap().recv().unwrap().revision, Revision(5));
        drop(store);
        assert_eq!(open(&options).commit(Changes::new()).unwrap(), Revision(6));
    });
}

#[test]
fn the_state_of_a_later_release_is_refused_by_name() {
    each(|options| {
        let store = open(options);
        let later =
            layout::Versions { layout: 2, written_by: "9.1".to_owned(), ..layout::Versions::current() };
        let key = store.layout.versions();
        let value = store.layout.seal(&key, &later);
        transact(&store, &Transaction::default().put(key, value));
        drop(store);
        for error in [EtcdStore::open(options).unwrap_err(), EtcdReader::open(options).unwrap_err()] {
            assert!(error.to_string().contains("written by Berth 9.1"), "{error}");
        }
    });
}
