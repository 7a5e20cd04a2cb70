//! Certificates: the server's own, and whose clients are believed. They can be replaced while it
//! runs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_process::certificates::{self, CertificateProblem};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::prompt::Prompt;
use super::revocation::Revocations;

/// How long a client may take to show its certificate.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Certificates for both sides of each connection. Clones share them.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
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
    /// The problem, and which of the three files has it.
    pub fn new(certificate: &[u8], key: &[u8], client_ca: &[u8]) -> Result<Self, InvalidTls> {
        let chain = certificates::chain(certificate).map_err(InvalidTls::Certificate)?;
        let key = certificates::private_key(key).map_err(InvalidTls::Key)?;
        let authorities = certificates::authorities(client_ca).map_err(InvalidTls::ClientCa)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mismatch = |error: rustls::Error| InvalidTls::Mismatch(error.to_string());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        // Without a list of revoked certificates, only an empty set of authorities is refused.
        let verifier = verifier.build().map_err(|_| InvalidTls::ClientCa(CertificateProblem::Empty))?;
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(mismatch)?.with_client_cert_verifier(verifier);
        let mut config = config.with_single_cert(chain, key).map_err(mismatch)?;
        config.alpn_protocols.push(b"h2".to_vec());
        Ok(Self { config: Arc::new(ArcSwap::from_pointee(config)), authorities, revocations: None })
    }

    /// Uses the certificates of `other` for connections from now on. Those that exist stay as they
    /// are; the file of revoked certificates stays the same.
    pub fn renew(&self, other: &Self) {
        self.config.store(other.config.load_full());
    }

    /// The same with a file of lists of revoked certificates, which is read again when it changes.
    ///
    /// # Errors
    /// A file that cannot be read or has no such list.
    pub fn with_revocations(self, file: &Path) -> Result<Self, InvalidTls> {
        let revocations = Revocations::read(file, self.authorities.clone()).map_err(InvalidTls::ClientCrl)?;
        Ok(Self { revocations: Some(revocations), ..self })
    }

    /// Speaks TLS with a client. One without a certificate of its own is turned away.
    pub(super) async fn accept(&self, connection: Prompt) -> std::io::Result<TlsStream<Prompt>> {
        let accepting = TlsAcceptor::from(self.config.load_full()).accept(connection);
        let too_slow =
            || std::io::Error::new(std::io::ErrorKind::TimedOut, "the TLS handshake takes too long");
        tokio::time::timeout(HANDSHAKE_TIME, accepting).await.unwrap_or_else(|_| Err(too_slow()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive() // a key is never logged
    }
}
