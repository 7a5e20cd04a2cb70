//! Where requests end on a connection, and when the connection itself ends.

#![allow(clippy::disallowed_methods, reason = "these tests are about the time that connections have")]

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use berth_server::Limits;
use serde_json::json;

use crate::client::head;
use crate::server::Running;

const BODY: &str = "{\"name\": \"a\"}";

fn post(path: &str, lines: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nx-auth-token: admin\r\nopenstack-api-version: placement 1.39\r\n\
         content-type: application/json\r\n{lines}\r\n{body}"
    )
    .into_bytes()
}

/// A client that says that it will send no more is answered; the original does so too.
#[test]
fn a_client_that_has_closed_its_half_is_answered() {
    let server = Running::new();
    for number in 0..200 {
        let mut client = server.client();
        if number % 2 == 0 {
            client.raw(head("GET", "/traits", "").as_bytes());
        } else {
            let name = format!("{{\"name\": \"p{number}\"}}");
            let lines = format!("host: berth\r\ncontent-length: {}\r\n", name.len());
            client.raw(&post("/resource_providers", &lines, &name));
        }
        client.finish();
        assert_eq!(client.answer().map(|answer| answer.status), Some(200), "request {number}");
        assert!(client.answer().is_none(), "the connection ends");
    }
}

/// What a proxy and the service could read as two different requests: with each, a DELETE is hidden
/// behind it. The guard stands before all routes.
#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let server = Running::new();
    server.client().ask("PUT", "/traits/CUSTOM_KEPT").expect(201);
    let hidden = head("DELETE", "/traits/CUSTOM_KEPT", "");
    let length = hidden.len();
    let chunked = "transfer-encoding: chunked\r\n";
    let cases = [
        ("a sign", format!("host: a\r\ncontent-length: +{length}\r\n"), "must be an integer"),
        ("a list", format!("host: a\r\ncontent-length: {length}, {length}\r\n"), "must be an integer"),
        ("another base", format!("host: a\r\ncontent-length: {length:#x}\r\n"), "must be an integer"),
        ("nothing", "host: a\r\ncontent-length: \r\n".to_owned(), "must be an integer"),
        (
            "two lengths",
            "host: a\r\ncontent-length: 0\r\ncontent-length: 0\r\n".to_owned(),
            "more than one Content-Length",
        ),
        (
            "chunks and a length",
            format!("host: a\r\n{chunked}content-length: {length}\r\n"),
            "together with Transfer-Encoding",
        ),
        (
            "a length and chunks",
            format!("host: a\r\ncontent-length: 5\r\n{chunked}"),
            "together with Transfer-Encoding",
        ),
        ("another coding", "host: a\r\ntransfer-encoding: xchunked\r\n".to_owned(), "is not chunked"),
        ("two codings", "host: a\r\ntransfer-encoding: gzip, chunked\r\n".to_owned(), "is not chunked"),
        ("two hosts", "host: a\r\nHost: b\r\n".to_owned(), "more than one Host"),
        ("a bare LF", "host: a\nx: y\r\n".to_owned(), "does not end with CR LF"),
        ("a bare CR", "host: a\rx: y\r\n".to_owned(), "does not end with CR LF"),
        ("a folded line", "host: a\r\nx: y\r\n content-length: 5\r\n".to_owned(), "folded"),
        ("a space before the colon", "host: a\r\ncontent-length : 5\r\n".to_owned(), "a character in it"),
        ("a NUL", "host: a\r\nx: a\0b\r\n".to_owned(), "NUL"),
        ("the guard's own word", "host: a\r\nx-berth-refused: 1\r\n".to_owned(), "the server's own"),
    ];
    for path in ["/metrics", "/resource_providers", "/", "/nothing"] {
        for (what, lines, reason) in &cases {
            let mut client = server.client();
            client.raw(&post(path, lines, &hidden));
            let answer = client.answer().unwrap_or_else(|| panic!("{what} at {path}: no answer"));
            assert!(answer.closes, "{what} at {path}");
            let error = answer.error(400);
            assert!(error.contains(reason), "{what} at {path}: {error}");
            assert!(client.answer().is_none(), "{what} at {path}: what was hidden is a request");
        }
    }
    // On a connection that was used before, and in pieces.
    let mut client = server.client();
    client.get("/traits");
    for byte in post("/metrics", "host: a\r\ncontent-length: +5\r\n", "").chunks(1) {
        client.raw(byte);
    }
    assert!(client.answer().unwrap().error(400).contains("must be an integer"));
    server.client().ask("GET", "/traits/CUSTOM_KEPT").expect(204);
}

/// The client sees the refusal even if it goes on sending.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Running::new();
    for _ in 0..20 {
        let mut client = server.client();
        client.raw(&post("/resource_providers", "content-length: +1\r\n", &"x".repeat(1 << 20)));
        assert_eq!(client.answer().expect("an answer").status, 400);
    }
}

#[test]
fn chunks_are_read() {
    let server = Running::new();
    let chunks = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let mut client = server.client();
    client.raw(&post("/resource_providers", "host: a\r\ntransfer-encoding: chunked\r\n", &chunks(BODY)));
    assert_eq!(client.answer().unwrap().expect(200)["name"], "a");
    client.get("/traits"); // the connection goes on
    // Lines that end with LF alone are no chunks.
    let mut client = server.client();
    let broken = chunks("{\"name\": \"b\"}").replace("\r\n", "\n") + &head("DELETE", "/traits/CUSTOM_A", "");
    client.raw(&post("/resource_providers", "host: a\r\ntransfer-encoding: chunked\r\n", &broken));
    assert!(client.answer().is_none_or(|answer| answer.status == 400));
    assert!(client.answer().is_none());
    let all = server.client().get("/resource_providers");
    assert_eq!(all["resource_providers"].as_array().unwrap().len(), 1);
}

/// A connection ends soon after its last answer; one that is new, or whose request is on its way,
/// has more time.
#[test]
fn idle_connections_end() {
    let limits = Limits { idle_time: Duration::from_millis(300), ..Limits::default() };
    let server = Running::with(limits);
    let mut fresh = server.client();
    let mut slow = server.client();
    slow.get("/traits");
    let request = head("GET", "/traits", "");
    slow.raw(&request.as_bytes()[..10]);
    // The idle time has passed twice when two idle connections have ended, one after the other.
    for _ in 0..2 {
        let mut idle = server.client();
        idle.get("/traits");
        assert!(idle.answer().is_none());
    }
    slow.raw(&request.as_bytes()[10..]);
    slow.answer().unwrap().expect(200);
    fresh.get("/traits");
    // Each answer restarts the time.
    let mut idle = server.client();
    idle.get("/traits");
    let ended = std::thread::spawn(move || idle.answer().is_none());
    while !ended.is_finished() {
        fresh.get("/traits");
    }
    assert!(ended.join().unwrap());
}

/// The time of a head is another: it holds for a connection that has never sent one, and for one
/// that sends it slowly.
#[test]
fn a_head_has_its_own_time() {
    let limits = Limits {
        idle_time: Duration::from_secs(60),
        head_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::with(limits);
    let mut silent = server.client();
    let mut slow = server.client();
    slow.raw(b"GET / HT");
    assert!(silent.answer().is_none());
    assert!(slow.answer().is_none_or(|answer| answer.status == 408));
}

/// An answer that the client takes slowly does not count as idle time.
#[test]
fn an_answer_that_is_being_taken_keeps_its_connection() {
    let limits = Limits { idle_time: Duration::from_millis(50), ..Limits::default() };
    let server = Running::with(limits);
    let mut client = server.client();
    for number in 0..200 {
        let body = json!({ "name": format!("{number}-{}", "x".repeat(190)) });
        client.send("POST", "/resource_providers", &body).expect(200);
    }
    let mut stream = TcpStream::connect(server.address).unwrap();
    let request = head("GET", "/resource_providers", "").repeat(40);
    stream.write_all(request.as_bytes()).unwrap();
    // Connections that are idle from now on end, several times in a row.
    for _ in 0..8 {
        let mut idle = server.client();
        idle.get("/traits");
        assert!(idle.answer().is_none());
    }
    let mut slow = crate::client::Client::over(stream);
    for _ in 0..40 {
        let all = slow.answer().expect("an answer").expect(200);
        assert_eq!(all["resource_providers"].as_array().unwrap().len(), 200);
    }
}
