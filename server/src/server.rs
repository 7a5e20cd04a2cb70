//! The service on a socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::http::head_guard::HeadGuard;
use crate::http::stall_guard::StallGuard;
use crate::limits::Limits;
use crate::pipeline;
use crate::service::Service;

/// How long to wait after a connection could not be accepted: most often, too many files are open.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A service and the socket it listens on.
pub struct Server {
    service: Arc<Service>,
    listener: TcpListener,
}

impl Server {
    /// Starts to listen. Requests wait until [`Self::run`].
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(address: SocketAddr, service: impl Into<Arc<Service>>) -> io::Result<Self> {
        Ok(Self { service: service.into(), listener: TcpListener::bind(address).await? })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then finishes the requests that have begun, for at most the time of `grace`.
    pub async fn run(self, stop: impl Future<Output = ()>, grace: Duration) {
        let limits = self.service.options.limits;
        let router =
            Router::new().route("/metrics", get(metrics)).fallback(pipeline::answer).with_state(self.service);
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connect(nodelay(stream), &limits, router.clone(), &connections);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(self.listener);
        if tokio::time::timeout(grace, connections.shutdown()).await.is_err() {
            tracing::warn!(?grace, "some requests were not finished in time");
        }
    }
}

/// Answers are written as a whole: waiting for more would only delay them.
pub(crate) fn nodelay(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    stream
}

/// Serves a connection beside the others. It ends when the client sends no head, no body, or takes no answer for too
/// long, so one whose client is gone without a word needs no probes.
fn connect(stream: TcpStream, limits: &Limits, router: Router, connections: &GracefulShutdown) {
    let stream = HeadGuard::new(StallGuard::new(stream, limits.write_time));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], service.metrics.text(&service.index()))
}
