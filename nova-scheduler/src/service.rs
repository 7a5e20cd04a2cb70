//! Calls and casts of Nova.

use std::sync::Arc;
use std::time::Duration;

use berth_nova_database::{Clock, Freshness, NovaHosts};
use berth_nova_rpc::bus::{Context, Handler};
use berth_nova_rpc::{Call, RpcFailure};
use serde_json::value::RawValue;

use crate::engine::Engine;
use crate::explanations::Explanations;
use crate::metrics::NovaMetrics;
use crate::requests::RecentRequests;
use crate::shadow::Shadow;

/// Serves the topic.
pub(crate) struct Service {
    pub(crate) topic: String,
    pub(crate) hosts: Arc<NovaHosts>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) engine: Engine,
    pub(crate) requests: Arc<RecentRequests>,
    pub(crate) explanations: Explanations,
    pub(crate) metrics: Arc<NovaMetrics>,
    pub(crate) shadow: Option<Arc<Shadow>>,
    pub(crate) clock: Clock,
}

impl Handler for Service {
    async fn handle(&self, call: Call, context: Context) -> Result<Box<RawValue>, RpcFailure> {
        match (call, &self.shadow) {
            (Call::Ping(arg), _) => Ok(json(&serde_json::json!({"service": self.topic, "arg": arg}))),
            (Call::SelectDestinations(request), None) => self.select(*request, &context).await,
            (Call::SelectDestinations(request), Some(shadow)) => {
                self.shadowed(shadow, *request, &context).await
            }
            (announced, shadow) => {
                self.announced(announced).await;
                if let Some(shadow) = shadow {
                    shadow.announce(&context.message).await;
                }
                Ok(json(&serde_json::Value::Null))
            }
        }
    }

    /// In shadow mode, nova-scheduler refuses what it does not serve.
    async fn refuse(&self, failure: RpcFailure, context: Context) -> Result<Box<RawValue>, RpcFailure> {
        let Some(shadow) = &self.shadow else { return Err(failure) };
        shadow.call(&context.message).await.unwrap_or(Err(failure))
    }

    /// Casts may have been lost while there was no connection.
    fn connected(&self) {
        let freshness = Arc::clone(&self.freshness);
        tokio::spawn(async move { freshness.read_everything().await });
    }
}

impl Service {
    async fn announced(&self, call: Call) {
        match call {
            Call::UpdateAggregates(aggregates) => self.hosts.update_aggregates(aggregates),
            Call::DeleteAggregate(id) => self.hosts.delete_aggregate(id),
            Call::UpdateInstances { host, instances } => self.hosts.update_instances(&host, instances),
            Call::DeleteInstance { host, uuid } => self.hosts.delete_instance(&host, uuid),
            Call::SyncInstances { host, uuids } => {
                let differing = self.hosts.differing_instances(&host, &uuids);
                if !differing.is_empty() {
                    tracing::info!(host, count = differing.len(), "instances of the host are read again");
                    self.freshness.fresh(differing).await;
                }
            }
            Call::Ping(_) | Call::BackdoorPort | Call::SelectDestinations(_) => {}
        }
    }

    /// The time since a moment in microseconds since 1970; none if the clock was set back.
    pub(crate) fn since(&self, began: i64) -> Duration {
        Duration::from_micros(u64::try_from((self.clock)().saturating_sub(began)).unwrap_or_default())
    }
}

fn json(value: &serde_json::Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("it is JSON")
}
