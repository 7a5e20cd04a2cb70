//! The service on a socket.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::health::Health;
use crate::http::connections::Connection;
use crate::http::forwarded::one_address;
use crate::http::guard::{self, Guard, LONGEST_HEAD};
use crate::http::reply;
use crate::http::socket::Socket;
use crate::http::stall_guard::StallGuard;
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
    /// Fails if the address cannot be listened on.
    pub async fn bind(address: SocketAddr, service: impl Into<Arc<Service>>) -> io::Result<Self> {
        Ok(Self { service: service.into(), listener: TcpListener::bind(address).await? })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Fails if the system does not report the address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, then finishes the requests that have begun, for at most the
    /// time of `grace`.
    pub async fn run(self, stop: impl Future<Output = ()>, grace: Duration) {
        let most = self.service.options.limits.connections;
        let (open, ending) = (self.service.connections.listener(most), GracefulShutdown::new());
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, client)) => {
                        tokio::select! {
                            place = open.enter(Some(client.ip())) => connect(nodelay(stream), &self.service, place, &ending),
                            () = &mut stop => break,
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        open.relieve().await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(self.listener);
        if tokio::time::timeout(grace, ending.shutdown()).await.is_err() {
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

/// Serves a connection beside the others. It ends when it is idle, or when the client takes
/// too long to send a head or a body, or to receive a response. So a connection whose client has
/// vanished ends without keepalive probes.
fn connect(stream: TcpStream, service: &Arc<Service>, place: Connection, ending: &GracefulShutdown) {
    let limits = &service.options.limits;
    let activity = place.activity();
    let socket = Socket::new(stream);
    let stream = StallGuard::new(socket.clone(), limits.write_time);
    let address = socket.client().map_or_else(String::new, |client| one_address(client).to_string());
    let in_flight = (Arc::clone(&service.in_flight), address.into());
    let stream = Guard::new(stream, limits.idle_time, activity.clone(), in_flight);
    let service = Arc::clone(service);
    let respond = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(socket.clone());
        request.extensions_mut().insert(activity.clone());
        let (service, answering) = (Arc::clone(&service), activity.begin());
        async move {
            let response = respond(&service, request.map(Body::new)).await;
            drop(answering);
            Ok::<_, Infallible>(response)
        }
    });
    // A client that has sent its request and says that it will send no more still waits for the
    // answer.
    let connection = http1::Builder::new()
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), respond);
    let connection = ending.watch(connection);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = connection => ended,
            () = place.activity().unwanted() => return tracing::debug!("a connection made place for another"),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

/// Answers a request that has passed the guard of its connection: of the API, or about the service
/// itself.
async fn respond(service: &Arc<Service>, request: Request<Body>) -> Response<Body> {
    let about_itself = match &*service.mount.path(request.uri().path()) {
        "/metrics" => Some(metrics as fn(&Service) -> Response<Body>),
        "/healthz" => Some(healthz as _),
        "/readyz" => Some(readyz as _),
        _ => None,
    };
    // What the guard refuses, the API refuses.
    let about_itself = about_itself.filter(|_| guard::violation(request.headers()).is_none());
    match (about_itself, request.method()) {
        (None, _) => pipeline::handle(service, request).await,
        (Some(report), &Method::GET | &Method::HEAD) => report(service),
        (Some(_), _) => reply::not_allowed("GET, HEAD"),
    }
}

fn metrics(service: &Service) -> Response<Body> {
    typed("application/openmetrics-text; version=1.0.0; charset=utf-8", service.metrics_text())
}

/// The process answers.
fn healthz(service: &Service) -> Response<Body> {
    health(&service.health())
}

/// 503 unless the service can do all of its work.
fn readyz(service: &Service) -> Response<Body> {
    let state = service.health();
    let mut response = health(&state);
    if !state.is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn health(state: &Health) -> Response<Body> {
    let text = serde_json::to_string_pretty(state).expect("names and texts are JSON");
    let mut response = typed("application/json", text + "\n");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn typed(media_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
