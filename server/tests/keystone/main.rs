//! Tokens of a Keystone that is played by a few lines of Rust, faithful in statuses, headers and
//! bodies. `cargo xtask keystone` asks the real one.

#![allow(
    clippy::disallowed_methods,
    reason = "verdicts on tokens end with time, so these tests have to wait"
)]

mod fake;
mod service;

use std::collections::BTreeSet;
use std::future::pending;
use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use berth_server::{AccessPolicy, Auth, Keystone, KeystoneSettings, Secret, ServiceOptions, TrustedProxies};
use fake::{FakeKeystone, PASSWORD, PATIENCE};
use service::Berth;

/// Waits until a condition holds.
fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "the condition does not hold in time");
        thread::sleep(Duration::from_millis(20));
    }
}

fn settings(keystone: &FakeKeystone) -> KeystoneSettings {
    KeystoneSettings {
        auth_url: keystone.url(),
        www_authenticate_uri: Some("https://identity.example".to_owned()),
        username: "placement".to_owned(),
        password: Secret(PASSWORD.to_owned()),
        user_domain_name: "Default".to_owned(),
        project_name: "service".to_owned(),
        project_domain_name: "Default".to_owned(),
        ca_certificates: None,
        cache_time: Duration::from_secs(60),
        cache_entries: NonZeroUsize::new(100).unwrap(),
        timeout: Duration::from_secs(5),
    }
}

fn berth(settings: &KeystoneSettings) -> Berth {
    Berth::start(Auth::Keystone(Arc::new(Keystone::new(settings).unwrap())), AccessPolicy::secure())
}

#[test]
fn roles_and_scopes_decide() {
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    let project = r#""project": {"id": "p", "name": "work", "domain": {"id": "default", "name": "Default"}}"#;
    for (token, roles, scope, lists, uses) in [
        ("an-admin", "admin,member,reader", project, 200, 200),
        ("a-service", "service", project, 200, 200),
        ("a-reader", "reader", project, 403, 200),
        ("a-member", "member", project, 403, 403),
        ("unscoped", "", "", 403, 403),
        ("of-the-system", "admin", r#""system": {"all": true}"#, 403, 403),
        ("of-a-domain", "admin", r#""domain": {"id": "d", "name": "D"}"#, 403, 403),
    ] {
        keystone.issue(token, roles, scope, Duration::from_secs(3600));
        assert_eq!(berth.status("/resource_providers", token), lists, "{token} lists providers");
        assert_eq!(berth.status("/usages?project_id=p", token), uses, "{token} asks for usages");
    }
    assert_eq!(berth.status("/usages?project_id=q", "a-reader"), 403, "another project");
}

#[test]
fn who_has_no_good_token_is_sent_to_keystone() {
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    for token in [None, Some(""), Some("nobody's")] {
        let answer = berth.get("/traits", token);
        assert_eq!(answer.status, 401, "{token:?}");
        assert_eq!(answer.challenge.as_deref(), Some("Keystone uri=\"https://identity.example\""));
    }
    assert_eq!(berth.get("/", None).status, 200, "versions need no token");
    assert_eq!(keystone.validations(), 1, "only the third is a token");
    assert_eq!(berth.get("/traits", Some("nobody's")).status, 401);
    assert_eq!(keystone.validations(), 1, "that it is no token is remembered");
}

#[test]
fn a_token_is_believed_no_longer_than_it_lives() {
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    let life = Duration::from_secs(3);
    keystone.issue("short", "admin", fake::PROJECT, life);
    let issued = Instant::now();
    let status = berth.status("/traits", "short");
    assert!(status == 200 || issued.elapsed() >= life, "{status}");
    until(|| berth.status("/traits", "short") == 401);
    assert!(issued.elapsed() >= life);
    keystone.issue("gone", "admin", fake::PROJECT, Duration::ZERO);
    assert_eq!(berth.status("/traits", "gone"), 401, "even if Keystone did not notice");
}

#[test]
fn a_revoked_token_is_believed_until_it_is_asked_about_again() {
    let keystone = FakeKeystone::start();
    let cache_time = Duration::from_secs(2);
    let berth = berth(&KeystoneSettings { cache_time, ..settings(&keystone) });
    keystone.issue("token", "admin", fake::PROJECT, Duration::from_secs(3600));
    let asked = Instant::now();
    assert_eq!(berth.status("/traits", "token"), 200);
    keystone.revoke("token");
    let status = berth.status("/traits", "token");
    assert!(status == 200 || asked.elapsed() >= cache_time, "{status}");
    until(|| berth.status("/traits", "token") == 401);
    assert!(asked.elapsed() >= cache_time);
}

#[test]
fn a_flood_of_one_token_is_one_question() {
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    keystone.issue("token", "admin", fake::PROJECT, Duration::from_secs(3600));
    keystone.hold("token");
    let statuses: BTreeSet<u16> = thread::scope(|scope| {
        let requests: Vec<_> = (0..40).map(|_| scope.spawn(|| berth.status("/traits", "token"))).collect();
        keystone.until_under_way(1);
        keystone.release();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200].into());
    assert_eq!(keystone.validations(), 1);
    let metrics = berth.get("/metrics", None).body;
    assert!(metrics.contains("berth_keystone_validations_total{outcome=\"valid\"} 1\n"), "{metrics}");
}

#[test]
fn without_keystone_known_tokens_are_good_and_others_wait() {
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    keystone.issue("known", "admin", fake::PROJECT, Duration::from_secs(3600));
    keystone.issue("new", "admin", fake::PROJECT, Duration::from_secs(3600));
    assert_eq!(berth.status("/traits", "known"), 200);
    keystone.fail(true);
    assert_eq!(berth.status("/traits", "known"), 200);
    assert_eq!(berth.status("/traits", "new"), 503);
    keystone.fail(false);
    let mut status = 503;
    until(|| {
        status = berth.status("/traits", "new");
        status != 503
    });
    assert_eq!(status, 200, "it is asked again");
}

/// Keystone may lock a user whose password is wrong too often.
#[test]
fn a_wrong_password_is_tried_once_in_a_while() {
    let keystone = FakeKeystone::start();
    let wrong = berth(&KeystoneSettings { password: Secret("wrong".to_owned()), ..settings(&keystone) });
    let start = Instant::now();
    for number in 0..20 {
        assert_eq!(wrong.status("/traits", &format!("token-{number}")), 503);
    }
    let attempts = keystone.attempts() as u64;
    assert!((1..=1 + start.elapsed().as_secs()).contains(&attempts), "{attempts}");
}

/// Clients that go away leave their questions behind: Keystone is spared all the same.
#[test]
fn keystone_is_asked_few_questions_at_a_time() {
    /// Those about tokens from one address.
    const QUESTIONS: usize = 12;
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    for number in 0..40 {
        keystone.issue(&format!("token-{number}"), "admin", fake::PROJECT, Duration::from_secs(3600));
    }
    assert_eq!(berth.status("/traits", "token-0"), 200);
    keystone.hold("token-");
    let impatient: Vec<_> = (1..20).map(|number| berth.send("/traits", &format!("token-{number}"))).collect();
    keystone.until_under_way(QUESTIONS);
    drop(impatient);
    let patient: Vec<_> = (20..40).map(|number| berth.send("/traits", &format!("token-{number}"))).collect();
    // The service has read the requests before this one.
    assert_eq!(berth.status("/traits", "token-0"), 200);
    assert_eq!(keystone.most_at_once(), QUESTIONS);
    keystone.release();
    for stream in patient {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    }
}

/// A request that waits for its turn to ask Keystone waits no longer than Keystone's timeout.
#[test]
fn no_request_waits_longer_than_the_timeout() {
    const REQUESTS: usize = 80;
    let keystone = FakeKeystone::start();
    let berth = berth(&KeystoneSettings { timeout: Duration::from_secs(2), ..settings(&keystone) });
    keystone.issue("token", "admin", fake::PROJECT, Duration::from_secs(3600));
    assert_eq!(berth.status("/traits", "token"), 200);
    keystone.hold("slow-");
    thread::scope(|scope| {
        for number in 0..REQUESTS {
            let berth = &berth;
            scope.spawn(move || assert_eq!(berth.status("/traits", &format!("slow-{number}")), 503));
        }
    });
    // If those that wait for a turn had no timeout, all of them would ask in the end.
    assert!(keystone.begun() < 1 + REQUESTS, "{}", keystone.begun());
}

#[test]
fn a_service_user_that_keystone_refuses_is_no_fault_of_the_client() {
    let keystone = FakeKeystone::start();
    keystone.issue("token", "admin", fake::PROJECT, Duration::from_secs(3600));
    let wrong = berth(&KeystoneSettings { password: Secret("wrong".to_owned()), ..settings(&keystone) });
    assert_eq!(wrong.status("/traits", "token"), 503);
    let nowhere =
        berth(&KeystoneSettings { auth_url: "http://127.0.0.1:9".to_owned(), ..settings(&keystone) });
    assert_eq!(nowhere.status("/traits", "token"), 503);
}

/// Keystone may forget tokens before they expire, as when its keys are rotated.
#[test]
fn berth_gets_itself_a_new_token() {
    let keystone = FakeKeystone::start();
    let berth = berth(&settings(&keystone));
    for token in ["one", "two"] {
        keystone.issue(token, "admin", fake::PROJECT, Duration::from_secs(3600));
        assert_eq!(berth.status("/traits", token), 200);
        keystone.forget_service_tokens();
    }
    assert_eq!(keystone.logins(), 2);
}

#[test]
fn settings_that_cannot_be_are_named() {
    let keystone = FakeKeystone::start();
    let good = settings(&keystone);
    let setting = |settings: KeystoneSettings| Keystone::new(&settings).expect_err("it cannot be").setting;
    assert_eq!(
        setting(KeystoneSettings { auth_url: "keystone:5000".to_owned(), ..good.clone() }),
        "auth_url"
    );
    assert_eq!(setting(KeystoneSettings { password: Secret(String::new()), ..good.clone() }), "password");
    let no_certificate = Some("-----BEGIN NOTHING-----".to_owned());
    assert_eq!(setting(KeystoneSettings { ca_certificates: no_certificate, ..good.clone() }), "ca_file");
    assert!(!format!("{good:?}").contains(PASSWORD));
}

/// A thousand unknown tokens from one address delay neither known nor new valid tokens from another
/// one.
#[test]
fn unknown_tokens_of_one_address_delay_no_other_client() {
    let keystone = FakeKeystone::start();
    let auth = Arc::new(Auth::Keystone(Arc::new(
        Keystone::new(&KeystoneSettings {
            cache_entries: NonZeroUsize::new(10_000).unwrap(),
            timeout: PATIENCE,
            ..settings(&keystone)
        })
        .unwrap(),
    )));
    for number in 0..20 {
        keystone.issue(&format!("good-{number}"), "admin", fake::PROJECT, Duration::from_secs(3600));
    }
    let headers =
        |token: &str| HeaderMap::from_iter([("x-auth-token".parse().unwrap(), token.parse().unwrap())]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        auth.identify(&headers("good-0"), "192.0.2.1", pending()).await.unwrap();
        keystone.hold("unknown-");
        let flood: Vec<_> = (0..1_000)
            .map(|number| {
                let (auth, headers) = (Arc::clone(&auth), headers(&format!("unknown-{number}")));
                tokio::spawn(async move { auth.identify(&headers, "198.51.100.1", pending()).await })
            })
            .collect();
        tokio::task::block_in_place(|| keystone.until_under_way(12));
        // Keystone answers no question of the flood, so a client that waits for one waits until the
        // timeout.
        for number in 0..20 {
            auth.identify(&headers("good-0"), "192.0.2.1", pending()).await.unwrap();
            auth.identify(&headers(&format!("good-{number}")), "192.0.2.1", pending()).await.unwrap();
        }
        assert!(flood.iter().all(|unanswered| !unanswered.is_finished()));
        flood.iter().for_each(tokio::task::JoinHandle::abort);
        keystone.release();
    });
}

/// Behind a proxy, all clients have one address: a new valid token waited for all unknown ones
/// before it, 8 s for 100 of them.
#[test]
fn a_new_token_need_not_wait_for_all_unknown_ones_of_its_address() {
    const FLOOD: usize = 200;
    let keystone = FakeKeystone::start();
    let settings = KeystoneSettings {
        cache_entries: NonZeroUsize::new(10_000).unwrap(),
        timeout: PATIENCE,
        ..settings(&keystone)
    };
    let auth = Arc::new(Auth::Keystone(Arc::new(Keystone::new(&settings).unwrap())));
    keystone.issue("good", "admin", fake::PROJECT, Duration::from_secs(3600));
    let identify = |token: String| {
        let auth = Arc::clone(&auth);
        let headers = HeaderMap::from_iter([("x-auth-token".parse().unwrap(), token.parse().unwrap())]);
        async move { auth.identify(&headers, "192.0.2.1", pending()).await }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        keystone.hold("unknown-");
        let flood: Vec<_> =
            (0..FLOOD).map(|number| tokio::spawn(identify(format!("unknown-{number}")))).collect();
        tokio::task::block_in_place(|| keystone.until_under_way(12));
        // Its turn comes with the first answer, although the flood goes on.
        let mut good = Box::pin(identify("good".to_owned()));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut good).await.is_err());
        keystone.release();
        good.await.unwrap();
        let begun = keystone.begun();
        assert!(begun < FLOOD / 2, "{begun} of {FLOOD} questions were asked before");
        flood.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

/// A flood of new unknown tokens that does not wait for answers starved new valid tokens of the
/// same address: four of six got no answer in time at 15 tokens a second, since a valid one that
/// was not the latest for a moment came last. Keystone answers here in its time, however many ask.
#[test]
fn a_flood_that_does_not_wait_starves_no_new_token_of_its_address() {
    const TIME_OF_KEYSTONE: Duration = Duration::from_millis(250);
    const CLIENTS_GIVE_UP: Duration = Duration::from_secs(1);
    for a_second in [150, 800] {
        let keystone = FakeKeystone::start();
        let settings = KeystoneSettings {
            cache_entries: NonZeroUsize::new(10_000).unwrap(),
            timeout: Duration::from_secs(10),
            ..settings(&keystone)
        };
        let auth = Arc::new(Auth::Keystone(Arc::new(Keystone::new(&settings).unwrap())));
        for number in 0..12 {
            keystone.issue(&format!("good-{number}"), "admin", fake::PROJECT, Duration::from_secs(3600));
        }
        let identify = |token: String| {
            let auth = Arc::clone(&auth);
            let headers = HeaderMap::from_iter([("x-auth-token".parse().unwrap(), token.parse().unwrap())]);
            async move { auth.identify(&headers, "192.0.2.1", pending()).await }
        };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            keystone.take(TIME_OF_KEYSTONE);
            identify("good-0".to_owned()).await.unwrap();
            let mut tick = tokio::time::interval(Duration::from_secs(1) / a_second);
            let mut good: Vec<_> = Vec::new();
            for number in 0..a_second * 4 {
                tick.tick().await;
                let unknown = identify(format!("unknown-{number}"));
                tokio::spawn(tokio::time::timeout(CLIENTS_GIVE_UP, unknown));
                if number % (a_second / 3) == a_second / 3 - 1 && good.len() < 11 {
                    let valid = identify(format!("good-{}", good.len() + 1));
                    let start = Instant::now();
                    good.push(tokio::spawn(async move { valid.await.map(|_| start.elapsed()) }));
                }
            }
            let mut waits = Vec::new();
            for valid in good {
                waits.push(valid.await.unwrap());
            }
            assert!(waits.len() == 11 && waits.iter().all(Result::is_ok), "{a_second}: {waits:?}");
        });
    }
}

/// Clients of a proxy had one address, so the unknown tokens of one delayed the new ones of all.
#[test]
fn clients_of_a_trusted_proxy_have_addresses_of_their_own() {
    let keystone = FakeKeystone::start();
    let auth = Auth::Keystone(Arc::new(Keystone::new(&settings(&keystone)).unwrap()));
    let trusted_proxies = TrustedProxies::new(&["127.0.0.0/8".to_owned()]).unwrap();
    let berth = Berth::with(ServiceOptions { auth, trusted_proxies, ..ServiceOptions::noauth2() });
    for token in ["first", "good"] {
        keystone.issue(token, "admin", fake::PROJECT, Duration::from_secs(3600));
    }
    assert_eq!(berth.status_for("first", "192.0.2.7"), 200);
    keystone.hold("unknown-");
    let flood: Vec<_> =
        (0..34).map(|number| berth.send_for(&format!("unknown-{number}"), "198.51.100.9")).collect();
    keystone.until_under_way(12);
    assert_eq!(berth.status_for("good", "192.0.2.7"), 200);
    drop(flood);
    keystone.release();
}
