//! An agent and its certificate: from `berth certs` to a guest, and with which words others are
//! turned away.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use berth_compute_agent::agent::{self, Settings};
use berth_compute_agent::disks::Peers;
use berth_compute_agent::service::{self, Certificates};
use berth_compute_agent::{Facts, FakeHypervisor, ObservedState, Offer};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use uuid::Uuid;

use super::serve::Serving;
use super::{fail, succeed};

const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with an authority, certificates of it and of an unknown authority, and a service
/// with a certificate.
fn service() -> (TempDir, Serving) {
    let directory = TempDir::new().unwrap();
    for line in [
        "certs init --dir pki",
        "certs init --dir other --name Others",
        "certs issue --dir pki --role server --name berth --dns localhost --ip 127.0.0.1",
        "certs issue --dir pki --role operator --name alice",
        "certs issue --dir pki --role reader --name bob",
        "certs issue --dir pki --role agent --name host1",
        "certs issue --dir pki --role agent --name host2",
        "certs issue --dir other --role agent --name host1",
    ] {
        succeed(directory.path(), line);
    }
    let file = |name: &str| directory.path().join("pki").join(name).to_str().unwrap().to_owned();
    let options = [
        ("--tls-certificate", file("berth.pem")),
        ("--tls-key", file("berth-key.pem")),
        ("--tls-client-ca", file("ca.pem")),
    ];
    let options: Vec<&str> = options.iter().flat_map(|(name, file)| [*name, file.as_str()]).collect();
    let serving = Serving::start(&options);
    (directory, serving)
}

/// Certificates that `berth certs` issued. The service's authority is always that of `pki`.
fn certificates(directory: &Path, issuer: &str, name: &str) -> Certificates {
    let read = |file: String| fs::read(directory.join(file)).unwrap();
    Certificates {
        authority: read("pki/ca.pem".to_owned()),
        certificate: read(format!("{issuer}/{name}.pem")),
        key: read(format!("{issuer}/{name}-key.pem")),
    }
}

/// A certificate of host1 by the authority, that was valid until 2020.
fn expired(directory: &Path) -> Certificates {
    let read = |file: &str| fs::read_to_string(directory.join("pki").join(file)).unwrap();
    let issuer_key = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), issuer_key).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("berth://agent/host1".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2019, 1, 1), rcgen::date_time_ymd(2020, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem().into_bytes();
    let authority = read("ca.pem").into_bytes();
    Certificates { authority, certificate, key: key.serialize_pem().into_bytes() }
}

fn settings(host: &str) -> Settings {
    Settings {
        host: host.to_owned(),
        address: "127.0.0.1".to_owned(),
        offer: Offer::default(),
        shutdown_grace: PATIENCE,
        peers: Peers::default(),
        disks: None,
        seed: 1,
    }
}

fn hypervisor() -> Arc<FakeHypervisor> {
    Arc::new(FakeHypervisor::new(Facts::plain(Uuid::from_u128(0xa), 8, 16384, 100)))
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until the agent of host1 says with these words why it cannot join. It goes on trying: when
/// the service closes the connection before its reason was read, it says only the next time.
fn assert_refused(channel: impl FnOnce() -> Channel, words: &str) {
    let log = Log::default();
    let kept = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || kept.clone()).finish();
    let _kept = tracing::subscriber::set_default(subscriber);
    let said = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let is_refusal = |line: &str| {
        ["no stream to the service", "the service refuses this host"].iter().any(|text| line.contains(text))
    };
    let refused = async {
        let agent = agent::run(hypervisor(), settings("host1"), channel(), std::future::pending());
        let mut agent = std::pin::pin!(agent);
        while !said().lines().any(|line| is_refusal(line) && line.contains(words)) {
            tokio::select! {
                () = &mut agent => unreachable!("nobody ends it"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let in_time = runtime.block_on(async { tokio::time::timeout(PATIENCE, refused).await });
    assert!(in_time.is_ok() && !said().contains("joined the service"), "not {words:?}: {}", said());
}

#[tokio::test]
async fn an_agent_joins_with_its_certificate_and_builds() {
    let (directory, serving) = service();
    let Certificates { authority, certificate, key } = certificates(directory.path(), "pki", "alice");
    let tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(authority))
        .identity(Identity::from_pem(certificate, key));
    let url = format!("https://{}", serving.grpc);
    let operator = Endpoint::new(url.clone()).unwrap().tls_config(tls).unwrap().connect_lazy();

    let approved =
        v1::ApproveHostRequest { name: "host1".to_owned(), host_uuid: Uuid::from_u128(0xa).to_string() };
    FleetClient::new(operator.clone()).approve_host(approved).await.unwrap();
    let hypervisor = hypervisor();
    let channel = service::channel(&url, Some(certificates(directory.path(), "pki", "host1"))).unwrap();
    let agent = agent::run(Arc::clone(&hypervisor), settings("host1"), channel, std::future::pending());
    let built = async {
        let mut fleet = FleetClient::new(operator.clone());
        let flavor = v1::Flavor {
            name: "small".to_owned(),
            vcpus: 1,
            memory_mb: 512,
            root_gb: 1,
            ..v1::Flavor::default()
        };
        fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor) }).await.unwrap();
        let host1 = v1::GetHostRequest { name: "host1".to_owned() };
        while !fleet.get_host(host1.clone()).await.is_ok_and(|host| host.get_ref().is_up) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let wanted = v1::CreateInstancesRequest {
            name: "it".to_owned(),
            flavor: "small".to_owned(),
            project: "p".to_owned(),
            ..v1::CreateInstancesRequest::default()
        };
        let mut instances = InstancesClient::new(operator.clone());
        let made = instances.create(wanted).await.unwrap().into_inner().instances.remove(0);
        let it = v1::InstanceRequest { instance: made.uuid.clone(), ..v1::InstanceRequest::default() };
        while instances.get(it.clone()).await.unwrap().get_ref().status != "ACTIVE" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        made.uuid.parse().unwrap()
    };
    let built: Uuid = tokio::select! {
        () = agent => unreachable!("nobody ends it"),
        built = tokio::time::timeout(PATIENCE, built) => built.expect("it is built in time"),
    };
    assert_eq!(hypervisor.guest(built).0, ObservedState::Running);
}

/// An agent of host1, for as long as its runtime lives.
pub(super) fn joined(serving: &Serving) -> tokio::runtime::Runtime {
    let url = format!("http://{}", serving.grpc);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(async move {
        let channel = service::channel(&url, None).unwrap();
        agent::run(hypervisor(), settings("host1"), channel, std::future::pending()).await;
    });
    runtime
}

#[test]
fn the_servers_of_a_fleet_are_not_leaked() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    let serving = Serving::on(&place.join("data"));
    let url = format!("http://{}", serving.address);
    let runtime = joined(&serving);
    let service = format!("--service http://{}", serving.grpc);
    while !succeed(place, &format!("host list {service}")).contains("up") {
        std::thread::sleep(Duration::from_millis(20));
    }
    succeed(place, &format!("flavor create small --vcpus 1 --ram 512 {service}"));
    succeed(place, &format!("server create it --flavor small --wait {service}"));

    let unknown = Uuid::from_u128(0x5).to_string();
    fs::write(place.join("instances"), &unknown).unwrap();
    fs::write(place.join("migrations"), "").unwrap();
    let audit = format!("audit --url {url} --migrations migrations --older-than 0 --heal leaked --write");
    assert!(succeed(place, &format!("{audit} --servers {service}")).contains("Leaked consumers: 0"));
    drop(runtime);
    drop(serving);
    succeed(place, "audit --data data --instances instances");
    let serving = Serving::on(&place.join("data"));
    let found = format!("audit --url http://{} --instances instances", serving.address);
    let output = super::run(place, found.split(' '));
    assert!(
        super::stdout(&output).contains("Leaked consumers: 1"),
        "the instances of a fleet are leaked if no --servers names them"
    );
}

#[test]
fn agents_that_may_not_join_receive_the_reason() {
    let (directory, serving) = service();
    let here = directory.path();
    let url = format!("https://{}", serving.grpc);
    let with = |certificates| {
        let url = url.clone();
        move || service::channel(&url, Some(certificates)).unwrap()
    };
    for (certificates, words) in [
        (
            certificates(here, "pki", "host1"),
            "is not approved; an operator approves it with: berth host approve host1",
        ),
        (certificates(here, "pki", "host2"), "the certificate is not that of host \"host1\""),
        (certificates(here, "pki", "bob"), "PermissionDenied"),
        (certificates(here, "other", "host1"), "received fatal alert: UnknownCA"),
        (expired(here), "received fatal alert: CertificateExpired"),
    ] {
        assert_refused(with(certificates), words);
    }
    // A client that has no certificate at all.
    let tls = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(fs::read(here.join("pki/ca.pem")).unwrap()));
    let endpoint = Endpoint::new(url.clone()).unwrap().tls_config(tls).unwrap();
    assert_refused(move || endpoint.connect_lazy(), "received fatal alert: CertificateRequired");
    // The agent refuses to go without one by itself.
    let said = service::channel(&url, None).unwrap_err().to_string();
    assert!(said.contains("without certificates only http:// on a loopback address"), "{said}");
    // The service needs a certificate of the authority.
    let unknown = Certificates {
        authority: fs::read(here.join("other/ca.pem")).unwrap(),
        ..certificates(here, "pki", "host1")
    };
    assert_refused(with(unknown), "invalid peer certificate: UnknownIssuer");
}

#[test]
fn without_certificates_no_other_machine_is_listened_to() {
    let directory = TempDir::new().unwrap();
    let line = "serve --config /dev/null --data none --listen 127.0.0.1:0 --grpc-listen 0.0.0.0:0";
    let said = fail(directory.path(), 1, line);
    assert!(said.contains("0.0.0.0:0 is not a loopback address"), "{said}");
}
