//! The client against clusters of real members that are killed, stopped, compacted and filled.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use berth_etcd::{
    EtcdAlarm, EtcdClient, EtcdCredentials, EtcdError, EtcdOptions, KeyEvent, KeyRange, KeyWatch,
    Transaction, WatchError,
};
use berth_test_support::etcd::{EtcdCluster, programs};

/// Long enough for a slow machine; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(members: Vec<String>) -> EtcdOptions {
    let (timeout, attempt_timeout) = (PATIENCE, Duration::from_secs(1));
    EtcdOptions { members, tls: None, credentials: None, timeout, attempt_timeout }
}

fn client(cluster: &EtcdCluster) -> EtcdClient {
    EtcdClient::new(options(cluster.addresses())).unwrap()
}

/// Runs a test with each program that is installed.
fn each(count: usize, arguments: &[&str], test: impl AsyncFn(EtcdCluster)) {
    for program in programs() {
        eprintln!("{}", program.display());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let cluster = EtcdCluster::start(Path::new(&program), count, arguments);
        runtime.block_on(async {
            let in_time = tokio::time::timeout(2 * PATIENCE, test(cluster)).await;
            in_time.expect("the test ends in time");
        });
    }
}

fn key(number: u32) -> String {
    format!("a/{number:04}")
}

/// Puts a key, perhaps more than once: a member that has just started may be slow to answer.
async fn put(client: &EtcdClient, key: &str, value: &str) -> i64 {
    let put = Transaction::default().put(key.to_owned(), value.to_owned());
    loop {
        match client.transact(&put).await {
            Ok(outcome) => return outcome.revision,
            Err(error) => assert!(error.is_unknown(), "{key}: {error}"),
        }
    }
}

/// Puts a key that does not exist yet, however often it takes.
async fn put_once(client: &EtcdClient, key: &str, value: &str) {
    let put = Transaction::default().if_absent(key.to_owned()).put(key.to_owned(), value.to_owned());
    let put = put.otherwise_get(key.to_owned());
    loop {
        match client.transact(&put).await {
            Ok(outcome) if outcome.succeeded => return,
            Ok(outcome) => {
                let found = outcome.found[0].as_ref().expect("the condition failed, so the key exists");
                assert_eq!(found.value, value, "{key}");
                return;
            }
            Err(error) => assert!(error.is_unknown(), "{key}: {error}"),
        }
    }
}

/// Watches until the key with this number was put; returns the values in the order of their events.
async fn watched(watch: &mut KeyWatch, last: u32) -> Vec<String> {
    let mut values = Vec::new();
    loop {
        for event in watch.next().await.unwrap() {
            let KeyEvent::Put(entry) = event else { panic!("{event:?}") };
            values.push(String::from_utf8(entry.value.to_vec()).unwrap());
            if entry.key == key(last) {
                return values;
            }
        }
    }
}

#[test]
fn pages_are_all_of_one_revision() {
    each(1, &[], async |cluster| {
        let client = client(&cluster);
        for number in 0..25 {
            put(&client, &key(number), "old").await;
        }
        put(&client, "b", "outside").await;
        let mut pages = client.pages(KeyRange::prefix(b"a/"), 10);
        let mut values = BTreeMap::new();
        while let Some(page) = pages.next().await.unwrap() {
            assert!(page.len() <= 10);
            values.extend(page.into_iter().map(|entry| (entry.key, entry.value)));
            // Later pages do not show what was written after the first one.
            put(&client, &key(24), "new").await;
            put(&client, &key(30), "new").await;
        }
        assert_eq!(values.len(), 25);
        assert!(values.values().all(|value| value == "old"));
        let again = client.pages_at(KeyRange::prefix(b"a/"), 100, pages.revision()).next().await.unwrap();
        assert_eq!(again.unwrap().len(), 25);
        let keys = client.keys_at(KeyRange::prefix(b"a/"), 100, pages.revision()).next().await.unwrap();
        assert!(keys.unwrap().iter().all(|entry| entry.value.is_empty()));
        let none = client.pages(KeyRange::prefix(b"c/"), 10).next().await.unwrap();
        assert_eq!(none, None);
    });
}

#[test]
fn a_transaction_happens_if_its_conditions_hold() {
    each(1, &[], async |cluster| {
        let client = client(&cluster);
        let created = put(&client, "fence", "1").await;
        let fenced = |revision| {
            let transaction = Transaction::default().if_created_at("fence", revision);
            transaction.put("x", "1").otherwise_get("fence").otherwise_get("x")
        };
        let outcome = client.transact(&fenced(created)).await.unwrap();
        assert!(outcome.succeeded && outcome.found.is_empty() && outcome.revision > created);
        client.transact(&Transaction::default().delete(KeyRange::key("fence"))).await.unwrap();
        put(&client, "fence", "2").await;
        client.transact(&Transaction::default().delete(KeyRange::prefix(b"x"))).await.unwrap();
        let outcome = client.transact(&fenced(created)).await.unwrap();
        assert!(!outcome.succeeded, "the fence was deleted and created again");
        let [fence, x] = &outcome.found[..] else { panic!("{outcome:?}") };
        assert_eq!((&fence.as_ref().unwrap().value[..], x), (&b"2"[..], &None));
        let (x, revision) = client.get("x").await.unwrap();
        assert!(x.is_none() && revision > created);
        let twice = Transaction::default().put("x", "1").put("x", "2");
        let error = client.transact(&twice).await.unwrap_err();
        assert!(matches!(&error, EtcdError::Refused(words) if words.contains("duplicate key")), "{error}");
    });
}

#[test]
fn a_lease_is_kept_and_its_keys_end_with_it() {
    each(1, &[], async |cluster| {
        let client = client(&cluster);
        let mut lease = client.lease(Duration::from_secs(2)).await.unwrap();
        let leased = Transaction::default().put_leased("leased", "1", lease.id());
        let revision = client.transact(&leased).await.unwrap().revision;
        // Longer than the lease: it is renewed.
        let outlived = tokio::time::timeout(Duration::from_secs(6), lease.ended()).await;
        assert!(outlived.is_err() && lease.view().is_held() && !lease.view().has_ended());
        assert!(client.get("leased").await.unwrap().0.is_some());
        let mut watch = client.watch(KeyRange::key("leased"), revision + 1);
        // A lease that is dropped without being revoked ends by itself.
        drop(lease);
        let events = watch.next().await.unwrap();
        assert!(matches!(&events[..], [KeyEvent::Deleted { key, .. }] if key == "leased"), "{events:?}");
        let lease = client.lease(Duration::from_secs(60)).await.unwrap();
        client.transact(&Transaction::default().put_leased("leased", "2", lease.id())).await.unwrap();
        let view = lease.view();
        lease.revoke().await.unwrap();
        assert!(view.is_held(), "a view knows what was granted, and not that it was revoked");
        assert_eq!(client.get("leased").await.unwrap().0, None);
    });
}

/// Every member is killed or stopped in turn while keys are written and watched.
#[test]
fn calls_and_watches_survive_each_member() {
    each(3, &[], async |mut cluster| {
        let client = client(&cluster);
        put_once(&client, &key(0), "0").await;
        let mut watch = client.watch(KeyRange::prefix(b"a/"), 1);
        let mut number = 0;
        let mut seen = watched(&mut watch, 0).await;
        for member in 0..3 {
            for kill in [false, true] {
                if kill {
                    cluster.kill(member);
                } else {
                    cluster.pause(member);
                }
                for _ in 0..10 {
                    number += 1;
                    put_once(&client, &key(number), &number.to_string()).await;
                }
                seen.extend(watched(&mut watch, number).await);
                if kill {
                    cluster.start_member(member);
                } else {
                    cluster.resume(member);
                }
                number += 1;
                put_once(&client, &key(number), &number.to_string()).await;
                seen.extend(watched(&mut watch, number).await);
                while client.statuses().await.iter().any(|(_, status)| status.is_err()) {}
            }
        }
        let expected: Vec<String> = (0..=number).map(|number| number.to_string()).collect();
        assert_eq!(seen, expected, "every change once, in order");
    });
}

#[test]
fn a_transaction_at_a_stopped_member_has_an_unknown_outcome() {
    each(1, &[], async |cluster| {
        let short = Duration::from_millis(500);
        let options = EtcdOptions { attempt_timeout: short, ..options(cluster.addresses()) };
        let client = EtcdClient::new(options).unwrap();
        put(&client, "before", "").await;
        cluster.pause(0);
        let once = Transaction::default().if_absent("x").put("x", "1").otherwise_get("x");
        let error = client.transact(&once).await.unwrap_err();
        assert!(error.is_unknown(), "{error}");
        cluster.resume(0);
        // It has not happened yet, or it has: its condition decides, not the client.
        put_once(&client, "x", "1").await;
        assert_eq!(client.get("x").await.unwrap().0.unwrap().value, "1");
    });
}

#[test]
fn a_member_that_does_not_run_has_changed_nothing() {
    each(1, &[], async |mut cluster| {
        let options = EtcdOptions { timeout: Duration::from_millis(700), ..options(cluster.addresses()) };
        put(&client(&cluster), "before", "").await;
        cluster.kill(0);
        let client = EtcdClient::new(options).unwrap();
        let error = client.transact(&Transaction::default().put("x", "1")).await.unwrap_err();
        assert!(matches!(&error, EtcdError::Unavailable(words) if words.contains("refused")), "{error}");
    });
}

#[test]
fn what_is_compacted_is_said() {
    each(1, &[], async |cluster| {
        let client = client(&cluster);
        let mut revisions = Vec::new();
        for number in 0..10 {
            revisions.push(put(&client, &key(0), &number.to_string()).await);
        }
        client.compact(revisions[5]).await.unwrap();
        client.compact(revisions[5]).await.unwrap();
        let compacted = client.pages_at(KeyRange::prefix(b"a/"), 10, revisions[2]).next().await;
        assert_eq!(compacted, Err(EtcdError::Compacted));
        let compacted = client.watch(KeyRange::prefix(b"a/"), revisions[2]).next().await.unwrap_err();
        let WatchError::Compacted { oldest } = compacted else { panic!("{compacted}") };
        assert!(oldest > revisions[2] && oldest <= revisions[5] + 1, "{oldest}: {revisions:?}");
        let mut rest = client.watch(KeyRange::prefix(b"a/"), revisions[5] + 1);
        let mut values = 0;
        while values < 4 {
            values += rest.next().await.unwrap().len();
        }
        assert!(client.compact(revisions[9] + 1000).await.is_err());
    });
}

#[test]
fn members_state_their_version_and_size() {
    each(3, &[], async |mut cluster| {
        let client = client(&cluster);
        put(&client, "x", "1").await;
        // A member that joined late may not know its leader yet.
        let statuses = loop {
            let statuses = client.statuses().await;
            let is_leader = |status: &Result<berth_etcd::MemberStatus, _>| {
                status.as_ref().is_ok_and(|status| status.is_leader)
            };
            if statuses.iter().all(|(_, status)| status.is_ok())
                && statuses.iter().filter(|(_, status)| is_leader(status)).count() == 1
            {
                break statuses;
            }
        };
        for (address, status) in statuses {
            let status = status.unwrap();
            assert_eq!(status.address, address);
            assert!(status.database_bytes >= status.database_bytes_in_use && status.database_bytes > 0);
            assert!(status.version.known_bug().is_some(), "{}: tested with old versions", status.version);
        }
        client.defragment(1).await.unwrap();
        cluster.kill(2);
        let statuses = client.statuses().await;
        assert!(statuses[2].1.is_err() && statuses[0].1.is_ok() && statuses[1].1.is_ok());
    });
}

#[test]
fn a_full_database_is_named() {
    each(1, &["--quota-backend-bytes", "4000000"], async |cluster| {
        let client = client(&cluster);
        let value = "x".repeat(200_000);
        let mut number = 0;
        let error = loop {
            let put = Transaction::default().put(key(number), value.clone());
            match client.transact(&put).await {
                Ok(_) => number += 1,
                Err(error) if error.is_unknown() => {}
                Err(error) => break error,
            }
            assert!(number < 1000, "the quota is 4 MB");
        };
        assert_eq!(error, EtcdError::NoSpace);
        assert_eq!(client.alarms().await.unwrap(), [EtcdAlarm::NoSpace]);
        assert!(client.get(key(0)).await.unwrap().0.is_some(), "it can still be read");
    });
}

#[test]
fn a_user_reaches_its_own_prefix() {
    each(1, &[], async |cluster| {
        put(&client(&cluster), "other/x", "1").await;
        // "fleet/" to "fleet0", in base64 as the gateway wants it.
        let (begin, end) = ("ZmxlZXQv", "ZmxlZXQw");
        for (path, body) in [
            ("user/add", r#"{"name": "root", "password": "r"}"#.to_owned()),
            ("user/add", r#"{"name": "berth", "password": "secret"}"#.to_owned()),
            ("role/add", r#"{"name": "root"}"#.to_owned()),
            ("role/add", r#"{"name": "fleet"}"#.to_owned()),
            ("user/grant", r#"{"user": "root", "role": "root"}"#.to_owned()),
            ("user/grant", r#"{"user": "berth", "role": "fleet"}"#.to_owned()),
            (
                "role/grant",
                format!(
                    r#"{{"name": "fleet", "perm": {{"permType": "READWRITE", "key": "{begin}", "range_end": "{end}"}}}}"#
                ),
            ),
            ("enable", "{}".to_owned()),
        ] {
            cluster.gateway(0, &format!("/v3/auth/{path}"), &body);
        }
        let as_user = |password: &str| {
            let credentials = EtcdCredentials { user: "berth".to_owned(), password: password.to_owned() };
            let options = EtcdOptions { credentials: Some(credentials), ..options(cluster.addresses()) };
            EtcdClient::new(options).unwrap()
        };
        let user = as_user("secret");
        let revision = put(&user, "fleet/x", "1").await;
        let events = user.watch(KeyRange::prefix(b"fleet/"), revision).next().await.unwrap();
        assert_eq!(events.len(), 1);
        let refused = |error: EtcdError, words: &str| {
            assert!(matches!(&error, EtcdError::Refused(found) if found.contains(words)), "{error}");
        };
        refused(user.get("other/x").await.unwrap_err(), "permission denied");
        let write = Transaction::default().put("other/x", "2");
        refused(user.transact(&write).await.unwrap_err(), "permission denied");
        refused(as_user("wrong").get("fleet/x").await.unwrap_err(), "authentication failed");
        assert!(client(&cluster).get("fleet/x").await.is_err(), "without credentials");
        let debug = format!("{user:?}");
        assert!(debug.contains("berth") && !debug.contains("secret"), "{debug}");
    });
}
