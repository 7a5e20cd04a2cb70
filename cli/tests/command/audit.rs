//! `berth audit` on a directory and on a service, by its command line.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::TempDir;

use super::serve::{Serving, wait};
use super::{fail, json, run, stderr, stdout, succeed};

const HOST: &str = "00000000-0000-4000-8000-00000000000a";
const ALIVE: &str = "00000000-0000-4000-8000-000000000001";
const GONE: &str = "00000000-0000-4000-8000-000000000002";

fn ask(serving: &Serving, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: admin\r\nContent-Type: application/json\r\n\
         OpenStack-API-Version: placement 1.28\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    answer
}

/// Eight vCPUs, of which one consumer that is alive holds two and one that is gone holds four.
pub(super) fn fill(serving: &Serving) {
    serving.add_provider(HOST);
    let inventory = r#"{"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}"#;
    ask(serving, "PUT", &format!("/resource_providers/{HOST}/inventories"), inventory);
    for (consumer, amount) in [(ALIVE, 2), (GONE, 4)] {
        let body = format!(
            r#"{{"allocations": {{"{HOST}": {{"resources": {{"VCPU": {amount}}}}}}}, "project_id": "p", "user_id": "u",
            "consumer_generation": null}}"#
        );
        ask(serving, "PUT", &format!("/allocations/{consumer}"), &body);
    }
}

pub(super) fn shrink(serving: &Serving) {
    let inventory = r#"{"resource_provider_generation": 3, "inventories": {"VCPU": {"total": 3}}}"#;
    ask(serving, "PUT", &format!("/resource_providers/{HOST}/inventories"), inventory);
}

#[test]
fn leaked_allocations_are_found_and_deleted() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    let serving = Serving::on(&place.join("data"));
    fill(&serving);
    fs::write(place.join("instances"), format!("{ALIVE}\n\n")).unwrap();
    let url = format!("http://{}", serving.address);
    fs::write(place.join("migrations"), "").unwrap();
    let audit = format!("audit --url {url} --instances instances --migrations migrations");
    let output = run(place, audit.split(' '));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(4), "{text}{}", stderr(&output));
    assert!(text.contains("Leaked consumers: 1") && text.contains(GONE) && !text.contains(ALIVE), "{text}");
    let young = stdout(&run(place, format!("{audit} --heal leaked --write").split(' ')));
    assert!(young.contains("skipped: it was written recently"), "{young}");
    // `--older-than 0` still skips what was written in this very second.
    let heal = || stdout(&run(place, format!("{audit} --heal leaked --older-than 0").split(' ')));
    wait("the allocations are older than a second", || heal().contains("would be done with --write"));
    let done = stdout(&run(place, format!("{audit} --heal leaked --older-than 0 --write").split(' ')));
    assert!(done.contains(&format!("delete the allocations of consumer {GONE}: done")), "{done}");
    assert!(succeed(place, &audit).contains("Leaked consumers: 0"));
    let usages = serving.get(&format!("/resource_providers/{HOST}/usages")).replace(' ', "");
    assert!(usages.contains("\"VCPU\":2"), "{usages}");
}

#[test]
fn a_directory_is_audited_like_a_service() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    let serving = Serving::on(&place.join("data"));
    fill(&serving);
    shrink(&serving);
    fs::write(place.join("instances"), ALIVE).unwrap();
    let report = |line: &str| {
        let output = run(place, line.split(' '));
        assert_eq!(output.status.code(), Some(4), "{line}: {}", stderr(&output));
        json(&stdout(&output))
    };
    let url = format!("http://{}", serving.address);
    let online = report(&format!("audit --url {url} --instances instances --json"));
    serving.stop();
    let offline = report("audit --data data --instances instances --json");
    assert_eq!(online, offline);
    let over = &offline["over_capacity"][0];
    assert_eq!((&over["classes"][0]["used"], &over["classes"][0]["capacity"]), (&6.into(), &3.into()));
    assert_eq!(
        (&over["leaving"][0]["consumer"], over["leaving"].as_array().unwrap().len()),
        (&GONE.into(), 1)
    );
    assert_eq!(offline["leaked"][0]["consumer"], GONE);
    let healed = report("audit --data data --heal over-capacity --write --json");
    assert_eq!(healed["healing"][0]["outcome"], "done");
    let shown = succeed(place, "audit --data data");
    assert!(shown.contains("Providers over capacity: 0"), "{shown}");
}

#[test]
fn what_is_wrong_with_the_arguments_is_said() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fs::write(place.join("bad"), format!("{ALIVE}\nhost-1\n")).unwrap();
    fs::write(place.join("none"), "\n").unwrap();
    let said = |line: &str| fail(place, 1, line);
    assert!(
        said("audit --data data --instances bad").contains("--instances: bad: line 2: 'host-1' is no UUID")
    );
    assert!(said("audit --data data --instances none").contains("no instances at all"));
    assert!(said("audit --data nowhere").contains("nowhere"));
    assert!(said("audit --data data --heal leaked").contains("--instances has to name"));
    let unsafe_heal = said("audit --data data --instances instances --heal leaked");
    assert!(unsafe_heal.contains("--migrations has to say"), "{unsafe_heal}");
    assert!(said("audit --url http://127.0.0.1:1").contains("http://127.0.0.1:1"));
    fail(place, 2, "audit");
    fail(place, 2, "audit --data data --write");
}
