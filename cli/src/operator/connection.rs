//! The connection to the service.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use berth_api::v1::scheduler_client::SchedulerClient;
use clap::Args;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::SERVICE;
use super::refusal::root_cause;

/// Where the service is, and who asks.
#[derive(Args)]
pub(crate) struct Connection {
    /// Where the service takes gRPC calls
    #[arg(
        long,
        value_name = "URL",
        env = "BERTH_SERVICE",
        default_value = "http://127.0.0.1:8779",
        global = true,
        help_heading = SERVICE
    )]
    service: String,
    /// Certificate of the authority that issued the service's (PEM); for https
    #[arg(long, value_name = "FILE", env = "BERTH_CA", global = true, help_heading = SERVICE)]
    ca: Option<PathBuf>,
    /// Your certificate (PEM); for https
    #[arg(long, value_name = "FILE", env = "BERTH_CERT", global = true, help_heading = SERVICE)]
    cert: Option<PathBuf>,
    /// The key of your certificate (PEM); for https
    #[arg(long, value_name = "FILE", env = "BERTH_KEY", global = true, help_heading = SERVICE)]
    key: Option<PathBuf>,
}

/// How long a service may take to answer a connection, and a call.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// The largest answer that is taken: a page of a thousand instances with all that belongs to them.
const LARGEST: usize = 64 << 20;

/// The services of `berth.v1`, on one connection.
pub(crate) struct Client {
    channel: Channel,
}

impl Client {
    pub(super) async fn connect(connection: &Connection) -> Result<Self> {
        let service = &connection.service;
        let endpoint = connection.endpoint()?.connect_timeout(CONNECT);
        let channel = endpoint.connect().await.map_err(|error| {
            let cause = root_cause(&error);
            anyhow::anyhow!("cannot reach the service at {service}: {cause}\n{}", connection.what_to_check())
        })?;
        Ok(Self { channel })
    }

    pub(crate) fn fleet(&self) -> FleetClient<Channel> {
        FleetClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }

    pub(crate) fn instances(&self) -> InstancesClient<Channel> {
        InstancesClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }

    pub(crate) fn scheduler(&self) -> SchedulerClient<Channel> {
        SchedulerClient::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }
}

impl Connection {
    fn endpoint(&self) -> Result<Endpoint> {
        let service = &self.service;
        let endpoint = Endpoint::from_shared(service.clone())
            .ok()
            .filter(|endpoint| endpoint.uri().host().is_some())
            .with_context(|| format!("--service: {service:?} is no URL, such as http://127.0.0.1:8779"))?;
        match endpoint.uri().scheme_str() {
            Some("https") => endpoint.tls_config(self.tls()?).context("--ca, --cert, --key: cannot be used"),
            Some("http") if self.has_certificates() => {
                bail!(
                    "--service: {service} is not encrypted; with --ca, --cert or --key it has to begin with https://"
                )
            }
            Some("http") => Ok(endpoint),
            _ => bail!("--service: {service} has to begin with http:// or https://"),
        }
    }

    fn has_certificates(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    fn tls(&self) -> Result<ClientTlsConfig> {
        let Some(ca) = &self.ca else {
            bail!("--ca: needed for {}, to know the service by; docs/tls.md tells how", self.service)
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("--ca", ca)?));
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                Ok(tls.identity(Identity::from_pem(read("--cert", cert)?, read("--key", key)?)))
            }
            (None, None) => Ok(tls),
            (Some(_), None) => bail!("--key: needed with --cert"),
            (None, Some(_)) => bail!("--cert: needed with --key"),
        }
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

fn read(option: &str, file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{option}: cannot read {}", file.display()))
}

/// A request that the service need not begin any more once nobody waits for its answer.
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

/// All of a list that comes in pages: `page` gets the token of each and tells that of the next.
pub(super) async fn all<T>(mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String)>) -> Result<Vec<T>> {
    let (mut all, mut token) = page(String::new()).await?;
    while !token.is_empty() {
        let (more, next) = page(token).await?;
        all.extend(more);
        token = next;
    }
    Ok(all)
}

/// The size of pages: the most that the service gives.
pub(super) const PAGE: u32 = 1000;
