//! Connections as they arrive.

use std::io;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::prompt::Prompt;
use crate::server::{ACCEPT_PAUSE, nodelay};

/// Connections that were accepted and are not served yet.
const WAITING: usize = 64;

/// The listener's connections, until they are not wanted any more. When none can be accepted (too many files are open, most
/// often), it pauses, instead of trying again at once and for ever.
pub(super) fn connections(listener: TcpListener) -> ReceiverStream<io::Result<Prompt>> {
    let (accepted, connections) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, &accepted) => {}
            () = accepted.closed() => {}
        }
    });
    ReceiverStream::new(connections)
}

async fn accept(listener: &TcpListener, accepted: &mpsc::Sender<io::Result<Prompt>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if accepted.send(Ok(Prompt::new(nodelay(stream)))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
