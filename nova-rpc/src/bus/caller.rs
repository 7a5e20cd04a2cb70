//! Calls to a server on the bus, as Nova's services make them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, Consumer};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connect::{name, open};
use super::error::BusError;
use super::replies::unique_id;
use crate::transport::{Broker, BusOptions};

/// Calls that wait for their reply, by their id.
type Waiting = Arc<Mutex<BTreeMap<String, oneshot::Sender<Reply>>>>;

/// Makes calls. Any number may be under way at once.
pub struct Caller {
    _connection: Connection,
    channel: Channel,
    exchange: String,
    reply_queue: String,
    waiting: Waiting,
}

/// What a call came to: its result, or the exception.
type Reply = Result<Value, Value>;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection is lost.
    #[error("the connection to the bus is lost: {0}")]
    Lost(#[from] lapin::Error),
    /// No reply came in time.
    #[error("no reply within {} s", .0.as_secs())]
    Timeout(Duration),
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
        let lost = |problem| BusError::Connection { broker: name(broker), problem };
        let connection = open(options, broker).await?;
        let channel = connection.create_channel().await.map_err(lost)?;
        let reply_queue = format!("reply_{}", unique_id());
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongInt(1_800_000));
        if options.rabbit.rabbit_transient_quorum_queue {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        let declared = QueueDeclareOptions {
            durable: options.rabbit.rabbit_transient_quorum_queue,
            ..QueueDeclareOptions::default()
        };
        channel.queue_declare(reply_queue.as_str().into(), declared, arguments).await.map_err(lost)?;
        let consumed = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let queue = reply_queue.as_str().into();
        let replies =
            channel.basic_consume(queue, "".into(), consumed, FieldTable::default()).await.map_err(lost)?;
        let waiting = Waiting::default();
        tokio::spawn(receive(replies, Arc::clone(&waiting)));
        Ok(Self {
            _connection: connection,
            channel,
            exchange: options.exchange.clone(),
            reply_queue,
            waiting,
        })
    }

    /// Calls a method of a topic and waits for the reply: a result, or an exception. Keep-alives do not extend the time.
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
        let body = json!({"oslo.version": "2.0", "oslo.message": message.to_string()}).to_string();
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2)
            .with_priority(0)
            .with_expiration(patience.as_millis().to_string().into());
        let (exchange, key) = (self.exchange.as_str().into(), topic.into());
        let published = self.channel.basic_publish(
            exchange,
            key,
            BasicPublishOptions::default(),
            body.as_bytes(),
            properties,
        );
        drop(published.await?);
        let reply = timeout(patience, receiver).await;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        match reply {
            Ok(Ok(reply)) => Ok(reply),
            _ => Err(CallError::Timeout(patience)),
        }
    }
}

/// Gives replies to the calls that wait for them.
async fn receive(mut replies: Consumer, waiting: Waiting) {
    while let Some(Ok(delivery)) = replies.next().await {
        let Some((id, reply)) = read(&delivery.data) else { continue };
        let call = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(call) = call {
            // The caller may have given up meanwhile.
            drop(call.send(reply));
        }
    }
}

/// The id of the call, and its reply; nothing for a keep-alive.
fn read(body: &[u8]) -> Option<(String, Reply)> {
    let envelope: Value = serde_json::from_slice(body).ok()?;
    let mut inner: Value = serde_json::from_str(envelope.get("oslo.message")?.as_str()?).ok()?;
    if inner.get("ending") != Some(&Value::Bool(true)) {
        return None;
    }
    let id = inner.get("_msg_id")?.as_str()?.to_owned();
    let reply = match inner.get("failure").and_then(Value::as_str) {
        Some(failure) => Err(serde_json::from_str(failure).ok()?),
        None => Ok(inner.get_mut("result").map(Value::take).unwrap_or_default()),
    };
    Some((id, reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reply as Sent, ReplyTo, RpcFailure};

    #[test]
    fn replies_are_read_and_keep_alives_passed_over() {
        let to = ReplyTo { queue: "q".to_owned(), msg_id: "m".to_owned() };
        assert!(read(&Sent::KeepAlive.body(&to, "u")).is_none());
        let failure = read(&Sent::Failure(RpcFailure::no_valid_host("x")).body(&to, "u")).expect("a reply");
        assert_eq!(
            (failure.0.as_str(), &failure.1.expect_err("an exception")["class"]),
            ("m", &json!("NoValidHost"))
        );
        let result = serde_json::value::RawValue::from_string("[1]".to_owned()).expect("JSON");
        assert_eq!(read(&Sent::Result(result).body(&to, "u")).expect("a reply").1, Ok(json!([1])));
    }
}
