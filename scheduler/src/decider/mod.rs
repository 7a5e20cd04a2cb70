//! A typed request in, a typed decision out.
//!
//! A [`Decider`] combines an index, which knows free amounts, with a [`HostSource`], which knows
//! all other properties of hosts: whether they are up, what they run, which aggregates they are in.
//! It follows the changes of both. Decisions identify hosts and providers by row; names and UUIDs
//! stay with the caller.
//!
//! The [`Rules`] select the engine. `pipeline.rs` runs Nova's filters and weighers on hosts in
//! columns. `amounts/` applies rules that consider only the index: it stores only free amounts of
//! hosts, and decides in less than a microsecond. Both use the same rankings.
//!
//! # From a request to a claim
//!
//! Each step calls the next one:
//!
//! 1. [`Decider::decide`] selects the engine; with Nova's rules, `Pipeline::decide`.
//! 2. `Pipeline::before_hosts` (`pipeline.rs`) reads the journal of the index and the changes of
//!    the source, and updates the hosts (`KnownHosts`, `known.rs`). It adds the server group, and
//!    the instances that hints name, from the index (`consumers.rs`).
//! 3. `KnownHosts::select` takes the prepared request from the cache (`cache.rs`). For a new one,
//!    [`FilterScheduler::prepare`](crate::FilterScheduler::prepare) runs the pre-filters, which
//!    yield the query for allocation candidates ([`placement_query`](crate::placement_query)).
//! 4. [`FilterScheduler::select_as_one`](crate::FilterScheduler::select_as_one) repeats the rest
//!    until a claim is granted or its attempts are used up.
//! 5. [`SelectDestinations`](crate::SelectDestinations) loops over the instances. For each, a
//!    `HostOrder` filters and weighs hosts: `Best` only the highest ranked
//!    ([`RankedHosts`](crate::RankedHosts)), `LookAtAll` all of them.
//! 6. [`Claims::claim`](crate::select::Claims::claim) takes an allocation candidate of the chosen
//!    host. `Plan` collects them, and claims all in one `Index::transfer`.
//! 7. `placements` (`placement.rs`) converts the selections to rows and amounts.
//!
//! With rules on amounts alone, `by_amounts::decide` calls `AmountEngine::place` for each instance,
//! which finds the best host and claims it.

mod by_amounts;
mod cache;
mod consumers;
mod known;
mod pipeline;
mod placement;
mod source;

use std::sync::Arc;

use berth_placement::{ConsumerId, GroupError, GroupId, Index, Row, Timestamp};

use crate::amounts::engine::{AmountEngine, PlaceError, Search};
use crate::amounts::prepare::Prepared;
use crate::explain::Case;
use crate::filters::Step;
use crate::hosts::HostLoadError;
use crate::placement_query::QueryError;
use crate::policy::objective::Objective;
use crate::select::{Chooser, Claimant, SelectError, Selection};
use crate::{HostTable, Options, Preference, RequestSpec};
use pipeline::Pipeline;

pub use placement::{Place, Placement};
pub use source::{HostChanges, HostSource, IndexOnly};

/// The properties that a decider considers, and its criterion for the best of the hosts that
/// satisfy a request.
#[derive(Debug, Clone)]
pub enum Rules {
    /// Nova's filters, as configured by the options.
    Nova {
        /// The options of `nova.conf`.
        options: Box<Options>,
        /// The criterion for the best of the hosts that pass the filters.
        preference: Preference,
    },
    /// Free amounts of the index alone: a request consists of its flavor's vCPUs, memory and disk.
    Amounts {
        /// The criterion for the best of the hosts with enough free capacity.
        objective: Objective,
        /// The search for the best host.
        search: Search,
    },
}

/// A request for placements.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRequest<'a> {
    /// The needs and constraints of each instance. If the claimant names a server group, this
    /// contains the group with the members in the index.
    pub spec: &'a RequestSpec,
    /// The instances. Either each gets a host, or none does.
    pub instances: &'a [ConsumerId],
    /// The number of alternates for each instance, at most `max_attempts` less one.
    pub alternates: usize,
    /// The owner of the claims, their server group, and the time.
    pub claimant: &'a Claimant,
    /// Whether to decide without a claim.
    pub is_dry_run: bool,
}

/// The reason why a decision failed. Nothing was claimed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The source returned an invalid host.
    #[error(transparent)]
    Hosts(#[from] HostLoadError),
    /// Nova would refuse the request before it queries Placement.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The claimant's server group does not exist.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The index refused every claim, or the instance has allocations already.
    #[error(transparent)]
    Place(PlaceError),
    /// Decisions by amounts alone have no filters to explain.
    #[error("only decisions by Nova's rules can be explained")]
    Unexplained,
    /// There are not enough hosts.
    #[error("{}", .0.error)]
    NoHost(Box<NoHost>),
}

/// The details of a request that found no host.
#[derive(Debug, Clone, PartialEq)]
pub struct NoHost {
    /// The error that Nova would return.
    pub error: SelectError,
    /// The number of hosts that each constraint removed, for the instance that found no host.
    pub removed: Vec<(Step, usize)>,
    /// The number of hosts that the decider knows.
    pub hosts: usize,
}

impl NoHost {
    /// The constraints that removed hosts, in order, each with the number of hosts.
    ///
    /// If no host is left, the hosts that no filter removed had no allocation candidate; the first
    /// entry, `placement`, counts them.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, usize)> {
        let counted = self.removed.iter().filter(|(_, count)| *count > 0);
        let mut counts: Vec<_> = counted.map(|(step, count)| (step.to_string(), *count)).collect();
        let filtered: usize = counts.iter().map(|(_, count)| count).sum();
        if self.hosts > filtered && matches!(self.error, SelectError::NoValidHost { .. }) {
            counts.insert(0, ("placement".to_owned(), self.hosts - filtered));
        }
        counts
    }
}

/// A request prepared for repeated placements by one decider.
pub struct PreparedPlacement(Preparation);

#[expect(
    clippy::large_enum_variant,
    reason = "the fast path takes no indirection; a replay prepares few sizes"
)]
enum Preparation {
    Pipeline(Box<RequestSpec>),
    Amounts(Prepared),
}

/// Decides for one fleet, one request after the other. Any number of deciders may run concurrently
/// on one index.
pub struct Decider(Engine);

enum Engine {
    Pipeline(Box<Pipeline>),
    Amounts(Box<AmountEngine>),
}

impl Decider {
    /// Creates a decider without hosts.
    ///
    /// # Panics
    /// If a multiplier of the objective is not finite.
    #[must_use]
    pub fn new(index: Arc<Index>, rules: Rules) -> Self {
        Self(match rules {
            Rules::Nova { options, preference } => {
                Engine::Pipeline(Box::new(Pipeline::new(index, *options, preference)))
            }
            Rules::Amounts { objective, search } => {
                Engine::Amounts(Box::new(AmountEngine::new(index, objective, search)))
            }
        })
    }

    /// Chooses a host for each instance and claims its resources, all together or not at all.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn decide(
        &mut self,
        source: &dyn HostSource,
        request: &DecisionRequest<'_>,
        chooser: &mut dyn Chooser,
    ) -> Result<Vec<Placement>, DecideError> {
        match &mut self.0 {
            Engine::Pipeline(pipeline) => pipeline.decide(source, request, chooser),
            Engine::Amounts(engine) => by_amounts::decide(engine, request),
        }
    }

    /// Decides as [`Self::decide`] does, and returns everything that Nova's callers receive: for
    /// each instance its host and the alternates, at most `max_attempts` less one, with the limits
    /// that the decision used. Rows are those of [`Self::hosts`]. A request for a rebuild claims
    /// nothing.
    ///
    /// # Errors
    /// [`DecideError`]; also for rules that consider amounts alone, which produce no selections for
    /// Nova.
    pub fn select(
        &mut self,
        source: &dyn HostSource,
        request: &DecisionRequest<'_>,
        chooser: &mut dyn Chooser,
    ) -> Result<Vec<Vec<Selection>>, DecideError> {
        match &mut self.0 {
            Engine::Pipeline(pipeline) => pipeline.select(source, request, chooser),
            Engine::Amounts(_) => Err(DecideError::Unexplained),
        }
    }

    /// Prepares a request for [`Self::place`].
    #[must_use]
    pub fn prepare(&mut self, spec: RequestSpec) -> PreparedPlacement {
        PreparedPlacement(match &mut self.0 {
            Engine::Pipeline(_) => Preparation::Pipeline(Box::new(spec)),
            Engine::Amounts(engine) => {
                Preparation::Amounts(engine.prepare(by_amounts::request_of(&spec.flavor)))
            }
        })
    }

    /// [`Self::decide`] for one instance without alternates: the root provider of its host, or
    /// `None` if there is no valid host. This is the fast path of replays. With rules that consider
    /// amounts alone, the claim records no owner.
    ///
    /// # Errors
    /// [`DecideError`], except [`DecideError::NoHost`].
    ///
    /// # Panics
    /// If a decider with different rules prepared the request.
    #[inline]
    pub fn place(
        &mut self,
        source: &dyn HostSource,
        prepared: &mut PreparedPlacement,
        instance: ConsumerId,
        claimant: &Claimant,
        chooser: &mut dyn Chooser,
    ) -> Result<Option<Row>, DecideError> {
        match (&mut self.0, &mut prepared.0) {
            (Engine::Amounts(engine), Preparation::Amounts(prepared)) => {
                match engine.place(instance, prepared) {
                    Ok(row) => Ok(Some(row)),
                    Err(PlaceError::NoValidHost(_)) => Ok(None),
                    Err(error) => Err(DecideError::Place(error)),
                }
            }
            (Engine::Pipeline(pipeline), Preparation::Pipeline(spec)) => {
                pipeline.place(source, spec, instance, claimant, chooser)
            }
            _ => panic!("the request was prepared by another decider"),
        }
    }

    /// A copy of the request, and of the hosts, options and server group that a decision would use
    /// now. Because it is a copy, explaining it does not delay decisions.
    ///
    /// # Errors
    /// [`DecideError`].
    pub fn case(
        &mut self,
        source: &dyn HostSource,
        spec: &RequestSpec,
        group: Option<GroupId>,
        now: Timestamp,
    ) -> Result<Case, DecideError> {
        match &mut self.0 {
            Engine::Pipeline(pipeline) => pipeline.case(source, spec, group, now),
            Engine::Amounts(_) => Err(DecideError::Unexplained),
        }
    }

    /// Applies the latest changes, as the next decision would. A decider keeps the numbers of
    /// removed resource classes and traits from being used again until it has applied their
    /// removal.
    ///
    /// # Errors
    /// The hosts cannot be read.
    pub fn follow(&mut self, source: &dyn HostSource, now: Timestamp) -> Result<(), HostLoadError> {
        match &mut self.0 {
            Engine::Pipeline(pipeline) => pipeline.keep_up(source, now),
            Engine::Amounts(_) => Ok(()),
        }
    }

    /// The hosts as of the last decision; `None` with rules that consider amounts alone.
    #[must_use]
    pub fn hosts(&self) -> Option<&HostTable> {
        match &self.0 {
            Engine::Pipeline(pipeline) => pipeline.hosts(),
            Engine::Amounts(_) => None,
        }
    }

    /// Compares the cached state with the index. No change may happen meanwhile.
    ///
    /// # Errors
    /// A description of the first difference.
    pub fn check(&mut self) -> Result<(), String> {
        match &mut self.0 {
            Engine::Pipeline(pipeline) => pipeline.check(),
            Engine::Amounts(engine) => engine.check(),
        }
    }
}

#[cfg(test)]
mod tests;
