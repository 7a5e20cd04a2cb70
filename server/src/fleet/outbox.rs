//! What an agent has yet to be told.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use berth_api::v1::ServiceMessage;
use berth_api::v1::service_message::Message;
use tokio_stream::Stream;

/// What an agent has yet to be told. Not a queue of messages: of each guest, only the latest desired state waits. So an agent that does
/// not read makes it no larger than there are guests on its host.
#[derive(Debug, Default)]
struct Outbox {
    waiting: BTreeMap<Subject, Message>,
    /// Nothing more is said, or nobody reads any more.
    is_over: bool,
    reader: Option<Waker>,
}

/// What a message is about, in the order in which messages are told. A later one takes the place of an earlier one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Welcome,
    Providers,
    Guest(String),
}

impl Subject {
    fn of(message: &Message) -> Self {
        match message {
            Message::Welcome(_) => Self::Welcome,
            Message::ProvidersRefused(_) => Self::Providers,
            Message::DesiredGuest(desired) => Self::Guest(desired.instance.clone()),
        }
    }
}

/// The end at which the service speaks. When it is dropped, what still waits is told, and then the stream ends.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Mutex<Outbox>>);

/// The end that the agent reads, as a stream.
#[derive(Debug)]
pub(crate) struct Receiver(Arc<Mutex<Outbox>>);

/// An outbox with nothing in it.
pub(crate) fn channel() -> (Sender, Receiver) {
    let outbox = Arc::default();
    (Sender(Arc::clone(&outbox)), Receiver(outbox))
}

fn lock(outbox: &Mutex<Outbox>) -> MutexGuard<'_, Outbox> {
    outbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// Never waits. Whoever does not read any more is told nothing.
    pub(super) fn send(&self, message: Message) {
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
    async fn an_agent_that_does_not_read_is_told_the_latest_of_each_guest() {
        let (sender, mut receiver) = channel();
        for generation in 1..=1000 {
            sender.send(desired("b", generation));
            sender.send(desired("a", generation));
        }
        sender.send(Message::Welcome(Welcome::default()));
        assert_eq!(lock(&sender.0).waiting.len(), 3);
        drop(sender);
        let mut told = Vec::new();
        while let Some(message) = receiver.next().await {
            told.extend(message.message);
        }
        assert_eq!(told, [Message::Welcome(Welcome::default()), desired("a", 1000), desired("b", 1000)]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let (sender, mut receiver) = channel();
        let reader = tokio::spawn(async move { (receiver.next().await, receiver.next().await) });
        tokio::task::yield_now().await;
        sender.send(desired("a", 1));
        tokio::task::yield_now().await;
        drop(sender);
        let (first, second) = reader.await.unwrap();
        assert_eq!((first.unwrap().message, second), (Some(desired("a", 1)), None));
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
