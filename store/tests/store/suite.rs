//! What every store has to do. A store runs all of it by `run`.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;

use berth_store::{Changes, Committed, Revision, Store};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Revision)>;

/// Runs the suite on stores that `new` makes, and that are opened again by `reopen` if that is more
/// than nothing.
pub(crate) fn run<S: Store>(new: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    an_empty_store_has_nothing(&new());
    records_come_in_order_of_key(&new());
    watchers_receive_every_commit(&new());
    what_is_no_longer_kept_is_said(&new());
    a_slow_watcher_is_let_go(&new());
    commits_of_many_threads_have_one_order(&new());
    it_does_what_a_map_does(&new, &reopen);
}

fn contents(store: &impl Store) -> (Contents, Revision) {
    let mut contents = Contents::new();
    let mut last = None;
    let revision = store.load(&mut |entry| {
        assert!(last.as_deref() < Some(entry.key), "in order of key");
        last = Some(entry.key.to_vec());
        contents.insert(entry.key.to_vec(), (entry.value.to_vec(), entry.revision));
        Ok(())
    });
    (contents, revision.unwrap())
}

fn put(key: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.into(), Some(value.into()))
}

fn gone(key: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.into(), None)
}

fn commit<const N: usize>(store: &impl Store, changes: [(Vec<u8>, Option<Vec<u8>>); N]) -> Revision {
    store.commit(changes.into()).unwrap()
}

fn an_empty_store_has_nothing(store: &impl Store) {
    assert_eq!(contents(store), (Contents::new(), Revision(0)));
    assert!(matches!(store.watch(Revision(0)).unwrap().try_recv(), Err(TryRecvError::Empty)));
}

fn records_come_in_order_of_key(store: &impl Store) {
    assert_eq!(
        commit(store, [put("b", "1"), put("", "2"), put("a\0", "3"), gone("never there")]),
        Revision(1)
    );
    assert_eq!(commit(store, [put("a", ""), put("b", "4")]), Revision(2));
    assert_eq!(commit(store, [gone("a\0")]), Revision(3));
    assert_eq!(commit(store, []), Revision(4));
    let (first, second) = (Revision(1), Revision(2));
    let expected = [("", "2", first), ("a", "", second), ("b", "4", second)];
    let expected = expected.map(|(key, value, revision)| (key.into(), (value.into(), revision)));
    assert_eq!(contents(store), (expected.into(), Revision(4)));
    let refused = store.load(&mut |entry| if entry.key == b"a" { Err("enough".into()) } else { Ok(()) });
    assert_eq!(refused.unwrap_err().to_string(), "enough");
}

fn drain(receiver: &Receiver<Committed>) -> Vec<Committed> {
    receiver.try_iter().collect()
}

fn watchers_receive_every_commit(store: &impl Store) {
    let early = store.watch(Revision(0)).unwrap();
    commit(store, [put("a", "1")]);
    let between = store.watch(Revision(1)).unwrap();
    let all = store.watch(Revision(0)).unwrap();
    commit(store, [gone("a"), put("b", "2")]);
    let second =
        Committed { revision: Revision(2), changes: Changes::from([gone("a"), put("b", "2")]).into() };
    let (early, all) = (drain(&early), drain(&all));
    assert_eq!(early, all);
    assert_eq!(early.iter().map(|committed| committed.revision.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(drain(&between), [second]);
}

fn what_is_no_longer_kept_is_said(store: &impl Store) {
    for _ in 0..20 {
        let keys = (0..5000).map(|key: u32| (key.to_be_bytes().to_vec(), Some(b"value".to_vec())));
        store.commit(keys.collect()).unwrap();
    }
    let oldest = store.watch(Revision(0)).unwrap_err().oldest;
    assert!(oldest > Revision(1) && oldest <= Revision(21), "{oldest:?}");
    let rest = drain(&store.watch(Revision(oldest.0 - 1)).unwrap());
    assert_eq!(rest.first().map_or(oldest, |committed| committed.revision), oldest);
    assert_eq!(oldest.0 + rest.len() as u64, 21);
}

fn a_slow_watcher_is_let_go(store: &impl Store) {
    let slow = store.watch(Revision(0)).unwrap();
    for _ in 0..1100 {
        commit(store, []);
    }
    let quick = store.watch(Revision(1100)).unwrap();
    commit(store, []);
    assert_eq!(drain(&quick).len(), 1);
    assert!(slow.try_recv().is_ok());
    drain(&slow);
    assert_eq!(slow.try_recv(), Err(TryRecvError::Disconnected));
}

fn commits_of_many_threads_have_one_order(store: &impl Store) {
    let watcher = store.watch(Revision(0)).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for turn in 0..25 {
                    commit(store, [put("shared", &format!("{thread} {turn}"))]);
                }
            });
        }
    });
    let commits = drain(&watcher);
    assert_eq!(
        commits.iter().map(|committed| committed.revision.0).collect::<Vec<_>>(),
        Vec::from_iter(1..=100)
    );
    let last = commits.last().unwrap().changes[&b"shared"[..]].clone().unwrap();
    assert_eq!(contents(store).0[&b"shared"[..]], (last, Revision(100)));
}

/// Commits at random, with a look at everything and a reopening now and then.
fn it_does_what_a_map_does<S: Store>(new: &impl Fn() -> S, reopen: &impl Fn(S) -> S) {
    let key = || proptest::collection::vec(0..3_u8, 0..3);
    let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
    let changes = proptest::collection::btree_map(key(), value, 0..6);
    let turns = proptest::collection::vec((changes, any::<bool>()), 1..12);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    runner
        .run(&turns, |turns| {
            let (mut store, mut model, mut revision) = (new(), Contents::new(), Revision(0));
            for (changes, again) in turns {
                revision.0 += 1;
                prop_assert_eq!(store.commit(changes.clone()).unwrap(), revision);
                for (key, value) in changes {
                    match value {
                        Some(value) => drop(model.insert(key, (value, revision))),
                        None => drop(model.remove(&key)),
                    }
                }
                if again {
                    store = reopen(store);
                }
                prop_assert_eq!(contents(&store), (model.clone(), revision));
            }
            Ok(())
        })
        .unwrap();
}
