//! The health of the agent over HTTP, as the service reports its own: `/healthz` and `/readyz`.

use std::io;
use std::net::SocketAddr;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use berth_compute_agent::AgentHealth;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Observed = watch::Receiver<AgentHealth>;

/// Listens on an address.
///
/// # Errors
/// An error of the system.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, observed: Observed) {
    let paths = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(observed);
    if let Err(error) = axum::serve(listener, paths).await {
        tracing::error!(%error, "the health of the agent is not served any more");
    }
}

async fn alive(State(observed): State<Observed>) -> Json<Value> {
    Json(document(&observed.borrow()))
}

async fn ready(State(observed): State<Observed>) -> (StatusCode, Json<Value>) {
    let document = document(&observed.borrow());
    let is_ready = document["is_ready"] == true;
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(document))
}

/// What `berth health` reads.
fn document(health: &AgentHealth) -> Value {
    let parts = health.parts();
    let is_ready = parts.iter().all(|(_, problem)| problem.is_none());
    let checks = parts.map(|(name, problem)| {
        json!({ "name": name, "is_ok": problem.is_none(), "reason": problem.unwrap_or_else(|| "works".to_owned()) })
    });
    json!({ "is_ready": is_ready, "version": env!("CARGO_PKG_VERSION"), "commit": env!("BERTH_COMMIT"), "checks": checks })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn answer(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn the_reason_is_in_the_answer() {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (health, observed) = watch::channel(AgentHealth::default());
        let serving = tokio::spawn(serve(listener, observed));
        let down = answer(address, "/readyz").await;
        assert!(
            down.starts_with("HTTP/1.1 503") && down.contains("the hypervisor does not answer"),
            "{down}"
        );
        assert!(answer(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        health.send_replace(AgentHealth { is_joined: true, has_hypervisor: true, refusal: None });
        assert!(answer(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(answer(address, "/other").await.starts_with("HTTP/1.1 404"));
        serving.abort();
    }
}
