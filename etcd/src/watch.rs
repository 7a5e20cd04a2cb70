//! Changes of a range, in order.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::EtcdClient;
use crate::failure::{EtcdError, Failure};
use crate::key::{KeyEntry, KeyRange};
use crate::proto::event::EventType;
use crate::proto::watch_client::WatchClient;
use crate::proto::{Event, WatchCreateRequest, WatchRequest, WatchResponse, watch_request};

/// The largest response; a member sends larger ones in parts.
const LARGEST_RESPONSE: usize = 64 << 20;

/// How long a watch may be silent before the client asks whether the member still answers.
const SILENCE: Duration = Duration::from_secs(1);

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEvent {
    /// The key has this value.
    Put(KeyEntry),
    /// The key was deleted, at this revision of etcd.
    Deleted {
        /// The key.
        key: Bytes,
        /// The revision.
        revision: i64,
    },
}

impl KeyEvent {
    /// The revision of etcd at which the key changed.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        match self {
            Self::Put(entry) => entry.modified_at,
            Self::Deleted { revision, .. } => *revision,
        }
    }
}

/// The end of a watch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Changes that the watch has not delivered are compacted: read the range, and watch from its
    /// revision on.
    #[error("the changes before revision {oldest} are compacted")]
    Compacted {
        /// The oldest revision that can be watched.
        oldest: i64,
    },
    /// etcd refuses the watch.
    #[error(transparent)]
    Refused(#[from] EtcdError),
}

/// The changes of a range from a revision on. When a stream breaks, it goes on at the next member,
/// without a change lost or delivered twice.
///
/// etcd counts revisions over all its keys, so this cannot notice that a member left out a change.
/// The values must show it: by numbers without gaps, for example.
#[derive(Debug)]
pub struct KeyWatch {
    client: EtcdClient,
    range: KeyRange,
    /// All changes of lower revisions were delivered.
    next: i64,
    open: Option<Open>,
    /// Parts of a response that is not complete yet.
    parts: Vec<Event>,
}

#[derive(Debug)]
struct Open {
    member: usize,
    responses: Streaming<WatchResponse>,
    /// When the member answered last.
    answered_at: Instant,
    /// The stream ends with its requests.
    _requests: mpsc::Sender<WatchRequest>,
}

impl EtcdClient {
    /// Watches a range from a revision on, which may be in the future.
    #[must_use]
    pub fn watch(&self, range: KeyRange, from: i64) -> KeyWatch {
        KeyWatch { client: self.clone(), range, next: from, open: None, parts: Vec::new() }
    }

    /// Returns when a member that is asked from `at` on, again and again, does not answer.
    async fn failed_to_answer(&self, member: usize, at: Instant) {
        sleep_until(at).await;
        loop {
            match self.status_of(member).await {
                Err(EtcdError::Unknown(_) | EtcdError::Unavailable(_)) => return,
                // A refusal is an answer.
                Ok(_) | Err(_) => sleep(SILENCE).await,
            }
        }
    }
}

impl KeyWatch {
    /// The next changes, all of some whole revisions. A call that is dropped loses nothing.
    ///
    /// # Errors
    /// The changes are compacted, or etcd refuses the watch. Members that cannot be reached are no
    /// error: it waits for them.
    pub async fn next(&mut self) -> Result<Vec<KeyEvent>, WatchError> {
        loop {
            if self.open.is_none() {
                self.open().await?;
                continue;
            }
            let open = self.open.as_mut().expect("it was opened above");
            let message = tokio::select! {
                message = open.responses.message() => message,
                () = self.client.failed_to_answer(open.member, open.answered_at + SILENCE) => {
                    self.leave("the member does not answer");
                    continue;
                }
            };
            match message {
                Ok(Some(response)) => {
                    open.answered_at = Instant::now();
                    let events = self.enter(response)?;
                    if !events.is_empty() {
                        return Ok(events);
                    }
                }
                Ok(None) => self.leave("the stream has ended"),
                Err(status) => match Failure::of(&status) {
                    Failure::Final(error) => return Err(error.into()),
                    Failure::Token(_) => {
                        self.client.forget_token();
                        self.leave("the token has expired");
                    }
                    Failure::Rejected(words) | Failure::Lost(words) => self.leave(&words),
                },
            }
        }
    }

    /// Goes on at another member: the present one delivers nothing although there are changes.
    pub fn leave_member(&mut self) {
        self.leave("the caller misses changes");
    }

    /// All changes of lower revisions were delivered.
    #[must_use]
    pub const fn next_revision(&self) -> i64 {
        self.next
    }

    fn leave(&mut self, problem: &str) {
        if let Some(Open { member, .. }) = self.open.take() {
            let members = self.client.members();
            tracing::info!(problem, member = members.address(member), "a watch goes on at another member");
            members.note_failure(member, Instant::now());
        }
        self.parts.clear();
    }

    async fn open(&mut self) -> Result<(), WatchError> {
        let selected = self.client.members().select(Instant::now());
        sleep_until(selected.ready_at).await;
        let member = selected.member;
        let opened = timeout(self.client.options().attempt_timeout, self.open_at(member)).await;
        match opened.unwrap_or_else(|_| Err(Failure::Lost("no answer in time".to_owned()))) {
            Ok(open) => self.open = Some(open),
            Err(Failure::Final(error)) => return Err(error.into()),
            Err(Failure::Token(words)) if self.client.options().credentials.is_none() => {
                return Err(EtcdError::Refused(words).into());
            }
            Err(Failure::Token(_)) => self.client.forget_token(),
            Err(Failure::Rejected(words) | Failure::Lost(words)) => {
                tracing::debug!(words, member = self.client.members().address(member), "no watch");
                self.client.members().note_failure(member, Instant::now());
            }
        }
        Ok(())
    }

    async fn open_at(&self, member: usize) -> Result<Open, Failure> {
        let connection = self.client.connection(member).await?;
        let KeyRange { begin: key, end: range_end } = self.range.clone();
        let create = WatchCreateRequest { key, range_end, start_revision: self.next, fragment: true };
        let create = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
        let (requests, receiver) = mpsc::channel(1);
        requests.try_send(create).expect("the channel takes one");
        let request = connection.request(ReceiverStream::new(receiver));
        let mut client = WatchClient::new(connection.channel).max_decoding_message_size(LARGEST_RESPONSE);
        let responses = client.watch(request).await.map_err(|status| Failure::of(&status))?;
        self.client.members().note_success(member);
        let (responses, answered_at) = (responses.into_inner(), Instant::now());
        Ok(Open { member, responses, answered_at, _requests: requests })
    }

    /// The new events of a response; none until its last part has arrived.
    fn enter(&mut self, response: WatchResponse) -> Result<Vec<KeyEvent>, WatchError> {
        if response.compact_revision != 0 {
            return Err(WatchError::Compacted { oldest: response.compact_revision });
        }
        if response.canceled {
            let reason = response.cancel_reason;
            // A member cancels its watches when it loses the leader.
            if reason.is_empty() || reason.contains("no leader") || reason.contains("auth token") {
                self.client.forget_token();
                self.leave(&reason);
                return Ok(Vec::new());
            }
            return Err(EtcdError::Refused(reason).into());
        }
        self.parts.extend(response.events);
        if response.fragment {
            return Ok(Vec::new());
        }
        let events = std::mem::take(&mut self.parts).into_iter().filter_map(event);
        let events: Vec<KeyEvent> = events.filter(|event| event.revision() >= self.next).collect();
        if let Some(last) = events.last() {
            self.next = last.revision() + 1;
        }
        Ok(events)
    }
}

fn event(event: Event) -> Option<KeyEvent> {
    let kind = event.r#type();
    let entry = event.kv?;
    Some(match kind {
        EventType::Put => KeyEvent::Put(entry.into()),
        EventType::Delete => KeyEvent::Deleted { key: entry.key, revision: entry.mod_revision },
    })
}
