//! Connections as they arrive.

use std::io;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::prompt::Prompt;
use crate::http::connections::Connections;
use crate::server::nodelay;

/// Connections that were accepted and are not served yet.
const WAITING: usize = 64;

/// The listener's connections, until they are not wanted any more. When none can be accepted (too many files are open, most
/// often), some end.
pub(super) fn connections(listener: TcpListener, open: Connections) -> ReceiverStream<io::Result<Prompt>> {
    let (accepted, connections) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, &open, &accepted) => {}
            () = accepted.closed() => {}
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
