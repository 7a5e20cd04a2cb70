//! Certificates: the server's own, and whose clients are believed.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// How long a client may take to show its certificate.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Certificates for both sides of each connection, in PEM.
#[derive(Clone)]
pub struct Tls {
    identity: Identity,
    client_ca: Certificate,
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// The server's certificates.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The server's key.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// The authority of the clients.
    #[error("the client authority's certificate cannot be used: {0}")]
    ClientCa(String),
}

impl Tls {
    /// Of the server's certificate with those that lead to its authority, the key that belongs to it, and the certificates
    /// of the authorities whose clients are believed.
    ///
    /// # Errors
    /// What is wrong, and with which of the three. Whether the key belongs to the certificate is found out later.
    pub fn new(certificate: &[u8], key: &[u8], client_ca: &[u8]) -> Result<Self, InvalidTls> {
        certificates(certificate).map_err(InvalidTls::Certificate)?;
        PrivateKeyDer::from_pem_slice(key).map_err(|error| InvalidTls::Key(error.to_string()))?;
        for authority in certificates(client_ca).map_err(InvalidTls::ClientCa)? {
            webpki::anchor_from_trusted_cert(&authority)
                .map_err(|error| InvalidTls::ClientCa(error.to_string()))?;
        }
        let identity = Identity::from_pem(certificate, key);
        Ok(Self { identity, client_ca: Certificate::from_pem(client_ca) })
    }

    /// The server with these certificates. Clients without one of their own are turned away.
    pub(super) fn secure(&self, server: Server) -> Result<Server, InvalidTls> {
        let config = ServerTlsConfig::new()
            .identity(self.identity.clone())
            .client_ca_root(self.client_ca.clone())
            .timeout(HANDSHAKE_TIME);
        // The parts were read before: what is left is that they do not belong together.
        server.tls_config(config).map_err(|error| InvalidTls::Key(root_cause(&error)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive() // a key is never logged
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
