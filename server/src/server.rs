//! The service on a socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};

use crate::http::head_guard::HeadGuard;
use crate::pipeline;
use crate::service::Service;

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
    pub async fn bind(address: SocketAddr, service: Service) -> io::Result<Self> {
        Ok(Self { service: Arc::new(service), listener: TcpListener::bind(address).await? })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then finishes the requests that have begun.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let router =
            Router::new().route("/metrics", get(metrics)).fallback(pipeline::answer).with_state(self.service);
        axum::serve(Guarded(self.listener), router).with_graceful_shutdown(stop).await
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], service.metrics.text(&service.index))
}

/// A listener whose connections are guarded.
struct Guarded(TcpListener);

impl Listener for Guarded {
    type Io = HeadGuard<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Answers are written as a whole: waiting for more would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off Nagle's algorithm");
        }
        (HeadGuard::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
