//! Decisions on the index, one after the other.

use std::sync::Arc;

use berth_nova_rpc::{RpcFailure, Selected};
use berth_placement::{ConsumerId, Index, Owner, Timestamp, TransferError};
use berth_scheduler::decider::{DecideError, Decider, DecisionRequest, HostSource, Rules};
use berth_scheduler::explain::Case;
use berth_scheduler::options::LivenessSource;
use berth_scheduler::select::{ATTEMPTS, Chooser, Claimant, Selection};
use berth_scheduler::{Options, Preference, RequestSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use crate::moves;
use crate::refusal;

/// Decides for all requests. A decision takes microseconds, so one follows the other.
pub(crate) struct Decisions {
    options: Options,
    current: Option<(Arc<Index>, Decider)>,
    tie_breaker: ChaCha8Rng,
}

/// A request as it is decided.
pub(crate) struct Asked<'a> {
    pub(crate) spec: &'a RequestSpec,
    pub(crate) instances: &'a [Uuid],
    /// Whether anything is claimed.
    pub(crate) claims: bool,
    pub(crate) with_alternates: bool,
    pub(crate) now: Timestamp,
}

/// Why there are no hosts: what the caller receives, and what operators do.
pub(crate) struct Refused {
    pub(crate) failure: RpcFailure,
    pub(crate) removed: Vec<(String, usize)>,
    pub(crate) hosts: usize,
    /// How many of the instances had found a host.
    pub(crate) placed: usize,
    /// Whether the hosts can be asked why.
    pub(crate) is_explicable: bool,
}

impl Refused {
    /// An error that no host has to do with.
    pub(crate) const fn failed(failure: RpcFailure) -> Self {
        Self { failure, removed: Vec::new(), hosts: 0, placed: 0, is_explicable: false }
    }
}

impl Decisions {
    pub(crate) fn new(mut options: Options, seed: u64) -> Self {
        // NovaHosts judges reports, so that a report alone does not change a record.
        options.liveness = LivenessSource::Record;
        Self { options, current: None, tie_breaker: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Chooses hosts and claims what the instances need there.
    pub(crate) fn decide(
        &mut self,
        index: &Arc<Index>,
        hosts: &dyn HostSource,
        asked: &Asked<'_>,
    ) -> Result<Vec<Vec<Selected>>, Box<Refused>> {
        let Self { options, current, tie_breaker } = self;
        let is_current = current.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, index));
        if !is_current {
            let rules = Rules::Nova { options: Box::new(options.clone()), preference: Preference::Weighers };
            let decider = Decider::new(Arc::clone(index), rules);
            *current = Some((Arc::clone(index), decider));
        }
        let (_, decider) = current.as_mut().expect("it was just set");
        let instances: Vec<ConsumerId> = asked.instances.iter().map(|&uuid| uuid.into()).collect();
        let alternates = options.scheduler.max_attempts.saturating_sub(1) as usize;
        let claimant = claimant(asked);
        let request = DecisionRequest {
            spec: asked.spec,
            instances: &instances,
            alternates: if asked.with_alternates { alternates } else { 0 },
            claimant: &claimant,
            is_dry_run: !asked.claims,
        };
        let holds = asked.claims && !asked.spec.is_rebuild() && moves::hold_something(index, &instances);
        let chooser = &mut |len: usize| tie_breaker.random_range(0..len);
        let decided = if holds {
            beside(decider, index, hosts, &request, chooser)
        } else {
            decider.select(hosts, &request, chooser).map_err(decide_problem)
        };
        match decided {
            Ok(selections) => {
                let table = decider.hosts().expect("the decider has decided");
                Ok(crate::selected::selected(&selections, table, &index.topology(), asked.spec))
            }
            Err(problem) => Err(Box::new(problem.refused(asked))),
        }
    }
}

impl Decisions {
    /// The request before the hosts of the last decision, as a copy to explain.
    pub(crate) fn case(&mut self, hosts: &dyn HostSource, asked: &Asked<'_>) -> Option<Case> {
        let (_, decider) = self.current.as_mut()?;
        decider.case(hosts, asked.spec, None, asked.now).ok()
    }
}

enum Problem {
    Decide(Box<DecideError>),
    Claim(TransferError),
}

impl Problem {
    fn refused(&self, asked: &Asked<'_>) -> Refused {
        let instance = asked.instances.first().map(Uuid::to_string).unwrap_or_default();
        match self {
            Self::Decide(error) => {
                let (removed, hosts) = refusal::removed(error);
                let failure = refusal::failure(error, &instance);
                let is_explicable = matches!(**error, DecideError::NoHost(_) | DecideError::Query(_));
                Refused { failure, removed, hosts, placed: refusal::placed(error), is_explicable }
            }
            Self::Claim(error) => {
                Refused::failed(RpcFailure::allocation_update_failed(&instance, &error.to_string()))
            }
        }
    }
}

fn decide_problem(error: DecideError) -> Problem {
    Problem::Decide(Box::new(error))
}

/// Decides for instances that keep what they hold: first without a claim, which then joins both.
fn beside(
    decider: &mut Decider,
    index: &Index,
    hosts: &dyn HostSource,
    request: &DecisionRequest<'_>,
    chooser: &mut dyn Chooser,
) -> Result<Vec<Vec<Selection>>, Problem> {
    let dry = DecisionRequest { is_dry_run: true, ..*request };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let selections = decider.select(hosts, &dry, chooser).map_err(decide_problem)?;
        match moves::claim_besides(index, request.claimant, request.instances, &selections) {
            Ok(()) => return Ok(selections),
            Err(TransferError::Refused(_)) if attempt < ATTEMPTS => {}
            Err(error) => return Err(Problem::Claim(error)),
        }
    }
}

/// Nova's claims name no consumer type.
fn claimant(asked: &Asked<'_>) -> Claimant {
    let owner = Owner {
        project: asked.spec.project_id.as_str().into(),
        user: asked.spec.user_id.as_str().into(),
        consumer_type: None,
    };
    // Conductor keeps the members of server groups; the index has no group of them.
    Claimant { owner: Arc::new(owner), group: None, now: asked.now }
}

#[cfg(test)]
mod tests;
