//! The bus against a real RabbitMQ: calls, keep-alives, duplicates, nonsense, lost connections,
//! refused declarations, encrypted connections, several brokers.

#![allow(clippy::disallowed_methods, reason = "the tests wait for a broker")]

mod client;
mod several;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use berth_nova_rpc::bus::{BusError, BusStatistics, CallError, Caller, Context, Handler, Relay, serve};
use berth_nova_rpc::transport::{BusOptions, RabbitOptions, TransportUrl};
use berth_nova_rpc::{Call, RpcFailure};
use berth_test_support::rabbit::Rabbit;
use client::Client;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

/// Answers a ping with its argument; one whose argument begins with `slow` when it is released.
struct Echo {
    /// Slow pings that have begun.
    begun: Semaphore,
    /// Slow pings that may end.
    released: Semaphore,
}

impl Handler for Echo {
    async fn handle(&self, call: Call, _: Context) -> Result<Box<RawValue>, RpcFailure> {
        let Call::Ping(arg) = call else { return Err(RpcFailure::no_valid_host("")) };
        if arg.as_str().is_some_and(|arg| arg.starts_with("slow")) {
            self.begun.add_permits(1);
            take(&self.released).await;
        }
        Ok(RawValue::from_string(arg.to_string()).expect("JSON"))
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: nothing within a minute");
}

/// Waits for a permit and uses it up.
async fn take(permits: &Semaphore) {
    permits.acquire().await.expect("it is open").forget();
}

struct Served {
    echo: Arc<Echo>,
    stop: watch::Sender<bool>,
    statistics: Arc<BusStatistics>,
    task: tokio::task::JoinHandle<Result<(), BusError>>,
}

fn options(port: u16, rabbit: RabbitOptions) -> BusOptions {
    options_of(port, "", rabbit)
}

fn options_of(port: u16, virtual_host: &str, rabbit: RabbitOptions) -> BusOptions {
    let url = format!("rabbit://guest:guest@127.0.0.1:{port}/{virtual_host}");
    BusOptions {
        url: TransportUrl::parse(&url).expect("a URL"),
        rabbit,
        exchange: "nova".to_owned(),
        topic: "scheduler".to_owned(),
        host: "here".to_owned(),
        tls: None,
    }
}

impl Served {
    fn start(port: u16, rabbit: RabbitOptions) -> Self {
        Self::of(options(port, rabbit))
    }

    fn of(options: BusOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let statistics = Arc::new(BusStatistics::default());
        let echo = Arc::new(Echo { begun: Semaphore::new(0), released: Semaphore::new(0) });
        let patience = Duration::from_secs(10);
        let served = serve(options, Arc::clone(&echo), Arc::clone(&statistics), stopped, patience);
        Self { echo, stop, statistics, task: tokio::spawn(served) }
    }

    async fn connected(&self) {
        until("a connection", || self.statistics.is_connected()).await;
    }

    /// Waits until the count has reached the number.
    async fn until(&self, name: &str, number: u64) {
        until(name, || self.count(name) >= number).await;
    }

    fn count(&self, name: &str) -> u64 {
        self.statistics.counts().iter().find(|(known, _)| *known == name).expect("is counted").1
    }

    async fn stop(self) -> Result<(), BusError> {
        self.stop.send_replace(true);
        self.task.await.expect("ends")
    }
}

/// The message of a ping, without an address for the reply.
fn ping(arg: &str) -> String {
    json!({"method": "ping", "namespace": "baseapi", "version": "1.0", "args": {"arg": arg}}).to_string()
}

fn rabbit() -> Option<Rabbit> {
    let rabbit = Rabbit::start();
    if rabbit.is_none() {
        berth_test_support::skip::skip("RabbitMQ is not installed");
    }
    rabbit
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_through_everything_that_happens_on_a_bus() {
    let Some(mut rabbit) = rabbit() else { return };
    let served = Served::start(rabbit.port(), RabbitOptions::default());
    served.connected().await;
    let mut client = Client::connect(rabbit.port(), "reply_1").await;

    client.ping("a", json!({})).await;
    let reply = client.reply(20).await.expect("an answer");
    assert_eq!(
        (&reply["result"], &reply["_msg_id"], &reply["ending"]),
        (&json!("a"), &json!("a"), &json!(true))
    );

    // Nonsense is acknowledged and ignored.
    for body in [&b"no json"[..], b"{}", b"", br#"{"oslo.version": "3.0", "oslo.message": "{}"}"#] {
        client.publish("nova", "scheduler", body).await;
    }
    // A message that is delivered twice is answered once.
    client.ping("b", json!({})).await;
    client.ping("b", json!({})).await;
    // A refusal is an answer.
    client.ping("c", json!({"version": "7.0"})).await;
    assert_eq!(client.reply(20).await.expect("an answer")["result"], "b");
    let refused = client.reply(20).await.expect("an answer");
    assert!(refused["failure"].as_str().expect("a text").contains("UnsupportedVersion"), "{refused}");
    assert_eq!((served.count("unreadable"), served.count("duplicates")), (4, 1));

    // Work that takes long is announced, at half of the time that the caller names.
    client.ping("slow", json!({"_timeout": 1})).await;
    let is_alive = |reply: &Value| {
        let is_alive = reply["ending"] == json!(false);
        assert!(!is_alive || (&reply["result"], &reply["_msg_id"]) == (&json!(null), &json!("slow")));
        is_alive
    };
    for _ in 0..2 {
        assert!(is_alive(&client.reply(20).await.expect("a keep-alive")));
    }
    served.echo.released.add_permits(1);
    let mut reply = client.reply(20).await.expect("an answer");
    while is_alive(&reply) {
        reply = client.reply(20).await.expect("an answer");
    }
    assert_eq!(reply["result"], "slow");
    take(&served.echo.begun).await;

    // A caller whose queue appears late still receives its reply.
    client.ping("late", json!({"_reply_q": "reply_late"})).await;
    served.until("resent_replies", 1).await;
    let mut late = Client::connect(rabbit.port(), "reply_late").await;
    assert_eq!(late.reply(20).await.expect("an answer")["result"], "late");

    // The broker dies while a call is worked on; its reply waits for the next connection.
    client.ping("slow-lost", json!({})).await;
    take(&served.echo.begun).await;
    rabbit.kill();
    served.echo.released.add_permits(1);
    rabbit.start_server();
    let mut client = Client::connect(rabbit.port(), "reply_1").await;
    served.connected().await;
    assert_eq!(client.reply(40).await.expect("an answer")["result"], "slow-lost");
    client.ping("after", json!({})).await;
    assert_eq!(client.reply(20).await.expect("an answer")["result"], "after");
    assert!(served.count("connections") >= 2);
    served.stop().await.expect("ends without an error");
}

fn quorum() -> RabbitOptions {
    RabbitOptions {
        rabbit_quorum_queue: true,
        rabbit_transient_quorum_queue: true,
        rabbit_stream_fanout: true,
        rabbit_qos_prefetch_count: 10,
        ..RabbitOptions::default()
    }
}

fn durable() -> RabbitOptions {
    RabbitOptions { amqp_durable_queues: true, ..RabbitOptions::default() }
}

/// A cast without an id, so that nothing but the bus itself sees whether it comes twice.
async fn cast(client: &Client) {
    let cast = json!({"method": "delete_instance_info", "version": "4.2", "args": {"host_name": "h", "instance_uuid": Uuid::nil()}});
    let body = json!({"oslo.version": "2.0", "oslo.message": cast.to_string()}).to_string();
    client.publish("scheduler_fanout", "", body.as_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_read_once_and_on_from_where_a_connection_was_lost() {
    let Some(mut rabbit) = rabbit() else { return };
    let served = Served::start(rabbit.port(), quorum());
    served.connected().await;
    let client = Client::connect(rabbit.port(), "reply_1").await;
    for _ in 0..3 {
        cast(&client).await;
    }
    served.until("messages", 3).await;
    rabbit.close_connections();
    served.until("connections", 2).await;
    served.connected().await;
    let mut client = Client::connect(rabbit.port(), "reply_1").await;
    cast(&client).await;
    served.until("messages", 4).await;
    client.ping("a", json!({})).await;
    assert_eq!(client.reply(20).await.expect("an answer")["result"], "a");
    assert_eq!(served.count("messages"), 5, "four casts and a ping");

    // A killed broker may not open the stream again: calls are answered all the same.
    rabbit.kill();
    rabbit.start_server();
    let mut client = Client::connect(rabbit.port(), "reply_1").await;
    served.until("connections", 3).await;
    client.ping("b", json!({})).await;
    assert_eq!(client.reply(20).await.expect("an answer")["result"], "b");
    assert_eq!(served.count("messages"), 6, "no cast came again");
    served.stop().await.expect("ends without an error");

    // The queues exist now, and are not of the default kinds.
    let error = Served::start(rabbit.port(), RabbitOptions::default()).task.await.expect("ends");
    let error = error.expect_err("is refused").to_string();
    assert!(error.contains("amqp_durable_queues") && error.contains("'durable'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_in_durable_queues_while_neither_server_nor_broker_runs() {
    let Some(mut rabbit) = rabbit() else { return };
    let kinds = [("durable", durable()), ("quorum", quorum())];
    for (host, kind) in &kinds {
        rabbit.add_virtual_host(host);
        let served = Served::of(options_of(rabbit.port(), host, kind.clone()));
        served.connected().await;
        let caller = Caller::connect(&options_of(rabbit.port(), host, kind.clone())).await.expect("connects");
        let args = json!({"arg": "a"});
        let called = caller.call("scheduler", "ping", "4.5", args, Duration::from_secs(60)).await;
        let refused = called.expect("a reply").expect_err("ping has a namespace");
        assert_eq!(refused["class"], "NoSuchMethod");
        served.stop().await.expect("ends without an error");
    }
    rabbit.kill();
    rabbit.start_server();
    for (host, kind) in kinds {
        let mut client = Client::connect_to(rabbit.port(), host, "reply_1").await;
        client.ping("waits", json!({})).await;
        let served = Served::of(options_of(rabbit.port(), host, kind));
        assert_eq!(client.reply(60).await.expect(host)["result"], "waits");
        served.stop().await.expect("ends without an error");
    }
}

/// Regression: a call to a bus on which no server had declared the exchange yet counted as sent,
/// with its reply lost, and a cast to it ended the calls that waited on the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_no_server_is_and_calls_that_wait_go_on() {
    const TIME: Duration = Duration::from_secs(60);
    let Some(rabbit) = rabbit() else { return };
    let options = options(rabbit.port(), RabbitOptions::default());
    let caller = Caller::connect(&options).await.expect("connects");
    let called = caller.call("scheduler", "ping", "1.0", json!({"arg": 1}), TIME).await;
    assert!(matches!(called, Err(CallError::NoServer(_))), "{called:?}");

    let served = Served::start(rabbit.port(), RabbitOptions::default());
    served.connected().await;
    let relay = Arc::new(Relay::new(options, TIME));
    let ping = ping("slow");
    let (waiting, message) = (Arc::clone(&relay), ping.clone());
    let waiting = tokio::spawn(async move { waiting.call(&message).await });
    take(&served.echo.begun).await;
    // The only server of the fanout goes.
    let connection = Client::connect(rabbit.port(), "reply_1").await;
    connection.delete_exchange("scheduler_fanout").await;
    relay.announce(&ping).await.expect("is dropped");
    served.echo.released.add_permits(1);
    let answer = waiting.await.expect("does not panic").expect("a reply").expect("a result");
    assert_eq!(answer.get(), "\"slow\"");
    served.stop().await.expect("ends without an error");
}
