//! The Agents service: one stream for each compute host.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_fleet::{FleetError, Session};
use berth_placement::candidates::Stop;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::call;
use super::fleet::CallError;
use super::identity::Caller;
use super::shares::{HostShare, Shares};
use super::status::{bad_field, failure};
use super::stopped;
use crate::clock::{Monotonic, monotonic};
use crate::fleet::outbox;
use crate::request::{Epoch, Purpose};
use crate::searches::{Searches, TooMany};
use crate::service::Service;
use crate::turns::Turn;

/// The interval in which a silent connection checks whether there is a later one, or another state.
const LOOK: Duration = Duration::from_secs(5);

/// The time within which an agent has to send its first message.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// The refused messages of one connection that are logged.
const LOGGED: u32 = 100;

/// The messages of an agent between two waits for the store.
const UNSETTLED: u32 = 64;

/// The most providers of a tree that is applied at once.
const SHORT_TREE: usize = 16;

/// The latest provider tree of an agent, until it is applied. A tree replaces the one before, so
/// only the latest counts.
#[derive(Debug)]
struct LatestTree {
    tree: Option<v1::ProviderTree>,
    share: Arc<HostShare>,
}

impl LatestTree {
    fn is_due(&self) -> bool {
        self.share.pause_of_trees(monotonic()).is_zero()
    }

    /// The tree, as soon as it may be applied.
    async fn due(&mut self) -> v1::ProviderTree {
        if self.tree.is_some() {
            tokio::time::sleep(self.share.pause_of_trees(monotonic())).await;
        }
        match self.tree.take() {
            Some(tree) => tree,
            None => std::future::pending().await,
        }
    }

    /// Notes that a tree was applied, and how long that took.
    fn applied_in(&mut self, took: Duration) {
        self.share.note_tree(monotonic(), took);
    }
}

/// Refused hosts that are logged in a minute: one that must not join may ask again and again.
const LOGGED_A_MINUTE: u32 = 100;

/// How many refused hosts were logged in this minute.
#[derive(Debug, Default)]
struct LoggedRefusals(Mutex<(Monotonic, u32)>);

impl LoggedRefusals {
    /// Counts one; returns how many are logged in this minute, with it.
    fn count(&self, now: Monotonic) -> u32 {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= logged.0 {
            *logged = (now.after(Duration::from_secs(60)), 0);
        }
        logged.1 = logged.1.saturating_add(1);
        logged.1
    }
}

/// The streams of compute hosts.
pub(crate) struct Agents {
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    shares: Shares,
    refusals: LoggedRefusals,
}

impl Agents {
    pub(crate) fn new(service: Arc<Service>, stopping: watch::Receiver<bool>) -> Self {
        Self { service, stopping, shares: Shares::default(), refusals: LoggedRefusals::default() }
    }

    fn note_refused(&self, host: &str, error: &FleetError) {
        let is_other = error.is_other_agent();
        if is_other {
            self.service.metrics.note_other_agent();
        }
        match self.refusals.count(monotonic()) {
            ..LOGGED_A_MINUTE if is_other => {
                tracing::error!(host = ?host, %error, "two agents for one host: the second is refused");
            }
            ..LOGGED_A_MINUTE => tracing::warn!(host = ?host, %error, "the service refused a host"),
            LOGGED_A_MINUTE => tracing::warn!("further refused hosts are not logged in this minute"),
            _ => {}
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
        note_version(&hello, self.service.options.build.version);
        let service = Arc::clone(&self.service);
        let share = self.shares.of(&hello.host, monotonic());
        let connection = Connection {
            service,
            epoch,
            host: hello.host,
            session,
            share,
            is_graceful: false,
            refused: 0,
            unsettled: 0,
        };
        connection.epoch.wait_on_disk().await.map_err(|unknown| call::outcome_unknown(&unknown))?;
        connection.epoch.fleet.welcome(&connection.host, session);
        tokio::spawn(connection.run(messages, self.stopping.clone()));
        Ok(Response::new(Box::pin(receiver.map(Ok))))
    }
}

/// A turn of a host's agent for a long tree; `None` if the connection is no longer current.
///
/// Trees of earlier connections of the host may still wait: then the agent tries again after the
/// pause. Users of the REST API take turns with agents.
async fn turn(
    lengthy: &Searches,
    host: &str,
    mut is_current: impl FnMut() -> bool,
    pause: Duration,
) -> Option<Turn> {
    while is_current() {
        match lengthy.turn(&format!("gRPC agent {host}")).await {
            Ok(turn) => return Some(turn),
            Err(TooMany) => tokio::time::sleep(pause).await,
        }
    }
    None
}

/// Logs that an agent has another version than the service: it works, and does not do what the
/// later one of both has in addition.
fn note_version(hello: &v1::Hello, own: &str) {
    let agent = hello.hypervisor.as_ref().map_or("", |known| &known.agent_version);
    if !agent.is_empty() && agent != own {
        tracing::info!(
            host = hello.host,
            agent,
            service = own,
            "the agent has another version than the service"
        );
    }
}

async fn introduction(messages: &mut Streaming<v1::AgentMessage>) -> Result<v1::Hello, Status> {
    let first = tokio::time::timeout(INTRODUCTION, messages.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("the agent sent no Hello in time"))??;
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
    share: Arc<HostShare>,
    is_graceful: bool,
    /// Messages that were refused.
    refused: u32,
    /// Messages that were applied since the last wait for the store.
    unsettled: u32,
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
        let share = Arc::clone(&self.share);
        let mut latest = LatestTree { tree: None, share: Arc::clone(&share) };
        while self.is_current() {
            let next = async {
                tokio::time::sleep(share.pause_of_reports(monotonic())).await;
                messages.message().await
            };
            let next = tokio::select! {
                next = tokio::time::timeout(LOOK, next) => next,
                tree = latest.due() => {
                    latest.applied_in(self.apply_tree(tree).await);
                    continue;
                }
                () = &mut stopping => break,
            };
            match next {
                Err(_) => {} // silent for a while
                Ok(Ok(Some(message))) => match message.message {
                    Some(Message::Goodbye(_)) => {
                        self.is_graceful = true;
                        break;
                    }
                    Some(Message::Providers(tree)) => {
                        latest.tree = Some(tree);
                        if latest.is_due() {
                            let tree = latest.due().await; // before the messages that follow
                            latest.applied_in(self.apply_tree(tree).await);
                        }
                    }
                    Some(Message::Console(reply)) => self.epoch.fleet.note_console(&self.host, reply),
                    Some(message) => {
                        self.apply(&message);
                        self.settle().await;
                    }
                    None => {}
                },
                Ok(Ok(None) | Err(_)) => break,
            }
        }
    }

    /// Waits now and then until what the agent reports is on disk: it may report faster than the
    /// store commits, and what waits for a commit takes memory.
    async fn settle(&mut self) {
        self.unsettled += 1;
        if self.unsettled >= UNSETTLED {
            self.unsettled = 0;
            let _ = self.epoch.wait_durable().await; // after a failure, the epoch has ended
        }
    }

    fn is_current(&self) -> bool {
        Arc::ptr_eq(&self.epoch, &self.service.epoch())
            && self.epoch.fleet.is_current(&self.host, self.session)
    }

    /// Applies a provider tree, a long one on another thread when it is the host's turn; returns
    /// how long that took.
    async fn apply_tree(&self, tree: v1::ProviderTree) -> Duration {
        let (fleet, host) = (Arc::clone(&self.epoch.fleet), self.host.clone());
        let is_long = tree.providers.len() > SHORT_TREE;
        let apply = move || {
            let start = monotonic();
            let applied = fleet.set_providers(&host, &tree);
            (applied, monotonic().since(start))
        };
        let (applied, took) = if is_long {
            let lengthy = &self.service.lengthy;
            let Some(turn) = turn(lengthy, &self.host, || self.is_current(), LOOK).await else {
                return Duration::ZERO;
            };
            let Some(applied) = lengthy.run(turn, &Stop::default(), apply).await else { return LOOK };
            applied
        } else {
            block_in_place(apply) // the index's writer may be held for a while
        };
        if let Err(error) = applied {
            tracing::warn!(host = self.host, %error, "a provider tree is refused, or a part of it");
            let reason = failure(&CallError::from(error).into());
            self.epoch.fleet.refuse_providers(&self.host, self.session, reason);
        }
        took
    }

    fn apply(&mut self, message: &Message) {
        let (fleet, host, session) = (&self.epoch.fleet, &self.host, self.session);
        let outcome = match message {
            Message::Heartbeat(beat) => {
                fleet.heartbeat(host, session, beat.disk_available_gb);
                Ok(())
            }
            Message::Guest(report) => {
                self.share.note_report(monotonic());
                fleet.report(host, session, report)
            }
            Message::AllReported(_) => {
                fleet.all_reported(host, session);
                Ok(())
            }
            Message::Hello(_) => Err(FleetError::field("hello", "was sent already")),
            Message::Providers(_) | Message::Goodbye(_) | Message::Console(_) => Ok(()),
        };
        let Err(error) = outcome else { return };
        self.refused += 1;
        if self.refused <= LOGGED {
            tracing::warn!(host, %error, "a message of the agent is refused");
        }
        if self.refused == LOGGED {
            tracing::warn!(host, "further refused messages are not logged until the agent connects again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// A host whose agent connects again and again while its trees wait may have as many waiting
    /// trees as a caller can have. The task of the connection panicked then.
    #[tokio::test]
    async fn an_agent_with_too_many_waiting_trees_waits() {
        let lengthy = Searches::for_lengthy();
        let mut turns = Vec::new();
        let mut waiting = Vec::new();
        loop {
            let mut next = Box::pin(lengthy.turn("gRPC agent h"));
            match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(turn)) => turns.push(turn),
                Poll::Ready(Err(TooMany)) => break,
                Poll::Pending => waiting.push(next),
            }
        }
        assert!(!turns.is_empty() && !waiting.is_empty());

        let mut looks = 3;
        let is_current = || {
            looks -= 1;
            looks > 0
        };
        let gone = turn(&lengthy, "h", is_current, Duration::ZERO).await;
        assert!(gone.is_none(), "there is a later connection");
        assert_eq!(looks, 0);

        let frees_places = || {
            waiting.clear();
            turns.clear();
            true
        };
        assert!(turn(&lengthy, "h", frees_places, Duration::ZERO).await.is_some());
    }
}
