//! Nova's pipeline on the hosts of a source.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use berth_placement::{ConsumerId, GroupId, Index, Row, Timestamp};

use super::known::KnownHosts;
use super::placement::{Placement, placements};
use super::{DecideError, DecisionRequest, HostChanges, HostSource, consumers};
use crate::explain::Case;
use crate::hosts::HostLoadError;
use crate::select::{Chooser, Claimant, SelectError, Selection};
use crate::{HostTable, Options, Preference, RequestSpec};

/// Decides by Nova's rules on the hosts of a source, and follows the source's changes.
pub(super) struct Pipeline {
    index: Arc<Index>,
    options: Options,
    preference: Preference,
    known: Option<KnownHosts>,
    /// The changes since the last update, including those that could not be applied.
    changes: HostChanges,
}

impl Pipeline {
    pub(super) fn new(index: Arc<Index>, options: Options, preference: Preference) -> Self {
        Self { index, options, preference, known: None, changes: HostChanges::default() }
    }

    /// Chooses a host for each instance and claims its resources, all together or not at all.
    pub(super) fn decide(
        &mut self,
        source: &dyn HostSource,
        request: &DecisionRequest<'_>,
        chooser: &mut dyn Chooser,
    ) -> Result<Vec<Placement>, DecideError> {
        let selections = self.select(source, request, chooser)?;
        Ok(placements(&self.index, request.instances, &selections, request.alternates))
    }

    /// [`Self::decide`], with everything that Nova's callers receive.
    pub(super) fn select(
        &mut self,
        source: &dyn HostSource,
        request: &DecisionRequest<'_>,
        chooser: &mut dyn Chooser,
    ) -> Result<Vec<Vec<Selection>>, DecideError> {
        let (group, now) = (request.claimant.group, request.claimant.now);
        self.before_hosts(source, (request.spec, group), now, |known, spec, now| {
            known.select(spec, request, now, chooser)
        })
    }

    /// [`Self::decide`] for one instance: the root provider of its host; `None` if there is no
    /// valid host.
    pub(super) fn place(
        &mut self,
        source: &dyn HostSource,
        spec: &RequestSpec,
        instance: ConsumerId,
        claimant: &Claimant,
        chooser: &mut dyn Chooser,
    ) -> Result<Option<Row>, DecideError> {
        let instances = &[instance];
        let request = DecisionRequest { spec, instances, alternates: 0, claimant, is_dry_run: false };
        match self.decide(source, &request, chooser) {
            Ok(placements) => Ok(placements.first().map(|placement| placement.place.provider)),
            Err(DecideError::NoHost(none)) if matches!(none.error, SelectError::NoValidHost { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A copy of the request, and of the hosts, options and server group that a decision would use
    /// now.
    pub(super) fn case(
        &mut self,
        source: &dyn HostSource,
        spec: &RequestSpec,
        group: Option<GroupId>,
        now: Timestamp,
    ) -> Result<Case, DecideError> {
        let index = Arc::clone(&self.index);
        self.before_hosts(source, (spec, group), now, |known, spec, now| Ok(known.case(&index, spec, now)))
    }

    /// Calls `then` with the current hosts, to which the consumers that the request refers to are
    /// added, and with the request, which contains the current members of its server group.
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
        known.follow_upgrades(source);
        let mut located = consumers::named_by_hints(&self.index, spec);
        let mut spec = Cow::Borrowed(spec);
        if let Some(id) = group {
            let (group, members) = consumers::server_group(&self.index, known, (id, spec.instance_uuid))?;
            located.extend(members);
            spec.to_mut().instance_group = Some(group);
        }
        let shown = known.scheduler.show(&located);
        let outcome = then(known, &spec, now);
        known.scheduler.hide(&shown);
        outcome
    }

    /// The hosts as of the last decision.
    pub(super) fn hosts(&self) -> Option<&HostTable> {
        self.known.as_ref().map(|known| known.scheduler.hosts())
    }

    /// Compares the cached state with the index. No change may happen meanwhile.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.known.as_mut().map_or(Ok(()), |known| known.scheduler.check())
    }

    /// Applies the latest changes, unless there was no decision yet.
    pub(super) fn keep_up(&mut self, source: &dyn HostSource, now: Timestamp) -> Result<(), HostLoadError> {
        if self.known.is_some() {
            self.follow(source, i64::try_from(now.0).unwrap_or(i64::MAX))?;
        }
        if let Some(known) = &mut self.known {
            known.forget_names();
        }
        Ok(())
    }

    /// Applies the latest changes. Where single hosts cannot be updated, loads all hosts again.
    pub(super) fn follow(&mut self, source: &dyn HostSource, now: i64) -> Result<(), HostLoadError> {
        let HostChanges { layout, hosts } = source.changes();
        self.changes.layout |= layout;
        self.changes.hosts.extend(hosts);
        let is_current = match &mut self.known {
            Some(known) if !self.changes.layout => {
                known.update(&self.index, source, &mut self.changes.hosts, now)
            }
            _ => false,
        };
        if !is_current {
            let rules = (&self.options, self.preference);
            self.known = Some(KnownHosts::load(&self.index, rules, source, now, self.known.as_mut())?);
        }
        self.changes = HostChanges { layout: false, hosts: BTreeSet::new() };
        Ok(())
    }
}
