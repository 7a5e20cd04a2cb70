//! `select_destinations` in shadow mode.

use std::sync::Arc;
use std::time::Duration;

use berth_nova_rpc::bus::Context;
use berth_nova_rpc::{DestinationsRequest, RpcFailure};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::decisions::{Asked, Refused};
use crate::select::uuids;
use crate::service::Service;
use crate::shadow::{Look, Relayed, Shadow, StaleState, Subject, WhenUnanswered, chosen_of};

impl Service {
    /// Decides without a claim, passes the request on, records both answers, and returns that of
    /// nova-scheduler.
    pub(crate) async fn shadowed(
        &self,
        shadow: &Arc<Shadow>,
        request: DestinationsRequest,
        context: &Context,
    ) -> Result<Box<RawValue>, RpcFailure> {
        let began = (self.clock)();
        self.freshen(&request.spec, began).await;
        let instances = uuids(&request).unwrap_or_default();
        let look = self.look(&request, &instances).await;
        // Only where Berth may have to decide after all.
        let may_decide = shadow.unanswered() == WhenUnanswered::Decide;
        let held = if may_decide { self.engine.generations(&instances).await } else { None };
        let asked_nova = (self.clock)();
        let reply = shadow.call(&context.message).await;
        let took = self.since(asked_nova);
        let subject = Subject {
            at: began,
            request_id: context.local_request_id.clone().unwrap_or_default(),
            project: request.spec.project_id.clone(),
            flavor: request.spec.flavor.name.clone(),
            instances: instances.len(),
        };
        match reply {
            Ok(reply) => {
                self.settle(shadow, (began, &request, &instances, context), (subject, look), (&reply, took));
                reply
            }
            Err(error) => {
                let problem = error.to_string();
                tracing::error!(request_id = subject.request_id, problem, "nova-scheduler does not answer");
                if let Some(look) = look {
                    let (shadow, problem) = (Arc::clone(shadow), problem.clone());
                    let record = move || shadow.unanswered_by(subject, &look, took, problem);
                    drop(tokio::task::spawn_blocking(record));
                }
                // A claim for one of the instances means that nova-scheduler did decide.
                if held.is_some() && self.engine.generations(&instances).await == held {
                    self.freshness.fresh([]).await;
                    return self.answer(began, &request, &instances, context).await;
                }
                Err(RpcFailure::timeout(&format!("nova-scheduler did not answer: {problem}")))
            }
        }
    }

    /// Decides without a claim. Nothing without an index, or for a request that nova-scheduler
    /// refuses outright.
    async fn look(&self, request: &DestinationsRequest, instances: &[Uuid]) -> Option<Look> {
        if instances.is_empty() {
            return None;
        }
        let asked = Asked { claims: false, ..self.asked(request, instances) };
        let dry = self.engine.look(&self.hosts, &asked).await?;
        let took = self.since(i64::try_from(asked.now.0).unwrap_or_default());
        self.metrics.note_decision(took);
        Some(Look { dry, as_objects: request.returns_objects, took, revision: self.hosts.revision() })
    }

    /// Remembers and records what nova-scheduler answered.
    fn settle(
        &self,
        shadow: &Arc<Shadow>,
        (began, request, instances, context): (i64, &DestinationsRequest, &[Uuid], &Context),
        (subject, look): (Subject, Option<Look>),
        (reply, took): (&Relayed, Duration),
    ) {
        let chosen = chosen_of(reply);
        let asked = self.asked(request, instances);
        let stale = look.as_ref().map(|look| look.stale(&chosen, &self.hosts, (self.clock)()));
        let settled = match &chosen {
            Ok(chosen) => Ok(chosen.iter().map(|one| one.host.clone()).collect()),
            Err(failure) => Err(Box::new(refused_by_both(failure.clone(), look.as_ref()))),
        };
        // Nova-scheduler keeps no decision for the next request: it reads rows alone, and so does
        // the decision that is compared with its own.
        self.record(began, &asked, context, settled);
        let Some(look) = look else { return };
        let (hosts, freshness, clock) = (Arc::clone(&self.hosts), Arc::clone(&self.freshness), self.clock);
        let revision = hosts.revision();
        let moved_on = async move {
            freshness.fresh([]).await;
            StaleState::of_changes(hosts.changed_since(revision), &hosts, clock())
        };
        let shadow = Arc::clone(shadow);
        tokio::spawn(shadow.answered(subject, look, chosen, took, stale.unwrap_or_default(), moved_on));
    }
}

/// A refusal by nova-scheduler, with the counts of Berth where it refused the request as well.
fn refused_by_both(failure: RpcFailure, look: Option<&Look>) -> Refused {
    match look.map(|look| &look.dry.decided) {
        Some(Err(own)) if own.failure.class() == failure.class() => Refused {
            failure,
            removed: own.removed.clone(),
            hosts: own.hosts,
            placed: own.placed,
            is_explicable: false,
        },
        _ => Refused::failed(failure),
    }
}
