//! A caller on the bus, as Nova's services are.

use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use tokio::time::timeout;

pub(crate) struct Client {
    _connection: Connection,
    channel: Channel,
    replies: Consumer,
    reply_queue: String,
}

impl Client {
    pub(crate) async fn connect(port: u16, reply_queue: &str) -> Self {
        Self::connect_to(port, "%2f", reply_queue).await
    }

    pub(crate) async fn connect_to(port: u16, virtual_host: &str, reply_queue: &str) -> Self {
        let url = format!("amqp://guest:guest@127.0.0.1:{port}/{virtual_host}");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("connects");
        let channel = connection.create_channel().await.expect("a channel");
        let queue = channel
            .queue_declare(reply_queue.into(), QueueDeclareOptions::default(), FieldTable::default())
            .await;
        queue.expect("a queue");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies =
            channel.basic_consume(reply_queue.into(), "".into(), options, FieldTable::default()).await;
        let (replies, reply_queue) = (replies.expect("a consumer"), reply_queue.to_owned());
        Self { _connection: connection, channel, replies, reply_queue }
    }

    pub(crate) async fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let published = self
            .channel
            .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), body, properties)
            .await;
        drop(published.expect("is published"));
    }

    pub(crate) async fn delete_exchange(&self, name: &str) {
        let deleted = self.channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await;
        deleted.expect("is deleted");
    }

    pub(crate) async fn ping(&self, id: &str, more: Value) {
        let mut message = json!({"method": "ping", "namespace": "baseapi", "version": "1.0", "args": {"arg": id},
            "_msg_id": id, "_reply_q": self.reply_queue, "_unique_id": format!("unique-{id}"), "_timeout": null});
        if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
            message.extend(more);
        }
        let body = json!({"oslo.version": "2.0", "oslo.message": message.to_string()}).to_string();
        self.publish("nova", "scheduler", body.as_bytes()).await;
    }

    /// The next reply within so many seconds.
    pub(crate) async fn reply(&mut self, seconds: u64) -> Option<Value> {
        let delivery = timeout(Duration::from_secs(seconds), self.replies.next()).await.ok()??.ok()?;
        let envelope: Value = serde_json::from_slice(&delivery.data).expect("JSON");
        Some(serde_json::from_str(envelope["oslo.message"].as_str().expect("a text")).expect("JSON"))
    }
}
