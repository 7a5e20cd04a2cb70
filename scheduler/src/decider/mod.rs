//! One decider: a typed request in, a typed decision out.
//!
//! A [`Decider`] works over an index, which knows what is free, and a [`HostSource`], which knows everything else about hosts:
//! whether they are up, what they run, which aggregates they are in. It follows both, so a caller only asks. Decisions name
//! hosts and providers by row; names and UUIDs stay with the caller.
//!
//! The [`Rules`] select the engine. Nova's filters and weighers run in `pipeline.rs`, over hosts as columns. Rules that consider
//! only what the index knows run in `amounts/`, which keeps nothing about hosts but their free amounts and decides in less than
//! a microsecond. Both keep the hosts in the same rankings.

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

/// What a decider considers, and which of the hosts that satisfy a request is the best.
#[derive(Debug, Clone)]
pub enum Rules {
    /// Nova's filters, as the options have them.
    Nova {
        /// The options of `nova.conf`.
        options: Box<Options>,
        /// The best of the hosts that pass the filters.
        preference: Preference,
    },
    /// The free amounts of the index alone: a request is its flavor's vCPUs, memory and disk.
    Amounts {
        /// The best of the hosts with enough free.
        objective: Objective,
        /// How it is found.
        search: Search,
    },
}

/// What a decider is asked for.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRequest<'a> {
    /// What each instance needs, and where it may go. If the claimant names a server group, this is its group, with the members
    /// that the index has.
    pub spec: &'a RequestSpec,
    /// The instances: each gets a host, or none does.
    pub instances: &'a [ConsumerId],
    /// How many other hosts to name for each instance, at most `max_attempts` less one.
    pub alternates: usize,
    /// The owner of what is claimed, its server group, and the time.
    pub claimant: &'a Claimant,
    /// Whether nothing is claimed.
    pub is_dry_run: bool,
}

/// Why there is no decision. Nothing was claimed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The source describes a host that cannot be read.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// Nova would refuse the request before it asks Placement.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The claimant's server group is unknown.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The index refused every claim, or the instance has allocations already.
    #[error(transparent)]
    Place(PlaceError),
    /// Decisions on amounts alone have no filters to explain.
    #[error("only decisions by Nova's rules can be explained")]
    Unexplained,
    /// There are not enough hosts.
    #[error("{}", .0.error)]
    NoHost(Box<NoHost>),
}

/// Which hosts there are for a request that finds none.
#[derive(Debug, Clone, PartialEq)]
pub struct NoHost {
    /// What Nova would answer.
    pub error: SelectError,
    /// Hosts that each constraint removed, for the instance that found none.
    pub removed: Vec<(Step, usize)>,
    /// Hosts that the decider knows.
    pub hosts: usize,
}

impl NoHost {
    /// The constraints that removed hosts, in their order, with the number of hosts.
    ///
    /// When no host is left, those that no filter removed had no allocation candidate; `placement` stands first for them.
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

/// The source describes a host that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A field does not make sense.
    #[error(transparent)]
    Record(#[from] HostLoadError),
    /// The provider is not named by a UUID.
    #[error("host {host}: uuid: '{uuid}' is no UUID")]
    Provider {
        /// The host's name.
        host: String,
        /// What stands in place of the UUID.
        uuid: String,
    },
}

/// A request prepared for many placements by one decider.
pub struct PreparedPlacement(Preparation);

#[expect(
    clippy::large_enum_variant,
    reason = "the fast path takes no indirection; a replay prepares few sizes"
)]
enum Preparation {
    Pipeline(Box<RequestSpec>),
    Amounts(Prepared),
}

/// Decides for one fleet, one request after the other. Any number of deciders may work side by side on one index.
pub struct Decider(Engine);

enum Engine {
    Pipeline(Box<Pipeline>),
    Amounts(Box<AmountEngine>),
}

impl Decider {
    /// A decider that knows no host yet.
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

    /// Chooses a host for each instance and claims what the instances need there, all together or not at all.
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

    /// Decides as [`Self::decide`] does, and returns all that Nova's callers receive: for each instance its host and the
    /// alternates, at most `max_attempts` less one, with the limits they were judged by. Rows are those of [`Self::hosts`].
    /// A request for a rebuild claims nothing.
    ///
    /// # Errors
    /// [`DecideError`]; also where amounts alone are considered, which select nothing that Nova could receive.
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

    /// [`Self::decide`] for one instance without alternates: the root provider of its host, or `None` if there is no valid host. This
    /// is the fast path of replays. Where amounts alone are considered, the claim records no owner.
    ///
    /// # Errors
    /// [`DecideError`], except that there is no host.
    ///
    /// # Panics
    /// If a decider with other rules prepared the request.
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

    /// The request before the hosts as a decision at this moment would find them: the same hosts, options and server group. It is
    /// a copy, so an explanation of it does not delay decisions.
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

    /// The hosts as of the last decision; `None` where amounts alone are considered.
    #[must_use]
    pub fn hosts(&self) -> Option<&HostTable> {
        match &self.0 {
            Engine::Pipeline(pipeline) => pipeline.hosts(),
            Engine::Amounts(_) => None,
        }
    }

    /// Compares what the decider keeps with the index. For a moment without changes.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&mut self) -> Result<(), String> {
        match &mut self.0 {
            Engine::Pipeline(pipeline) => pipeline.check(),
            Engine::Amounts(engine) => engine.check(),
        }
    }
}

#[cfg(test)]
mod tests;
