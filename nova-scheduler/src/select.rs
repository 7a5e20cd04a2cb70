//! `select_destinations`: fresh rows, a decision, a durable claim, an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_nova_database::Pending;
use berth_nova_rpc::bus::Context;
use berth_nova_rpc::{DestinationsRequest, RpcFailure, Selected, result};
use berth_placement::Timestamp;
use berth_scheduler::RequestSpec;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::decisions::{Asked, Refused};
use crate::metrics::RequestOutcome;
use crate::requests::{Outcome, RequestSummary};
use crate::service::Service;

/// The outcome of a request: the host of each instance, or why there are none.
pub(crate) type Settled = Result<Vec<String>, Box<Refused>>;

impl Service {
    /// Answers a request.
    pub(crate) async fn select(
        &self,
        request: DestinationsRequest,
        context: &Context,
    ) -> Result<Box<RawValue>, RpcFailure> {
        let began = (self.clock)();
        let instances = uuids(&request)?;
        self.freshen(&request.spec, began).await;
        self.answer(began, &request, &instances, context).await
    }

    /// Waits until the rows of hosts are newer than the request.
    pub(crate) async fn freshen(&self, spec: &RequestSpec, began: i64) {
        self.freshness.fresh(looked_at(spec)).await;
        self.metrics.note_refresh(self.since(began));
    }

    /// Decides on rows that are fresh, and answers when the claim is durable.
    pub(crate) async fn answer(
        &self,
        began: i64,
        request: &DestinationsRequest,
        instances: &[Uuid],
        context: &Context,
    ) -> Result<Box<RawValue>, RpcFailure> {
        let asked = self.asked(request, instances);
        let (decided, unexplained) = self.engine.decide(&self.hosts, &asked, &self.explanations).await;
        self.metrics.note_decision(self.since(i64::try_from(asked.now.0).unwrap_or_default()));
        if let Ok(selected) = &decided
            && asked.claims
        {
            if !asked.spec.is_rebuild() {
                self.remember(&asked, chosen(selected).map(|one| one.host.as_str()));
            }
            // Nothing that the caller learns may be lost.
            self.engine.wait_durable().await?;
        }
        let answer = match &decided {
            Ok(selected) => Ok(result(selected, request.returns_objects)),
            Err(refused) => Err(refused.failure.clone()),
        };
        let settled = decided.map(|selected| chosen(&selected).map(|one| one.host.clone()).collect());
        let number = self.record(began, &asked, context, settled);
        if let Some(unexplained) = unexplained {
            self.explanations.explain(number, unexplained);
        }
        answer
    }

    /// The request as it is decided.
    pub(crate) fn asked<'a>(&self, request: &'a DestinationsRequest, instances: &'a [Uuid]) -> Asked<'a> {
        Asked {
            spec: &request.spec,
            instances,
            claims: request.instances.is_some(),
            with_alternates: request.returns_alternates,
            now: Timestamp(u64::try_from((self.clock)()).unwrap_or_default()),
        }
    }

    /// Keeps what a decision takes from its hosts until their rows show it.
    pub(crate) fn remember<'a>(&self, asked: &Asked<'_>, hosts: impl Iterator<Item = &'a str>) {
        let flavor = &asked.spec.flavor;
        let taken = Pending {
            vcpus: flavor.vcpus,
            memory_mb: flavor.memory_mb,
            disk_gb: flavor.root_gb.saturating_add(flavor.ephemeral_gb),
            at: i64::try_from(asked.now.0).unwrap_or(i64::MAX),
        };
        hosts.for_each(|host| self.hosts.remember(host, taken));
    }

    fn count(&self, settled: &Settled, took: Duration) {
        match settled {
            Ok(_) => self.metrics.note(RequestOutcome::Placed, &[], took),
            Err(refused) => {
                let is_refusal = refused.failure.is_expected();
                let outcome = if is_refusal { RequestOutcome::Refused } else { RequestOutcome::Failed };
                self.metrics.note(outcome, &refused.removed, took);
            }
        }
    }

    /// Logs, counts and keeps a request; returns its number among those of its outcome.
    pub(crate) fn record(&self, began: i64, asked: &Asked<'_>, context: &Context, settled: Settled) -> u64 {
        let request_id = context.local_request_id.clone().unwrap_or_default();
        let took = self.since(began);
        self.count(&settled, took);
        let took = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let outcome = match settled {
            Ok(hosts) => {
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

/// The chosen host of each instance.
fn chosen(selected: &[Vec<Selected>]) -> impl Iterator<Item = &Selected> {
    selected.iter().filter_map(|hosts| hosts.first())
}

/// The instances of a request. A caller of before version 4.4 names none.
pub(crate) fn uuids(request: &DestinationsRequest) -> Result<Vec<Uuid>, RpcFailure> {
    match &request.instances {
        Some(instances) if instances.is_empty() => {
            Err(RpcFailure::no_valid_host("There are not enough hosts available."))
        }
        Some(instances) => Ok(instances.clone()),
        None => Ok(vec![request.spec.instance_uuid; request.spec.num_instances.max(1) as usize]),
    }
}

/// The instances whose hosts filters and weighers look at.
fn looked_at(spec: &RequestSpec) -> BTreeSet<Uuid> {
    let members = spec.instance_group.iter().flat_map(|group| group.members.iter().copied());
    let own = spec.instance_group.iter().map(|_| spec.instance_uuid);
    members.chain(own).chain(spec.scheduler_hints.instances()).filter(|uuid| !uuid.is_nil()).collect()
}
