//! How many hosts each constraint removes, kept from decision to decision.
//!
//! For each host it is kept which constraint removes it first. A decision judges those again that
//! changed since the one before: the counts are those of a pass over all hosts, which is made when
//! too many have changed, when hosts became of other classes, or when the clock may have silenced a
//! service.

use std::collections::VecDeque;

use berth_placement::kernel::CLASSES;

use super::among::Among;
use super::request::Judge;
use crate::filters::{Filter, RequestState, Scene, Scope, Step, steady, steps};
use crate::hosts::HostRow;

/// Rows that changed recently.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    rows: VecDeque<HostRow>,
    /// How many there were.
    position: u64,
}

impl Changed {
    /// More are not kept: from then on looking at all hosts costs as much.
    const MOST: usize = 1_024;

    pub(super) fn note(&mut self, row: HostRow) {
        if self.rows.len() == Self::MOST {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
        self.position += 1;
    }

    /// The rows that changed since a position; none if not all of them are kept.
    fn since(&self, position: u64) -> Option<impl Iterator<Item = HostRow>> {
        let new = usize::try_from(self.position - position).ok()?;
        let known = self.rows.len().checked_sub(new)?;
        Some(self.rows.range(known..).copied())
    }
}

/// The first constraint that removes a host, by number, or ...
type Remover = u16;
/// ... nothing.
const NOTHING: Remover = Remover::MAX;
/// It does not even come to the first.
const STAYS_OUT: Remover = Remover::MAX - 1;

/// The counts for one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// By row.
    removers: Vec<Remover>,
    /// By class: the first of the constraints that judge all its hosts alike.
    of_class: Vec<Remover>,
    steps: Vec<(Step, usize)>,
    entered: usize,
    true_to: Option<Moment>,
}

/// The state of hosts and index that counts belong to.
#[derive(Debug, Clone, Copy)]
struct Moment {
    position: u64,
    layout: u64,
    version: u64,
    need: [i32; CLASSES],
    /// The first and the last time at which every service counts as up or down as it did.
    times: (i64, i64),
}

/// The hosts, and what judges each of them.
pub(super) struct Fleet<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) among: &'a Among<'a>,
    pub(super) judge: Judge<'a>,
    /// The free amounts on the provider of a row.
    pub(super) free: &'a dyn Fn(HostRow) -> [i32; CLASSES],
    pub(super) changed: &'a Changed,
    pub(super) layout: u64,
}

impl Counts {
    /// Hosts removed by each constraint, in order, until none is left.
    pub(super) fn renewed(&mut self, fleet: &Fleet<'_>) -> Vec<(Step, usize)> {
        let known = self.true_to.filter(|moment| moment.holds(fleet));
        match known.and_then(|moment| Some((moment, fleet.changed.since(moment.position)?))) {
            Some((moment, rows)) => self.follow(fleet, moment, rows),
            None => self.count_all(fleet),
        }
        self.removed()
    }

    fn removed(&self) -> Vec<(Step, usize)> {
        let left = |left: &mut usize, &(step, removed): &(Step, usize)| {
            let entered = std::mem::replace(left, *left - removed);
            (entered > 0).then_some((step, removed))
        };
        self.steps.iter().scan(self.entered, left).collect()
    }

    fn count_all(&mut self, fleet: &Fleet<'_>) {
        let rows = fleet.scene.hosts.rows();
        let steps = steps(fleet.scene, 0);
        *self = Self {
            removers: vec![STAYS_OUT; fleet.scene.hosts.len()],
            of_class: of_class(fleet.scene, &steps),
            steps: steps.into_iter().map(|step| (step, 0)).collect(),
            ..Self::default()
        };
        let times = rows.clone().map(|row| steady(fleet.scene, row)).fold((i64::MIN, i64::MAX), common);
        rows.for_each(|row| self.judge_again(fleet, row));
        self.true_to = Some(Moment::of(fleet, times));
    }

    fn follow(&mut self, fleet: &Fleet<'_>, moment: Moment, rows: impl Iterator<Item = HostRow>) {
        let mut times = moment.times;
        for changed in rows {
            // Nodes of one service share its instances.
            for &row in fleet.scene.hosts.rows_of_service_of(changed) {
                times = common(times, steady(fleet.scene, row));
                self.judge_again(fleet, row);
            }
        }
        self.true_to = Some(Moment::of(fleet, times));
    }

    fn judge_again(&mut self, fleet: &Fleet<'_>, row: HostRow) {
        let remover = self.remover(fleet, row);
        let former = std::mem::replace(&mut self.removers[row.index()], remover);
        self.entered += usize::from(remover != STAYS_OUT);
        self.entered -= usize::from(former != STAYS_OUT);
        if let Some((_, removed)) = self.steps.get_mut(usize::from(remover)) {
            *removed += 1;
        }
        if let Some((_, removed)) = self.steps.get_mut(usize::from(former)) {
            *removed -= 1;
        }
    }

    fn remover(&self, fleet: &Fleet<'_>, row: HostRow) -> Remover {
        let has_capacity =
            || (fleet.free)(row).iter().zip(fleet.among.need).all(|(free, need)| *free >= need);
        if !fleet.among.admits(row) || !has_capacity() {
            return STAYS_OUT;
        }
        let of_class = self.of_class[fleet.scene.hosts.class_ids()[row.index()].0 as usize];
        fleet.judge.first_objection(row, &mut RequestState::default()).unwrap_or(NOTHING).min(of_class)
    }
}

impl Moment {
    fn of(fleet: &Fleet<'_>, times: (i64, i64)) -> Self {
        let Among { version, need, .. } = *fleet.among;
        Self { position: fleet.changed.position, layout: fleet.layout, version, need, times }
    }

    fn holds(&self, fleet: &Fleet<'_>) -> bool {
        let is_alike = (self.layout, self.version) == (fleet.layout, fleet.among.version);
        let (first, last) = self.times;
        is_alike && self.need == fleet.among.need && (first..=last).contains(&fleet.scene.now)
    }
}

fn common(one: (i64, i64), other: (i64, i64)) -> (i64, i64) {
    (one.0.max(other.0), one.1.min(other.1))
}

/// For each class the first constraint that refuses all its hosts. The classes are known to be
/// judged without fail.
fn of_class(scene: &Scene<'_>, steps: &[Step]) -> Vec<Remover> {
    let filters: Vec<_> = steps.iter().map(|step| step.prepare(scene)).collect();
    let by_class: Vec<(Remover, &dyn Filter)> = (0..)
        .zip(filters.iter().map(AsRef::as_ref))
        .filter(|(_, filter): &(_, &dyn Filter)| filter.scope() == Scope::Class)
        .collect();
    let mut removers = vec![None; scene.hosts.class_count()];
    for row in scene.hosts.rows() {
        removers[scene.hosts.class_ids()[row.index()].0 as usize].get_or_insert_with(|| {
            let refuses =
                |filter: &dyn Filter| !matches!(filter.judge(row, &mut RequestState::default()), Ok(Ok(())));
            by_class.iter().find(|(_, filter)| refuses(*filter)).map_or(NOTHING, |(number, _)| *number)
        });
    }
    removers.into_iter().map(|remover| remover.unwrap_or(NOTHING)).collect()
}
