//! Connections as they arrive.

use std::io;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use super::prompt::Prompt;
use super::tls::Tls;
use crate::http::connections::Connections;
use crate::server::nodelay;

/// Connections that were accepted and are not served yet.
const WAITING: usize = 64;

/// The listener's connections, until they are not wanted any more. When none can be accepted (too
/// many files are open, most often), some end.
pub(super) fn plain(listener: TcpListener, open: Connections) -> ReceiverStream<io::Result<Prompt>> {
    let (accepted, connections) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, &open, &accepted) => {}
            () = accepted.closed() => {}
        }
    });
    ReceiverStream::new(connections)
}

/// The same with TLS. Handshakes do not wait for each other.
pub(super) fn secured(
    listener: TcpListener,
    open: Connections,
    tls: Tls,
) -> ReceiverStream<io::Result<TlsStream<Prompt>>> {
    let mut arriving = plain(listener, open).into_inner();
    let (secured, connections) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            let arrived = tokio::select! {
                arrived = arriving.recv() => arrived,
                () = secured.closed() => None,
            };
            let Some(Ok(connection)) = arrived else { return };
            let (tls, secured) = (tls.clone(), secured.clone());
            tokio::spawn(async move {
                match tls.accept(connection).await {
                    // If nobody takes it, the service ends.
                    Ok(connection) => drop(secured.send(Ok(connection)).await),
                    Err(error) => tracing::debug!(%error, "a TLS handshake has failed"),
                }
            });
        }
    });
    ReceiverStream::new(connections)
}

async fn accept(listener: &TcpListener, open: &Connections, accepted: &mpsc::Sender<io::Result<Prompt>>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let place = open.enter(Some(client.ip())).await;
                if accepted.send(Ok(Prompt::new(nodelay(stream), place))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                open.relieve().await;
            }
        }
    }
}
