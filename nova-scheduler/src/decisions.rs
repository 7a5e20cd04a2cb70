//! Decisions on the index, one after the other.

use std::sync::Arc;

use berth_nova_rpc::{RpcFailure, Selected};
use berth_placement::{ConsumerId, Index, Owner, Timestamp};
use berth_scheduler::decider::{Decider, DecisionRequest, HostSource, Rules};
use berth_scheduler::explain::Case;
use berth_scheduler::options::LivenessSource;
use berth_scheduler::select::Claimant;
use berth_scheduler::{Options, Preference, RequestSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use crate::refusal::refused;
use crate::selected::selected;

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

/// The hosts of each instance and their alternates, or why there are none.
pub(crate) type Decided = Result<Vec<Vec<Selected>>, Box<Refused>>;

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
    ) -> Decided {
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
        let chooser = &mut |len: usize| tie_breaker.random_range(0..len);
        match decider.select(hosts, &request, chooser) {
            Ok(selections) => {
                let table = decider.hosts().expect("the decider has decided");
                Ok(selected(&selections, table, Some(&index.topology()), asked.spec))
            }
            Err(error) => Err(Box::new(refused(&error, asked))),
        }
    }
}

impl Decisions {
    /// Among how many of the best hosts chance decides.
    pub(crate) const fn subset(&self) -> usize {
        self.options.filter_scheduler.host_subset_size
    }

    /// The request before the hosts of the last decision, as a copy to explain.
    pub(crate) fn case(&mut self, hosts: &dyn HostSource, asked: &Asked<'_>) -> Option<Case> {
        let (_, decider) = self.current.as_mut()?;
        decider.case(hosts, asked.spec, None, asked.now).ok()
    }
}

/// Nova's claims name no consumer type.
fn claimant(asked: &Asked<'_>) -> Claimant {
    let owner = Owner {
        project: asked.spec.project_id.as_str().into(),
        user: asked.spec.user_id.as_str().into(),
        consumer_type: None,
    };
    // Conductor keeps the members of server groups; the index has no group of them. An instance
    // that is evacuated keeps what it holds on the host that is lost; resizes and migrations move
    // that to the migration first.
    Claimant { owner: Arc::new(owner), group: None, keeps_allocations: true, migration: None, now: asked.now }
}

#[cfg(test)]
mod tests;
