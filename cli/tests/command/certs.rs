//! `berth certs`: an authority, certificates, and a service that admits clients with one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use berth_api::v1::ListProvidersRequest;
use berth_api::v1::placement_client::PlacementClient;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use super::serve::{Serving, wait};
use super::{fail, succeed};

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_is_made_once() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    assert_eq!(succeed(here, "certs init --dir pki"), "made pki/ca.pem and pki/ca-key.pem\n");
    let (certificate, key) = (here.join("pki/ca.pem"), here.join("pki/ca-key.pem"));
    assert_eq!((mode(&key), mode(&here.join("pki"))), (0o600, 0o700));
    let made = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
    let error = fail(here, 1, "certs init --dir pki");
    assert!(error.contains("pki/ca-key.pem exists already; it is not overwritten"), "{error}");
    assert_eq!(made, (fs::read(certificate).unwrap(), fs::read(key).unwrap()));
}

#[test]
fn what_cannot_be_issued_is_said() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    let error = fail(here, 1, "certs issue --dir pki --role reader --name x");
    assert!(error.contains("cannot read pki/ca.pem") && error.contains("berth certs init"), "{error}");
    succeed(here, "certs init --dir pki --name Ours --days 1");
    assert_eq!(
        succeed(here, "certs issue --dir pki --role agent --name host-1"),
        "made pki/host-1.pem and pki/host-1-key.pem\n"
    );
    assert_eq!(mode(&here.join("pki/host-1-key.pem")), 0o600);
    for (line, code, words) in [
        ("--role agent --name host-1", 1, "pki/host-1-key.pem exists already"),
        ("--role agent --name h --uuid x", 2, "--uuid"),
        (
            "--role reader --name h --uuid 00000000-0000-4000-8000-000000000001",
            1,
            "--uuid: is for the role agent only",
        ),
        ("--role agent --name ca", 1, "exists already"),
        ("--role agent --name ../x", 1, "--name: has to be 1 to 64 letters"),
        ("--role server --name s --dns b\u{fc}cher", 1, "--dns: \"b\u{fc}cher\" is no DNS name"),
        ("--role root --name x", 2, "operator, service, reader, server, agent"),
        ("--role server --name s --ip 1.2.3", 2, "--ip"),
        ("--role reader --name x --days 0", 2, "--days"),
    ] {
        let error = fail(here, code, &format!("certs issue --dir pki {line}"));
        assert!(error.contains(words), "{line}: {error}");
    }
}

/// What listing providers comes to for the owner of this certificate.
async fn list(pki: &Path, address: &str, name: &str) -> Result<(), Status> {
    let read = |file: String| fs::read(pki.join(file)).unwrap();
    let tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(read("ca.pem".into())))
        .identity(Identity::from_pem(read(format!("{name}.pem")), read(format!("{name}-key.pem"))));
    let endpoint = Endpoint::new(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
    let mut client = PlacementClient::new(endpoint.connect_lazy());
    client.list_providers(ListProvidersRequest::default()).await.map(|_| ())
}

#[test]
fn a_service_lets_in_who_has_a_certificate() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    for line in [
        "certs init --dir pki",
        "certs init --dir other",
        "certs issue --dir pki --role server --name berth --dns localhost --ip 127.0.0.1",
        "certs issue --dir pki --role reader --name alice",
        "certs issue --dir pki --role agent --name host1",
        "certs issue --dir other --role operator --name mallory",
    ] {
        succeed(here, line);
    }
    let file = |name: &str| here.join(name).to_str().unwrap().to_owned();
    let serving = Serving::start(&[
        "--tls-certificate",
        &file("pki/berth.pem"),
        "--tls-key",
        &file("pki/berth-key.pem"),
        "--tls-client-ca",
        &file("pki/ca.pem"),
    ]);
    for name in ["mallory.pem", "mallory-key.pem"] {
        fs::copy(here.join("other").join(name), here.join("pki").join(name)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pki = here.join("pki");
        list(&pki, &serving.grpc, "alice").await.unwrap();
        assert_eq!(list(&pki, &serving.grpc, "host1").await.unwrap_err().code(), Code::PermissionDenied);
        list(&pki, &serving.grpc, "mallory").await.unwrap_err();
        // The service's own certificate is none for clients.
        list(&pki, &serving.grpc, "berth").await.unwrap_err();
    });
}

/// A certificate that was renewed needed a restart.
#[test]
fn renewed_certificates_are_used_after_a_signal() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    for line in [
        "certs init --dir pki",
        "certs issue --dir pki --role server --name berth --dns localhost --ip 127.0.0.1",
        "certs issue --dir pki --role reader --name alice",
        "certs init --dir new",
        "certs issue --dir new --role server --name berth --dns localhost --ip 127.0.0.1",
        "certs issue --dir new --role reader --name bob",
    ] {
        succeed(here, line);
    }
    let used = here.join("used");
    fs::create_dir(&used).unwrap();
    let install = |from: &str| {
        for file in ["berth.pem", "berth-key.pem", "ca.pem"] {
            fs::copy(here.join(from).join(file), used.join(file)).unwrap();
        }
    };
    install("pki");
    let file = |name: &str| used.join(name).to_str().unwrap().to_owned();
    let (certificate, key, authority) = (file("berth.pem"), file("berth-key.pem"), file("ca.pem"));
    let serving = Serving::start(&[
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &authority,
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lists = |pki: &str, name: &str| runtime.block_on(list(&here.join(pki), &serving.grpc, name));
    lists("pki", "alice").unwrap();
    lists("new", "bob").unwrap_err();

    // A key that does not belong to the certificate changes nothing.
    fs::copy(here.join("new/berth-key.pem"), &key).unwrap();
    serving.signal("-HUP");
    wait("the refusal is logged", || serving.log_so_far().contains("nothing has changed"));
    assert!(serving.log_so_far().contains("serve.tls.key"), "{}", serving.log_so_far());
    lists("pki", "alice").unwrap();

    install("new");
    serving.signal("-HUP");
    wait("the settings are read", || serving.log_so_far().contains("the settings were read again"));
    lists("new", "bob").unwrap();
    lists("pki", "alice").unwrap_err();
    let log = serving.stop();
    assert!(!log.contains("takes effect at the next start"), "{log}");
}

/// The service "did not answer in time".
#[test]
fn an_intermediate_authority_that_is_missing_is_named() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    };
    let (root, root_key) = authority("root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root, root_key);
    let (between, between_key) = authority("between");
    let between_pem = between.signed_by(&between_key, &root).unwrap().pem();
    let between = Issuer::new(between, between_key);
    let leaf = |name: &str, usage, issuer: &Issuer<'_, KeyPair>| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.subject_alt_names.push(SanType::URI("berth://role/reader".try_into().unwrap()));
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        fs::write(here.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
        let pem = params.signed_by(&key, issuer).unwrap().pem();
        fs::write(here.join(format!("{name}.pem")), &pem).unwrap();
        pem
    };
    fs::write(here.join("root.pem"), root_pem).unwrap();
    leaf("berth", ExtendedKeyUsagePurpose::ServerAuth, &root);
    let alice = leaf("alice", ExtendedKeyUsagePurpose::ClientAuth, &between);
    fs::write(here.join("whole.pem"), alice + &between_pem).unwrap();
    let file = |name: &str| here.join(name).to_str().unwrap().to_owned();
    let (certificate, key, authority) = (file("berth.pem"), file("berth-key.pem"), file("root.pem"));
    let options = ["--tls-certificate", &certificate, "--tls-key", &key, "--tls-client-ca", &authority];
    let serving = Serving::start(&options);
    let line =
        format!("zone list --service https://{} --ca root.pem --key alice-key.pem --cert", serving.grpc);
    succeed(here, &format!("{line} whole.pem"));
    for _ in 0..5 {
        let message = fail(here, 1, &format!("{line} alice.pem"));
        assert!(message.contains("it does not accept the certificate in alice.pem (--cert)"), "{message}");
        assert!(message.contains("append the intermediate's certificate to alice.pem"), "{message}");
    }
    serving.stop();
}

#[test]
fn certificates_are_revoked_one_by_one() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    succeed(here, "certs init --dir pki");
    for name in ["alice", "bob"] {
        succeed(here, &format!("certs issue --dir pki --role reader --name {name}"));
    }
    assert!(succeed(here, "certs revoke --dir pki --nothing").contains("lists 0 revoked"));
    assert!(succeed(here, "certs revoke --dir pki --name alice").contains("lists 1 revoked"));
    let list = here.join("pki/crl.pem");
    let first = fs::read_to_string(&list).unwrap();
    assert!(first.starts_with("-----BEGIN X509 CRL-----"), "{first}");
    assert!(succeed(here, "certs revoke --dir pki --certificate pki/bob.pem").contains("lists 2 revoked"));
    assert!(fail(here, 1, "certs revoke --dir pki --name alice").contains("is revoked already"));
    assert!(fail(here, 1, "certs revoke --dir pki --name carol").contains("carol.pem"));
    assert_ne!(fs::read_to_string(&list).unwrap(), first);
}
