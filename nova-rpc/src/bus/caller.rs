//! Calls to a server on the bus, as Nova's services make them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, Consumer};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connect::{declare_queue, name, open};
use super::error::{BusError, is_not_found};
use super::replies::unique_id;
use crate::failure::RpcFailure;
use crate::transport::{Broker, BusOptions, reply_queue};

/// Makes calls. Any number may be under way at once.
pub struct Caller {
    connection: Connection,
    channel: Channel,
    exchange: String,
    reply_queue: String,
    waiting: Arc<Waiting>,
}

/// The outcome of a call: its result, or the text of the exception.
type Reply = Result<Box<RawValue>, String>;

/// Calls that wait for their reply, by their id; none once the connection is lost.
struct Waiting(Mutex<Option<BTreeMap<String, oneshot::Sender<Reply>>>>);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection is lost.
    #[error("the connection to the bus is lost: {0}")]
    Lost(#[from] lapin::Error),
    /// The connection was lost while the call waited for its reply.
    #[error("the connection to the bus was lost before the reply")]
    Disconnected,
    /// The topic has no exchange or no queue: no server ever served it.
    #[error("no server has a queue for the topic {0}")]
    NoServer(String),
    /// No reply came in time.
    #[error("no reply within {} s", .0.as_secs())]
    Timeout(Duration),
    /// A sent or received text is no message of oslo.messaging.
    #[error("the message is no message of oslo.messaging: {0}")]
    Message(#[from] serde_json::Error),
}

impl Caller {
    /// Connects to the first broker that answers, and declares a queue for replies.
    ///
    /// # Errors
    /// [`BusError`] of the last broker.
    pub async fn connect(options: &BusOptions) -> Result<Self, BusError> {
        let mut last = None;
        for broker in &options.url.brokers {
            match Self::to(options, broker).await {
                Ok(caller) => return Ok(caller),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a URL has a broker"))
    }

    async fn to(options: &BusOptions, broker: &Broker) -> Result<Self, BusError> {
        let broker_name = name(broker);
        let lost = |problem| BusError::Connection { broker: broker_name.clone(), problem };
        let connection = open(options, broker).await?;
        let channel = confirming(&connection).await.map_err(lost)?;
        let queue = reply_queue(&options.rabbit, &unique_id());
        declare_queue(&channel, &queue, &broker_name).await?;
        let consumed = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let name = queue.name.as_str().into();
        let replies =
            channel.basic_consume(name, "".into(), consumed, FieldTable::default()).await.map_err(lost)?;
        let waiting = Arc::new(Waiting(Mutex::new(Some(BTreeMap::new()))));
        tokio::spawn(receive(replies, Arc::clone(&waiting)));
        let exchange = options.exchange.clone();
        Ok(Self { connection, channel, exchange, reply_queue: queue.name, waiting })
    }

    /// Whether the connection exists.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.status().connected() && self.waiting.lock().is_some()
    }

    /// Calls a method of a topic and waits for the reply: a result, or an exception. Keep-alives do
    /// not extend the time.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call(
        &self,
        topic: &str,
        method: &str,
        version: &str,
        args: Value,
        patience: Duration,
    ) -> Result<Result<Value, Value>, CallError> {
        let id = unique_id();
        let message = json!({
            "method": method, "version": version, "args": args, "_msg_id": id, "_reply_q": self.reply_queue,
            "_timeout": null, "_unique_id": unique_id(), "_context_request_id": format!("req-{id}"),
        });
        Ok(match self.ask(topic, &id, &message.to_string(), patience).await? {
            Ok(result) => Ok(serde_json::from_str(result.get())?),
            Err(failure) => Err(serde_json::from_str(&failure)?),
        })
    }

    /// Passes the message of a call on to a topic. The reply comes here; everything else of the
    /// message stays as it is.
    ///
    /// # Errors
    /// [`CallError`]
    pub(super) async fn relay(
        &self,
        topic: &str,
        message: &str,
        patience: Duration,
    ) -> Result<Result<Box<RawValue>, RpcFailure>, CallError> {
        let id = unique_id();
        let message = readdressed(message, &id, &self.reply_queue, &unique_id())?;
        Ok(match self.ask(topic, &id, &message, patience).await? {
            Ok(result) => Ok(result),
            Err(failure) => Err(RpcFailure::relayed(&failure)?),
        })
    }

    /// Passes the message of a cast on to all servers of a topic. Without any, it is dropped.
    ///
    /// # Errors
    /// [`CallError`]
    pub(super) async fn announce(&self, topic: &str, message: &str) -> Result<(), CallError> {
        // The exchange vanishes with the last server, and the broker closes a channel on which
        // something is sent to it: calls that wait for their reply have another one.
        let channel = confirming(&self.connection).await?;
        match publish(&channel, &format!("{topic}_fanout"), "", message, None).await {
            Ok(_) => Ok(channel.close(200, "".into()).await?),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the message of a call, which has this id, and waits for the reply.
    async fn ask(
        &self,
        topic: &str,
        id: &str,
        message: &str,
        patience: Duration,
    ) -> Result<Reply, CallError> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().as_mut().ok_or(CallError::Disconnected)?.insert(id.to_owned(), sender);
        let answered = async {
            let no_server = || CallError::NoServer(topic.to_owned());
            match publish(&self.channel, &self.exchange, topic, message, Some(patience)).await {
                Ok(confirmed) => match confirmed.take_message() {
                    None => Ok(receiver.await),
                    Some(_) => Err(no_server()),
                },
                Err(error) if is_not_found(&error) => Err(no_server()),
                Err(error) => Err(error.into()),
            }
        };
        let reply = timeout(patience, answered).await;
        self.waiting.take(id);
        match reply {
            Ok(Ok(Ok(reply))) => Ok(reply),
            Ok(Ok(Err(_))) => Err(CallError::Disconnected),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(CallError::Timeout(patience)),
        }
    }
}

/// A channel on which the broker confirms messages.
async fn confirming(connection: &Connection) -> Result<Channel, lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Sends a message in its envelope and waits until the broker has it; it returns one that no queue
/// takes. The broker drops it after `patience`, when nobody waits any more.
async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    message: &str,
    patience: Option<Duration>,
) -> Result<Confirmation, lapin::Error> {
    let body = json!({"oslo.version": "2.0", "oslo.message": message}).to_string();
    let mut properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_delivery_mode(2)
        .with_priority(0);
    if let Some(patience) = patience {
        properties = properties.with_expiration(patience.as_millis().to_string().into());
    }
    let options = BasicPublishOptions { mandatory: patience.is_some(), ..BasicPublishOptions::default() };
    let published = channel.basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties);
    published.await?.await
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<String, oneshot::Sender<Reply>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, id: &str) -> Option<oneshot::Sender<Reply>> {
        self.lock().as_mut()?.remove(id)
    }
}

/// Gives replies to the calls that wait for them, until the connection is lost.
async fn receive(mut replies: Consumer, waiting: Arc<Waiting>) {
    while let Some(Ok(delivery)) = replies.next().await {
        let Some((id, reply)) = read(&delivery.data) else { continue };
        if let Some(call) = waiting.take(&id) {
            // The caller may have given up meanwhile.
            drop(call.send(reply));
        }
    }
    // Calls that wait learn it at once.
    *waiting.lock() = None;
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "oslo.message", borrow)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    failure: Option<String>,
    #[serde(default)]
    ending: bool,
    #[serde(rename = "_msg_id")]
    msg_id: String,
}

/// The id of the call, and its reply; nothing for a keep-alive.
fn read(body: &[u8]) -> Option<(String, Reply)> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    let Inner { result, failure, ending, msg_id } = serde_json::from_str(&envelope.message).ok()?;
    if !ending {
        return None;
    }
    let null = || RawValue::from_string("null".to_owned()).expect("it is JSON");
    Some((msg_id, failure.map_or_else(|| Ok(result.unwrap_or_else(null)), Err)))
}

/// The message with another id and another queue for the reply. Every other value keeps its text.
fn readdressed(message: &str, id: &str, queue: &str, unique: &str) -> Result<String, serde_json::Error> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(message)?;
    for (name, value) in [("_msg_id", id), ("_reply_q", queue), ("_unique_id", unique)] {
        fields.insert(name.to_owned(), serde_json::value::to_raw_value(value)?);
    }
    serde_json::to_string(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reply as Sent, ReplyTo};

    #[test]
    fn replies_are_read_and_keep_alives_passed_over() {
        let to = ReplyTo { queue: "q".to_owned(), msg_id: "m".to_owned() };
        assert!(read(&Sent::KeepAlive.body(&to, "u")).is_none());
        let failure = read(&Sent::Failure(RpcFailure::no_valid_host("x")).body(&to, "u")).expect("a reply");
        let exception = RpcFailure::relayed(&failure.1.expect_err("an exception")).expect("is read");
        assert_eq!((failure.0.as_str(), exception.class()), ("m", "NoValidHost"));
        let result = RawValue::from_string("[1.0,  2]".to_owned()).expect("JSON");
        let result = read(&Sent::Result(result).body(&to, "u")).expect("a reply").1.expect("a result");
        assert_eq!(result.get(), "[1.0,  2]");
    }

    #[test]
    fn a_message_that_is_passed_on_keeps_its_values() {
        let message = r#"{"method": "m", "args": {"big": 18446744073709551616, "float": 1.0e0}, "_msg_id": "old", "_timeout": 60}"#;
        let sent = readdressed(message, "new", "reply_1", "u").expect("a message");
        assert!(sent.contains(r#""args":{"big": 18446744073709551616, "float": 1.0e0}"#), "{sent}");
        assert!(sent.contains(r#""_msg_id":"new""#) && sent.contains(r#""_reply_q":"reply_1""#), "{sent}");
        assert!(!sent.contains("old") && sent.contains(r#""_timeout":60"#), "{sent}");
        assert!(readdressed("[]", "new", "q", "u").is_err());
    }
}
