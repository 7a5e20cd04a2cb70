//! Limits of requests: the refusal names the limit that was exceeded, and the server continues to
//! serve.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use berth_server::Limits;
use serde_json::{Value, json};

use crate::client::head;
use crate::server::{Running, inventories, provider, uuid};

/// Limits that a test can reach.
const SMALL: Limits = Limits {
    head_time: Duration::from_secs(75),
    idle_time: Duration::from_secs(75),
    body_bytes: 2_000,
    body_time: Duration::from_secs(30),
    write_time: Duration::from_secs(30),
    body_values: 60,
    list_length: 20,
    query_bytes: 400,
    query_parameters: 20,
    query_list_length: 10,
    request_groups: 3,
    candidate_work: 100,
    candidate_time: Duration::from_secs(75),
    candidate_bytes: 3_000,
    in_flight_bytes: 1 << 30,
    in_flight_caller_bytes: 1 << 29,
    connections: 1_000,
};

#[test]
fn bodies_are_bounded() {
    let server = Running::with(SMALL);
    let mut client = server.client();
    let path = provider(&mut client, 0, None, &[("VCPU", 1)]);
    let path = format!("{path}/aggregates");
    let aggregates = |count: usize| json!((0..count).map(|number| uuid('e', number)).collect::<Vec<_>>());
    let mut put = |list: Value| {
        let body = json!({ "aggregates": list, "resource_provider_generation": 1 });
        client.send("PUT", &path, &body)
    };
    let error = put(aggregates(21)).error(400);
    assert!(error.contains("a list or an object of more than 20 elements"), "{error}");
    let error = put(json!(vec![[0; 15]; 4])).error(400);
    assert!(error.contains("more than 60 values"), "{error}");
    put(aggregates(20)).expect(200);
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let error = client.bytes("PUT", &path, deep.as_bytes()).error(400);
    assert!(error.contains("lists and objects more than 32 deep"), "{error}");
}

#[test]
fn a_long_body_is_not_read() {
    let server = Running::with(SMALL);
    let mut client = server.client();
    let answer = client.bytes("POST", "/resource_providers", &[b' '; 2_001]);
    assert!(answer.closes);
    let error = answer.error(413);
    assert!(error.contains("at most 2000 bytes"), "{error}");
    // One that does not say how long it is, is refused once it is too long.
    let mut client = server.client();
    let lines = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    client.raw(head("POST", "/resource_providers", lines).as_bytes());
    for _ in 0..5 {
        client.raw(format!("200\r\n{}\r\n", " ".repeat(0x200)).as_bytes());
    }
    assert!(client.answer().unwrap().error(413).contains("at most 2000 bytes"));
    server.client().get("/resource_providers");
}

#[test]
fn a_body_has_to_arrive_in_time() {
    let server = Running::with(Limits { body_time: Duration::from_millis(200), ..SMALL });
    let mut slow: Vec<_> = (0..20).map(|_| server.client()).collect();
    let lines = "content-type: application/json\r\ncontent-length: 100\r\n";
    for client in &mut slow {
        client.raw(head("POST", "/resource_providers", lines).as_bytes());
        client.raw(b"{\"name\":");
    }
    server.client().get("/resource_providers"); // nobody waits for them
    for mut client in slow {
        let answer = client.answer().unwrap();
        assert!(answer.closes);
        let error = answer.error(408);
        assert!(error.contains("within 0.2 seconds"), "{error}");
    }
}

/// A client without a token cannot make the server wait for its body, or buffer it.
#[test]
fn the_body_of_an_unauthenticated_request_is_not_awaited() {
    let server = Running::new();
    let head = |length: usize| {
        format!("POST /resource_providers HTTP/1.1\r\nhost: berth\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut silent = server.client();
    silent.raw(head(100).as_bytes());
    let answer = silent.answer().unwrap();
    assert!(answer.status == 401 && answer.closes, "{answer:?}");
    // A client that sends everything before it reads receives the response.
    let mut busy = TcpStream::connect(server.address).unwrap();
    busy.write_all(&[head(4 << 20).as_bytes(), &[b' '; 4 << 20]].concat()).unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // Without a body, the connection stays open.
    let mut client = server.client();
    client.raw(b"GET /traits HTTP/1.1\r\nhost: berth\r\n\r\n");
    let answer = client.answer().unwrap();
    assert!(answer.status == 401 && !answer.closes, "{answer:?}");
    client.get("/traits");
}

/// The number of a removed name is free for another one; with all numbers in use, no name can be
/// added.
#[test]
fn names_are_bounded() {
    let server = Running::new();
    let mut client = server.client();
    let index = server.service.index();
    let mut writer = index.write();
    for number in writer.topology().traits().len()..(1 << 16) - 1 {
        writer.trait_named(&format!("CUSTOM_{number}"));
    }
    drop(writer);
    client.ask("PUT", "/traits/CUSTOM_LAST").expect(201);
    client.ask("DELETE", "/traits/CUSTOM_LAST").expect(204);
    client.ask("PUT", "/traits/CUSTOM_LAST").expect(201);
    let error = client.ask("PUT", "/traits/CUSTOM_MORE").error(507);
    assert!(error.contains("at most 65536 traits"), "{error}");
    client.ask("PUT", "/traits/CUSTOM_1000").expect(204);
}

#[test]
fn queries_are_bounded() {
    let server = Running::with(SMALL);
    let mut client = server.client();
    let mut error = |query: &str, status: u16| {
        client.ask("GET", &format!("/allocation_candidates?{query}")).error(status)
    };
    assert!(error(&"x".repeat(401), 414).contains("at most 400 bytes"));
    assert!(error(&"a=1&".repeat(21), 400).contains("at most 20 parameters"));
    let list = ["CUSTOM_A"; 11].join(",");
    assert!(
        error(&format!("resources=VCPU:1&required={list}"), 400)
            .contains("required may have at most 10 values")
    );
    let groups: Vec<String> = (1..5).map(|number| format!("resources{number}=VCPU:1")).collect();
    let query = format!("{}&group_policy=none", groups.join("&"));
    assert!(error(&query, 400).contains("at most 3 request groups"));
}

#[test]
fn candidates_are_bounded() {
    let server = Running::with(SMALL);
    let mut client = server.client();
    for number in 0..30 {
        provider(&mut client, number, None, &[("VCPU", 8)]);
    }
    let path =
        |limit: usize, amount: usize| format!("/allocation_candidates?resources=VCPU:{amount}&limit={limit}");
    let few = client.get(&path(2, 1));
    assert_eq!(few["allocation_requests"].as_array().unwrap().len(), 2);
    let error = client.ask("GET", &path(30, 1)).error(400);
    assert!(error.contains("more than 3000 bytes"), "{error}");
    for number in 30..120 {
        provider(&mut client, number, None, &[("VCPU", 8)]);
    }
    // Nobody has so much: every tree is looked at.
    let error = client.ask("GET", &path(1, 9)).error(400);
    assert!(error.contains("more than 100 steps"), "{error}");
}

/// The default limits permit reads and writes of whole fleets.
#[test]
fn the_default_limits_are_wide() {
    let server = Running::new();
    let mut client = server.client();
    let mut body = json!({});
    let path = provider(&mut client, 0, None, &[("VCPU", 100_000)]);
    for number in 0..5_000 {
        body[uuid('c', number)] = crate::server::holding(None, &[(0, "VCPU", 1)]);
    }
    client.send("POST", "/allocations", &body).expect(204);
    assert_eq!(client.get(&format!("{path}/usages"))["usages"]["VCPU"], 5_000);
    let query = (1..=64).fold(String::from("group_policy=none"), |query, number| {
        format!("{query}&resources{number}=VCPU:1&required{number}=HW_CPU_X86_AVX")
    });
    client.get(&format!("/allocation_candidates?{query}"));
    client.send("PUT", &format!("{path}/inventories"), &inventories(2, &[("VCPU", 5_000)])).expect(200);
    server.check();
}

/// Waits until the service holds this many bytes of requests.
#[expect(clippy::disallowed_methods, reason = "waits for the service, which takes real time")]
fn until_in_flight(server: &Running, bytes: usize) {
    for _ in 0..3_000 {
        let metrics = server.client().ask("GET", "/metrics").text;
        let gauge = metrics.lines().find_map(|line| line.strip_prefix("berth_in_flight_bytes "));
        if gauge.is_some_and(|held| held.parse::<usize>().unwrap() >= bytes) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the service does not hold {bytes} bytes");
}

/// 250 unfinished bodies took 1.6 GB; and the next client's request was not served for that.
#[test]
fn unfinished_bodies_have_a_bound_in_all_and_for_one_user() {
    let limits = Limits { in_flight_bytes: 100_000, in_flight_caller_bytes: 60_000, ..Limits::default() };
    let server = Running::with(limits);
    let begin = |token: &str| {
        let mut client = server.client();
        let request = format!(
            "POST /reshaper HTTP/1.1\r\nHost: berth\r\nX-Auth-Token: {token}\r\nX-Roles: admin,service\r\n\
             Content-Type: application/json\r\nContent-Length: 50000\r\n\r\n{}",
            " ".repeat(40_000)
        );
        client.raw(request.as_bytes());
        client
    };
    let first = begin("admin");
    until_in_flight(&server, 40_000);
    let refused = begin("admin").answer().unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("of this caller that were not read yet have more than 60000 bytes"));
    let second = begin("other");
    until_in_flight(&server, 80_000);
    let refused = begin("third").answer().unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("of all callers that were not read yet have more than 100000 bytes"));
    drop((first, second));
}
