//! The Agents service: one stream for each compute host.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_fleet::{FleetError, Session};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::call;
use super::fleet::CallError;
use super::identity::Caller;
use super::status::{bad_field, failure};
use super::stopped;
use crate::fleet::outbox;
use crate::request::{Epoch, Purpose};
use crate::service::Service;

/// The interval in which a silent connection checks whether there is a later one, or another state.
const LOOK: Duration = Duration::from_secs(5);

/// The time within which an agent has to send its first message.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// The streams of compute hosts.
pub(crate) struct Agents {
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
}

impl Agents {
    pub(crate) fn new(service: Arc<Service>, stopping: watch::Receiver<bool>) -> Self {
        Self { service, stopping }
    }

    fn note_refused(&self, host: &str, error: &FleetError) {
        if error.is_other_agent() {
            tracing::error!(host = ?host, %error, "TWO AGENTS FOR ONE HOST: the second is refused");
            self.service.metrics.note_other_agent();
        } else {
            tracing::warn!(host = ?host, %error, "a host may not join");
        }
    }
}

type ServiceStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::ServiceMessage, Status>> + Send>>;

#[tonic::async_trait]
impl v1::agents_server::Agents for Agents {
    type JoinStream = ServiceStream;

    async fn join(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<ServiceStream>, Status> {
        let caller = Caller::behind(&request);
        let (_, extensions, mut messages) = request.into_parts();
        let hello = introduction(&mut messages).await?;
        let has_voucher = caller.speaks_for(&hello)?;
        let epoch = call::begin(&self.service, &extensions, Purpose::Write)?;
        let (sender, receiver) = outbox::channel();
        let session = epoch.fleet.join(&hello, has_voucher, sender);
        let session = session.map_err(|error| {
            self.note_refused(&hello.host, &error);
            CallError::from(error)
        })?;
        let service = Arc::clone(&self.service);
        let connection = Connection { service, epoch, host: hello.host, session, is_graceful: false };
        connection.epoch.wait_on_disk().await.map_err(|unknown| call::outcome_unknown(&unknown))?;
        connection.epoch.fleet.welcome(&connection.host, session);
        tokio::spawn(connection.run(messages, self.stopping.clone()));
        Ok(Response::new(Box::pin(receiver.map(Ok))))
    }
}

async fn introduction(messages: &mut Streaming<v1::AgentMessage>) -> Result<v1::Hello, Status> {
    let first = tokio::time::timeout(INTRODUCTION, messages.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("the agent did not say who it is"))??;
    match first.and_then(|first| first.message) {
        Some(Message::Hello(hello)) => Ok(hello),
        _ => Err(bad_field("message", "the first has to be a Hello")),
    }
}

/// A connected agent, until this is dropped, also when the agent goes away before it is admitted.
struct Connection {
    service: Arc<Service>,
    epoch: Arc<Epoch>,
    host: String,
    session: Session,
    is_graceful: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Its sender goes with it, which ends the stream of the other direction.
        self.epoch.fleet.leave(&self.host, self.session, self.is_graceful);
    }
}

impl Connection {
    async fn run(mut self, mut messages: Streaming<v1::AgentMessage>, stopping: watch::Receiver<bool>) {
        let mut stopping = pin!(stopped(stopping));
        while self.is_current() {
            let next = tokio::select! {
                next = tokio::time::timeout(LOOK, messages.message()) => next,
                () = &mut stopping => break,
            };
            match next {
                Err(_) => {} // silent for a while
                Ok(Ok(Some(message))) => match message.message {
                    Some(Message::Goodbye(_)) => {
                        self.is_graceful = true;
                        break;
                    }
                    Some(message) => self.apply(&message),
                    None => {}
                },
                Ok(Ok(None) | Err(_)) => break,
            }
        }
    }

    fn is_current(&self) -> bool {
        Arc::ptr_eq(&self.epoch, &self.service.epoch())
            && self.epoch.fleet.is_current(&self.host, self.session)
    }

    fn apply(&self, message: &Message) {
        let (fleet, host, session) = (&self.epoch.fleet, &self.host, self.session);
        let outcome = match message {
            Message::Providers(tree) => {
                // The index's writer may be held for a while.
                let applied = block_in_place(|| fleet.set_providers(host, tree));
                if let Err(error) = &applied {
                    fleet.refuse_providers(host, session, failure(&CallError::from(error.clone()).into()));
                }
                applied
            }
            Message::Heartbeat(beat) => {
                fleet.heartbeat(host, session, beat.disk_available_gb);
                Ok(())
            }
            Message::Guest(report) => fleet.report(host, session, report),
            Message::AllReported(_) => {
                fleet.all_reported(host, session);
                Ok(())
            }
            Message::Hello(_) => Err(FleetError::field("hello", "was sent already")),
            Message::Goodbye(_) => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::warn!(host, %error, "a message of the agent is refused");
        }
    }
}
