//! Certificates: the server's own, and whose clients are believed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_process::certificates::{self, CertificateProblem};
use rustls_pki_types::CertificateDer;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::revocation::Revocations;

/// How long a client may take to show its certificate.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Certificates for both sides of each connection, in PEM.
#[derive(Clone)]
pub struct Tls {
    identity: Identity,
    client_ca: Certificate,
    authorities: Vec<CertificateDer<'static>>,
    pub(super) revocations: Option<Arc<Revocations>>,
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// The server's certificates.
    #[error("the certificate cannot be used: it {0}")]
    Certificate(CertificateProblem),
    /// The server's key.
    #[error("the key cannot be used: {0}")]
    Key(CertificateProblem),
    /// The server's certificate and key together.
    #[error("the key does not belong to the certificate: {0}")]
    Mismatch(String),
    /// The list of revoked certificates.
    #[error("the list of revoked certificates cannot be used: it {0}")]
    ClientCrl(CertificateProblem),
    /// The authority of the clients.
    #[error("the client authority's certificate cannot be used: it {0}")]
    ClientCa(CertificateProblem),
}

impl Tls {
    /// Of the server's certificate with those that lead to its authority, the key that belongs to
    /// it, and the certificates of the authorities whose clients are believed.
    ///
    /// # Errors
    /// The problem, and which of the three files has it. Whether the key belongs to the certificate
    /// is checked later.
    pub fn new(certificate: &[u8], key: &[u8], client_ca: &[u8]) -> Result<Self, InvalidTls> {
        certificates::chain(certificate).map_err(InvalidTls::Certificate)?;
        certificates::private_key(key).map_err(InvalidTls::Key)?;
        let authorities = certificates::authorities(client_ca).map_err(InvalidTls::ClientCa)?;
        let (identity, client_ca) = (Identity::from_pem(certificate, key), Certificate::from_pem(client_ca));
        Ok(Self { identity, client_ca, authorities, revocations: None })
    }

    /// The same with a file of lists of revoked certificates, which is read again when it changes.
    ///
    /// # Errors
    /// A file that cannot be read or has no such list.
    pub fn with_revocations(self, file: &Path) -> Result<Self, InvalidTls> {
        let revocations = Revocations::read(file, self.authorities.clone()).map_err(InvalidTls::ClientCrl)?;
        Ok(Self { revocations: Some(revocations), ..self })
    }

    /// The server with these certificates. Clients without one of their own are turned away.
    pub(super) fn secure(&self, server: Server) -> Result<Server, InvalidTls> {
        let config = ServerTlsConfig::new()
            .identity(self.identity.clone())
            .client_ca_root(self.client_ca.clone())
            .timeout(HANDSHAKE_TIME);
        // The parts were read before: what is left is that they do not belong together.
        server.tls_config(config).map_err(|error| InvalidTls::Mismatch(root_cause(&error)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive() // a key is never logged
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
