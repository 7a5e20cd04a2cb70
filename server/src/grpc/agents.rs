//! The Agents service: one stream for each compute host.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::call;
use super::identity::Caller;
use super::status::{bad_field, failure};
use super::stopped;
use crate::fleet::{FleetError, Session, outbox};
use crate::request::{Epoch, Purpose};
use crate::service::Service;

/// How often to look whether there is a later connection, or another state.
const LOOK: Duration = Duration::from_secs(5);

/// How long an agent may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// What compute hosts tell and are told.
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

type Told = std::pin::Pin<Box<dyn Stream<Item = Result<v1::ServiceMessage, Status>> + Send>>;

#[tonic::async_trait]
impl v1::agents_server::Agents for Agents {
    type JoinStream = Told;

    async fn join(&self, request: Request<Streaming<v1::AgentMessage>>) -> Result<Response<Told>, Status> {
        let caller = Caller::behind(&request);
        let (_, extensions, mut messages) = request.into_parts();
        let hello = introduction(&mut messages).await?;
        let has_voucher = caller.speaks_for(&hello)?;
        let epoch = call::begin(&self.service, &extensions, Purpose::Write)?;
        let (sender, receiver) = outbox::channel();
        let session = epoch.fleet.join(&hello, has_voucher, sender);
        let session = session.inspect_err(|error| self.note_refused(&hello.host, error))?;
        let service = Arc::clone(&self.service);
        let connection = Connection { service, epoch, host: hello.host, session, ends_on_purpose: false };
        connection.epoch.settled().await.map_err(|unknown| call::outcome_unknown(&unknown))?;
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

/// An agent that is connected: until this is dropped, be it that the agent goes away before it is let in.
struct Connection {
    service: Arc<Service>,
    epoch: Arc<Epoch>,
    host: String,
    session: Session,
    ends_on_purpose: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Its sender goes with it, which ends the stream of the other direction.
        self.epoch.fleet.leave(&self.host, self.session, self.ends_on_purpose);
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
                        self.ends_on_purpose = true;
                        break;
                    }
                    Some(message) => self.hear(&message),
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

    fn hear(&self, message: &Message) {
        let (fleet, host, session) = (&self.epoch.fleet, &self.host, self.session);
        let outcome = match message {
            Message::Providers(tree) => {
                let taken = fleet.set_providers(host, tree);
                if let Err(error) = &taken {
                    fleet.refuse_providers(host, session, failure(&error.clone().into()));
                }
                taken
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
            Message::Hello(_) => Err(FleetError::field("hello", "was said already")),
            Message::Goodbye(_) => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::warn!(host, %error, "what the agent says is not taken");
        }
    }
}
