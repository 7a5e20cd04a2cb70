//! Reaching the service.

use std::net::TcpListener;
use std::path::Path;

use berth_api::v1::{ListZonesRequest, ListZonesResponse};
use tempfile::tempdir;

use super::super::{berth, fail, stderr, succeed};
use super::Fake;

#[test]
fn nobody_there_is_told_with_the_address_and_what_to_check() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let message = fail(Path::new("."), 1, &format!("host list --service http://127.0.0.1:{port}"));
    assert!(message.contains(&format!("cannot reach the service at http://127.0.0.1:{port}: ")), "{message}");
    assert!(message.contains("refused") && message.contains("Check that `berth serve` runs"), "{message}");
}

#[test]
fn the_environment_says_where_the_service_is() {
    let fake = Fake::start();
    fake.answers("ListZones", ListZonesResponse::default());
    let output =
        berth(Path::new(".")).args(["zone", "list"]).env("BERTH_SERVICE", &fake.url).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let _: ListZonesRequest = fake.asked("ListZones");
}

#[test]
fn options_that_cannot_make_a_connection_are_named() {
    let folder = tempdir().unwrap();
    for (options, words) in [
        ("--service https://localhost:1", "--ca: needed for https://localhost:1"),
        ("--service https://localhost:1 --ca none.pem", "--ca: cannot read none.pem"),
        ("--service https://localhost:1 --ca ca.pem --cert a.pem", "--key: needed with --cert"),
        ("--service https://localhost:1 --ca ca.pem --key a.pem", "--cert: needed with --key"),
        ("--service http://localhost:1 --ca ca.pem", "has to begin with https://"),
        ("--service localhost:1", "--service: "),
        ("--service ftp://localhost:1", "has to begin with http:// or https://"),
    ] {
        std::fs::write(folder.path().join("ca.pem"), "").unwrap();
        let message = fail(folder.path(), 1, &format!("zone list {options}"));
        assert!(message.contains(words), "{options}: {message}");
    }
}

#[test]
fn certificates_are_shown_and_checked() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    for line in [
        "certs init --dir pki",
        "certs init --dir other",
        "certs issue --dir pki --role server --name berth --dns localhost --ip 127.0.0.1",
        "certs issue --dir pki --role reader --name alice",
    ] {
        succeed(here, line);
    }
    let fake = Fake::with_certificates(&here.join("pki"));
    fake.answers("ListZones", ListZonesResponse::default());
    let url = &fake.url;
    let as_alice = "--cert pki/alice.pem --key pki/alice-key.pem";
    succeed(here, &format!("zone list --service {url} --ca pki/ca.pem {as_alice}"));
    for (options, words) in [
        (format!("--ca other/ca.pem {as_alice}"), "cannot reach the service at https://"),
        ("--ca pki/ca.pem".to_owned(), "fail"),
    ] {
        let message = fail(here, 1, &format!("zone list --service {url} {options}"));
        assert!(message.contains(words) && message.len() < 600, "{options}: {message}");
    }
}
