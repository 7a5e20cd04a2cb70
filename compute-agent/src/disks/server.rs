//! Disks that other hosts fetch.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;

use berth_api::v1;
use berth_api::v1::disk_chunk::Part as Message;
use berth_api::v1::disks_server::{Disks, DisksServer};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{CHUNK, DiskPart, Offers};
use crate::Hypervisor;
use crate::service::Certificates;

/// Chunks that wait to be sent.
const WAITING: usize = 8;

/// Why an agent cannot offer disks.
#[derive(Debug, thiserror::Error)]
pub enum DisksPortError {
    /// The port cannot be used.
    #[error("{0} cannot be used")]
    Port(SocketAddr, #[source] io::Error),
    /// The certificates cannot be used.
    #[error("the certificates cannot be used")]
    Certificates(#[source] tonic::transport::Error),
}

/// The port at which an agent offers disks.
#[derive(Debug)]
pub struct DiskServer {
    listener: TcpListener,
    port: u16,
    tls: Option<ServerTlsConfig>,
}

impl DiskServer {
    /// Listens on the port; 0 for any. Without certificates, only hosts on this machine can
    /// connect.
    ///
    /// # Errors
    /// The port is in use, or the certificates are not.
    pub fn bind(port: u16, certificates: Option<&Certificates>) -> Result<Self, DisksPortError> {
        let ip = if certificates.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let address = SocketAddr::from((ip, port));
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        });
        let (listener, port) = bound.map_err(|error| DisksPortError::Port(address, error))?;
        let tls = certificates.map(|of| {
            ServerTlsConfig::new()
                .identity(Identity::from_pem(&of.certificate, &of.key))
                .client_ca_root(Certificate::from_pem(&of.authority))
        });
        let server = Self { listener, port, tls };
        server.builder().map_err(DisksPortError::Certificates)?;
        Ok(server)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn builder(&self) -> Result<Server, tonic::transport::Error> {
        match &self.tls {
            Some(tls) => Server::builder().tls_config(tls.clone()),
            None => Ok(Server::builder()),
        }
    }

    /// Offers disks of the hypervisor until this is dropped.
    pub(crate) async fn serve<H: Hypervisor>(self: Arc<Self>, hypervisor: Arc<H>, offers: Offers) {
        let listener = self.listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let (mut server, listener) = match (self.builder(), listener) {
            (Ok(server), Ok(listener)) => (server, listener),
            (Err(error), _) => return tracing::error!("no disks are offered: {error}"),
            (_, Err(error)) => return tracing::error!("no disks are offered: {error}"),
        };
        let service = DisksServer::new(Offered { hypervisor, offers });
        let serving = server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        if let Err(error) = serving.await {
            tracing::error!("disks are no longer offered: {error}");
        }
    }
}

struct Offered<H> {
    hypervisor: Arc<H>,
    offers: Offers,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<v1::DiskChunk, Status>> + Send>>;

#[tonic::async_trait]
impl<H: Hypervisor> Disks for Offered<H> {
    type FetchStream = Chunks;

    async fn fetch(&self, request: Request<v1::FetchDisksRequest>) -> Result<Response<Chunks>, Status> {
        let v1::FetchDisksRequest { migration, ticket } = request.into_inner();
        let refused = || Status::permission_denied("these disks are not offered with this ticket");
        let migration: Uuid = migration.parse().map_err(|_| refused())?;
        if !self.offers.admits(migration, &ticket) {
            return Err(refused());
        }
        let parts = self.hypervisor.export(migration).await;
        let parts = parts.map_err(|fault| Status::unavailable(fault.message))?;
        tracing::info!(%migration, files = parts.len(), "disks are fetched by another host");
        let (sender, receiver) = mpsc::channel(WAITING);
        let offers = self.offers.clone();
        let is_offered = move || offers.admits(migration, &ticket);
        tokio::task::spawn_blocking(move || {
            if let Err(status) = send(parts, &sender, is_offered) {
                let _ = sender.blocking_send(Err(status)); // the client may have gone
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type Sender = mpsc::Sender<Result<v1::DiskChunk, Status>>;

/// Sends all files, and then the end.
fn send(parts: Vec<DiskPart>, sender: &Sender, is_offered: impl Fn() -> bool) -> Result<(), Status> {
    let put = |part| {
        let gone = |_| Status::cancelled("the other host has gone");
        sender.blocking_send(Ok(v1::DiskChunk { part: Some(part) })).map_err(gone)
    };
    for DiskPart { file, mut content } in parts {
        let name = file.name.clone();
        let mut left = file.bytes;
        put(Message::File(file))?;
        while left > 0 {
            if !is_offered() {
                return Err(Status::permission_denied("these disks are no longer offered"));
            }
            let data =
                read(&mut content, left).map_err(|error| Status::unavailable(format!("{name}: {error}")))?;
            left -= data.len() as u64;
            put(Message::Data(data))?;
        }
    }
    put(Message::End(v1::DisksEnd {}))
}

/// The next bytes of a file that has so many left.
fn read(content: &mut dyn Read, left: u64) -> io::Result<Bytes> {
    let mut data = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
    content.read_exact(&mut data)?;
    Ok(data.into())
}
