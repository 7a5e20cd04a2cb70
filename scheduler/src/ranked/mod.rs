//! The best hosts without looking at all of them.
//!
//! [`RankedHosts`] keeps the weights that depend on a host alone as whole numbers in rankings, one
//! for each class of hosts, and finds by branch and bound the hosts that the exhaustive pass
//! ([`super::weighers::weigh`]) would put first: the same hosts in the same order, ties included.
//! Filters judge a class once, and a host only where it could win.
//!
//! Some requests need every host looked at: those with NUMA cells or devices, JSON queries, soft
//! server groups, forced hosts. So do fleets whose aggregates override multipliers, or whose
//! weights are no whole numbers on any grid of powers of two. [`RankedRequest::new`] and
//! [`RankedHosts::best`] say so, and the exhaustive pass answers.
//!
//! Fed with what is free on the index ([`RankedHosts::set_free`]), one search also sees to
//! capacity, and through a mask to traits, aggregates and whatever else Placement would have been
//! asked ([`RankedHosts::best_among`]).

mod among;
mod classes;
mod counts;
mod grid;
mod pending;
mod request;

use berth_placement::kernel::{CLASSES, NOT_ASKED, NOTHING};
use berth_placement::{HostFree, Row};

use smallvec::SmallVec;

use super::aggregates::AggregateMetadata;
use super::filters::{RequestState, Scene, Step};
use super::hosts::{HostClass, HostTable};
use super::options::Options;
use super::request_spec::RequestSpec;
use super::weighers::{RawColumns, WeigherName};
use crate::hosts::HostRow;
use crate::policy::objective::{Extremes, Goal, Low, Weighing};
use crate::policy::preference::Preference;
use crate::ranking::cached_extremes::Recheck;
use crate::ranking::forest::{Ask, Forest, Host};
use crate::ranking::kinds::HostKind;
use crate::ranking::order::{Coefficients, Order};
use crate::ranking::tuning::Tuning;

use classes::Classes;
use counts::{Changed, Fleet};
use grid::Grid;
use pending::Pending;

pub use among::Among;
pub use request::RankedRequest;

/// The free amounts of the host classes, then one column for each weigher, as many as Nova has.
const COLUMNS: usize = CLASSES + WeigherName::ALL.len();

type Amounts = [i32; COLUMNS];

/// Only a look at every host gives Nova's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every host has to be looked at")]
pub struct LookAtAll;

/// Hosts of a table in rankings.
pub struct RankedHosts {
    preference: Preference,
    /// None under a policy.
    weighers: Vec<WeigherName>,
    raw: RawColumns,
    /// How each weigher's weights become whole numbers.
    grids: Vec<Grid>,
    amounts: Vec<Amounts>,
    kinds: Vec<HostKind>,
    classes: Classes,
    /// How often hosts came or became of another class.
    layout: u64,
    changed: Changed,
    weighing: Weighing<COLUMNS>,
    /// Whether all weights are on grids and all hosts have the same multipliers.
    sound: bool,
    forest: Forest<COLUMNS>,
    /// Hosts that changed since the forest was updated.
    pending: Pending<Amounts>,
    /// How often the forest was rebuilt, and how often some host became another kind.
    epoch: (u64, u64),
    tuning: Tuning,
}

impl RankedHosts {
    /// Ranks all hosts of the table.
    #[must_use]
    pub fn new(hosts: &HostTable, options: &Options) -> Self {
        Self::preferring(Preference::Weighers, hosts, options)
    }

    /// Ranks all hosts of the table, under a policy by what is free on them.
    #[must_use]
    pub(crate) fn preferring(preference: Preference, hosts: &HostTable, options: &Options) -> Self {
        let weighers = match preference {
            Preference::Weighers => options.filter_scheduler.weight_classes.clone(),
            Preference::Policy(_) => Vec::new(),
        };
        let weighing = weighing(hosts, options, &weighers);
        let mut ranked = Self {
            preference,
            raw: RawColumns::new(hosts, options),
            grids: Vec::new(),
            amounts: vec![NOTHING_KNOWN; hosts.len()],
            kinds: hosts.rows().map(|row| kind_of(hosts, row)).collect(),
            classes: Classes::new(hosts),
            layout: 0,
            changed: Changed::default(),
            sound: weighing.is_some(),
            weighing: weighing.unwrap_or(NOTHING_COUNTS),
            forest: Forest::new(Order::Linear(Coefficients::of(&Goal::indifferent())), std::iter::empty()),
            pending: Pending::new(hosts.len()),
            epoch: (0, 0),
            tuning: Tuning::default(),
            weighers,
        };
        ranked.lay_out(hosts);
        ranked
    }

    /// Applies what changed about a host: its use, or its service. Where the rankings could not be
    /// made, they are not tried again until a host changes in what hosts have in common with
    /// others: then all are ranked again.
    pub fn follow(&mut self, hosts: &HostTable, options: &Options, row: HostRow) {
        self.follow_all(hosts, options, &[row]);
    }

    /// Applies what changed about some hosts.
    pub(crate) fn follow_all(&mut self, hosts: &HostTable, options: &Options, rows: &[HostRow]) {
        let has_its_class = |row: &HostRow| kind_of(hosts, *row).0 >> 1 == self.kinds[row.index()].0 >> 1;
        if hosts.len() == self.amounts.len() && rows.iter().all(has_its_class) {
            rows.iter().for_each(|row| self.follow_one(hosts, options, *row));
        } else {
            self.rebuild(hosts, options);
        }
    }

    fn follow_one(&mut self, hosts: &HostTable, options: &Options, row: HostRow) {
        self.raw.update(hosts, options, &[row]);
        self.changed.note(row);
        let kind = kind_of(hosts, row);
        let new_kind = (std::mem::replace(&mut self.kinds[row.index()], kind) != kind).then_some(kind);
        self.epoch.1 += u64::from(new_kind.is_some());
        if !self.sound {
            return;
        }
        match self.amounts_of(row) {
            Some(after) => self.replace(row, after, new_kind),
            None => self.lay_out(hosts), // on other grids, if there are any
        }
    }

    /// Sets what is free on the host's provider, as a [`View`](berth_placement::View) of the index
    /// says. Until then a host has no inventory.
    pub fn set_free(&mut self, row: HostRow, free: HostFree) {
        let Some(mut after) = self.amounts.get(row.index()).copied() else { return };
        after[..CLASSES].copy_from_slice(&free);
        self.changed.note(row);
        self.replace(row, after, None);
    }

    /// Takes from what is free on the host's provider, until [`Self::set_free`] says what is.
    pub(super) fn take(&mut self, row: HostRow, need: HostFree) {
        let free = self.free(row);
        let less =
            |class: usize| if need[class] == NOT_ASKED { free[class] } else { free[class] - need[class] };
        self.set_free(row, std::array::from_fn(less));
    }

    /// The known free amounts on the host's provider.
    #[must_use]
    pub fn free(&self, row: HostRow) -> HostFree {
        self.amounts.get(row.index()).map_or(NOTHING, |amounts| std::array::from_fn(|class| amounts[class]))
    }

    /// The `most` best hosts for one instance, best first: the first ones of the exhaustive pass.
    ///
    /// # Errors
    /// [`LookAtAll`]: ask the exhaustive pass.
    pub fn best(
        &mut self,
        scene: &Scene<'_>,
        request: &mut RankedRequest,
        most: usize,
    ) -> Result<SmallVec<[HostRow; 4]>, LookAtAll> {
        self.best_among(Among::default(), scene, request, most)
    }

    /// As [`Self::best`], among some of the hosts: the first ones of an exhaustive pass over them
    /// alone.
    ///
    /// # Errors
    /// [`LookAtAll`]: ask the exhaustive pass.
    pub fn best_among(
        &mut self,
        among: Among<'_>,
        scene: &Scene<'_>,
        request: &mut RankedRequest,
        most: usize,
    ) -> Result<SmallVec<[HostRow; 4]>, LookAtAll> {
        if !self.sound || !request.judge_classes(scene, &self.classes, self.layout) {
            return Err(LookAtAll);
        }
        self.update_forest();
        request.open_in(&self.forest, self.epoch, scene.hosts, &among);
        let (judge, mut state) = (request.judge(scene), RequestState::default());
        let (verdicts, open, cached) = request.parts();
        let acceptable = |slot| {
            let row = HostRow::at(slot);
            among.admits(row)
                && verdicts.pass(scene.hosts, row)
                && judge.passes(row, &mut state)
                && among.accepts(row)
        };
        let ask = Ask { need: among.need, open, acceptable };
        if let Preference::Policy(_) = self.preference {
            return Ok(self
                .forest
                .first(ask, most)
                .into_iter()
                .map(|rank| HostRow::at(rank.row()))
                .collect());
        }
        let amounts = |row: Row| self.amounts.get(row.index()).copied();
        let recheck = Recheck { cached, amounts };
        let found = self.forest.highest(ask, &self.weighing, recheck, most);
        if let Some(order) = found.ideal
            && self.tuning.is_due(found.effort, self.amounts.len().div_ceil(64))
        {
            self.rerank(order);
        }
        Ok(found.best.into_rows().into_iter().map(HostRow::at).collect())
    }

    /// How many of these hosts each constraint removes, in order, until none is left: the counts of
    /// a pass of all filters over them. They are kept with the request, and only hosts that have
    /// changed are judged again.
    ///
    /// # Errors
    /// [`LookAtAll`]: run the pass.
    pub fn removed_among(
        &self,
        among: &Among<'_>,
        scene: &Scene<'_>,
        request: &mut RankedRequest,
    ) -> Result<Vec<(Step, usize)>, LookAtAll> {
        if among.accepts.is_some() || !request.judge_classes(scene, &self.classes, self.layout) {
            return Err(LookAtAll);
        }
        let judge = request.judge(scene);
        let (free, changed, layout) = (&|row| self.free(row), &self.changed, self.layout);
        Ok(request.counts().renewed(&Fleet { scene, among, judge, free, changed, layout }))
    }

    /// Compares what is kept with the table. For tests, and for operators in doubt.
    ///
    /// # Errors
    /// A description of the difference.
    pub fn check(&mut self, hosts: &HostTable, options: &Options) -> Result<(), String> {
        self.update_forest();
        let fresh = Self::preferring(self.preference, hosts, options);
        if self.sound && !fresh.sound {
            return Err("hosts are ranked that cannot be".to_owned());
        }
        let kept =
            |row: HostRow| (self.kinds[row.index()], self.sound.then(|| self.amounts_of(row)).flatten());
        let expected = |row: HostRow| {
            let amounts = self.sound.then_some(self.amounts[row.index()]);
            (fresh.kinds[row.index()], amounts)
        };
        match hosts.rows().find(|&row| kept(row) != expected(row)) {
            Some(row) => Err(format!("{row}: {:?}, expected {:?}", kept(row), expected(row))),
            None if self.sound => self.forest.check(self.ranked()),
            None => Ok(()),
        }
    }

    /// For another number of hosts, or other classes. What is free on those that stay is kept.
    fn rebuild(&mut self, hosts: &HostTable, options: &Options) {
        let (epoch, layout) = ((self.epoch.0 + 1, 0), self.layout + 1);
        let before = std::mem::replace(
            self,
            Self { epoch, layout, ..Self::preferring(self.preference, hosts, options) },
        )
        .amounts;
        for (row, amounts) in (0..).map(HostRow).zip(before) {
            self.set_free(row, std::array::from_fn(|class| amounts[class]));
        }
    }

    fn replace(&mut self, row: HostRow, after: Amounts, new_kind: Option<HostKind>) {
        if new_kind.is_some() {
            self.update_forest();
        }
        let before = std::mem::replace(&mut self.amounts[row.index()], after);
        match new_kind {
            _ if !self.sound => {}
            Some(_) => self.forest.update(row.slot(), Some(before), Some(after), new_kind),
            None => self.pending.note(row, before),
        }
    }

    /// Moves the hosts that changed since the last search.
    fn update_forest(&mut self) {
        for (row, before) in self.pending.take() {
            let after = self.amounts[row.index()];
            if self.sound && after != before {
                self.forest.update(row.slot(), Some(before), Some(after), None);
            }
        }
    }

    /// Finds grids for all weights, and ranks all hosts.
    fn lay_out(&mut self, hosts: &HostTable) {
        let grids =
            self.weighers.iter().map(|&name| self.raw.column(name).map_or(Some(Grid::WHOLE), Grid::of));
        let Some(grids) = grids.collect() else {
            self.sound = false;
            return;
        };
        self.grids = grids;
        for row in hosts.rows() {
            let Some(amounts) = self.amounts_of(row) else {
                self.sound = false;
                return;
            };
            self.amounts[row.index()] = amounts;
        }
        self.rerank(match self.preference {
            Preference::Weighers => {
                Order::Linear(Coefficients::of(&Goal::new(&self.weighing, &self.extremes())))
            }
            Preference::Policy(policy) => Order::Policy(policy),
        });
    }

    fn rerank(&mut self, order: Order<COLUMNS>) {
        self.forest = Forest::new(order, self.ranked());
        self.pending.take();
        self.epoch.0 += 1;
    }

    fn ranked(&self) -> impl Iterator<Item = Host<COLUMNS>> + Clone {
        (0..)
            .map(Row)
            .zip(&self.kinds)
            .zip(&self.amounts)
            .map(|((row, &kind), &amounts)| (row, kind, amounts))
    }

    /// The row's weights as whole numbers, beside what is free; none if one is between the lines of
    /// its grid.
    fn amounts_of(&self, row: HostRow) -> Option<Amounts> {
        let mut amounts = self.amounts[row.index()];
        for ((amount, &name), grid) in amounts[CLASSES..].iter_mut().zip(&self.weighers).zip(&self.grids) {
            if let Some(weights) = self.raw.column(name) {
                *amount = grid.whole(weights[row.index()])?;
            }
        }
        Some(amounts)
    }

    /// Of all hosts, in columns that count.
    fn extremes(&self) -> Extremes<COLUMNS> {
        let mut extremes = Extremes { low: [0; COLUMNS], high: [0; COLUMNS] };
        for at in (0..COLUMNS).filter(|&at| self.weighing.multipliers[at] != 0.0) {
            let column = self.amounts.iter().map(|amounts| amounts[at]);
            let low = if self.weighing.lows[at] == Low::Smallest { column.clone().min() } else { None };
            (extremes.low[at], extremes.high[at]) = (low.unwrap_or(0), column.max().unwrap_or(0));
        }
        extremes
    }
}

/// Of a host that nothing has been said of: no inventory.
const NOTHING_KNOWN: Amounts = {
    let mut amounts = [0; COLUMNS];
    let mut class = 0;
    while class < CLASSES {
        amounts[class] = NOTHING[class];
        class += 1;
    }
    amounts
};

const NOTHING_COUNTS: Weighing<COLUMNS> =
    Weighing { multipliers: [0.0; COLUMNS], lows: [Low::Zero; COLUMNS] };

/// How the weighers' columns make a weight; none if that differs from host to host.
fn weighing(hosts: &HostTable, options: &Options, weighers: &[WeigherName]) -> Option<Weighing<COLUMNS>> {
    let request = RequestSpec::default();
    let scene = Scene { hosts, options, request: &request, now: 0 };
    let mut weighing = NOTHING_COUNTS;
    for (at, name) in weighers.iter().enumerate() {
        let weigher = name.prepare(&scene);
        let multiplier = weigher.multiplier();
        let configured = multiplier.of(&AggregateMetadata::default());
        if !configured.is_finite()
            || in_use(hosts).any(|class| multiplier.of(&class.aggregates) != configured)
        {
            return None;
        }
        // More weighers than columns: one is listed twice, or is not Nova's.
        *weighing.multipliers.get_mut(CLASSES + at)? = configured;
        weighing.lows[CLASSES + at] = if weigher.least().is_some() { Low::Zero } else { Low::Smallest };
    }
    Some(weighing)
}

/// The classes that some host has.
fn in_use(hosts: &HostTable) -> impl Iterator<Item = &HostClass> {
    let mut used = vec![false; hosts.class_count()];
    hosts.class_ids().iter().for_each(|id| used[id.0 as usize] = true);
    hosts.classes().zip(used).filter(|(_, used)| *used).map(|(class, _)| class)
}

/// Hosts of one class pass filters alike; disabled ones are kept apart, since most of them are
/// empty and would rank first.
fn kind_of(hosts: &HostTable, row: HostRow) -> HostKind {
    let service = hosts.service(row);
    let out = service.disabled || service.forced_down;
    HostKind(u128::from(hosts.class_ids()[row.index()].0) << 1 | u128::from(out))
}
