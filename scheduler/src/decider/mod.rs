//! One decider: a typed request in, a typed decision out.
//!
//! A [`Decider`] works over an index, which knows what is free, and a [`HostSource`], which knows everything else about hosts:
//! whether they are up, what they run, which aggregates they are in. It follows both, so a caller only asks. Decisions name
//! hosts and providers by row; names and UUIDs stay with the caller.

mod cache;
mod known;
mod placement;
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_placement::{ConsumerId, Index};
use uuid::Uuid;

use crate::nova::filter_scheduler::Wanted;
use crate::nova::filters::Step;
use crate::nova::hosts::LoadError;
use crate::nova::placement_query::{Known, QueryError};
use crate::nova::select::{Chooser, Claimant, Decision, SelectError};
use crate::nova::{HostTable, Options, Preference, RequestSpec};

use known::KnownHosts;

pub use placement::{Place, Placement};
pub use source::{HostChanges, HostSource};

/// Compute services of this release and later, as Nova counts them: every pre-filter may be used.
const OLDEST_COMPUTE: u32 = 68;

/// What a decider is asked for.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRequest<'a> {
    /// What each instance needs, and where it may go.
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

/// The source describes a host that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A field does not make sense.
    #[error(transparent)]
    Record(#[from] LoadError),
    /// The provider is not named by a UUID.
    #[error("host {host}: uuid: '{uuid}' is no UUID")]
    Provider {
        /// The host's name.
        host: String,
        /// What stands in place of the UUID.
        uuid: String,
    },
}

/// Decides for one fleet, one request after the other. Any number of deciders may work side by side on one index.
pub struct Decider {
    index: Arc<Index>,
    options: Options,
    preference: Preference,
    known: Option<KnownHosts>,
    /// What changed since then: also what could not be applied.
    changes: HostChanges,
}

impl Decider {
    /// A decider that knows no host yet. Among the hosts that pass the filters, `preference` says which is the best.
    #[must_use]
    pub fn new(index: Arc<Index>, options: Options, preference: Preference) -> Self {
        Self { index, options, preference, known: None, changes: HostChanges::default() }
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
        let &DecisionRequest { spec, instances, alternates, claimant, is_dry_run } = request;
        let now = i64::try_from(claimant.now.0).unwrap_or(i64::MAX);
        self.follow(source, now)?;
        let KnownHosts { scheduler, aggregates, computes, cache, .. } =
            self.known.as_mut().expect("the hosts are loaded");
        let mut prepare = || {
            let known = Known { aggregates, computes, oldest_compute: OLDEST_COMPUTE, networks: None };
            scheduler.prepare(spec.clone(), &known, now)
        };
        let mut for_once;
        let prepared = if cache::is_worth_it(spec) {
            cache.request(spec, prepare)?
        } else {
            for_once = prepare()?;
            &mut for_once
        };
        let names: Vec<String> = instances.iter().map(|one| Uuid::from_u128(one.0).to_string()).collect();
        let wanted = Wanted { instances: &names, alternates: alternates > 0, each_alone: true, now };
        let mut decision = if is_dry_run {
            scheduler.select_dry(prepared, wanted, claimant, chooser)
        } else {
            scheduler.select_as_one(prepared, wanted, claimant, chooser).decision
        };
        // Hosts are what the index and the instances on them say; the claim is in the journal.
        scheduler.undo(&mut decision);
        let hosts = scheduler.hosts().len();
        let Decision { result, mut removed, .. } = decision;
        match result {
            Ok(selections) => Ok(placement::placements(&self.index, instances, &selections, alternates)),
            Err(error) => {
                let removed = removed.pop().unwrap_or_default();
                Err(DecideError::NoHost(Box::new(NoHost { error, removed, hosts })))
            }
        }
    }

    /// The hosts as of the last decision.
    #[must_use]
    pub fn hosts(&self) -> Option<&HostTable> {
        self.known.as_ref().map(|known| known.scheduler.hosts())
    }

    /// Compares what the decider keeps with the index. For a moment without changes.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&mut self) -> Result<(), String> {
        self.known.as_mut().map_or(Ok(()), |known| known.scheduler.check())
    }

    /// Applies what changed. Where that is not possible host by host, all hosts are loaded again.
    fn follow(&mut self, source: &dyn HostSource, now: i64) -> Result<(), HostsError> {
        let HostChanges { layout, hosts } = source.changes();
        self.changes.layout |= layout;
        self.changes.hosts.extend(hosts);
        let is_current = match &mut self.known {
            Some(known) if !self.changes.layout => {
                known.read_journal(&self.index, &mut self.changes.hosts);
                self.changes.hosts.is_empty() || known.update(source, &self.changes.hosts, now)
            }
            _ => false,
        };
        if !is_current {
            self.known = Some(KnownHosts::load(&self.index, (&self.options, self.preference), source, now)?);
        }
        self.changes = HostChanges { layout: false, hosts: BTreeSet::new() };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
