//! The caller: the role that a client's certificate gives it.
//!
//! A certificate has exactly one URI among its names that begins with `berth:`. It is
//! `berth://role/operator`, `berth://role/service` or `berth://role/reader`, or `berth://agent/`
//! and the name of the agent's host, with or without the host's UUID behind another slash. That the
//! certificate is genuine, TLS has found out already.

use std::sync::Arc;

use axum::http::Extensions;
use berth_api::host_name;
use berth_api::v1::Hello;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Status};
use uuid::Uuid;
use webpki::EndEntityCert;

use super::prompt::Peer;

/// The key of callers without a certificate.
const LOCAL: &str = "local";

/// What the bounds of one caller are counted by: the certificate. Callers without one are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallerKey(pub(crate) Arc<str>);

impl CallerKey {
    /// The key of the other end of the connection.
    pub(super) fn of(connection: &Extensions) -> Self {
        let certificates = connection.get::<TlsConnectInfo<Peer>>().and_then(TlsConnectInfo::peer_certs);
        let own = certificates.as_ref().and_then(|certificates| certificates.first());
        Self(own.map_or(LOCAL.into(), |own| format!("{:x}", Sha256::digest(own)).into()))
    }

    /// The key among those of users of the REST API.
    pub(crate) fn among_users(&self) -> Arc<str> {
        format!("gRPC {}", self.0).into()
    }

    /// The SHA-256 of the certificate in hexadecimal digits; `None` without one.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        Some(&*self.0).filter(|key| *key != LOCAL)
    }

    /// The key of a call that the guard admitted.
    pub(crate) fn behind<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self(LOCAL.into()))
    }

    /// The same before the call reaches its service.
    pub(super) fn noted(call: &Extensions) -> Self {
        call.get().cloned().unwrap_or_else(|| Self::of(call))
    }
}

/// The certificates that the client has shown.
pub(super) fn chain(connection: &Extensions) -> Option<Arc<Vec<CertificateDer<'static>>>> {
    connection.get::<TlsConnectInfo<Peer>>()?.peer_certs()
}

/// What is known of the connection of a call.
pub(super) fn peer(connection: &Extensions) -> Option<&Peer> {
    let secured = connection.get::<TlsConnectInfo<Peer>>().map(TlsConnectInfo::get_ref);
    secured.or_else(|| connection.get())
}

/// What a connection is known by as long as it exists: the address of its client.
pub(super) fn connection_key(connection: &Extensions) -> Arc<str> {
    let address = peer(connection).and_then(|peer| peer.address);
    address.map_or_else(|| "".into(), |address| address.to_string().into())
}

/// The caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Any client on this machine, of a service without certificates.
    Local,
    /// An operator: may do everything.
    Operator,
    /// A service that places instances.
    Service,
    /// A client with read access.
    Reader,
    /// The agent of the host with this name, and this UUID if the certificate says it.
    Agent(Arc<str>, Option<Uuid>),
}

/// A certificate that identifies no caller.
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
    /// The caller at the other end of the connection.
    pub(super) fn of(connection: &Extensions) -> Result<Self, Nobody> {
        let Some(connection) = connection.get::<TlsConnectInfo<Peer>>() else {
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
            ("agent", host) => Self::parse_agent(host),
            _ => None,
        }
    }

    fn parse_agent(host: &str) -> Option<Self> {
        let (host, uuid) = match host.split_once('/') {
            Some((host, uuid)) => (host, Some(Uuid::try_parse(uuid).ok()?)),
            None => (host, None),
        };
        host_name::check(host).ok().map(|()| Self::Agent(host.into(), uuid))
    }

    /// The caller that the guard admitted.
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

    /// The caller's role, as events of instances show it.
    pub(crate) fn role(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Operator => "operator",
            Self::Service => "service",
            Self::Reader => "reader",
            Self::Agent(..) => "agent",
        }
    }

    /// The host of an agent.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Agent(host, _) => Some(host),
            _ => None,
        }
    }

    /// Checks that it may speak for a host; returns whether it also vouches for it: operators do,
    /// and certificates with the host's UUID.
    pub(crate) fn speaks_for(&self, hello: &Hello) -> Result<bool, Status> {
        let Hello { host, host_uuid, .. } = hello;
        let refuse =
            |what: String| Err(Status::permission_denied(format!("the certificate is not that of {what}")));
        match self {
            Self::Local | Self::Operator => Ok(true),
            Self::Agent(own, _) if **own != **host => refuse(format!("host {host:?}")),
            Self::Agent(_, Some(uuid)) if Uuid::try_parse(host_uuid) != Ok(*uuid) => {
                refuse(format!("a host with the UUID {host_uuid:?}, but with {uuid}"))
            }
            Self::Agent(_, uuid) => Ok(uuid.is_some()),
            Self::Service | Self::Reader => refuse(format!("host {host:?}")),
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
        assert_eq!(named(&["berth://agent/host-1.rack_2"]), Ok(Caller::Agent("host-1.rack_2".into(), None)));
        let uuid = Uuid::from_u128(7);
        assert_eq!(named(&[&format!("berth://agent/h/{uuid}")]), Ok(Caller::Agent("h".into(), Some(uuid))));
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
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let hello =
            |host: &str| Hello { host: host.to_owned(), host_uuid: own.to_string(), ..Default::default() };
        let speaks_for = |caller: Caller, host: &str| caller.speaks_for(&hello(host)).ok();
        assert_eq!(speaks_for(Caller::Agent("a".into(), None), "a"), Some(false));
        assert_eq!(speaks_for(Caller::Agent("a".into(), Some(own)), "a"), Some(true));
        assert_eq!(speaks_for(Caller::Agent("a".into(), Some(other)), "a"), None);
        assert_eq!(speaks_for(Caller::Agent("a".into(), Some(own)), "A"), None);
        assert_eq!([Caller::Local, Caller::Operator].map(|caller| speaks_for(caller, "a")), [Some(true); 2]);
        assert_eq!([Caller::Service, Caller::Reader].map(|caller| speaks_for(caller, "a")), [None; 2]);
    }
}
