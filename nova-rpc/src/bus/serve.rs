//! The loop: connect, consume until the connection is lost, connect again.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::Stream;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, QueueDeleteOptions};
use lapin::{Channel, Consumer};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Handler;
use super::connect::{Connected, connect, name};
use super::error::BusError;
use super::replies::{Replies, unique_id};
use super::statistics::BusStatistics;
use super::work::work;
use crate::duplicates::Duplicates;
use crate::envelope::Message;
use crate::transport::{BusOptions, Consumed, topology};

/// Messages that are worked on at once. More wait at the broker, where another scheduler can take
/// them.
const AT_ONCE: usize = 1_024;

/// Why consuming ended.
enum End {
    Stopped,
    Lost(Option<lapin::Error>),
}

/// Serves the topic until `stop` turns true, through losses of connections. In the end, it waits at
/// most `grace` for work that has begun.
///
/// # Errors
/// A declaration that the broker refuses on the first connection: the options differ from those of
/// other services. Later, and for other causes, it tries again.
pub async fn serve(
    options: BusOptions,
    handler: Arc<impl Handler>,
    statistics: Arc<BusStatistics>,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) -> Result<(), BusError> {
    let (channel, receiver) = watch::channel(None::<Channel>);
    let patience = Duration::from_secs(options.rabbit.kombu_missing_consumer_retry_timeout);
    let mut server = Server {
        topology: topology(&options, &unique_id()),
        replies: Replies::new(receiver, patience, Arc::clone(&statistics)),
        statistics,
        handler,
        duplicates: Duplicates::default(),
        permits: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let (mut failed, mut at, mut was_connected) = (0_u64, 0_usize, false);
    while !*stop.borrow() {
        let broker = &options.url.brokers[at % options.url.brokers.len()];
        let connected = tokio::select! {
            connected = connect(&options, broker, &mut server.topology) => connected,
            () = stopped(&mut stop) => break,
        };
        match connected {
            Ok(connected) => {
                tracing::info!(broker = name(broker), topic = options.topic, "serving calls of Nova");
                (failed, was_connected) = (0, true);
                channel.send_replace(Some(connected.publishing.clone()));
                let end = server.consume(connected, &mut stop, grace).await;
                channel.send_replace(None);
                match end {
                    End::Stopped => return Ok(()),
                    End::Lost(problem) => {
                        let problem =
                            problem.map_or("a queue was deleted".to_owned(), |error| error.to_string());
                        tracing::warn!(broker = name(broker), problem, "the connection is lost");
                    }
                }
            }
            Err(error) if !was_connected && !error.is_passing() => return Err(error),
            Err(error) => tracing::warn!(%error, attempt = failed + 1, "no connection to the bus"),
        }
        at += 1;
        // The next broker is tried at once; a pause follows when none was reached.
        if at % options.url.brokers.len() == 0 || failed > 0 || options.url.brokers.len() == 1 {
            tokio::select! {
                () = sleep(options.rabbit.pause(failed)) => {}
                () = stopped(&mut stop) => break,
            }
        }
        failed += 1;
    }
    Ok(())
}

/// Waits until the service is to stop. A sender that is gone means the same.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stops| *stops).await);
}

struct Server<H> {
    topology: Vec<Consumed>,
    replies: Replies,
    statistics: Arc<BusStatistics>,
    handler: Arc<H>,
    duplicates: Duplicates,
    permits: Arc<Semaphore>,
}

impl<H: Handler> Server<H> {
    async fn consume(
        &mut self,
        connected: Connected,
        stop: &mut watch::Receiver<bool>,
        grace: Duration,
    ) -> End {
        use std::sync::atomic::Ordering::Relaxed;
        let Connected { connection, consuming, mut consumers, publishing: _publishing } = connected;
        BusStatistics::add(&self.statistics.connections);
        self.statistics.is_connected.store(true, Relaxed);
        self.handler.connected();
        let end = loop {
            tokio::select! {
                delivery = next(&mut consumers) => match delivery {
                    Some(Ok(delivery)) => self.receive(delivery).await,
                    Some(Err(error)) => break End::Lost(Some(error)),
                    None => {
                        // A stream that was deleted counts from the beginning.
                        self.topology.iter_mut().for_each(|one| one.begin_at(None));
                        break End::Lost(None);
                    }
                },
                () = stopped(stop) => break End::Stopped,
            }
        };
        self.statistics.is_connected.store(false, Relaxed);
        if matches!(end, End::Stopped) {
            self.finish(&consuming, &consumers, grace).await;
        }
        // What fails here ends with the connection anyway.
        drop(timeout(Duration::from_secs(2), connection.close(200, "".into())).await);
        end
    }

    /// Acknowledges a message and begins the work on it.
    async fn receive(&mut self, delivery: Delivery) {
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
        // Without an acknowledgement the broker delivers the message again.
        if !matches!(delivery.ack(BasicAckOptions::default()).await, Ok(true)) {
            return;
        }
        BusStatistics::add(&self.statistics.messages);
        self.advance(&delivery);
        let message = match Message::read(&delivery.data) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, queue = %delivery.routing_key, "a message is ignored");
                BusStatistics::add(&self.statistics.unreadable);
                return;
            }
        };
        if let Some(id) = &message.unique_id
            && !self.duplicates.is_new(id)
        {
            tracing::info!(id, method = message.method, "a message was delivered twice: it is ignored");
            BusStatistics::add(&self.statistics.duplicates);
            return;
        }
        let (handler, replies) = (Arc::clone(&self.handler), self.replies.clone());
        tokio::spawn(async move {
            work(message, handler, replies).await;
            drop(permit);
        });
    }

    /// After a lost connection, a stream is read on behind this message.
    fn advance(&mut self, delivery: &Delivery) {
        let headers = delivery.properties.headers().as_ref();
        let offset = headers.and_then(|headers| headers.inner().get("x-stream-offset")?.as_long_long_int());
        let Some(offset) = offset else { return };
        let stream = |one: &&mut Consumed| one.is_stream() && one.exchange.name == delivery.exchange.as_str();
        if let Some(stream) = self.topology.iter_mut().find(stream) {
            stream.begin_at(offset.checked_add(1));
        }
    }

    /// Takes no more messages, waits for work that has begun, and deletes the queue that only this
    /// process has.
    async fn finish(&self, consuming: &Channel, consumers: &[Consumer], grace: Duration) {
        for consumer in consumers {
            drop(consuming.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await);
        }
        let all = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        if timeout(grace, self.permits.acquire_many(all)).await.is_err() {
            tracing::warn!("some calls of Nova could not be finished in time");
        }
        for own in self.topology.iter().filter(|one| one.is_own) {
            let queue = own.queue.name.as_str().into();
            drop(consuming.queue_delete(queue, QueueDeleteOptions::default()).await);
        }
    }
}

/// The next message of any consumer; nothing when a consumer has ended.
async fn next(consumers: &mut [Consumer]) -> Option<lapin::Result<Delivery>> {
    poll_fn(|context| {
        for consumer in consumers.iter_mut() {
            if let Poll::Ready(delivery) = std::pin::Pin::new(consumer).poll_next(context) {
                return Poll::Ready(delivery);
            }
        }
        Poll::Pending
    })
    .await
}
