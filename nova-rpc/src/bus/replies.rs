//! Replies on their way to callers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::statistics::BusStatistics;
use crate::envelope::ReplyTo;
use crate::reply::Reply;

/// The pause before a reply is sent again whose queue is missing.
const PAUSE: Duration = Duration::from_millis(250);

/// Sends replies, over whichever connection there is.
#[derive(Clone)]
pub(super) struct Replies {
    channel: watch::Receiver<Option<Channel>>,
    /// For how long a reply is sent again while its queue is missing or no connection exists.
    patience: Duration,
    gone: Arc<Mutex<Gone>>,
    statistics: Arc<BusStatistics>,
}

/// Queues of callers that are gone: a reply to them is not worth the wait.
#[derive(Default)]
struct Gone {
    queues: VecDeque<(String, Instant)>,
}

impl Gone {
    const REMEMBERED: usize = 200;
    const TIME: Duration = Duration::from_secs(60);

    fn add(&mut self, queue: &str, now: Instant) {
        self.queues.push_back((queue.to_owned(), now));
        if self.queues.len() > Self::REMEMBERED {
            self.queues.pop_front();
        }
    }

    fn contains(&self, queue: &str, now: Instant) -> bool {
        self.queues.iter().any(|(gone, since)| gone == queue && now.duration_since(*since) < Self::TIME)
    }
}

/// The outcome of a message.
enum Sent {
    Delivered,
    /// Its queue does not exist.
    NoQueue,
    /// The connection was lost.
    Lost,
}

impl Replies {
    pub(super) fn new(
        channel: watch::Receiver<Option<Channel>>,
        patience: Duration,
        statistics: Arc<BusStatistics>,
    ) -> Self {
        Self { channel, patience, gone: Arc::default(), statistics }
    }

    /// Sends the reply, again and again while the caller's queue is missing or no connection
    /// exists. After a broker has started again, callers need some time to declare their queues.
    pub(super) async fn send(&mut self, to: &ReplyTo, reply: &Reply) {
        let ReplyTo { queue, msg_id } = to;
        let deadline = Instant::now() + self.patience;
        if self.lock().contains(queue, Instant::now()) {
            tracing::warn!(queue, msg_id, "the caller is gone: the reply is dropped");
            BusStatistics::add(&self.statistics.abandoned);
            return;
        }
        // The same id each time: the caller drops what it received already.
        let body = reply.body(to, &unique_id());
        loop {
            match timeout(deadline.saturating_duration_since(Instant::now()), self.try_send(queue, &body))
                .await
            {
                Ok(Sent::Delivered) => return,
                Ok(Sent::NoQueue | Sent::Lost) if Instant::now() < deadline => {
                    BusStatistics::add(&self.statistics.resent);
                    sleep(PAUSE).await;
                }
                Ok(Sent::NoQueue | Sent::Lost) | Err(_) => break,
            }
        }
        tracing::error!(queue, msg_id, seconds = self.patience.as_secs(), "nobody received the reply");
        BusStatistics::add(&self.statistics.abandoned);
        self.lock().add(queue, Instant::now());
    }

    /// Sends a keep-alive, once: another one follows. Returns whether the caller exists.
    pub(super) async fn keep_alive(&mut self, to: &ReplyTo) -> bool {
        let body = Reply::KeepAlive.body(to, &unique_id());
        BusStatistics::add(&self.statistics.keep_alives);
        matches!(timeout(PAUSE * 20, self.try_send(&to.queue, &body)).await, Ok(Sent::Delivered))
    }

    async fn try_send(&mut self, queue: &str, body: &[u8]) -> Sent {
        let channel = match self.channel.wait_for(Option::is_some).await {
            Ok(channel) => channel.clone(),
            Err(_) => return Sent::Lost,
        };
        let Some(channel) = channel else { return Sent::Lost };
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2)
            .with_priority(0);
        let confirm = match channel.basic_publish("".into(), queue.into(), options, body, properties).await {
            Ok(confirm) => confirm,
            Err(_) => return Sent::Lost,
        };
        match confirm.await {
            Ok(confirmation) if confirmation.is_nack() => Sent::Lost,
            Ok(confirmation) => match confirmation.take_message() {
                Some(_) => Sent::NoQueue,
                None => Sent::Delivered,
            },
            Err(_) => Sent::Lost,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Gone> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 32 hexadecimal digits that no other message has.
pub(super) fn unique_id() -> String {
    #[expect(clippy::disallowed_methods, reason = "this is the edge: ids of messages are drawn at random")]
    Uuid::new_v4().simple().to_string()
}
