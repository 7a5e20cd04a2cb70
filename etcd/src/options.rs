//! How a cluster is reached.

use std::fmt;
use std::time::Duration;

use crate::location::EtcdLocation;

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub struct EtcdOptions {
    /// `HOST:PORT` of each member.
    pub members: Vec<String>,
    /// Certificates; `None` for connections without TLS.
    pub tls: Option<EtcdTls>,
    /// User and password; `None` where etcd has no authentication, or identifies the client by its
    /// certificate.
    pub credentials: Option<EtcdCredentials>,
    /// The longest time for a call, with all its attempts.
    pub timeout: Duration,
    /// The longest time for an attempt at one member.
    pub attempt_timeout: Duration,
}

impl EtcdOptions {
    /// The members of a location without TLS and credentials, and the usual time limits.
    #[must_use]
    pub fn of(location: &EtcdLocation) -> Self {
        Self {
            members: location.members.clone(),
            tls: None,
            credentials: None,
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(1),
        }
    }
}

/// Certificates for TLS.
#[derive(Clone)]
pub struct EtcdTls {
    /// Certificates of the authorities that issued those of the members, in PEM.
    pub authorities: String,
    /// The client's certificate and its key, in PEM.
    pub identity: Option<(String, String)>,
}

/// A user and the password.
#[derive(Clone)]
pub struct EtcdCredentials {
    /// The name of the user.
    pub user: String,
    /// The password.
    pub password: String,
}

// Neither a key nor a password may reach a log.
impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for EtcdCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdCredentials").field("user", &self.user).finish_non_exhaustive()
    }
}
