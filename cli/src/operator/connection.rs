//! The connection to the service.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::scheduler_client::SchedulerClient;
use berth_process::certificates::peer::{self, Credentials};
use berth_process::certificates::{self, CertificateAndKey};
use berth_process::listener;
use clap::Args;
use tonic::Request;
use tonic::transport::{self, Certificate, Channel, ClientTlsConfig, Endpoint};

use super::SERVICE;
use super::refusal::root_cause;

/// The address of the service and the credentials of the client.
#[derive(Args)]
pub(crate) struct Connection {
    /// URL of the service's gRPC address
    #[arg(
        long,
        value_name = "URL",
        env = "BERTH_SERVICE",
        default_value = "http://127.0.0.1:8779",
        global = true,
        help_heading = SERVICE
    )]
    service: String,
    /// Certificate of the authority that issued the service's certificate (PEM); for https
    #[arg(long, value_name = "FILE", env = "BERTH_CA", global = true, help_heading = SERVICE)]
    ca: Option<PathBuf>,
    /// Your certificate (PEM); for https
    #[arg(long, value_name = "FILE", env = "BERTH_CERT", global = true, help_heading = SERVICE)]
    cert: Option<PathBuf>,
    /// The key of your certificate (PEM); for https
    #[arg(long, value_name = "FILE", env = "BERTH_KEY", global = true, help_heading = SERVICE)]
    key: Option<PathBuf>,
}

/// Timeouts of a connection and of a call.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// The largest accepted response: a page of a thousand instances with all their details.
const LARGEST: usize = 64 << 20;

/// The services of `berth.v1`, on one connection.
pub(crate) struct Client {
    channel: Channel,
}

impl Client {
    pub(super) async fn connect(connection: &Connection) -> Result<Self> {
        let service = &connection.service;
        let (endpoint, credentials) = connection.endpoint()?;
        let channel = endpoint.connect_timeout(CONNECT).connect().await.map_err(|error| {
            let reason = connection.wrong_listener();
            match reason.or_else(|| peer::explain(&error, credentials.as_ref()?)) {
                Some(reason) => anyhow!("cannot reach the service at {service}: {reason}"),
                None => {
                    let cause = root_cause(&error);
                    anyhow!("cannot reach the service at {service}: {cause}\n{}", connection.what_to_check())
                }
            }
        })?;
        Ok(Self { channel })
    }

    pub(crate) fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }

    pub(crate) fn placement(&self) -> PlacementClient<Channel> {
        PlacementClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }

    pub(crate) fn instances(&self) -> InstancesClient<Channel> {
        InstancesClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }

    pub(crate) fn scheduler(&self) -> SchedulerClient<Channel> {
        SchedulerClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }
}

impl Connection {
    /// Why connections of this client fail: what listens there is something else, or refuses the
    /// certificate (see [`peer`]).
    pub(super) fn refusal(&self) -> Option<String> {
        self.wrong_listener().or_else(|| {
            let (endpoint, credentials) = self.endpoint().ok()?;
            let uri = endpoint.uri();
            peer::refusal(uri.host()?, uri.port_u16().unwrap_or(443), &credentials?)
        })
    }

    /// What is wrong with the port or the scheme of the URL.
    fn wrong_listener(&self) -> Option<String> {
        listener::grpc_advice(&self.service).map(ToOwned::to_owned)
    }

    fn endpoint(&self) -> Result<(Endpoint, Option<Credentials>)> {
        let service = &self.service;
        let endpoint = Endpoint::from_shared(service.clone())
            .ok()
            .filter(|endpoint| endpoint.uri().host().is_some())
            .with_context(|| format!("--service: {service:?} is no URL, such as http://127.0.0.1:8779"))?;
        match endpoint.uri().scheme_str() {
            Some("https") => {
                let credentials = self.credentials()?;
                let endpoint =
                    endpoint.tls_config(tls(&credentials)).context("--ca, --cert, --key: cannot be used")?;
                Ok((endpoint, Some(credentials)))
            }
            Some("http") if self.has_certificates() => {
                bail!(
                    "--service: {service} is not encrypted; with --ca, --cert or --key it has to begin with https://"
                )
            }
            Some("http") => Ok((endpoint, None)),
            _ => bail!("--service: {service} has to begin with http:// or https://"),
        }
    }

    fn has_certificates(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    fn credentials(&self) -> Result<Credentials> {
        let Some(ca) = &self.ca else {
            bail!("--ca: needed for {}, to verify the service; see docs/tls.md", self.service)
        };
        let authorities = certificates::read_authorities(ca).context("--ca")?;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                Some((cert.clone(), CertificateAndKey::read(cert, key).context("--cert, --key")?))
            }
            (None, None) => None,
            (Some(_), None) => bail!("--key: needed with --cert"),
            (None, Some(_)) => bail!("--cert: needed with --key"),
        };
        Ok(Credentials { authorities: (ca.clone(), authorities), identity })
    }

    fn what_to_check(&self) -> &'static str {
        if self.has_certificates() {
            "Check that `berth serve` runs, that --service (or BERTH_SERVICE) names its gRPC address as its certificate \
             does, and that --ca, --cert and --key are of its authority."
        } else {
            "Check that `berth serve` runs and that --service (or BERTH_SERVICE) names its gRPC address."
        }
    }
}

fn tls(credentials: &Credentials) -> ClientTlsConfig {
    let authorities = Certificate::from_pem(&credentials.authorities.1);
    let tls = ClientTlsConfig::new().ca_certificate(authorities);
    match &credentials.identity {
        Some((_, CertificateAndKey { certificate, key })) => {
            tls.identity(transport::Identity::from_pem(certificate, key))
        }
        None => tls,
    }
}

/// A request with a deadline, after which the service does not begin it.
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

/// Collects all pages of a list: `page` takes the token of a page and returns that of the next.
pub(crate) async fn all<T>(mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String)>) -> Result<Vec<T>> {
    let (mut all, mut token) = page(String::new()).await?;
    while !token.is_empty() {
        let (more, next) = page(token).await?;
        all.extend(more);
        token = next;
    }
    Ok(all)
}

/// The page size: the maximum of the service.
pub(crate) const PAGE: u32 = 1000;
