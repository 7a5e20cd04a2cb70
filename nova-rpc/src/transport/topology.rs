//! Queues and exchanges, declared as oslo.messaging declares them: a broker closes the channel over
//! any difference.

use super::options::{BusOptions, RabbitOptions};

/// An argument of a queue or of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// True.
    True,
}

/// An exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// Whether it sends each message to all of its queues, and not to those of the routing key.
    pub is_fanout: bool,
    /// Whether it survives a restart of the broker.
    pub is_durable: bool,
    /// Whether it is deleted with its last queue.
    pub auto_delete: bool,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusQueue {
    /// Its name.
    pub name: String,
    /// Whether it survives a restart of the broker.
    pub is_durable: bool,
    /// Whether it is deleted with its last consumer.
    pub auto_delete: bool,
    /// Arguments of the declaration.
    pub arguments: Vec<(&'static str, Argument)>,
}

/// A queue to consume from, bound to its exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The exchange.
    pub exchange: Exchange,
    /// The queue.
    pub queue: BusQueue,
    /// The key of the binding.
    pub routing_key: String,
    /// Arguments of the consumer.
    pub consumer_arguments: Vec<(&'static str, Argument)>,
    /// Whether the queue exists for this process alone, and is deleted with it.
    pub is_own: bool,
}

/// The argument by which a consumer of a stream names the message to begin with.
const STREAM_OFFSET: &str = "x-stream-offset";

impl Consumed {
    /// Whether the queue is a stream: it keeps messages that were delivered.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.consumer_arguments.iter().any(|(name, _)| *name == STREAM_OFFSET)
    }

    /// Lets the next consumer of a stream begin with this message; without a number, with the last
    /// ones that the stream has.
    pub fn begin_at(&mut self, offset: Option<i64>) {
        let value = offset.map_or_else(|| Argument::Text("last".to_owned()), Argument::Number);
        for (_, known) in self.consumer_arguments.iter_mut().filter(|(name, _)| *name == STREAM_OFFSET) {
            *known = value.clone();
        }
    }
}

/// The queues of a server: one that all servers of the topic share, one of this host, and the
/// fanout. `unique` is 32 hexadecimal digits that no other process has.
#[must_use]
pub fn topology(options: &BusOptions, unique: &str) -> Vec<Consumed> {
    let BusOptions { topic, host, .. } = options;
    let of_host = format!("{topic}.{host}");
    vec![of_topic(options, topic.clone()), of_topic(options, of_host), fanout(options, unique)]
}

fn of_topic(options: &BusOptions, name: String) -> Consumed {
    let rabbit = &options.rabbit;
    let exchange = Exchange {
        name: options.exchange.clone(),
        is_fanout: false,
        is_durable: rabbit.is_durable(),
        auto_delete: rabbit.amqp_auto_delete,
    };
    let mut arguments = mirrored(rabbit);
    if rabbit.rabbit_quorum_queue {
        arguments.extend(quorum(rabbit));
    }
    let queue = BusQueue {
        name: name.clone(),
        is_durable: rabbit.is_durable(),
        auto_delete: rabbit.amqp_auto_delete,
        arguments,
    };
    let consumer_arguments = on_failover(rabbit);
    Consumed { exchange, queue, routing_key: name, consumer_arguments, is_own: false }
}

fn fanout(options: &BusOptions, unique: &str) -> Consumed {
    let (rabbit, topic) = (&options.rabbit, &options.topic);
    let is_stream = rabbit.rabbit_stream_fanout;
    let is_durable = is_stream || rabbit.rabbit_transient_quorum_queue;
    let name = format!("{topic}_fanout");
    let exchange = Exchange { name: name.clone(), is_fanout: true, is_durable, auto_delete: true };
    let queue_name = match (is_stream, rabbit.use_queue_manager) {
        (true, _) => name,
        (false, true) => {
            let host = rabbit.hostname.as_deref().unwrap_or(&options.host);
            let process = rabbit.processname.as_deref().unwrap_or("nova-scheduler");
            format!("{name}_{host}:{process}:1")
        }
        (false, false) => format!("{name}_{unique}"),
    };
    let queue =
        BusQueue { name: queue_name, is_durable, auto_delete: false, arguments: fanout_arguments(rabbit) };
    let consumer_arguments = if is_stream {
        vec![(STREAM_OFFSET, Argument::Text("last".to_owned()))]
    } else {
        on_failover(rabbit)
    };
    let is_own = !is_stream && !rabbit.use_queue_manager;
    Consumed { exchange, queue, routing_key: topic.clone(), consumer_arguments, is_own }
}

/// The queue for replies to a caller. `unique` is 32 hexadecimal digits that no other process has.
#[must_use]
pub fn reply_queue(rabbit: &RabbitOptions, unique: &str) -> BusQueue {
    BusQueue {
        name: format!("reply_{unique}"),
        is_durable: rabbit.rabbit_transient_quorum_queue,
        auto_delete: false,
        arguments: transient_arguments(rabbit),
    }
}

fn fanout_arguments(rabbit: &RabbitOptions) -> Vec<(&'static str, Argument)> {
    let ttl = rabbit.rabbit_transient_queues_ttl;
    if rabbit.rabbit_stream_fanout {
        let mut arguments = vec![("x-queue-type", Argument::Text("stream".to_owned()))];
        if ttl > 0 {
            arguments.push(("x-max-age", Argument::Text(format!("{ttl}s"))));
        }
        return arguments;
    }
    transient_arguments(rabbit)
}

/// The arguments of queues that vanish some time after their last consumer.
fn transient_arguments(rabbit: &RabbitOptions) -> Vec<(&'static str, Argument)> {
    let ttl = rabbit.rabbit_transient_queues_ttl;
    let mut arguments = mirrored(rabbit);
    if rabbit.rabbit_transient_quorum_queue {
        arguments.extend(quorum(rabbit));
    }
    if ttl > 0 {
        arguments.push(("x-expires", Argument::Number(ttl.saturating_mul(1_000))));
    }
    arguments
}

fn mirrored(rabbit: &RabbitOptions) -> Vec<(&'static str, Argument)> {
    if rabbit.rabbit_ha_queues { vec![("x-ha-policy", Argument::Text("all".to_owned()))] } else { Vec::new() }
}

fn quorum(rabbit: &RabbitOptions) -> Vec<(&'static str, Argument)> {
    let limits = [
        ("x-delivery-limit", rabbit.rabbit_quorum_delivery_limit),
        ("x-max-in-memory-length", rabbit.rabbit_quorum_max_memory_length),
        ("x-max-in-memory-bytes", rabbit.rabbit_quorum_max_memory_bytes),
    ];
    let limits = limits.into_iter().filter(|(_, limit)| *limit != 0);
    let kind = ("x-queue-type", Argument::Text("quorum".to_owned()));
    std::iter::once(kind).chain(limits.map(|(name, limit)| (name, Argument::Number(limit)))).collect()
}

fn on_failover(rabbit: &RabbitOptions) -> Vec<(&'static str, Argument)> {
    if rabbit.enable_cancel_on_failover {
        vec![("x-cancel-on-ha-failover", Argument::True)]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportUrl;

    fn declared(rabbit: RabbitOptions) -> Vec<String> {
        let url = TransportUrl::parse("rabbit://h/").expect("a URL");
        let options = BusOptions {
            url,
            rabbit,
            exchange: "nova".to_owned(),
            topic: "scheduler".to_owned(),
            host: "h1".to_owned(),
            tls: None,
        };
        let line = |one: &Consumed| {
            let Consumed { exchange, queue, routing_key, consumer_arguments, is_own } = one;
            format!(
                "{}{}{} -{routing_key}-> {}{} {:?} {consumer_arguments:?}{}",
                exchange.name,
                if exchange.is_durable { " durable" } else { "" },
                if exchange.auto_delete { " auto-delete" } else { "" },
                queue.name,
                if queue.is_durable { " durable" } else { "" },
                queue.arguments,
                if *is_own { " own" } else { "" }
            )
        };
        topology(&options, "0a").iter().map(line).collect()
    }

    #[test]
    fn queues_are_those_of_the_original() {
        assert_eq!(
            declared(RabbitOptions::default()),
            [
                "nova -scheduler-> scheduler [] []",
                "nova -scheduler.h1-> scheduler.h1 [] []",
                "scheduler_fanout auto-delete -scheduler-> scheduler_fanout_0a \
                 [(\"x-expires\", Number(1800000))] [] own"
            ]
        );
    }

    #[test]
    fn quorum_queues_and_streams_are_those_of_the_original() {
        let rabbit = RabbitOptions {
            rabbit_quorum_queue: true,
            rabbit_transient_quorum_queue: true,
            rabbit_stream_fanout: true,
            rabbit_qos_prefetch_count: 10,
            ..RabbitOptions::default()
        };
        assert_eq!(
            declared(rabbit),
            [
                "nova durable -scheduler-> scheduler durable [(\"x-queue-type\", Text(\"quorum\"))] []",
                "nova durable -scheduler.h1-> scheduler.h1 durable [(\"x-queue-type\", Text(\"quorum\"))] []",
                "scheduler_fanout durable auto-delete -scheduler-> scheduler_fanout durable \
                 [(\"x-queue-type\", Text(\"stream\")), (\"x-max-age\", Text(\"1800s\"))] \
                 [(\"x-stream-offset\", Text(\"last\"))]"
            ]
        );
    }

    #[test]
    fn replies_have_a_transient_queue() {
        let queue = reply_queue(&RabbitOptions::default(), "0a");
        let expires = ("x-expires", Argument::Number(1_800_000));
        assert_eq!(
            (queue.name.as_str(), queue.is_durable, &queue.arguments),
            ("reply_0a", false, &vec![expires])
        );
        let quorum = RabbitOptions {
            rabbit_transient_quorum_queue: true,
            rabbit_quorum_delivery_limit: 7,
            rabbit_stream_fanout: true,
            ..RabbitOptions::default()
        };
        let queue = reply_queue(&quorum, "0a");
        let names: Vec<&str> = queue.arguments.iter().map(|(name, _)| *name).collect();
        assert_eq!((queue.is_durable, names), (true, vec!["x-queue-type", "x-delivery-limit", "x-expires"]));
    }

    #[test]
    fn a_queue_manager_names_the_fanout() {
        let rabbit = RabbitOptions {
            use_queue_manager: true,
            hostname: Some("sched".to_owned()),
            amqp_durable_queues: true,
            ..RabbitOptions::default()
        };
        let declared = declared(rabbit);
        assert!(declared[0].starts_with("nova durable -scheduler-> scheduler durable"), "{declared:?}");
        assert!(declared[2].contains("scheduler_fanout_sched:nova-scheduler:1 ["), "{declared:?}");
    }
}
