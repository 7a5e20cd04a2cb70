//! Why a TLS connection to the service does not come about, in words that name the file to look at.
//!
//! With TLS 1.3 a service refuses a client's certificate only after the client takes the connection
//! for made. What the client sees then depends on timing: a closed connection, or a call that was
//! cancelled. [`refusal`] makes another connection, and waits for the service's verdict.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, Stream};

use super::{CertificateAndKey, authorities, chain, private_key};

/// The certificate of a client and the authorities that it trusts, with their files.
#[derive(Clone)]
pub struct Credentials {
    /// The file with the certificates of the service's authorities, and what is in it.
    pub authorities: (PathBuf, Vec<u8>),
    /// The file with the client's certificate, and what is in it and in that of its key.
    pub identity: Option<(PathBuf, CertificateAndKey)>,
}

/// How long the service may take for each step.
const PATIENCE: Duration = Duration::from_secs(3);

/// How an HTTP/2 connection begins. The service answers with its settings at once.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Why the service at this host and port refuses a connection; none if it accepts it, or does not
/// exist.
#[must_use]
pub fn refusal(host: &str, port: u16, credentials: &Credentials) -> Option<String> {
    let error = connect(host, port, credentials).err()?;
    explain(&error, credentials)
}

fn connect(host: &str, port: u16, credentials: &Credentials) -> io::Result<()> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let address = (name, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let config = config(credentials).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(Arc::new(config), server).map_err(io::Error::other)?;
    let mut tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    let mut stream = Stream::new(&mut tls, &mut tcp);
    stream.write_all(PREFACE)?;
    stream.flush()?;
    stream.read(&mut [0]).map(drop)
}

fn config(credentials: &Credentials) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(&credentials.authorities.1)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match &credentials.identity {
        Some((_, identity)) => {
            builder.with_client_auth_cert(chain(&identity.certificate)?, private_key(&identity.key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The problem of a file behind a TLS error among the causes of `error`; none if there is no such
/// cause.
#[must_use]
pub fn explain(error: &(dyn Error + 'static), credentials: &Credentials) -> Option<String> {
    let ca = credentials.authorities.0.display();
    Some(match tls_error(error)? {
        rustls::Error::InvalidCertificate(problem) => match problem {
            // A bad signature is that of another authority with the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("its certificate is not issued by an authority in {ca} (--ca)")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("its certificate is for another name than the one in --service: {problem}")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            problem => format!("its certificate cannot be verified with {ca} (--ca): {problem}"),
        },
        rustls::Error::AlertReceived(alert) => refused(*alert, credentials),
        rustls::Error::InvalidMessage(_) => "what listens there does not speak TLS; try http://".to_owned(),
        other => format!("TLS does not come about: {other}"),
    })
}

/// The service's verdict on the client's certificate.
fn refused(alert: AlertDescription, credentials: &Credentials) -> String {
    let Some((file, identity)) = &credentials.identity else {
        return "it requires a certificate of the client (--cert, --key)".to_owned();
    };
    let cert = file.display();
    match alert {
        AlertDescription::UnknownCA if identity.lacks_issuer(&credentials.authorities.1) => format!(
            "it does not accept the certificate in {cert} (--cert): its issuer is unknown. If that is an intermediate \
             authority, append the intermediate's certificate to {cert}; else the service has to know the issuer \
             (serve.tls.client_ca)"
        ),
        // A bad signature (decrypt_error) is that of another authority with the same name.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => format!(
            "it does not accept the certificate in {cert} (--cert): its issuer is unknown to the service \
             (serve.tls.client_ca)"
        ),
        AlertDescription::CertificateExpired => format!("the certificate in {cert} (--cert) has expired"),
        AlertDescription::CertificateRequired => {
            "it requires a certificate of the client (--cert, --key)".to_owned()
        }
        alert => format!("it does not accept the certificate in {cert} (--cert): {alert:?}"),
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An io::Error has what its inner error has as source, and not that error itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if found.is_some() {
            return found;
        }
        cause = error.source();
    }
    None
}
