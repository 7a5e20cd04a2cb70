//! The gRPC API: the services of `berth.v1` over the same [`Service`] that answers REST.
//!
//! A call passes through the [`guard`], which identifies the caller ([`identity`]) and checks the
//! access table ([`access`]). One function in the service's directory responds, through [`call`],
//! which checks the deadline and the store, and delays the response until the state that it shows
//! is durable.
//!
//! A new service needs its rows in the table of [`access`] and a line in [`routes`].

mod access;
mod agents;
mod audit;
mod call;
mod deadline;
mod field;
mod fleet;
mod guard;
mod health;
mod identity;
mod incoming;
mod instances;
mod metered;
mod page;
mod placement;
mod prompt;
mod revocation;
mod scheduler;
mod shares;
mod status;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::Layer;

use self::agents::Agents;
use self::fleet::Fleet;
use self::guard::Guard;
use self::instances::Instances;
use self::placement::Placement;
use self::scheduler::Scheduler;
use crate::service::Service;

pub use self::tls::{InvalidTls, Tls};

/// The gRPC services on a socket.
pub struct Grpc {
    service: Arc<Service>,
    listener: TcpListener,
    tls: Option<Tls>,
}

/// Why there is no gRPC on an address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Without certificates, every caller could do anything, so only this machine may reach it.
    #[error("{0} is not a loopback address")]
    Open(SocketAddr),
    /// It cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

impl Grpc {
    /// Checks that calls may be served on the address: without certificates, only loopback
    /// addresses.
    ///
    /// # Errors
    /// [`BindError::Open`].
    pub fn check_address(address: SocketAddr, tls: Option<&Tls>) -> Result<(), BindError> {
        if tls.is_some() || address.ip().is_loopback() { Ok(()) } else { Err(BindError::Open(address)) }
    }

    /// Starts to listen. Calls wait until [`Self::run`].
    ///
    /// # Errors
    /// An address that cannot be listened on, or should not be without certificates.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<&Tls>,
        service: Arc<Service>,
    ) -> Result<Self, BindError> {
        Self::check_address(address, tls)?;
        let listener = TcpListener::bind(address).await.map_err(|error| BindError::Listen(address, error))?;
        Ok(Self { service, listener, tls: tls.cloned() })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// An error of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then finishes the calls that have begun, for at most the time
    /// of `grace`.
    pub async fn run(self, stop: impl Future<Output = ()>, grace: Duration) {
        let (stopping, has_stopped) = watch::channel(false);
        let revocations = self.tls.as_ref().and_then(|tls| tls.revocations.clone());
        let guard = Guard::new(Arc::clone(&self.service), revocations.clone());
        let routes = guard.layer(routes(&self.service, &has_stopped).await);
        let open = self.service.connections.listener(usize::MAX);
        // Ends with this function.
        let mut following = JoinSet::new();
        revocations.map(|revocations| following.spawn(revocations.follow()));
        following.spawn(end_stalled(Arc::clone(&self.service)));
        let _running = self.service.grpc_listener.start();
        let stopped = stopped(has_stopped);
        let serving = async {
            let server = settings();
            match self.tls {
                None => {
                    let incoming = incoming::plain(self.listener, open);
                    server.serve_with_incoming_shutdown(routes, incoming, stopped).await
                }
                Some(tls) => {
                    let incoming = incoming::secured(self.listener, open, tls);
                    server.serve_with_incoming_shutdown(routes, incoming, stopped).await
                }
            }
        };
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            ended = &mut serving => return report(ended),
            () = stop => {}
        }
        stopping.send_replace(true);
        match tokio::time::timeout(grace, serving).await {
            Ok(ended) => report(ended),
            Err(_) => tracing::warn!(?grace, "some calls were not finished in time"),
        }
    }
}

/// Ends connections whose clients do not read their answers, again and again.
async fn end_stalled(service: Arc<Service>) {
    let mut periods = tokio::time::interval(service.options.limits.write_time);
    loop {
        periods.tick().await;
        service.connections.end_period();
    }
}

fn report(ended: Result<(), tonic::transport::Error>) {
    if let Err(error) = ended {
        tracing::error!(%error, "gRPC has ended");
    }
}

/// Done when it is time to stop. Endless answers end themselves then.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    drop(stopping.wait_for(|stopping| *stopping).await); // a sender that is gone means the same
}

/// All services there are.
async fn routes(service: &Arc<Service>, stopping: &watch::Receiver<bool>) -> Routes {
    let most = service.options.limits.body_bytes;
    let placement = v1::placement_server::PlacementServer::new(Placement::new(Arc::clone(service)));
    let scheduler = v1::scheduler_server::SchedulerServer::new(Scheduler::new(Arc::clone(service)));
    let fleet = v1::fleet_server::FleetServer::new(Fleet::new(Arc::clone(service)));
    let instances =
        v1::instances_server::InstancesServer::new(Instances::new(Arc::clone(service), stopping.clone()));
    let agents = v1::agents_server::AgentsServer::new(Agents::new(Arc::clone(service), stopping.clone()));
    Routes::new(placement.max_decoding_message_size(most))
        .add_service(scheduler.max_decoding_message_size(most))
        .add_service(fleet.max_decoding_message_size(most))
        .add_service(instances.max_decoding_message_size(most))
        .add_service(agents.max_decoding_message_size(most))
        .add_service(health::serve(service, stopping.clone()).await)
        .add_service(reflection())
        .prepare()
}

fn reflection()
-> tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("descriptors that were compiled with the program can be read")
}

/// How connections behave: many small calls, batches of a few megabytes, and thousands of agents
/// that mostly say nothing.
///
/// Windows are bounds, not buffers: an idle connection takes no memory for them. They are wide
/// enough for a batch to arrive without waiting for permission.
fn settings() -> Server {
    const STREAM_WINDOW: u32 = 1 << 20;
    const CONNECTION_WINDOW: u32 = 4 << 20;
    const STREAMS: u32 = 1024;
    const HEAD_BYTES: u32 = 16 << 10;
    // Finds out whose machine is gone without a word. Ten thousand agents make some 300 pings a
    // second.
    const PING: Duration = Duration::from_secs(30);
    const PONG: Duration = Duration::from_secs(20);
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEAD_BYTES)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
}
