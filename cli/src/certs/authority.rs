//! The certificate authority.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::files::{Certified, Pair};
use super::leaf::Leaf;

/// Tolerance for the clocks of other machines: a certificate is valid from an hour before its
/// creation.
const EARLIER: Duration = Duration::from_secs(3600);

pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A certificate authority that can issue.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(super) fn make(name: &str, days: u32) -> Result<Certified> {
        let mut params = valid_for(days);
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params.self_signed(&key).context("cannot make the certificate")?;
        Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub(super) fn read(pair: &Pair) -> Result<Self> {
        let Certified { certificate, key } = pair.read()?;
        let key = KeyPair::from_pem(&key).context("the authority's key cannot be read")?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key);
        Ok(Self { issuer: issuer.context("the authority's certificate cannot be read")? })
    }

    /// A certificate with a key of its own.
    pub(super) fn issue(&self, leaf: Leaf) -> Result<Certified> {
        let mut params = valid_for(leaf.days);
        params.distinguished_name = named(&leaf.name);
        params.subject_alt_names = leaf.alternative_names;
        params.extended_key_usages = leaf.usages;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("cannot make the certificate")?;
        Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid_for(days: u32) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut params = CertificateParams::default();
    params.not_before = epoch + now.saturating_sub(EARLIER);
    params.not_after = epoch + (now + DAY * days);
    params
}
