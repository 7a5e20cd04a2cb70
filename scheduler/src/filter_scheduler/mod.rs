//! The filter scheduler over one index: from a request to claimed hosts in one process, without a
//! list of all candidates.
//!
//! Nova fetches the allocation candidates of all hosts, filters and weighs these hosts, and claims
//! one of them. A [`FilterScheduler`] determines once per request which hosts can serve it at all
//! ([`PreparedRequest`]), finds the best of those with enough free capacity ([`RankedHosts`]), and
//! generates allocation candidates only for the hosts that it found. Hosts, order, alternates and
//! claims equal those of the full pipeline, which runs where filters examine the candidates
//! themselves.

mod eligible;
mod order;
mod places;
mod prepared;

use std::sync::Arc;

use berth_placement::kernel::NOTHING;
use berth_placement::{ConsumerId, Index, Row, View, candidates};
use uuid::Uuid;

use super::filters::{RequestState, Scene};
use super::hosts::{HostRecord, HostTable, UpdateError};
use super::options::Driver;
use super::packing::HostLifetimes;
use super::placement_query::{PrefilterFacts, QueryError, placement_query};
use super::select::{
    Chooser, Claimant, Claims, Decision, DecisionAsOne, DecisionDetail, HostOrder, LookAtAll, Plan,
    claim_as_one,
};
use super::{
    AggregateRecord, Options, Preference, RankedHosts, RankedRequest, RequestSpec, SelectDestinations,
};
use crate::WeigherName;
use crate::hosts::{HostRow, UsageRow};

use eligible::Eligible;
use order::Best;
use places::Places;

pub use prepared::PreparedRequest;

/// The steps of a search for the candidates of all hosts, at most: about half a second. The hosts
/// that it has not reached then have no candidate.
const FLEET_WORK: u64 = 4_000_000;

/// The parameters of a decision other than the request.
#[derive(Debug, Clone, Copy)]
pub struct SelectionRequest<'a> {
    /// The instances to place.
    pub instances: &'a [ConsumerId],
    /// Whether to return alternates: up to `max_attempts` less one for each instance.
    pub alternates: bool,
    /// Whether each instance gets the host that it would get if it was requested alone, after the
    /// instances before it. If not, equal hosts keep the order that they had for the previous
    /// instance, as in Nova, which requires a scan of all hosts. (The order is also kept where
    /// instances may take from several providers each.)
    pub each_alone: bool,
    /// The results that the caller needs beside the hosts.
    pub detail: DecisionDetail,
    /// The time in microseconds since 1970.
    pub now: i64,
}

impl<'a> SelectionRequest<'a> {
    const fn with(self, options: &'a Options) -> SelectDestinations<'a> {
        let Self { instances, alternates: return_alternates, now, .. } = self;
        SelectDestinations { options, instances, return_alternates, now }
    }
}

/// A decider and its view of the fleet. Any number of deciders may run concurrently on one index.
pub struct FilterScheduler {
    index: Arc<Index>,
    view: View,
    /// The position in the view's layout changes for which `places` is valid.
    position: u64,
    places: Places,
    options: Options,
    preference: Preference,
    hosts: HostTable,
    ranked: RankedHosts,
}

impl FilterScheduler {
    /// Creates a decider for these hosts. A host without a provider in the index becomes eligible
    /// when it has one.
    #[must_use]
    pub fn new(index: Arc<Index>, hosts: HostTable, options: Options) -> Self {
        Self::preferring(Preference::Weighers, index, hosts, options)
    }

    /// Creates a decider that ranks the hosts that pass the filters by another objective than
    /// Nova's.
    #[must_use]
    pub(crate) fn preferring(
        preference: Preference,
        index: Arc<Index>,
        hosts: HostTable,
        options: Options,
    ) -> Self {
        let view = View::new(&index);
        let ranked = RankedHosts::preferring(preference, &hosts, &options);
        let places = Places::new(&hosts, &view);
        let position = view.layout_position();
        let mut scheduler = Self { index, view, position, places, options, preference, hosts, ranked };
        scheduler.set_all_free();
        scheduler
    }

    /// The hosts with the attributes that Nova knows.
    #[must_use]
    pub const fn hosts(&self) -> &HostTable {
        &self.hosts
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Reverts the changes of a decision in the host table. Claims remain.
    pub fn undo(&mut self, decision: &mut Decision) {
        let rows: Vec<HostRow> = decision.changes.iter().map(|change| change.row()).collect();
        decision.undo(&mut self.hosts);
        rows.into_iter().for_each(|row| self.ranked.follow(&self.hosts, &self.options, row));
    }

    /// Follows how long instances live, beginning with those of `records`, if the weighers ask;
    /// `before` is the scheduler that this one replaces.
    pub(crate) fn track_lifetimes(&mut self, before: Option<&mut Self>, records: &[HostRecord], now: i64) {
        if self.options.filter_scheduler.weight_classes.contains(&WeigherName::LifetimeWeigher) {
            let known = before.and_then(|before| before.hosts.take_lifetimes());
            let known = known.unwrap_or_else(|| HostLifetimes::new(Arc::clone(&self.options.lifetimes)));
            self.hosts.track_lifetimes(known, records, now);
        }
    }

    /// Updates hosts from these records, as [`HostTable::update`] does. Afterwards earlier
    /// decisions cannot be undone except by releasing their claims: the hosts report the results of
    /// these decisions.
    ///
    /// # Errors
    /// [`UpdateError`]; then no host has changed.
    pub fn update_hosts(&mut self, records: &[HostRecord], now: i64) -> Result<(), UpdateError> {
        let rows = self.hosts.update(records, &self.options.general, now)?;
        self.ranked.follow_all(&self.hosts, &self.options, &rows);
        if self.places.are_outdated(&self.hosts) {
            self.places = Places::new(&self.hosts, &self.view);
            self.set_all_free();
        }
        Ok(())
    }

    /// Sets what the host of this root provider uses. Nothing happens if there is no such host.
    pub(crate) fn set_usage(&mut self, provider: Row, usage: UsageRow) {
        if let Some(row) = self.places.host_at(provider) {
            self.hosts.set_usage(row, usage);
            self.ranked.follow(&self.hosts, &self.options, row);
        }
    }

    /// Adds consumers to the hosts of these root providers, for filters and weighers that examine
    /// where instances are. The result contains the consumers that were not there before.
    pub(crate) fn show(&mut self, consumers: &[(ConsumerId, Row)]) -> Vec<(HostRow, Uuid)> {
        if consumers.is_empty() {
            return Vec::new();
        }
        self.refresh();
        let shown = consumers.iter().filter_map(|&(consumer, provider)| {
            let (row, instance) = (self.places.host_at(provider)?, Uuid::from(consumer));
            self.hosts.show_instance(row, instance).then_some((row, instance))
        });
        shown.collect()
    }

    /// Removes the consumers that [`Self::show`] added.
    pub(crate) fn hide(&mut self, shown: &[(HostRow, Uuid)]) {
        shown.iter().for_each(|&(row, instance)| self.hosts.hide_instance(row, instance));
    }

    /// Replaces the aggregates of all hosts. Prepare requests again that name a zone or whose
    /// pre-filters examine aggregates.
    pub fn replace_aggregates(&mut self, aggregates: &[AggregateRecord]) {
        let rows = self.hosts.replace_aggregates(aggregates);
        self.ranked.follow_all(&self.hosts, &self.options, &rows);
    }

    /// Runs the pre-filters and compiles the request, once for many decisions.
    ///
    /// # Errors
    /// The errors for which Nova refuses the request before it queries Placement.
    pub fn prepare(
        &mut self,
        mut spec: RequestSpec,
        known: &PrefilterFacts<'_>,
        now: i64,
    ) -> Result<PreparedRequest, QueryError> {
        self.refresh();
        let query = placement_query(&mut spec, &self.options, known)?;
        let scene = Scene { hosts: &self.hosts, options: &self.options, request: &spec, now };
        let ranked = RankedRequest::new(&scene).filter(|_| orders_by_weight(&self.options));
        let eligible = Eligible::new(&query, &self.index, &self.view, &self.places);
        Ok(PreparedRequest::new(spec, query, ranked, eligible, &self.options))
    }

    /// Chooses a host for each instance and claims it, as [`SelectDestinations::decide`] does with
    /// the candidates of all hosts. Concurrent claims become visible with the next decision.
    pub fn select(
        &mut self,
        prepared: &mut PreparedRequest,
        wanted: SelectionRequest<'_>,
        claims: &mut dyn Claims,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        self.refresh();
        self.hosts.follow_lifetimes(wanted.now);
        prepared.renew(&self.index, &self.view, &self.places);
        if self.places.are_tangled() || prepared.needs_all_candidates(wanted.instances.len()) {
            self.select_the_long_way(prepared, wanted, claims, chooser)
        } else {
            self.select_the_best(prepared, wanted, claims, chooser)
        }
    }

    /// [`Self::select`], but claims all instances together after each has a host, as
    /// [`SelectDestinations::decide_as_one`] does.
    pub fn select_as_one(
        &mut self,
        prepared: &mut PreparedRequest,
        wanted: SelectionRequest<'_>,
        claimant: &Claimant,
        chooser: &mut dyn Chooser,
    ) -> DecisionAsOne {
        let index = Arc::clone(&self.index);
        claim_as_one((&index, claimant), |plan, outrun| {
            if let Some(mut outrun) = outrun {
                self.undo(&mut outrun);
            }
            self.select(prepared, wanted, plan, chooser)
        })
    }

    /// The decision of [`Self::select_as_one`] without its claims.
    pub fn select_dry(
        &mut self,
        prepared: &mut PreparedRequest,
        wanted: SelectionRequest<'_>,
        claimant: &Claimant,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        let index = Arc::clone(&self.index);
        self.select(prepared, wanted, &mut Plan::new((&index, claimant)), chooser)
    }

    /// Generates candidates only for the hosts that filters and weighers rank first.
    fn select_the_best(
        &mut self,
        prepared: &mut PreparedRequest,
        wanted: SelectionRequest<'_>,
        claims: &mut dyn Claims,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        let (mut spec, mut state) = (prepared.spec().clone(), RequestState::default());
        let (request, eligible) = prepared.parts();
        let each_alone = wanted.each_alone || wanted.instances.len() == 1;
        let request = request.filter(|_| each_alone);
        let index = (&*self.index, &self.places);
        let mut best = Best::new(index, (&mut self.ranked, request), eligible, self.preference, each_alone);
        let what = wanted.with(&self.options);
        let order = (&mut best as &mut dyn HostOrder, wanted.detail);
        let decision = what.decide_by(order, &mut self.hosts, &mut spec, &mut state, claims, chooser);
        if each_alone || self.preference != Preference::Weighers {
            decision.changes.iter().for_each(|change| self.set_free(change.row()));
        }
        decision
    }

    /// Starts with the candidates of all hosts.
    fn select_the_long_way(
        &mut self,
        prepared: &PreparedRequest,
        wanted: SelectionRequest<'_>,
        claims: &mut dyn Claims,
        chooser: &mut dyn Chooser,
    ) -> Decision {
        let (query, extent) = prepared.question();
        let mut spec = prepared.spec().clone();
        let options = candidates::SearchOptions { work: FLEET_WORK, ..candidates::SearchOptions::default() };
        let mut state = query.ask(&self.index, &self.hosts, extent, &options).state;
        let what = wanted.with(&self.options);
        let mut order = match self.preference {
            Preference::Weighers => LookAtAll::default(),
            Preference::Policy(policy) => {
                let free = self.hosts.rows().map(|row| self.ranked.free(row)).collect();
                LookAtAll::by_policy(policy, free, prepared.need())
            }
        };
        let order = (&mut order as &mut dyn HostOrder, wanted.detail);
        let decision = what.decide_by(order, &mut self.hosts, &mut spec, &mut state, claims, chooser);
        for change in &decision.changes {
            self.ranked.follow(&self.hosts, &self.options, change.row());
        }
        decision
    }

    /// Compares the cached state with the index and the host table. No change may happen meanwhile.
    ///
    /// # Errors
    /// A description of the first difference.
    pub fn check(&mut self) -> Result<(), String> {
        self.refresh();
        self.view.check(&self.index)?;
        self.ranked.check(&self.hosts, &self.options)?;
        if self.places != Places::new(&self.hosts, &self.view) {
            return Err("hosts stand elsewhere in the index".to_owned());
        }
        let expected = |row| self.places.of(row).and_then(|place| self.view.host(place)).unwrap_or(NOTHING);
        match self.hosts.rows().find(|&row| self.ranked.free(row) != expected(row)) {
            Some(row) => {
                Err(format!("{row}: {:?} free, expected {:?}", self.ranked.free(row), expected(row)))
            }
            None => Ok(()),
        }
    }

    /// Applies the latest changes of the index, those of names included.
    pub(crate) fn keep_up(&mut self) {
        self.refresh();
        self.view.take_topology(&self.index);
    }

    /// Applies the latest changes of the index.
    fn refresh(&mut self) {
        let Self { index, view, places, ranked, .. } = self;
        view.refresh(index, |_, change| {
            if let Some(row) = places.host_at(change.row) {
                ranked.set_free(row, change.after.unwrap_or(NOTHING));
            }
        });
        if self.position != self.view.layout_position() {
            self.follow_layout();
        }
    }

    fn follow_layout(&mut self) {
        let Some(rows) = self.view.relayouts_since(self.position) else {
            self.position = self.view.layout_position();
            self.places = Places::new(&self.hosts, &self.view);
            self.set_all_free();
            return;
        };
        for place in rows {
            self.places.follow(&self.hosts, &self.view, place);
            if let Some(row) = self.places.host_at(place) {
                self.ranked.set_free(row, self.view.host(place).unwrap_or(NOTHING));
            }
        }
        self.places.follow_sharing(&self.view);
        self.position = self.view.layout_position();
    }

    fn set_all_free(&mut self) {
        self.hosts.rows().for_each(|row| self.set_free(row));
    }

    /// Sets the free amounts of a host from the view of the index.
    fn set_free(&mut self, row: HostRow) {
        let free = self.places.of(row).and_then(|place| self.view.host(place));
        self.ranked.set_free(row, free.unwrap_or(NOTHING));
    }
}

/// Whether the order of hosts by weight is independent of random choices.
fn orders_by_weight(options: &Options) -> bool {
    options.scheduler.driver != Driver::ChanceScheduler
        && !options.filter_scheduler.shuffle_best_same_weighed_hosts
}
