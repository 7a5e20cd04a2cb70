//! `[oslo_messaging_rabbit]` and what else of `nova.conf` concerns the bus.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::url::TransportUrl;

/// `[oslo_messaging_rabbit]`, with the defaults of oslo.messaging. Options about pools, compression
/// and threads of the original have no meaning here and are not read.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RabbitOptions {
    /// Whether queues and exchanges survive a restart of the broker.
    pub amqp_durable_queues: bool,
    /// Whether queues are deleted with their last consumer.
    pub amqp_auto_delete: bool,
    /// Whether queues are declared with `x-ha-policy`.
    pub rabbit_ha_queues: bool,
    /// Whether the queues of topics are quorum queues.
    pub rabbit_quorum_queue: bool,
    /// Whether the queues of fanouts and replies are quorum queues.
    pub rabbit_transient_quorum_queue: bool,
    /// `x-delivery-limit` of quorum queues; 0 for none.
    pub rabbit_quorum_delivery_limit: i64,
    /// `x-max-in-memory-length` of quorum queues; 0 for none.
    pub rabbit_quorum_max_memory_length: i64,
    /// `x-max-in-memory-bytes` of quorum queues; 0 for none.
    pub rabbit_quorum_max_memory_bytes: i64,
    /// Seconds after which unused queues of fanouts and replies are deleted; for streams, how long
    /// messages are kept.
    pub rabbit_transient_queues_ttl: i64,
    /// Whether all schedulers read fanouts from one stream.
    pub rabbit_stream_fanout: bool,
    /// Messages that the broker sends ahead of their acknowledgement; 0 for any number.
    pub rabbit_qos_prefetch_count: u16,
    /// Seconds between heartbeats of the connection, twice; 0 for no heartbeats.
    pub heartbeat_timeout_threshold: u16,
    /// Seconds until the first attempt to connect again.
    pub rabbit_retry_interval: u64,
    /// Seconds by which the interval grows with each attempt.
    pub rabbit_retry_backoff: u64,
    /// Seconds between attempts at most.
    pub rabbit_interval_max: u64,
    /// Seconds for which a reply is sent again while its queue is missing.
    pub kombu_missing_consumer_retry_timeout: u64,
    /// Whether consumers are cancelled when a mirrored queue moves to another broker.
    pub enable_cancel_on_failover: bool,
    /// Whether names of fanout queues are built from host and process instead of drawn at random.
    pub use_queue_manager: bool,
    /// The host in such a name.
    pub hostname: Option<String>,
    /// The process in such a name.
    pub processname: Option<String>,
    /// `PLAIN`, `AMQPLAIN` or `EXTERNAL`.
    pub rabbit_login_method: String,
    /// Whether connections are encrypted.
    pub ssl: bool,
    /// Certificates of the authorities to trust, in PEM.
    pub ssl_ca_file: String,
    /// The client's certificate, in PEM.
    pub ssl_cert_file: String,
    /// The client's key, in PEM.
    pub ssl_key_file: String,
}

impl Default for RabbitOptions {
    fn default() -> Self {
        Self {
            amqp_durable_queues: false,
            amqp_auto_delete: false,
            rabbit_ha_queues: false,
            rabbit_quorum_queue: false,
            rabbit_transient_quorum_queue: false,
            rabbit_quorum_delivery_limit: 0,
            rabbit_quorum_max_memory_length: 0,
            rabbit_quorum_max_memory_bytes: 0,
            rabbit_transient_queues_ttl: 1_800,
            rabbit_stream_fanout: false,
            rabbit_qos_prefetch_count: 0,
            heartbeat_timeout_threshold: 60,
            rabbit_retry_interval: 1,
            rabbit_retry_backoff: 2,
            rabbit_interval_max: 30,
            kombu_missing_consumer_retry_timeout: 60,
            enable_cancel_on_failover: false,
            use_queue_manager: false,
            hostname: None,
            processname: None,
            rabbit_login_method: "AMQPLAIN".to_owned(),
            ssl: false,
            ssl_ca_file: String::new(),
            ssl_cert_file: String::new(),
            ssl_key_file: String::new(),
        }
    }
}

/// The address of the bus, and its options.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// The brokers.
    pub url: TransportUrl,
    /// `[oslo_messaging_rabbit]`
    pub rabbit: RabbitOptions,
    /// The exchange of Nova's topics, `[DEFAULT] control_exchange`.
    pub exchange: String,
    /// The topic, `scheduler`.
    pub topic: String,
    /// The name of this host in queues of its own, `[DEFAULT] host`.
    pub host: String,
    /// Certificates, if connections are encrypted.
    pub tls: Option<BusCertificates>,
}

/// Certificates for encrypted connections, in PEM.
#[derive(Debug, Clone, Default)]
pub struct BusCertificates {
    /// Authorities to trust; those of the system if none is given.
    pub authorities: Option<String>,
    /// The client's certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// An option that others exclude, or whose value makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("[oslo_messaging_rabbit] {option}: {problem}")]
pub struct InvalidBusOption {
    /// The option.
    pub option: &'static str,
    /// The problem.
    pub problem: &'static str,
}

impl RabbitOptions {
    /// Looks for options that exclude each other, as oslo.messaging does.
    ///
    /// # Errors
    /// [`InvalidBusOption`]
    pub fn validate(&self) -> Result<(), InvalidBusOption> {
        let refuse = |option, problem| Err(InvalidBusOption { option, problem });
        if self.rabbit_quorum_queue && self.rabbit_ha_queues {
            return refuse("rabbit_quorum_queue", "excludes rabbit_ha_queues");
        }
        if self.rabbit_stream_fanout && self.rabbit_qos_prefetch_count == 0 {
            return refuse("rabbit_stream_fanout", "needs rabbit_qos_prefetch_count above 0");
        }
        if self.rabbit_stream_fanout && !self.rabbit_transient_quorum_queue {
            return refuse("rabbit_stream_fanout", "needs rabbit_transient_quorum_queue");
        }
        if !["PLAIN", "AMQPLAIN", "EXTERNAL"].contains(&self.rabbit_login_method.as_str()) {
            return refuse("rabbit_login_method", "is neither PLAIN, AMQPLAIN nor EXTERNAL");
        }
        if self.ssl_cert_file.is_empty() != self.ssl_key_file.is_empty() {
            return refuse("ssl_cert_file", "certificate and key (ssl_key_file) are needed together");
        }
        Ok(())
    }

    /// Whether the queues of topics survive a restart of the broker.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.amqp_durable_queues || self.rabbit_quorum_queue
    }

    /// The pause before the next attempt to connect, after so many that failed.
    #[must_use]
    pub fn pause(&self, failed: u64) -> Duration {
        let grown =
            self.rabbit_retry_interval.saturating_add(self.rabbit_retry_backoff.saturating_mul(failed));
        Duration::from_secs(grown.min(self.rabbit_interval_max).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_maximum() {
        let options = RabbitOptions::default();
        let pauses = [0, 1, 5, 100, u64::MAX].map(|failed| options.pause(failed).as_secs());
        assert_eq!(pauses, [1, 3, 11, 30, 30]);
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        assert!(RabbitOptions::default().validate().is_ok());
        let quorum =
            RabbitOptions { rabbit_quorum_queue: true, rabbit_ha_queues: true, ..Default::default() };
        assert!(quorum.validate().expect_err("both").to_string().contains("rabbit_quorum_queue"));
        let mut stream = RabbitOptions { rabbit_stream_fanout: true, ..Default::default() };
        for needed in ["rabbit_qos_prefetch_count", "rabbit_transient_quorum_queue"] {
            let refused = stream.validate().expect_err(needed).to_string();
            assert!(refused.contains(needed), "{refused}");
            stream.rabbit_qos_prefetch_count = 10;
        }
        stream.rabbit_transient_quorum_queue = true;
        assert!(stream.validate().is_ok());
    }
}
