//! The connection to the service.

use std::net::IpAddr;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};

/// Certificates of both sides, as PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Certificates of the authority that issued the service's.
    pub authority: Vec<u8>,
    /// The agent's certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

/// Why the URL of the service is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidService {
    /// It is not a URL.
    #[error("{0:?} is not a URL such as https://berth.example:8779")]
    Url(String),
    /// The URL would not use the certificates.
    #[error("{0:?} must begin with https:// when there are certificates")]
    NotHttps(String),
    /// Without certificates, the service must be on this machine.
    #[error(
        "{0:?} is not on this machine: without certificates only http:// on a loopback address is accepted"
    )]
    NotLoopback(String),
    /// The certificates cannot be used.
    #[error("the certificates cannot be used")]
    Certificates(#[source] tonic::transport::Error),
}

/// A channel to the service at a URL. It connects when it is first used and reconnects when needed.
///
/// # Errors
/// The URL is invalid, or does not match the certificates or their absence.
pub fn channel(url: &str, certificates: Option<Certificates>) -> Result<Channel, InvalidService> {
    let invalid = || InvalidService::Url(url.to_owned());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| invalid())?;
    let scheme = endpoint.uri().scheme_str().ok_or_else(invalid)?.to_owned();
    if endpoint.uri().host().is_none_or(str::is_empty) || !["http", "https"].contains(&scheme.as_str()) {
        return Err(invalid());
    }
    let endpoint = match certificates {
        None if scheme == "http" && is_loopback(endpoint.uri()) => endpoint,
        None => return Err(InvalidService::NotLoopback(url.to_owned())),
        Some(_) if scheme != "https" => return Err(InvalidService::NotHttps(url.to_owned())),
        Some(certificates) => endpoint.tls_config(tls(certificates)).map_err(InvalidService::Certificates)?,
    };
    Ok(patient(endpoint).connect_lazy())
}

pub(crate) fn tls(certificates: Certificates) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(certificates.authority))
        .identity(Identity::from_pem(certificates.certificate, certificates.key))
}

/// Keepalives detect within 30 seconds that the other side vanished without closing the connection.
pub(crate) fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str, certificates: Option<Certificates>) -> String {
        channel(url, certificates).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn without_certificates_only_loopback_is_accepted() {
        for url in ["http://127.0.0.1:8779", "http://localhost:1", "http://[::1]:8779"] {
            assert_eq!(error(url, None), "");
        }
        for url in ["http://10.0.0.1:8779", "http://localhost.example", "https://127.0.0.1:8779"] {
            assert!(error(url, None).contains("without certificates only"), "{url}");
        }
        for url in ["", "berth:8779", "ftp://localhost", "http://"] {
            assert!(error(url, None).contains("is not a URL"), "{url}: {}", error(url, None));
        }
    }

    #[tokio::test]
    async fn certificates_need_https_and_have_to_be_pem() {
        let rubbish = Certificates { authority: vec![1], certificate: vec![2], key: vec![3] };
        assert!(error("http://127.0.0.1:8779", Some(rubbish.clone())).contains("must begin with https"));
        assert!(error("https://127.0.0.1:8779", Some(rubbish)).contains("cannot be used"));
    }
}
