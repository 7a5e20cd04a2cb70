//! The messages that agents have yet to receive.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use berth_api::v1::ServiceMessage;
use berth_api::v1::service_message::Message;
use berth_fleet::Session;
use tokio_stream::Stream;

/// The outboxes of the connected agents, by host.
#[derive(Debug, Default)]
pub(super) struct Outboxes(Mutex<BTreeMap<String, (Session, Sender)>>);

impl Outboxes {
    fn senders(&self) -> MutexGuard<'_, BTreeMap<String, (Session, Sender)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the outbox of a session, and closes that of an earlier one. A later session keeps its
    /// own.
    pub(super) fn open(&self, host: &str, session: Session, sender: Sender) {
        let mut senders = self.senders();
        if senders.get(host).is_none_or(|(known, _)| *known < session) {
            senders.insert(host.to_owned(), (session, sender));
        }
    }

    /// Closes the outbox of a session.
    pub(super) fn close(&self, host: &str, session: Session) {
        let mut senders = self.senders();
        if senders.get(host).is_some_and(|(known, _)| *known == session) {
            senders.remove(host);
        }
    }

    /// Sends a message to the agent of a session. If it has ended, the message is dropped.
    pub(super) fn send(&self, host: &str, session: Session, message: Message) {
        if let Some((_, sender)) = self.senders().get(host).filter(|(known, _)| *known == session) {
            sender.send(message);
        }
    }
}

/// The messages that an agent has yet to receive. It is no queue: of each guest, only the latest
/// desired state waits. So an agent that does not read makes it no larger than the number of guests
/// on its host, and a few requests for console output.
#[derive(Debug, Default)]
struct Outbox {
    waiting: BTreeMap<Subject, Message>,
    /// Whether an end was dropped.
    is_over: bool,
    reader: Option<Waker>,
}

/// The subject of a message, in the order in which messages are sent. A later message replaces an
/// earlier one with its subject.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Welcome,
    Providers,
    Guest(String),
    Console(u64),
}

impl Subject {
    fn of(message: &Message) -> Self {
        match message {
            Message::Welcome(_) => Self::Welcome,
            Message::ProvidersRefused(_) => Self::Providers,
            Message::DesiredGuest(desired) => Self::Guest(desired.instance.clone()),
            Message::Console(request) => Self::Console(request.request),
        }
    }
}

/// The service's end. When it is dropped, the stream ends after the messages that still wait.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Mutex<Outbox>>);

/// The agent's end, a stream.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Mutex<Outbox>>);

/// An empty outbox.
pub(crate) fn channel() -> (Sender, Receiver) {
    let outbox = Arc::default();
    (Sender(Arc::clone(&outbox)), Receiver(outbox))
}

fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// Adds a message, without waiting. A message for an agent that has gone is dropped.
    fn send(&self, message: Message) {
        let mut outbox = lock(&self.0);
        if !outbox.is_over {
            outbox.waiting.insert(Subject::of(&message), message);
            wake(outbox);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut outbox = lock(&self.0);
        outbox.is_over = true;
        wake(outbox);
    }
}

fn wake(mut outbox: MutexGuard<'_, Outbox>) {
    let reader = outbox.reader.take();
    drop(outbox);
    if let Some(reader) = reader {
        reader.wake();
    }
}

impl Stream for Receiver {
    type Item = ServiceMessage;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServiceMessage>> {
        let mut outbox = lock(&self.0);
        match outbox.waiting.pop_first() {
            Some((_, message)) => Poll::Ready(Some(ServiceMessage { message: Some(message) })),
            None if outbox.is_over => Poll::Ready(None),
            None => {
                outbox.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut outbox = lock(&self.0);
        outbox.is_over = true;
        outbox.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use berth_api::v1::{DesiredGuest, Welcome};
    use tokio_stream::StreamExt;

    use super::*;

    fn desired(instance: &str, generation: u64) -> Message {
        Message::DesiredGuest(DesiredGuest {
            instance: instance.to_owned(),
            generation,
            ..DesiredGuest::default()
        })
    }

    #[tokio::test]
    async fn an_agent_that_does_not_read_receives_the_latest_of_each_guest() {
        let (sender, mut receiver) = channel();
        for generation in 1..=1000 {
            sender.send(desired("b", generation));
            sender.send(desired("a", generation));
        }
        sender.send(Message::Welcome(Welcome::default()));
        assert_eq!(lock(&sender.0).waiting.len(), 3);
        drop(sender);
        let mut received = Vec::new();
        while let Some(message) = receiver.next().await {
            received.extend(message.message);
        }
        assert_eq!(received, [Message::Welcome(Welcome::default()), desired("a", 1000), desired("b", 1000)]);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let (sender, mut receiver) = channel();
        let reader = tokio::spawn(async move { (receiver.next().await, receiver.next().await) });
        tokio::task::yield_now().await;
        sender.send(desired("a", 1));
        tokio::task::yield_now().await;
        drop(sender);
        let (first, second) = reader.await.unwrap();
        assert_eq!((first.unwrap().message, second), (Some(desired("a", 1)), None));
    }

    /// Two connections of an agent follow each other, and the outbox of the first is opened last.
    #[tokio::test]
    async fn the_outbox_of_the_latest_session_stays() {
        let [one, two] = sessions();
        let ((first, mut first_receiver), (second, mut second_receiver)) = (channel(), channel());
        let outboxes = Outboxes::default();
        outboxes.open("h", two, second);
        outboxes.open("h", one, first);
        assert!(first_receiver.next().await.is_none());
        outboxes.send("h", one, desired("a", 1));
        outboxes.send("h", two, desired("a", 2));
        outboxes.close("h", one);
        assert_eq!(second_receiver.next().await.unwrap().message, Some(desired("a", 2)));
        outboxes.close("h", two);
        assert!(second_receiver.next().await.is_none());
    }

    /// Two sessions of one host.
    fn sessions() -> [Session; 2] {
        let host = uuid::Uuid::from_u128(1);
        let mut state = berth_fleet::State::default();
        let name = "h".to_owned();
        state.put_host(berth_fleet::Host { name: name.clone(), uuid: host, ..berth_fleet::Host::default() });
        let index = Arc::new(berth_placement::Index::with_holders());
        let options = berth_fleet::FleetOptions::default();
        let now = crate::fleet::handle::moment();
        let mut fleet = berth_fleet::Fleet::new(index, state, options, now.monotonic);
        let introduction =
            berth_fleet::Introduction { host: name, uuid: host, ..berth_fleet::Introduction::default() };
        [(); 2].map(|()| fleet.join(&introduction, now).unwrap())
    }

    #[test]
    fn nothing_waits_for_an_agent_that_is_gone() {
        let (sender, receiver) = channel();
        sender.send(desired("a", 1));
        drop(receiver);
        sender.send(desired("b", 1));
        assert!(lock(&sender.0).waiting.is_empty());
    }
}
