//! Disks that come from another host.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::disk_chunk::Part as Message;
use berth_api::v1::disks_client::DisksClient;
use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::DiskSource;
use crate::Fault;
use crate::service::{Certificates, patient, tls};

/// How long a source may send nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Parts that wait to be written.
const WAITING: usize = 8;

/// The way to the agents of other hosts.
#[derive(Clone, Default)]
pub struct Peers {
    certificates: Option<Certificates>,
}

/// Disks to fetch.
#[derive(Clone)]
pub struct Incoming {
    peers: Peers,
    source: Arc<DiskSource>,
}

/// A part of what a source sends.
#[derive(Debug)]
pub enum IncomingPart {
    /// The next file begins.
    File(v1::DiskFile),
    /// More of its content.
    Data(Bytes),
    /// Everything was sent.
    End,
}

impl Debug for Peers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("has_certificates", &self.certificates.is_some()).finish()
    }
}

impl Debug for Incoming {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("migration", &self.source.migration)
            .field("host", &self.source.host)
            .finish()
    }
}

impl Peers {
    /// With the agent's certificates; without any, only agents on this machine are reached.
    #[must_use]
    pub const fn new(certificates: Option<Certificates>) -> Self {
        Self { certificates }
    }

    fn endpoint(&self, source: &DiskSource) -> Result<Endpoint, tonic::transport::Error> {
        let DiskSource { host, address, port, .. } = source;
        let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        let endpoint = match &self.certificates {
            None => Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?,
            Some(certificates) => Endpoint::from_shared(format!("https://{address}:{port}"))?
                .tls_config(tls(certificates.clone()).domain_name(host.clone()))?,
        };
        Ok(patient(endpoint))
    }
}

impl Incoming {
    pub(crate) const fn new(peers: Peers, source: Arc<DiskSource>) -> Self {
        Self { peers, source }
    }

    /// The name of the host that they come from.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.source.host
    }

    /// Fetches the disks. What arrives is received part by part; a fault is the last, and so is
    /// [`IncomingPart::End`].
    #[must_use]
    pub fn fetch(&self) -> mpsc::Receiver<Result<IncomingPart, Fault>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let incoming = self.clone();
        tokio::spawn(async move {
            if let Err(fault) = incoming.forward(&sender).await {
                let host = incoming.host();
                let message = format!("fetching the disks from host {host:?}: {}", fault.message);
                // The step may have ended.
                let _ = sender.send(Err(Fault { message, ..fault })).await;
            }
        });
        receiver
    }

    async fn forward(&self, parts: &mpsc::Sender<Result<IncomingPart, Fault>>) -> Result<(), Fault> {
        let endpoint = self.peers.endpoint(&self.source).map_err(|error| Fault::permanent(chain(&error)))?;
        let channel: Channel = endpoint.connect().await.map_err(|error| Fault::transient(chain(&error)))?;
        let request = v1::FetchDisksRequest {
            migration: self.source.migration.to_string(),
            ticket: self.source.ticket.clone(),
        };
        let mut client = DisksClient::new(channel);
        let mut chunks = client.fetch(request).await.map_err(|status| fault(&status))?.into_inner();
        loop {
            let chunk = tokio::time::timeout(SILENCE, chunks.message()).await;
            let chunk =
                chunk.map_err(|_| Fault::transient("it sends nothing"))?.map_err(|status| fault(&status))?;
            let part = match chunk.and_then(|chunk| chunk.part) {
                Some(Message::File(file)) => IncomingPart::File(file),
                Some(Message::Data(data)) => IncomingPart::Data(data),
                Some(Message::End(_)) => IncomingPart::End,
                None => return Err(Fault::transient("it ended before the disks were complete")),
            };
            let is_end = matches!(part, IncomingPart::End);
            if parts.send(Ok(part)).await.is_err() || is_end {
                return Ok(());
            }
        }
    }
}

/// The source's answer as a fault. An offer that does not exist yet may come.
fn fault(status: &Status) -> Fault {
    let message = if status.message().is_empty() { chain(status) } else { status.message().to_owned() };
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented => Fault::permanent(message),
        _ => Fault::transient(message),
    }
}

/// An error with its sources: only they name the reason of a failed connection.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
