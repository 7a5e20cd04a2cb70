//! Calls and casts of Nova.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_nova_database::{Clock, Freshness, NovaHosts, Pending};
use berth_nova_rpc::bus::{Context, Handler};
use berth_nova_rpc::{Call, DestinationsRequest, RpcFailure, Selected, result};
use berth_placement::Timestamp;
use berth_scheduler::RequestSpec;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::decisions::{Asked, Decisions, Refused};
use crate::explanations::{Explanations, Unexplained};
use crate::ledger::ClaimLedger;
use crate::metrics::{NovaMetrics, RequestOutcome};
use crate::requests::{Outcome, RecentRequests, RequestSummary};

/// The hosts of each instance and their alternates, or why there are none.
type Decided = Result<Vec<Vec<Selected>>, Box<Refused>>;

/// Serves the topic.
pub(crate) struct Service {
    pub(crate) topic: String,
    pub(crate) hosts: Arc<NovaHosts>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) ledger: Arc<dyn ClaimLedger>,
    pub(crate) decisions: Mutex<Decisions>,
    pub(crate) requests: Arc<RecentRequests>,
    pub(crate) explanations: Explanations,
    pub(crate) metrics: Arc<NovaMetrics>,
    pub(crate) clock: Clock,
}

impl Handler for Service {
    async fn handle(&self, call: Call, context: Context) -> Result<Box<RawValue>, RpcFailure> {
        match call {
            Call::Ping(arg) => Ok(json(&serde_json::json!({"service": self.topic, "arg": arg}))),
            Call::SelectDestinations(request) => self.select(*request, &context).await,
            announced => {
                self.announced(announced).await;
                Ok(json(&serde_json::Value::Null))
            }
        }
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
            Call::DeleteInstance { host, uuid } => self.hosts.delete_instance(&host, &uuid),
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

    async fn select(
        &self,
        request: DestinationsRequest,
        context: &Context,
    ) -> Result<Box<RawValue>, RpcFailure> {
        let began = (self.clock)();
        let DestinationsRequest { spec, instances, returns_objects, returns_alternates } = request;
        let claims = instances.is_some();
        let instances = uuids(&spec, instances)?;
        self.freshness.fresh(looked_at(&spec)).await;
        self.metrics.note_refresh(self.since(began));
        let asked = Asked {
            spec: &spec,
            instances: &instances,
            claims,
            with_alternates: returns_alternates,
            now: Timestamp(u64::try_from((self.clock)()).unwrap_or_default()),
        };
        // A decision takes microseconds; after a change of the layout, some milliseconds.
        let (decided, unexplained) = tokio::task::block_in_place(|| self.decide(&asked));
        self.metrics.note_decision(self.since(i64::try_from(asked.now.0).unwrap_or_default()));
        if decided.is_ok() && claims {
            // Nothing that the caller learns may be lost.
            self.ledger.settled().await.map_err(|problem| not_durable(&problem).failure)?;
        }
        let answer = match &decided {
            Ok(selected) => Ok(result(selected, returns_objects)),
            Err(refused) => Err(refused.failure.clone()),
        };
        let number = self.record(began, &asked, context, decided);
        if let Some(unexplained) = unexplained {
            self.explanations.explain(number, unexplained);
        }
        answer
    }

    /// Decides; a request that is refused comes with what its explanation needs.
    fn decide(&self, asked: &Asked<'_>) -> (Decided, Option<Unexplained>) {
        let index = match self.ledger.index() {
            Ok(index) => index,
            Err(problem) => return (Err(not_durable(&problem)), None),
        };
        let mut decisions = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        match decisions.decide(&index, &*self.hosts, asked) {
            Ok(selected) => {
                self.remember(asked, &selected);
                (Ok(selected), None)
            }
            Err(refused) if refused.is_explicable => {
                let unexplained = self.explanations.prepare(|| decisions.case(&*self.hosts, asked));
                (Err(refused), unexplained)
            }
            Err(refused) => (Err(refused), None),
        }
    }

    /// Keeps what the decision takes from its hosts until their rows show it.
    fn remember(&self, asked: &Asked<'_>, selected: &[Vec<Selected>]) {
        if asked.claims && !asked.spec.is_rebuild() {
            let flavor = &asked.spec.flavor;
            let taken = Pending {
                vcpus: flavor.vcpus,
                memory_mb: flavor.memory_mb,
                disk_gb: flavor.root_gb.saturating_add(flavor.ephemeral_gb),
                at: i64::try_from(asked.now.0).unwrap_or(i64::MAX),
            };
            let chosen = selected.iter().filter_map(|hosts| hosts.first());
            chosen.for_each(|host| self.hosts.remember(&host.host, taken));
        }
    }

    /// The time since a moment in microseconds since 1970; none if the clock was set back.
    fn since(&self, began: i64) -> Duration {
        Duration::from_micros(u64::try_from((self.clock)().saturating_sub(began)).unwrap_or_default())
    }

    fn count(&self, decided: &Decided, took: Duration) {
        match decided {
            Ok(_) => self.metrics.note(RequestOutcome::Placed, &[], took),
            Err(refused) => {
                let is_refusal = refused.failure.is_expected();
                let outcome = if is_refusal { RequestOutcome::Refused } else { RequestOutcome::Failed };
                self.metrics.note(outcome, &refused.removed, took);
            }
        }
    }

    /// Logs and keeps a request; returns its number among those of its outcome.
    fn record(&self, began: i64, asked: &Asked<'_>, context: &Context, decided: Decided) -> u64 {
        let request_id = context.local_request_id.clone().unwrap_or_default();
        let took = self.since(began);
        self.count(&decided, took);
        let took = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let outcome = match decided {
            Ok(selected) => {
                let chosen = selected.into_iter().filter_map(|hosts| hosts.into_iter().next());
                let hosts: Vec<String> = chosen.map(|host| host.host).collect();
                tracing::info!(request_id, ?hosts, microseconds = took, "hosts are selected");
                Outcome::Placed(hosts)
            }
            Err(refused) => {
                let Refused { failure, removed, hosts, placed, .. } = *refused;
                let counts: Vec<String> =
                    removed.iter().map(|(step, count)| format!("{step} removed {count}")).collect();
                let (class, message) = (failure.class().to_owned(), failure.message().to_owned());
                let (first, constraints) = (counts.first(), counts.join(", "));
                tracing::warn!(
                    request_id,
                    refusal = message,
                    first,
                    hosts,
                    constraints,
                    "no host is selected"
                );
                Outcome::Refused { class, message, removed, hosts, placed, explanation: None }
            }
        };
        self.requests.add(RequestSummary {
            at: began,
            took,
            request_id,
            instances: asked.instances.iter().map(ToString::to_string).collect(),
            project: asked.spec.project_id.clone(),
            flavor: asked.spec.flavor.name.clone(),
            outcome,
        })
    }
}

fn not_durable(problem: &str) -> Box<Refused> {
    let failure = RpcFailure::exception("RuntimeError", &format!("claims are not durable: {problem}"));
    Box::new(Refused::failed(failure))
}

/// The instances of a request. A caller of before version 4.4 names none.
fn uuids(spec: &RequestSpec, instances: Option<Vec<String>>) -> Result<Vec<Uuid>, RpcFailure> {
    let read = |text: &String| {
        let problem =
            |_| RpcFailure::exception("ValueError", &format!("instance_uuids: '{text}' is no UUID"));
        Uuid::try_parse(text).map_err(problem)
    };
    match instances {
        Some(instances) if instances.is_empty() => {
            Err(RpcFailure::no_valid_host("There are not enough hosts available."))
        }
        Some(instances) => instances.iter().map(read).collect(),
        None => {
            let one = Uuid::try_parse(&spec.instance_uuid).unwrap_or_default();
            Ok(vec![one; spec.num_instances.max(1) as usize])
        }
    }
}

/// The instances whose hosts filters and weighers look at.
fn looked_at(spec: &RequestSpec) -> BTreeSet<String> {
    let members = spec.instance_group.iter().flat_map(|group| group.members.iter().cloned());
    let own = spec.instance_group.iter().map(|_| spec.instance_uuid.clone());
    let hints = ["same_host", "different_host"];
    let hinted = hints.iter().filter_map(|hint| spec.scheduler_hints.list(hint)).flatten().cloned();
    members.chain(own).chain(hinted).filter(|uuid| !uuid.is_empty()).collect()
}

fn json(value: &serde_json::Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("it is JSON")
}
