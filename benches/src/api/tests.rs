//! Runs the load against a small server in the test, with enough of the Placement API to create,
//! query, claim and remove.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::report::ReportRow;

/// The state of the server, and every request line that it received.
#[derive(Default)]
struct Server {
    /// UUIDs with generations.
    providers: BTreeMap<String, u64>,
    consumers: BTreeSet<String>,
    log: Vec<String>,
    /// Refuses requests for candidates.
    broken: bool,
}

type Shared = Arc<Mutex<Server>>;

fn serve(server: Server) -> (Shared, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/placement/", listener.local_addr().unwrap());
    let server = Arc::new(Mutex::new(server));
    let shared = Arc::clone(&server);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let server = Arc::clone(&server);
            std::thread::spawn(move || talk(&stream.unwrap(), &server));
        }
    });
    (shared, endpoint)
}

/// Serves one connection until it closes.
fn talk(mut stream: &TcpStream, server: &Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            let found = lines.iter().filter_map(|line| line.split_once(": "));
            found.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        assert_eq!(header("x-auth-token"), Some("secret"));
        assert_eq!(header("openstack-api-version"), Some("placement 1.36"));
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = server.lock().unwrap().answer(&lines[0], &body);
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + &answer).as_bytes()).unwrap();
    }
}

impl Server {
    fn answer(&mut self, line: &str, body: &[u8]) -> (&'static str, String) {
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let path = target.strip_prefix("/placement/").expect("the path of the endpoint is preserved");
        self.log.push(format!("{method} {path}"));
        let parts: Vec<&str> = path.split(['/', '?']).collect();
        let done = ("204 No Content", String::new());
        match (method, &parts[..]) {
            ("GET", ["resource_providers"]) => {
                let list: Vec<_> = self.providers.keys().map(|uuid| json!({ "uuid": uuid })).collect();
                ("200 OK", json!({ "resource_providers": list }).to_string())
            }
            ("POST", ["resource_providers"]) => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                self.providers.insert(body["uuid"].as_str().unwrap().to_owned(), 0);
                ("200 OK", "{}".to_owned())
            }
            ("DELETE", ["resource_providers", uuid]) if self.providers.remove(*uuid).is_some() => done,
            ("PUT", ["resource_providers", uuid, _]) => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                let generation = self.providers.get_mut(*uuid).unwrap();
                assert_eq!(body["resource_provider_generation"], *generation);
                *generation += 3; // any increase is allowed
                ("200 OK", json!({ "resource_provider_generation": *generation }).to_string())
            }
            ("GET", ["allocation_candidates", _]) if !self.broken => ("200 OK", "{}".to_owned()),
            ("PUT", ["allocations", uuid]) if self.consumers.insert((*uuid).to_owned()) => done,
            ("DELETE", ["allocations", uuid]) if self.consumers.remove(*uuid) => done,
            ("POST", ["allocations"]) => {
                let body: BTreeMap<String, serde_json::Value> = serde_json::from_slice(body).unwrap();
                assert_eq!(body.len(), 50);
                for (uuid, consumer) in body {
                    let leaves = consumer["allocations"].as_object().unwrap().is_empty();
                    assert!(if leaves { self.consumers.remove(&uuid) } else { self.consumers.insert(uuid) });
                }
                done
            }
            ("PUT" | "DELETE", ["traits", "CUSTOM_BERTH_BENCH"]) => done,
            _ => ("404 Not Found", "no such resource".to_owned()),
        }
    }
}

fn options(endpoint: String) -> ApiOptions {
    ApiOptions {
        endpoint,
        providers: 9,
        connections: vec![1, 3],
        duration: Duration::from_millis(60),
        rounds: 2,
        token: "secret".to_owned(),
        existing: false,
    }
}

fn row<'a>(report: &'a Report, name: &str, connections: u64) -> &'a ReportRow {
    let wanted = |row: &&ReportRow| row.name == name && row.parameters["connections"] == connections.into();
    report.rows.iter().find(wanted).unwrap_or_else(|| panic!("no row {name} in {:?}", report.rows))
}

#[test]
fn every_kind_of_request_fills_rows_and_cleans_up() {
    let (server, endpoint) = serve(Server::default());
    let report = run(&options(endpoint), vec!["berth".to_owned()], &|_| true).unwrap();
    for connections in [1, 3] {
        for name in [
            "api/allocation_candidates/limit-1",
            "api/allocation_candidates/limit-1000/rate",
            "api/allocation_candidates/required",
            "api/allocation_candidates/member_of",
            "api/allocations/put",
            "api/allocations/delete",
            "api/allocations/post-50",
            "api/allocations/post-50/consumers/rate",
        ] {
            let row = row(&report, name, connections);
            assert!(row.n > 0 && row.rounds.len() == 2, "{row:?}");
        }
    }
    let server = server.lock().unwrap();
    assert!(server.providers.is_empty() && server.consumers.is_empty());
    assert!(server.log.iter().any(|line| line.contains("&limit=1&required=CUSTOM_BERTH_BENCH")));
    assert_eq!(server.log.last().unwrap(), "DELETE traits/CUSTOM_BERTH_BENCH");
    let created = server.log.iter().filter(|line| *line == "POST resource_providers").count();
    assert_eq!(created, 9);
}

#[test]
fn providers_of_other_users_are_not_touched() {
    let theirs = || Server { providers: [("theirs".to_owned(), 0)].into(), ..Server::default() };
    let (server, endpoint) = serve(theirs());
    let failure = run(&options(endpoint.clone()), vec![], &|_| true).unwrap_err();
    assert!(matches!(failure, ApiFailure::NotEmpty { .. }), "{failure}");
    assert_eq!(server.lock().unwrap().log, ["GET resource_providers"]);
    run(&ApiOptions { existing: true, ..options(endpoint) }, vec![], &|_| true).unwrap();
    assert_eq!(server.lock().unwrap().providers, [("theirs".to_owned(), 0)].into());
}

#[test]
fn an_early_end_cleans_up() {
    let (server, endpoint) = serve(Server::default());
    let stop = |what: &str| !what.contains("member_of");
    let report = run(&options(endpoint.clone()), vec![], &stop).unwrap();
    assert!(report.ended_early);
    assert!(row(&report, "api/allocation_candidates/limit-1", 1).n > 0);
    assert!(!report.rows.iter().any(|row| row.name.contains("allocations/put")), "it was not reached");
    assert!(server.lock().unwrap().providers.is_empty());
    let failure = run(&options(endpoint), vec![], &|what| !what.contains("creating")).unwrap_err();
    assert!(matches!(failure, ApiFailure::Stopped), "{failure}");
}

#[test]
fn a_server_that_fails_is_not_measured() {
    let (server, endpoint) = serve(Server { broken: true, ..Server::default() });
    let failure = run(&options(endpoint), vec![], &|_| true).unwrap_err().to_string();
    assert!(failure.ends_with("status 404 Not Found: no such resource"), "{failure}");
    assert!(server.lock().unwrap().providers.is_empty());
    let nobody = run(&options("http://127.0.0.1:1".to_owned()), vec![], &|_| true).unwrap_err().to_string();
    assert!(nobody.starts_with("GET http://127.0.0.1:1/resource_providers: "), "{nobody}");
}
