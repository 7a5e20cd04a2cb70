//! Who is calling: the role that a client's certificate gives it.
//!
//! A certificate has exactly one URI among its names that begins with `berth:`. It is `berth://role/operator`,
//! `berth://role/service` or `berth://role/reader`, or `berth://agent/` and the name of the agent's host. That the
//! certificate is genuine, TLS has found out already.

use std::sync::Arc;

use axum::http::Extensions;
use berth_api::host_name;
use rustls_pki_types::CertificateDer;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};
use webpki::EndEntityCert;

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody on this machine, of a service without certificates.
    Local,
    /// An operator: may do everything.
    Operator,
    /// A service that places instances.
    Service,
    /// Somebody who looks.
    Reader,
    /// The agent of the host with this name.
    Agent(Arc<str>),
}

/// A certificate that does not say who its owner is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nobody {
    #[error("there is no client certificate")]
    NoCertificate,
    #[error("the client certificate cannot be read: {0}")]
    Unreadable(webpki::Error),
    #[error("the client certificate has no name such as berth://role/reader or berth://agent/HOST")]
    NoRole,
    #[error("the client certificate has more than one name that begins with berth:")]
    TwoRoles,
    #[error("the client certificate's name {0} is no role and no agent")]
    UnknownRole(String),
}

impl Caller {
    /// Whoever stands at the other end of the connection.
    pub(super) fn of(connection: &Extensions) -> Result<Self, Nobody> {
        let Some(connection) = connection.get::<TlsConnectInfo<TcpConnectInfo>>() else {
            return Ok(Self::Local); // without TLS, there is only loopback
        };
        let certificates = connection.peer_certs().ok_or(Nobody::NoCertificate)?;
        Self::named_by(certificates.first().ok_or(Nobody::NoCertificate)?)
    }

    fn named_by(certificate: &CertificateDer<'_>) -> Result<Self, Nobody> {
        let certificate = EndEntityCert::try_from(certificate).map_err(Nobody::Unreadable)?;
        let mut names = certificate.valid_uri_names().filter(|name| name.starts_with("berth:"));
        match (names.next(), names.next()) {
            (None, _) => Err(Nobody::NoRole),
            (Some(_), Some(_)) => Err(Nobody::TwoRoles),
            (Some(name), None) => Self::parse(name).ok_or_else(|| Nobody::UnknownRole(name.to_owned())),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix("berth://")?.split_once('/')? {
            ("role", "operator") => Some(Self::Operator),
            ("role", "service") => Some(Self::Service),
            ("role", "reader") => Some(Self::Reader),
            ("agent", host) if host_name::check(host).is_ok() => Some(Self::Agent(host.into())),
            _ => None,
        }
    }

    /// Whoever the guard let through.
    pub(crate) fn behind<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or(Self::Local)
    }

    /// Whether locks and the scheduler's choice do not bind them.
    pub(crate) fn is_operator(&self) -> bool {
        matches!(self, Self::Local | Self::Operator)
    }

    /// Only operators may insist on a host.
    pub(crate) fn check_zone(&self, availability_zone: &str) -> Result<(), Status> {
        if availability_zone.contains(':') && !self.is_operator() {
            return Err(Status::permission_denied("availability_zone: only operators may insist on a host"));
        }
        Ok(())
    }

    /// As events of instances tell it.
    pub(crate) fn role(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Operator => "operator",
            Self::Service => "service",
            Self::Reader => "reader",
            Self::Agent(_) => "agent",
        }
    }

    /// Whether it may speak for the host with this name.
    pub(crate) fn may_join(&self, host: &str) -> bool {
        match self {
            Self::Local | Self::Operator => true,
            Self::Agent(own) => **own == *host,
            Self::Service | Self::Reader => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn named(names: &[&str]) -> Result<Caller, Nobody> {
        let mut params = CertificateParams::new(vec!["host1".to_owned()]).unwrap();
        let uris = names.iter().map(|name| SanType::URI((*name).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Caller::named_by(certificate.der())
    }

    #[test]
    fn a_certificate_names_one_role() {
        assert_eq!(named(&["berth://role/operator"]), Ok(Caller::Operator));
        assert_eq!(named(&["https://example.com", "berth://role/service"]), Ok(Caller::Service));
        assert_eq!(named(&["berth://agent/host-1.rack_2"]), Ok(Caller::Agent("host-1.rack_2".into())));
        assert_eq!(named(&[]), Err(Nobody::NoRole));
        assert_eq!(named(&["berth://role/reader", "berth://agent/h"]), Err(Nobody::TwoRoles));
        for name in [
            "berth://role/root",
            "berth://agent/",
            "berth://agent/a/b",
            "berth:role/operator",
            "berth://agent/a%2f",
        ] {
            assert_eq!(named(&[name]), Err(Nobody::UnknownRole(name.to_owned())));
        }
        let rubbish = CertificateDer::from(vec![0; 9]);
        assert!(matches!(Caller::named_by(&rubbish), Err(Nobody::Unreadable(_))));
    }

    #[test]
    fn an_agent_joins_as_its_own_host() {
        assert!(Caller::Agent("a".into()).may_join("a"));
        assert!(!Caller::Agent("a".into()).may_join("A"));
        assert!(Caller::Local.may_join("a") && Caller::Operator.may_join("a"));
        assert!(!Caller::Service.may_join("a") && !Caller::Reader.may_join("a"));
    }
}
