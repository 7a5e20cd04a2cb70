//! Reaching the service.

use std::net::TcpListener;
use std::path::Path;

use berth_api::v1::{ListZonesRequest, ListZonesResponse};
use rcgen::{CertificateParams, KeyPair};
use tempfile::tempdir;

use super::super::{berth, fail, stderr, succeed};
use super::Fake;

#[test]
fn an_unreachable_service_is_reported_with_the_address_and_what_to_check() {
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
    let directory = tempdir().unwrap();
    let (ca, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::default().self_signed(&ca).unwrap();
    let bom = format!("\u{feff}{}", certificate.pem());
    for (name, contents) in [
        ("ca.pem", certificate.pem().as_bytes()),
        ("ca.der", certificate.der()),
        ("ca-key.pem", ca.serialize_pem().as_bytes()),
        ("other.pem", other.serialize_pem().as_bytes()),
        ("bom.pem", bom.as_bytes()),
        ("text.pem", b"hello\n"),
        ("empty.pem", b""),
    ] {
        std::fs::write(directory.path().join(name), contents).unwrap();
    }
    for (options, words) in [
        ("--service https://localhost:1", "--ca: needed for https://localhost:1"),
        ("--service https://localhost:1 --ca none.pem", "--ca: none.pem: cannot be read: No such file"),
        ("--service https://localhost:1 --ca .", "--ca: .: cannot be read: Is a directory"),
        ("--service https://localhost:1 --ca empty.pem", "--ca: empty.pem: is empty"),
        ("--service https://localhost:1 --ca bom.pem", "--ca: bom.pem: begins with a byte order mark"),
        ("--service https://localhost:1 --ca text.pem", "--ca: text.pem: is not PEM"),
        ("--service https://localhost:1 --ca ca.der", "--ca: ca.der: is binary (DER"),
        (
            "--service https://localhost:1 --ca ca-key.pem",
            "--ca: ca-key.pem: holds no CERTIFICATE, but this: PRIVATE KEY",
        ),
        (
            "--service https://localhost:1 --ca ca.pem --cert ca-key.pem --key ca-key.pem",
            "ca-key.pem: holds no CERTIFICATE",
        ),
        (
            "--service https://localhost:1 --ca ca.pem --cert ca.pem --key ca.pem",
            "ca.pem: holds no PRIVATE KEY",
        ),
        (
            "--service https://localhost:1 --ca ca.pem --cert ca.pem --key other.pem",
            "other.pem: the key does not belong",
        ),
        ("--service https://localhost:1 --ca ca.pem --cert a.pem", "--key: needed with --cert"),
        ("--service https://localhost:1 --ca ca.pem --key a.pem", "--cert: needed with --key"),
        ("--service http://localhost:1 --ca ca.pem", "has to begin with https://"),
        ("--service localhost:1", "--service: "),
        ("--service ftp://localhost:1", "has to begin with http:// or https://"),
    ] {
        let message = fail(directory.path(), 1, &format!("zone list {options}"));
        assert!(message.contains(words), "{options}: {message}");
    }
}

#[test]
fn certificates_are_shown_and_checked() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    for line in [
        "certs init --dir pki",
        "certs init --dir other",
        "certs issue --dir pki --role server --name berth --dns localhost --ip 127.0.0.1",
        "certs issue --dir pki --role reader --name alice",
        "certs issue --dir other --role reader --name eve",
    ] {
        succeed(here, line);
    }
    let fake = Fake::with_certificates(&here.join("pki"));
    fake.answers("ListZones", ListZonesResponse::default());
    let url = &fake.url;
    let as_alice = "--cert pki/alice.pem --key pki/alice-key.pem";
    succeed(here, &format!("zone list --service {url} --ca pki/ca.pem {as_alice}"));
    for (options, words) in [
        (
            format!("--ca other/ca.pem {as_alice}"),
            "its certificate is not issued by an authority in other/ca.pem (--ca)",
        ),
        ("--ca pki/ca.pem".to_owned(), "it requires a certificate of the client (--cert, --key)"),
        (
            "--ca pki/ca.pem --cert other/eve.pem --key other/eve-key.pem".to_owned(),
            "it does not accept the certificate in other/eve.pem (--cert): its issuer is unknown",
        ),
    ] {
        let message = fail(here, 1, &format!("zone list --service {url} {options}"));
        assert!(message.contains(words) && message.len() < 600, "{options}: {message}");
    }
}
