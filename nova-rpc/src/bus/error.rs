//! Why there is no connection.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

/// Why there is no connection. No message contains a password.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No broker could be reached, or the connection was lost.
    #[error("{broker}: {problem}")]
    Connection {
        /// The broker as host and port.
        broker: String,
        /// The problem.
        problem: lapin::Error,
    },
    /// A queue or an exchange exists with other properties than those that the options lead to.
    #[error("{name}: {message}; {advice}")]
    Declared {
        /// The queue or exchange.
        name: String,
        /// The message of the broker.
        message: String,
        /// The options to compare.
        advice: String,
    },
}

impl BusError {
    /// Whether another attempt with the same options could succeed.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Connection { .. })
    }

    /// Whether the broker does not have what was declared or named.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Connection { problem, .. } if is_not_found(problem))
    }

    /// The error of a declaration that the broker refused.
    pub(super) fn of_declaration(name: &str, broker: &str, problem: lapin::Error) -> Self {
        let ErrorKind::ProtocolError(refusal) = problem.kind() else {
            return Self::Connection { broker: broker.to_owned(), problem };
        };
        let message = refusal.get_message().to_string();
        if !message.contains("PRECONDITION_FAILED") {
            return Self::Connection { broker: broker.to_owned(), problem };
        }
        let advice = advice(&message);
        Self::Declared { name: name.to_owned(), message, advice }
    }
}

/// Whether the broker closed a channel because it does not have what was named.
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    let not_found = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    matches!(error.kind(), ErrorKind::ProtocolError(refusal) if *refusal.kind() == not_found)
}

/// The options that an argument of a declaration comes from.
fn advice(message: &str) -> String {
    let options = [
        ("x-queue-type", "rabbit_quorum_queue, rabbit_transient_quorum_queue and rabbit_stream_fanout"),
        ("x-expires", "rabbit_transient_queues_ttl and rabbit_stream_fanout"),
        ("x-max-age", "rabbit_transient_queues_ttl and rabbit_stream_fanout"),
        ("x-ha-policy", "rabbit_ha_queues"),
        ("x-delivery-limit", "rabbit_quorum_delivery_limit"),
        ("x-max-in-memory", "rabbit_quorum_max_memory_length and rabbit_quorum_max_memory_bytes"),
        ("'auto_delete'", "amqp_auto_delete"),
        ("'durable'", "amqp_durable_queues, rabbit_quorum_queue and rabbit_transient_quorum_queue"),
    ];
    let found = options.iter().find(|(argument, _)| message.contains(argument));
    let names = found.map_or("the options", |(_, names)| names);
    format!(
        "{names} of [oslo_messaging_rabbit] have to be the same as in the nova.conf of Nova's other services"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_options() {
        let message = "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'nova' in vhost '/': received 'true' \
                       but current is 'false'";
        assert!(advice(message).starts_with("amqp_durable_queues"));
        assert!(advice("inequivalent arg 'x-queue-type'").starts_with("rabbit_quorum_queue"));
        assert!(advice("something else").starts_with("the options of"));
    }
}
