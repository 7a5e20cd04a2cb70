//! Any bytes at each place where the service reads some.
//!
//! Each function panics when the service does, when it answers with an error of its own, or when
//! the index is not whole afterwards. libFuzzer calls them from `fuzz/`, the tests beside this file
//! with mutated examples.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use berth_server::{AccessPolicy, Limits, Microversion, Service, ServiceOptions};
use tokio::runtime::{Builder, Runtime};

const VERSIONS: u8 = 40;
const PROVIDER: &str = "a0000000-0000-4000-8000-000000000000";
const CONSUMER: &str = "/allocations/c0000000-0000-4000-8000-000000000000";

/// Two bytes that choose microversion and route, then a query string.
pub(crate) fn query(data: &[u8]) {
    const PATHS: [&str; 4] = ["/allocation_candidates", "/resource_providers", "/traits", "/usages"];
    let [version, path, query @ ..] = data else { return };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    // What cannot stand in a URL arrives escaped.
    let escaped = query.iter().map(|&byte| match byte {
        b'!'..=b'~' if !b"#\"<>\\^`{|}".contains(&byte) => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    });
    let path = format!("{path}?{}", escaped.collect::<String>());
    // Nothing that is read changes it.
    static FLEET: OnceLock<Arc<Service>> = OnceLock::new();
    send(FLEET.get_or_init(fleet), Method::GET, &path, *version, &[]);
}

/// Two bytes that choose microversion and route, then a body.
pub(crate) fn body(data: &[u8]) {
    let [version, route, body @ ..] = data else { return };
    let provider = |part: &str| format!("/resource_providers/{PROVIDER}{part}");
    let (method, path) = match route % 11 {
        0 => (Method::POST, "/resource_providers".to_owned()),
        1 => (Method::PUT, provider("")),
        2 => (Method::PUT, provider("/inventories")),
        3 => (Method::POST, provider("/inventories")),
        4 => (Method::PUT, provider("/inventories/VCPU")),
        5 => (Method::PUT, provider("/traits")),
        6 => (Method::PUT, provider("/aggregates")),
        7 => (Method::PUT, CONSUMER.to_owned()),
        8 => (Method::POST, "/allocations".to_owned()),
        9 => (Method::POST, "/reshaper".to_owned()),
        _ => (Method::POST, "/resource_classes".to_owned()),
    };
    // What is refused leaves nothing behind; what is taken is for one service only.
    static FLEET: Mutex<Option<Arc<Service>>> = Mutex::new(None);
    let mut kept = FLEET.lock().unwrap_or_else(PoisonError::into_inner);
    let service = kept.take().unwrap_or_else(fleet);
    let status = send(&service, method, &path, *version, body);
    service.index().check().expect("the index is whole");
    if !status.is_success() {
        *kept = Some(service);
    }
}

/// The value of the header that asks for a microversion.
pub(crate) fn microversion(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers = HeaderMap::from_iter([("openstack-api-version".parse().expect("a name"), value)]);
    if let Ok(version) = Microversion::of(&headers) {
        assert!((Microversion::MIN..=Microversion::MAX).contains(&version));
    }
}

/// A policy file.
pub(crate) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(policy) = AccessPolicy::legacy().overridden(text) {
        assert!(policy.rules().count() > 0);
    }
}

/// A service with one provider that has something of everything.
fn fleet() -> Arc<Service> {
    let options = ServiceOptions {
        limits: Limits { candidate_work: 10_000, ..Limits::default() },
        ..ServiceOptions::noauth2()
    };
    let service = Arc::new(Service::new(options));
    let setup: [(Method, &str, String); 3] = [
        (Method::POST, "", format!("{{\"name\":\"p\",\"uuid\":\"{PROVIDER}\"}}")),
        (
            Method::PUT,
            "/inventories",
            "{\"resource_provider_generation\":0,\"inventories\":{\"VCPU\":{\"total\":8},\"DISK_GB\":{\"total\":8}}}".to_owned(),
        ),
        (
            Method::PUT,
            "/traits",
            "{\"resource_provider_generation\":1,\"traits\":[\"HW_CPU_X86_AVX\",\"MISC_SHARES_VIA_AGGREGATE\"]}".to_owned(),
        ),
    ];
    for (method, part, body) in setup {
        let path = if part.is_empty() {
            "/resource_providers".to_owned()
        } else {
            format!("/resource_providers/{PROVIDER}{part}")
        };
        let status = send(&service, method, &path, VERSIONS - 1, body.as_bytes());
        assert_eq!(status, StatusCode::OK);
    }
    service
}

fn send(service: &Arc<Service>, method: Method, path: &str, version: u8, body: &[u8]) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-auth-token", "admin")
        .header("content-type", "application/json")
        .header("openstack-api-version", format!("placement 1.{}", version % VERSIONS))
        .body(Body::from(body.to_vec()))
        .expect("the path is one");
    runtime().block_on(async {
        let answer = service.answer(request).await;
        let status = answer.status();
        let text = to_bytes(answer.into_body(), usize::MAX).await.expect("the body is complete");
        assert!(!status.is_server_error(), "{status}: {text:?}");
        assert!(
            text.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok(),
            "{text:?}"
        );
        status
    })
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("the system can start a thread")
    })
}
