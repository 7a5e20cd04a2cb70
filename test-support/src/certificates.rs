//! Certificates for servers on loopback and their clients.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// An authority that issues certificates.
pub struct Certificates(CertifiedIssuer<'static, KeyPair>);

impl Certificates {
    /// A new authority, which nobody trusts yet.
    #[expect(clippy::new_without_default, reason = "each authority has keys of its own")]
    pub fn new() -> Self {
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// The certificate of the authority, in PEM.
    pub fn authority(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key for a server on loopback, in PEM.
    pub fn server(&self) -> (String, String) {
        let loopback = SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.issue("server", loopback, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate and its key for a client, in PEM.
    pub fn client(&self) -> (String, String) {
        let name = SanType::DnsName("client".try_into().expect("a name"));
        self.issue("client", name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, subject: &str, name: SanType, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = named(subject);
        (params.subject_alt_names, params.extended_key_usages) = (vec![name], vec![usage]);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// Parameters of a certificate. Erlang takes one whose subject is its issuer as self-signed, so
/// each kind has a name of its own.
fn named(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}
