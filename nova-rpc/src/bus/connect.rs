//! Connections, and the declaration of queues on them.

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::BusError;
use crate::transport::{Argument, Broker, BusCertificates, BusOptions, BusQueue, Consumed, Exchange};

/// Messages that a broker sends ahead, if the options set no limit.
const PREFETCH: u16 = 64;

/// A connection that messages arrive on.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) consuming: Channel,
    pub(super) consumers: Vec<Consumer>,
    pub(super) publishing: Channel,
}

/// The broker as host and port, for messages.
pub(super) fn name(broker: &Broker) -> String {
    match broker.port {
        Some(port) => format!("{}:{port}", broker.host),
        None => broker.host.clone(),
    }
}

/// Connects to the broker.
pub(super) async fn open(options: &BusOptions, broker: &Broker) -> Result<Connection, BusError> {
    let lost = |problem| BusError::Connection { broker: name(broker), problem };
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("nova-scheduler:{}", options.host).into());
    let runtime = lapin::runtime::default_runtime().map_err(lost)?;
    let tls = tls(options.tls.as_ref());
    Connection::connect_with_config(&uri(options, broker), properties, tls, runtime).await.map_err(lost)
}

/// Connects to the broker, declares the queues and begins to consume. A stream that the broker
/// cannot open is left out: calls have other queues, and casts announce no more than the databases
/// say.
pub(super) async fn connect(
    options: &BusOptions,
    broker: &Broker,
    topology: &mut [Consumed],
) -> Result<Connected, BusError> {
    let broker_name = name(broker);
    let lost = |problem| BusError::Connection { broker: broker_name.clone(), problem };
    let connection = open(options, broker).await?;
    let publishing = connection.create_channel().await.map_err(lost)?;
    publishing.confirm_select(ConfirmSelectOptions::default()).await.map_err(lost)?;
    let mut consuming = connection.create_channel().await.map_err(lost)?;
    let mut declared = Vec::new();
    for (at, one) in topology.iter_mut().enumerate() {
        match declare(&connection, &consuming, one, &broker_name).await {
            Ok(None) => declared.push(at),
            Ok(Some(channel)) => {
                consuming = channel;
                declared.push(at);
            }
            Err(error) if one.is_stream() && error.is_not_found() => {
                tracing::error!(%error, "no casts are received until the next connection");
                consuming = connection.create_channel().await.map_err(lost)?;
            }
            Err(error) => return Err(error),
        }
    }
    let prefetch = match options.rabbit.rabbit_qos_prefetch_count {
        0 => PREFETCH,
        count => count,
    };
    consuming.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(lost)?;
    let mut consumers = Vec::new();
    for one in declared.into_iter().map(|at| &topology[at]) {
        let arguments = table(&one.consumer_arguments);
        let queue = one.queue.name.as_str().into();
        let consumer =
            consuming.basic_consume(queue, "".into(), BasicConsumeOptions::default(), arguments).await;
        consumers.push(consumer.map_err(lost)?);
    }
    Ok(Connected { connection, consuming, consumers, publishing })
}

fn uri(options: &BusOptions, broker: &Broker) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let scheme = if options.tls.is_some() { "amqps" } else { "amqp" };
    let host = if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.clone() };
    let (user, password) = (encoded(&broker.user), encoded(&broker.password));
    // The same with and without TLS, as for Nova's services.
    let port = broker.port.unwrap_or(5672);
    let virtual_host = encoded(&options.url.virtual_host);
    let heartbeat = options.rabbit.heartbeat_timeout_threshold;
    let login = options.rabbit.rabbit_login_method.to_lowercase();
    format!(
        "{scheme}://{user}:{password}@{host}:{port}/{virtual_host}?heartbeat={heartbeat}&auth_mechanism={login}\
         &connection_timeout=10000"
    )
}

fn tls(tls: Option<&BusCertificates>) -> OwnedTLSConfig {
    let Some(BusCertificates { authorities, identity }) = tls.cloned() else {
        return OwnedTLSConfig::default();
    };
    let identity = identity.map(|(pem, key)| OwnedIdentity::PKCS8 { pem, key });
    OwnedTLSConfig { identity, cert_chain: authorities }
}

/// Declares exchange and queue, and binds them. Returns the channel to go on with, if it is another
/// one.
async fn declare(
    connection: &Connection,
    channel: &Channel,
    consumed: &mut Consumed,
    broker: &str,
) -> Result<Option<Channel>, BusError> {
    declare_exchange(channel, &consumed.exchange, broker).await?;
    let other = match declare_queue(channel, &consumed.queue, broker).await {
        Err(error) if error.is_not_found() => {
            consumed.begin_at(None);
            Some(replace(connection, &consumed.queue, broker).await?)
        }
        declared => declared.map(|()| None)?,
    };
    let channel = other.as_ref().unwrap_or(channel);
    let (queue, exchange) = (consumed.queue.name.as_str(), consumed.exchange.name.as_str());
    let (key, options) = (consumed.routing_key.as_str(), QueueBindOptions::default());
    let bound = channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default());
    bound.await.map_err(|problem| BusError::of_declaration(queue, broker, problem))?;
    Ok(other)
}

/// Deletes a queue that exists but whose node is down, and declares it again, as oslo.messaging
/// does: this node has it then. Returns another channel, since the broker has closed the one of the
/// declaration.
async fn replace(connection: &Connection, queue: &BusQueue, broker: &str) -> Result<Channel, BusError> {
    let lost = |problem| BusError::Connection { broker: broker.to_owned(), problem };
    tracing::warn!(queue = queue.name, broker, "the node of the queue is down: the queue is replaced");
    let deleting = connection.create_channel().await.map_err(lost)?;
    if let Err(error) = deleting.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default()).await
    {
        tracing::warn!(queue = queue.name, broker, %error, "the queue cannot be deleted");
    }
    let channel = connection.create_channel().await.map_err(lost)?;
    declare_queue(&channel, queue, broker).await?;
    Ok(channel)
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange, broker: &str) -> Result<(), BusError> {
    let Exchange { name, is_fanout, is_durable, auto_delete } = exchange;
    let kind = if *is_fanout { ExchangeKind::Fanout } else { ExchangeKind::Topic };
    let options = ExchangeDeclareOptions {
        durable: *is_durable,
        auto_delete: *auto_delete,
        ..ExchangeDeclareOptions::default()
    };
    let declared = channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()).await;
    declared.map_err(|problem| BusError::of_declaration(name, broker, problem))
}

/// Declares a queue.
pub(super) async fn declare_queue(channel: &Channel, queue: &BusQueue, broker: &str) -> Result<(), BusError> {
    let BusQueue { name, is_durable, auto_delete, arguments } = queue;
    let options = QueueDeclareOptions {
        durable: *is_durable,
        auto_delete: *auto_delete,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(name.as_str().into(), options, table(arguments)).await;
    declared.map(drop).map_err(|problem| BusError::of_declaration(name, broker, problem))
}

fn table(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, argument) in arguments {
        let value = match argument {
            // A small number is sent as a small type, as other clients do: brokers compare values,
            // not types.
            Argument::Number(number) => {
                i32::try_from(*number).map_or(AMQPValue::LongLongInt(*number), AMQPValue::LongInt)
            }
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::True => AMQPValue::Boolean(true),
        };
        table.insert((*name).into(), value);
    }
    table
}
