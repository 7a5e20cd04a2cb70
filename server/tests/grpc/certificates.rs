//! Who is let in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::instances_client::InstancesClient;
use berth_api::v1::placement_client::PlacementClient;
use berth_server::{BindError, Grpc, InvalidTls, Service, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use crate::support::{Running, options};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Certified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, names: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> Certified {
        self.issue_numbered(names, usage, None)
    }

    fn issue_numbered(
        &self,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        serial: Option<u64>,
    ) -> Certified {
        let mut params = CertificateParams::default();
        (params.subject_alt_names, params.extended_key_usages) = (names, vec![usage]);
        params.serial_number = serial.map(Into::into);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Certified { certificate, key: key.serialize_pem() }
    }

    fn server(&self) -> Certified {
        let local = SanType::DnsName("localhost".try_into().unwrap());
        self.issue(vec![local], ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self, name: &str) -> Certified {
        self.issue(vec![SanType::URI(name.try_into().unwrap())], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The list of revoked certificates, in PEM.
    fn revoke(&self, serials: &[u64], number: u64) -> String {
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|&serial| RevokedCertParams {
                    serial_number: serial.into(),
                    revocation_time: rcgen::date_time_ymd(2021, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A service that admits clients with a certificate of this authority.
    pub(crate) async fn service(&self) -> Running {
        self.service_over(Arc::new(Service::new(options()))).await
    }

    /// The same over an existing service.
    pub(crate) async fn service_over(&self, service: Arc<Service>) -> Running {
        let Certified { certificate, key } = self.server();
        let tls = Tls::new(certificate.as_bytes(), key.as_bytes(), self.pem().as_bytes()).unwrap();
        Running::over(service, Some(&tls)).await
    }

    /// A connection to a service of this authority.
    pub(crate) async fn connect(
        &self,
        to: &Running,
        client: Option<Certified>,
    ) -> Result<Channel, tonic::transport::Error> {
        let tls =
            ClientTlsConfig::new().domain_name("localhost").ca_certificate(Certificate::from_pem(self.pem()));
        let tls = match client {
            Some(client) => tls.identity(Identity::from_pem(client.certificate, client.key)),
            None => tls,
        };
        Endpoint::new(format!("https://{}", to.address)).unwrap().tls_config(tls).unwrap().connect().await
    }

    async fn list(&self, at: &Running, client: Option<Certified>) -> Result<(), Status> {
        let channel =
            self.connect(at, client).await.map_err(|error| Status::unavailable(error.to_string()))?;
        PlacementClient::new(channel).list_providers(v1::ListProvidersRequest::default()).await.map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_a_certificate_of_the_authority_are_admitted() {
    let (authority, another) = (Authority::new(), Authority::new());
    let running = authority.service().await;
    authority.list(&running, Some(authority.client("berth://role/reader"))).await.unwrap();
    let foreign = authority.list(&running, Some(another.client("berth://role/operator"))).await;
    assert_ne!(foreign.unwrap_err().code(), Code::Ok);
    authority.list(&running, None).await.unwrap_err();
    let plain = Endpoint::new(format!("http://{}", running.address)).unwrap().connect_lazy();
    let plain = PlacementClient::new(plain).list_providers(v1::ListProvidersRequest::default()).await;
    plain.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_role_is_unauthenticated() {
    let authority = Authority::new();
    let running = authority.service().await;
    for (name, words) in [
        ("https://example.com", "no name such as berth://role/reader"),
        ("berth://role/root", "berth://role/root is no role"),
    ] {
        let refused = authority.list(&running, Some(authority.client(name))).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains(words), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_certificates_there_is_only_loopback() {
    let service = Arc::new(Service::new(options()));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = Grpc::bind(everywhere, None, service).await.err().unwrap();
    assert!(matches!(error, BindError::Open(address) if address == everywhere), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_certificates_have_distinct_errors() {
    let authority = Authority::new();
    let (one, two, ca) = (authority.server(), authority.server(), authority.pem());
    let tls = |certificate: &str, key: &str, ca: &str| {
        Tls::new(certificate.as_bytes(), key.as_bytes(), ca.as_bytes())
    };
    assert!(matches!(tls("", &one.key, &ca), Err(InvalidTls::Certificate(_))));
    assert!(matches!(tls(&one.certificate, &one.certificate, &ca), Err(InvalidTls::Key(_))));
    assert!(matches!(tls(&one.certificate, &one.key, &one.key), Err(InvalidTls::ClientCa(_))));
    assert!(matches!(tls(&one.certificate, &two.key, &ca), Err(InvalidTls::Mismatch(_))));
}

/// A client with the serial number 7, and another one.
fn clients(authority: &Authority) -> [Certified; 2] {
    [7, 8].map(|serial| {
        let name = vec![SanType::URI("berth://role/reader".try_into().unwrap())];
        authority.issue_numbered(name, ExtendedKeyUsagePurpose::ClientAuth, Some(serial))
    })
}

/// Calls and streams end within seconds, on connections that exist, and on new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_of_no_use_within_seconds() {
    let authority = Authority::new();
    let directory = tempfile::TempDir::new().unwrap();
    let list = directory.path().join("crl.pem");
    std::fs::write(&list, authority.revoke(&[], 1)).unwrap();
    let Certified { certificate, key } = authority.server();
    let tls = Tls::new(certificate.as_bytes(), key.as_bytes(), authority.pem().as_bytes()).unwrap();
    let tls = tls.with_revocations(&list).unwrap();
    let running = Running::over(Arc::new(Service::new(options())), Some(&tls)).await;
    let [revoked, other] = clients(&authority);
    let again = Certified { certificate: revoked.certificate.clone(), key: revoked.key.clone() };
    let connected = authority.connect(&running, Some(revoked)).await.unwrap();
    let other = authority.connect(&running, Some(other)).await.unwrap();
    let watch = |channel: &Channel| {
        let mut instances = InstancesClient::new(channel.clone());
        async move { instances.watch(v1::WatchInstancesRequest::default()).await.unwrap().into_inner() }
    };
    let (mut stream, mut others) = (watch(&connected).await, watch(&other).await);

    std::fs::write(&list, authority.revoke(&[7], 2)).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
    assert_eq!(ended.expect("the stream ends").unwrap_err().code(), Code::Unauthenticated);
    let list_providers = |channel: Channel| async move {
        PlacementClient::new(channel).list_providers(v1::ListProvidersRequest::default()).await
    };
    assert_eq!(list_providers(connected).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(authority.list(&running, Some(again)).await.unwrap_err().code(), Code::Unauthenticated);
    list_providers(other.clone()).await.unwrap();

    // A list that cannot be used changes nothing.
    std::fs::write(&list, "none").unwrap();
    let silent = tokio::time::timeout(Duration::from_secs(3), others.message()).await;
    assert!(silent.is_err(), "{silent:?}");
    list_providers(other).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_used_is_refused_at_the_start() {
    let authority = Authority::new();
    let Certified { certificate, key } = authority.server();
    let tls = || Tls::new(certificate.as_bytes(), key.as_bytes(), authority.pem().as_bytes()).unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    let list = directory.path().join("crl.pem");
    let error = tls().with_revocations(&list).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    std::fs::write(&list, authority.pem()).unwrap();
    let error = tls().with_revocations(&list).unwrap_err();
    assert!(error.to_string().contains("holds no X509 CRL, but this: CERTIFICATE"), "{error}");
}
