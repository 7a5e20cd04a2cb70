//! The stream to the service, which is reopened whenever it ends.

use std::time::Duration;

use berth_api::v1::agents_client::AgentsClient;
use berth_api::v1::{AgentMessage, service_message};
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::backoff::Backoff;

/// Capacity of a stream's queue of outgoing messages.
const WAITING: usize = 32;
/// How long the service may take to accept a new stream.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// An event of the stream.
#[derive(Debug)]
pub(super) enum Event {
    /// A new stream begins. The sender leads to the service.
    Joined(Sender<AgentMessage>),
    Message(Box<service_message::Message>),
    /// The stream has ended.
    Parted,
}

/// Keeps a stream open until the receiver of the events is dropped.
pub(super) async fn keep(channel: Channel, seed: u64, events: Sender<Event>) {
    let mut backoff = Backoff::new(seed);
    loop {
        match stay(&channel, &events, &mut backoff).await {
            Ok(()) => tracing::info!("the service ended the stream"),
            Err(status) if is_refusal(&status) => {
                tracing::error!(code = ?status.code(), "the service refuses this host: {}", status.message());
            }
            Err(status) => {
                tracing::warn!(code = ?status.code(), "no stream to the service: {}", reasons(&status));
            }
        }
        if events.send(Event::Parted).await.is_err() {
            return;
        }
        sleep(backoff.pause()).await;
    }
}

/// Whether the service refuses this host, so that an operator has to act.
fn is_refusal(status: &Status) -> bool {
    // A status with a source comes from this machine, not from the service.
    let is_sent = std::error::Error::source(status).is_none();
    is_sent
        && matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition | Code::PermissionDenied)
}

/// The message of a status and of its sources. Without a connection, only the sources name the
/// reason.
fn reasons(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let error_text = error.to_string();
        if !text.contains(&error_text) {
            text = format!("{text}: {error_text}");
        }
        cause = error.source();
    }
    text
}

/// Runs one stream from its start to its end.
async fn stay(channel: &Channel, events: &Sender<Event>, backoff: &mut Backoff) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(WAITING);
    // The service may wait for the first message before it answers.
    let is_over = |_| Status::cancelled("the agent is shutting down");
    events.send(Event::Joined(sender)).await.map_err(is_over)?;
    let mut client = AgentsClient::new(channel.clone());
    let joining = timeout(JOIN_TIMEOUT, client.join(ReceiverStream::new(receiver)));
    let answer = joining
        .await
        .map_err(|_| Status::deadline_exceeded("the service did not accept the stream in time"))??;
    let mut messages = answer.into_inner();
    while let Some(message) = messages.message().await? {
        backoff.reset();
        if let Some(message) = message.message {
            events.send(Event::Message(Box::new(message))).await.map_err(is_over)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_what_the_service_sent_and_will_send_again() {
        for code in [Code::InvalidArgument, Code::FailedPrecondition, Code::PermissionDenied] {
            assert!(is_refusal(&Status::new(code, "hello.host: has the character ':'")), "{code:?}");
        }
        assert!(!is_refusal(&Status::unavailable("the service is reloading its state")));
        assert!(!is_refusal(&Status::from_error(Box::new(std::io::Error::from(
            std::io::ErrorKind::PermissionDenied
        )))));
    }
}
