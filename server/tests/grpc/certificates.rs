//! Who is let in.

use std::net::SocketAddr;
use std::sync::Arc;

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_server::{BindError, Grpc, InvalidTls, Service, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
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
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, names: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> Certified {
        let mut params = CertificateParams::default();
        (params.subject_alt_names, params.extended_key_usages) = (names, vec![usage]);
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

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A service that lets in whoever has a certificate of this authority.
    pub(crate) async fn service(&self) -> Running {
        self.service_over(Arc::new(Service::new(options()))).await
    }

    /// The same with a service of the caller's.
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
async fn only_who_has_a_certificate_of_the_authority_is_let_in() {
    let (authority, another) = (Authority::new(), Authority::new());
    let running = authority.service().await;
    authority.list(&running, Some(authority.client("berth://role/reader"))).await.unwrap();
    let stranger = authority.list(&running, Some(another.client("berth://role/operator"))).await;
    assert_ne!(stranger.unwrap_err().code(), Code::Ok);
    authority.list(&running, None).await.unwrap_err();
    let plain = Endpoint::new(format!("http://{}", running.address)).unwrap().connect_lazy();
    let plain = PlacementClient::new(plain).list_providers(v1::ListProvidersRequest::default()).await;
    plain.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_role_is_nobody() {
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
async fn certificates_that_cannot_be_used_are_told_apart() {
    let authority = Authority::new();
    let (one, two, ca) = (authority.server(), authority.server(), authority.pem());
    let tls = |certificate: &str, key: &str, ca: &str| {
        Tls::new(certificate.as_bytes(), key.as_bytes(), ca.as_bytes())
    };
    assert!(matches!(tls("", &one.key, &ca), Err(InvalidTls::Certificate(_))));
    assert!(matches!(tls(&one.certificate, &one.certificate, &ca), Err(InvalidTls::Key(_))));
    assert!(matches!(tls(&one.certificate, &one.key, &one.key), Err(InvalidTls::ClientCa(_))));
    let mixed = tls(&one.certificate, &two.key, &ca).unwrap();
    let service = Arc::new(Service::new(options()));
    let error = Grpc::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Some(&mixed), service).await.err().unwrap();
    assert!(matches!(error, BindError::Tls(InvalidTls::Mismatch(_))), "{error}");
}
