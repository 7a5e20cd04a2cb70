//! Whatever is sent, the server answers with an error or hangs up, changes nothing, and serves the
//! next.

use serde_json::{Value, json};

use crate::client::head;
use crate::server::{Running, holding, inventories, provider, uuid};

/// Texts that are no JSON, or not in the end.
const NO_JSON: [&[u8]; 14] = [
    b"{",
    b"{\"name\": \"a\"",
    b"{\"name\": }",
    b"{\"name\": \"a\"}}",
    b"{'name': 'a'}",
    b"\"",
    b"\xff\xfe\x00",
    b"{\"name\": \"\xc3\x28\"}",
    b"{\"name\": \"\\ud800\"}",
    b"{\"total\": NaN}",
    b"{\"total\": Infinity}",
    b"{\"total\": -Infinity}",
    b"{\"total\": 1e999}",
    b"\xef\xbb\xbf{}",
];

#[test]
fn bodies_that_are_no_json_are_malformed() {
    let server = Running::new();
    let mut client = server.client();
    let path = provider(&mut client, 0, None, &[("VCPU", 1)]);
    let consumer = format!("/allocations/{}", uuid('c', 0));
    let calls = [
        ("POST", "/resource_providers".to_owned()),
        ("PUT", path.clone()),
        ("PUT", format!("{path}/inventories")),
        ("POST", format!("{path}/inventories")),
        ("PUT", format!("{path}/traits")),
        ("PUT", format!("{path}/aggregates")),
        ("PUT", consumer),
        ("POST", "/allocations".to_owned()),
        ("POST", "/reshaper".to_owned()),
        ("POST", "/resource_classes".to_owned()),
    ];
    for (method, path) in &calls {
        for body in NO_JSON {
            let error = client.bytes(method, path, body).error(400);
            assert!(error.starts_with("Malformed JSON: "), "{method} {path}: {error}");
        }
        for body in [json!(null), json!(7), json!("text"), json!(true), json!([7]), json!({ "pony": 1 })] {
            let error = client.send(method, path, &body).error(400);
            assert!(error.starts_with("JSON does not validate: "), "{method} {path}: {error}");
        }
    }
    server.check();
}

#[test]
fn numbers_beyond_every_bound_are_refused_by_name() {
    let server = Running::new();
    let mut client = server.client();
    let path = format!("{}/inventories", provider(&mut client, 0, None, &[("VCPU", 1)]));
    let fields = ["total", "reserved", "min_unit", "max_unit", "step_size"];
    for field in fields {
        for number in ["-1", "2147483648", "1e300", "-1e300", "18446744073709551616", "0.5", "\"1\"", "null"]
        {
            let body = format!(
                "{{\"resource_provider_generation\":1,\"inventories\":{{\"VCPU\":{{\"total\":1,\"{field}\":{number}}}}}}}"
            );
            let error = client.bytes("PUT", &path, body.as_bytes()).error(400);
            assert!(error.contains(&format!("['{field}']")), "{field} {number}: {error}");
        }
    }
    for ratio in ["-1", "0", "1e39", "1e300", "\"2\"", "null", "-0.0", "1e-400"] {
        let body = format!(
            "{{\"resource_provider_generation\":1,\"inventories\":{{\"VCPU\":{{\"total\":1,\"allocation_ratio\":{ratio}}}}}}}"
        );
        let error = client.bytes("PUT", &path, body.as_bytes()).error(400);
        assert!(error.contains("allocation_ratio"), "{ratio}: {error}");
    }
    for generation in ["-1", "1e300", "18446744073709551616"] {
        let body = format!("{{\"resource_provider_generation\":{generation},\"inventories\":{{}}}}");
        assert!(client.bytes("PUT", &path, body.as_bytes()).is_conflict(), "{generation}");
    }
    server.check();
}

#[test]
fn amounts_beyond_every_bound_take_nothing() {
    let server = Running::new();
    let mut client = server.client();
    let path = provider(&mut client, 0, None, &[("VCPU", 2_147_483_647)]);
    let consumer = format!("/allocations/{}", uuid('c', 0));
    for (amount, status) in [
        (json!(0), 400),
        (json!(-1), 400),
        (json!(0.5), 400),
        (json!("1"), 400),
        (json!(2_147_483_648_u64), 409),
        (json!(u64::MAX), 409),
        (json!(1e300), 409),
    ] {
        let mut body = holding(None, &[(0, "VCPU", 1)]);
        body["allocations"][uuid('a', 0)]["resources"]["VCPU"] = amount;
        client.send("PUT", &consumer, &body).error(status);
    }
    // Together they would wrap 32 bits.
    for (number, status) in [(1, 204), (2, 409), (3, 409)] {
        let body = holding(None, &[(0, "VCPU", 2_147_483_647)]);
        let answer = client.send("PUT", &format!("/allocations/{}", uuid('c', number)), &body);
        assert_eq!(answer.status, status);
    }
    assert_eq!(client.get(&format!("{path}/usages"))["usages"]["VCPU"], 2_147_483_647);
    server.check();
}

/// As in JSON for Python, the last member of a name counts.
#[test]
fn of_members_with_one_name_the_last_counts() {
    let server = Running::new();
    let mut client = server.client();
    let path = provider(&mut client, 0, None, &[("VCPU", 1)]);
    let body = br#"{"resource_provider_generation": 7, "inventories": {"VCPU": {"total": 1}, "VCPU": {"total": 5, "total": 6}},
        "resource_provider_generation": 1}"#;
    let written = client.bytes("PUT", &format!("{path}/inventories"), body).expect(200);
    assert_eq!(written["inventories"]["VCPU"]["total"], 6);
    server.check();
}

#[test]
fn urls_that_mean_nothing_are_refused() {
    let server = Running::new();
    let mut client = server.client();
    for (path, status) in [
        ("/resource_providers/%ff", 404),
        ("/resource_providers/%00", 404),
        ("/resource_providers/..", 404),
        ("/resource_providers/%2e%2e/%2e%2e/usages", 404),
        ("/allocations/%E2%98%83", 200), // an unknown consumer holds nothing
        ("//", 404),
        ("/resource_providers?name=%ff", 400),
        ("/resource_providers?%zz=1", 400),
        ("/allocation_candidates?resources=VCPU:99999999999999999999", 200),
        ("/allocation_candidates?resources=VCPU:1e3", 400),
        ("/allocation_candidates?resources=VCPU:1&limit=99999999999999999999", 200),
        ("/allocation_candidates?resources=VCPU:1&limit=%EF%BC%91", 400),
        ("/allocation_candidates?resources=%00:1", 400),
        ("/usages?project_id=%00", 400),
    ] {
        let answer = client.ask("GET", path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let long = client.ask("GET", &format!("/resource_providers/{}", "x".repeat(100_000)));
    assert!((400..500).contains(&long.status), "{}", long.status);
}

/// What no HTTP client sends: an error or the end of the connection, and the next client is served.
#[test]
fn what_is_no_http_ends_the_connection_only() {
    let server = Running::new();
    let body = b"{\"name\": \"a\"}";
    let post = |lines: &str| [head("POST", "/resource_providers", lines).as_bytes(), body].concat();
    let cases: [(&str, Vec<u8>); 13] = [
        ("no request line", b"\x16\x03\x01\x02\x00\x01\x00\x01".to_vec()),
        ("spaces", b"GET  /  HTTP/1.1\r\n\r\n".to_vec()),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("no host", b"GET /resource_providers HTTP/1.1\r\nbroken header\r\n\r\n".to_vec()),
        ("many headers", format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000)).into_bytes()),
        ("a long header", format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(1 << 20)).into_bytes()),
        ("a header that ends never", format!("GET / HTTP/1.1\r\na: {}", "b".repeat(1 << 20)).into_bytes()),
        ("a length that is none", post("content-type: application/json\r\ncontent-length: ten\r\n")),
        ("a negative length", post("content-type: application/json\r\ncontent-length: -1\r\n")),
        (
            "two lengths",
            post("content-type: application/json\r\ncontent-length: 13\r\ncontent-length: 2\r\n"),
        ),
        (
            "a length too large",
            post("content-type: application/json\r\ncontent-length: 18446744073709551617\r\n"),
        ),
        ("broken chunks", post("content-type: application/json\r\ntransfer-encoding: chunked\r\n")),
        (
            "a version that is no text",
            b"GET /traits HTTP/1.1\r\nx-auth-token: admin\r\nopenstack-api-version: placement \xff\r\n\r\n"
                .to_vec(),
        ),
    ];
    for (what, bytes) in cases {
        let mut client = server.client();
        client.raw(&bytes);
        client.finish();
        if let Some(answer) = client.answer() {
            assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        }
        let known = server.client().get("/resource_providers");
        assert_eq!(known["resource_providers"], json!([]), "{what} changed something");
    }
}

/// A body that ends before its time changes nothing, and neither does one that goes on after it.
#[test]
fn a_body_of_another_length_than_promised_is_no_request() {
    let server = Running::new();
    let body = "{\"name\": \"a\"}";
    let post = |length: usize| {
        let lines = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
        head("POST", "/resource_providers", &lines) + body
    };
    let mut client = server.client();
    client.raw(post(body.len() + 10).as_bytes());
    client.finish();
    if let Some(answer) = client.answer() {
        answer.error(400);
    }
    // What is too much is taken for the next request, which it is not.
    let mut client = server.client();
    client.raw(post(body.len() - 1).as_bytes());
    assert!(client.answer().unwrap().error(400).starts_with("Malformed JSON: "));
    client.finish();
    assert!(client.answer().is_none_or(|answer| answer.status == 400));
    assert_eq!(server.client().get("/resource_providers")["resource_providers"], json!([]));
}

#[test]
fn clients_that_hang_up_or_say_nothing_hold_nobody_up() {
    let server = Running::new();
    let silent: Vec<_> = (0..50).map(|_| server.client()).collect();
    for number in 0..50 {
        let mut client = server.client();
        let request = head("GET", "/allocation_candidates?resources=VCPU:1", "");
        client.raw(&request.as_bytes()[..request.len() * number / 50]);
    }
    // Several requests at once are answered in turn.
    let mut client = server.client();
    client.raw(head("GET", "/traits", "").repeat(20).as_bytes());
    for _ in 0..20 {
        client.answer().unwrap().expect(200);
    }
    drop(silent);
    server.check();
}

/// A consumer that is spelt in two ways is one consumer.
#[test]
fn a_consumer_is_not_written_twice_by_one_request() {
    let server = Running::new();
    let mut client = server.client();
    provider(&mut client, 0, None, &[("VCPU", 10)]);
    let part = holding(None, &[(0, "VCPU", 5)]);
    let body: Value = json!({ uuid('c', 0): part, uuid('c', 0).to_uppercase(): part });
    assert!(client.send("POST", "/allocations", &body).error(400).contains("named twice"));
    let path = format!("/resource_providers/{}/inventories", uuid('a', 0));
    client.send("PUT", &path, &inventories(1, &[("VCPU", 10)])).expect(200);
    server.check();
}

/// PostgreSQL cannot store it, and an export of the state has to be readable there.
#[test]
fn no_text_has_a_nul_character() {
    let server = Running::new();
    let mut client = server.client();
    let named = json!({"name": "a\0b", "uuid": uuid('a', 7)});
    let error = client.send("POST", "/resource_providers", &named).error(400);
    assert!(error.contains("NUL"), "{error}");
    let path = provider(&mut client, 0, None, &[("VCPU", 1)]);
    let owned = json!({
        "allocations": {uuid('a', 0): {"resources": {"VCPU": 1}}},
        "consumer_generation": null,
        "consumer_type": "INSTANCE",
        "project_id": "p\0",
        "user_id": "u",
    });
    let error = client.send("PUT", &format!("/allocations/{}", uuid('c', 0)), &owned).error(400);
    assert!(error.contains("NUL"), "{error}");
    let usages = client.get(&format!("{path}/usages"));
    assert_eq!(usages["usages"]["VCPU"], 0);
}
