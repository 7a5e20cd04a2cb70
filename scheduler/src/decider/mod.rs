//! One decider: a typed request in, a typed decision out.
//!
//! A [`Decider`] works over an index, which knows what is free, and a [`HostSource`], which knows everything else about hosts:
//! whether they are up, what they run, which aggregates they are in. It follows both, so a caller only asks. Decisions name
//! hosts and providers by row; names and UUIDs stay with the caller.

mod cache;
mod consumers;
mod known;
mod placement;
mod source;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use berth_placement::{ConsumerId, GroupError, GroupId, Index, Timestamp};

use crate::nova::explain::Case;
use crate::nova::filters::Step;
use crate::nova::hosts::LoadError;
use crate::nova::placement_query::QueryError;
use crate::nova::select::{Chooser, Claimant, SelectError};
use crate::nova::{HostTable, Options, Preference, RequestSpec};

use known::KnownHosts;

pub use placement::{Place, Placement};
pub use source::{HostChanges, HostSource};

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
        let index = Arc::clone(&self.index);
        let (group, now) = (request.claimant.group, request.claimant.now);
        self.before_hosts(source, (request.spec, group), now, |known, spec, now| {
            known.decide(&index, spec, request, now, chooser)
        })
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
        let index = Arc::clone(&self.index);
        self.before_hosts(source, (spec, group), now, |known, spec, now| Ok(known.case(&index, spec, now)))
    }

    /// Calls `then` with the current hosts, on which the consumers that the request refers to are shown, and the request with the
    /// members of its server group.
    fn before_hosts<T>(
        &mut self,
        source: &dyn HostSource,
        (spec, group): (&RequestSpec, Option<GroupId>),
        now: Timestamp,
        then: impl FnOnce(&mut KnownHosts, &RequestSpec, i64) -> Result<T, DecideError>,
    ) -> Result<T, DecideError> {
        let now = i64::try_from(now.0).unwrap_or(i64::MAX);
        self.follow(source, now)?;
        let known = self.known.as_mut().expect("the hosts are loaded");
        let mut located = consumers::named_by_hints(&self.index, spec);
        let mut spec = Cow::Borrowed(spec);
        if let Some(id) = group {
            let (group, members) = consumers::server_group(&self.index, known, id)?;
            located.extend(members);
            spec.to_mut().instance_group = Some(group);
        }
        let shown = known.scheduler.show(&located);
        let outcome = then(known, &spec, now);
        known.scheduler.hide(shown);
        outcome
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
