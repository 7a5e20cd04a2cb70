//! The smallest changes that find a host.
//!
//! Each change is tried with the filters and weighers that decide. First every change by itself; if
//! none helps, pairs. An amount is first taken as far as it goes; if that helps, bisection finds
//! how little of a change is enough: among hosts with the same unit rules, since those determine
//! which amounts exist. The order is fixed and the work bounded, whatever the request says.

use std::collections::BTreeMap;

use super::change::Change;
use super::explanation::{Relaxation, Relaxations};
use super::placement::PlacementFacts;
use super::question::Question;
use super::shape::HostModel;
use super::sizes::{Moving, Rule, Sizes};
use crate::filters::{RequestState, Scene, Survivors};
use crate::hosts::{HostClassId, HostRow, HostTable, Outage};
use crate::weighers::weigh;

/// Changes tried by themselves.
const MOST_SINGLES: usize = 64;
/// Pairs tried: all of 32 changes.
const MOST_PAIRS: usize = 496;
/// Kinds of hosts of which one more is tried.
const MOST_SHAPES: usize = 16;
/// Sets of unit rules under which a change is tried.
const MOST_RULES: usize = 16;

/// Changes that would find a host for a question that finds none.
pub(super) fn relaxations(question: &Question<'_>) -> Relaxations {
    let mut trial = Trial::new(question);
    let mut changes = Change::all(&question.scene);
    let mut cut_short = changes.len() > MOST_SINGLES;
    changes.truncate(MOST_SINGLES);
    let singles = changes.iter().map(|change| vec![change.clone()]);
    let mut found = trial.all_that_help(singles);
    if found.is_empty() {
        let pairs = pairs(&changes);
        cut_short |= pairs.len() > MOST_PAIRS;
        found = trial.all_that_help(pairs.into_iter().take(MOST_PAIRS));
    }
    // Another Placement service is not asked for changed requests.
    cut_short |= !question.answers.is_empty();
    cut_short |= trial.cut_short || question.scene.hosts.class_count() > MOST_SHAPES;
    found.extend(trial.more_hosts());
    Relaxations { found, cut_short }
}

/// Two different changes each; one zone excludes another.
fn pairs(changes: &[Change]) -> Vec<Vec<Change>> {
    let is_zone = |change: &Change| matches!(change, Change::Zone { .. });
    let with_later = |(at, first): (usize, &Change)| {
        let later = changes[at + 1..].iter().filter(|second| !(is_zone(first) && is_zone(second)));
        later.map(|second| vec![first.clone(), second.clone()]).collect::<Vec<_>>()
    };
    changes.iter().enumerate().flat_map(with_later).collect()
}

/// A fleet to try changes on.
struct Trial<'a> {
    question: Question<'a>,
    hosts: HostTable,
    state: RequestState,
    /// The facts of Placement, with one more host while it is tried.
    placement: Option<PlacementFacts>,
    /// Whether hosts had more unit rules than were tried.
    cut_short: bool,
}

/// Hosts with the same unit rules, and the amounts that these allow each change; none for a change
/// of no amount.
struct Alike {
    sizes: Vec<Option<Sizes>>,
    rows: Vec<HostRow>,
}

/// Changes with amounts, and the hosts that they open.
type Trying = (Vec<Change>, Vec<HostRow>);

impl<'a> Trial<'a> {
    fn new(question: &Question<'a>) -> Self {
        Self {
            question: *question,
            hosts: question.scene.hosts.clone(),
            state: question.state.clone(),
            placement: question.placement.cloned(),
            cut_short: false,
        }
    }

    fn all_that_help(&mut self, sets: impl Iterator<Item = Vec<Change>>) -> Vec<Relaxation> {
        sets.filter_map(|changes| self.relaxation(&changes)).collect()
    }

    /// The changes with the amounts that are enough; none if they do not help.
    fn relaxation(&mut self, changes: &[Change]) -> Option<Relaxation> {
        let alike = self.alike(changes);
        let closest = alike.iter().filter_map(|alike| self.closest(changes, alike));
        let (changes, mut opened) = closest.min_by_key(|(changes, _)| distances(changes))?;
        if alike.len() > 1 {
            opened = self.destinations(&changes, Survivors::all(&self.hosts));
        }
        let example = self.question.name(*opened.first()?);
        let changes = changes.into_iter().map(|change| self.with_reasons(change, &opened)).collect();
        Some(Relaxation { changes, opens: opened.len(), example })
    }

    /// All hosts, parted by the unit rules that the changes meet.
    fn alike(&mut self, changes: &[Change]) -> Vec<Alike> {
        let (scene, placement) = (&self.question.scene, self.placement.as_ref());
        let moving = |change| placement.and_then(|known| Moving::of(change, changes, scene, known));
        let moving: Vec<Option<Moving>> = changes.iter().map(moving).collect();
        let rule = |row: HostRow, moving: &Option<Moving>| {
            moving.as_ref().zip(placement).map_or(Rule::ANY, |(moving, known)| moving.rule(row, known))
        };
        let mut rows_of: BTreeMap<Vec<Rule>, Vec<HostRow>> = BTreeMap::new();
        for row in self.hosts.rows() {
            rows_of.entry(moving.iter().map(|moving| rule(row, moving)).collect()).or_default().push(row);
        }
        self.cut_short |= rows_of.len() > MOST_RULES;
        let sizes = |rules: Vec<Rule>| {
            let sizes = changes.iter().zip(rules).map(|(change, rule)| match change.amounts() {
                Some(_) => Sizes::of(change, rule).map(Some),
                None => Some(None),
            });
            sizes.collect::<Option<Vec<_>>>()
        };
        let first = rows_of.into_iter().take(MOST_RULES);
        first.filter_map(|(rules, rows)| Some(Alike { sizes: sizes(rules)?, rows })).collect()
    }

    /// The changes with amounts as close as possible to what was asked; none if they do not help
    /// these hosts.
    fn closest(&mut self, changes: &[Change], alike: &Alike) -> Option<Trying> {
        let farthest = changes.iter().zip(&alike.sizes).map(|(change, sizes)| match sizes {
            Some(sizes) => change.with_amount(sizes.at(0)),
            None => change.clone(),
        });
        let mut changes: Vec<Change> = farthest.collect();
        let mut opened = self.destinations(&changes, Survivors::ordered(alike.rows.clone()));
        if opened.is_empty() {
            return None;
        }
        for (at, sizes) in alike.sizes.iter().enumerate() {
            if let Some(sizes) = sizes {
                opened = self.bisect(&mut changes, at, sizes, opened);
            }
        }
        Some((changes, opened))
    }

    /// Brings an amount as close as possible to what was asked; returns the hosts that are open
    /// then.
    fn bisect(
        &mut self,
        changes: &mut [Change],
        at: usize,
        sizes: &Sizes,
        mut opened: Vec<HostRow>,
    ) -> Vec<HostRow> {
        let (mut works, mut fails) = (0, sizes.count());
        while fails - works > 1 {
            let middle = i64::midpoint(works, fails);
            let closer = changes[at].with_amount(sizes.at(middle));
            let former = std::mem::replace(&mut changes[at], closer);
            let mut entering = opened.clone();
            entering.sort_unstable();
            let still_open = self.destinations(changes, Survivors::ordered(entering));
            if still_open.is_empty() {
                changes[at] = former;
                fails = middle;
            } else {
                works = middle;
                opened = still_open;
            }
        }
        opened
    }

    /// The hosts that can be claimed under the changes, best first. None if the request cannot be
    /// judged.
    fn destinations(&mut self, changes: &[Change], entering: Survivors) -> Vec<HostRow> {
        let (mut request, mut options) =
            (self.question.scene.request.clone(), self.question.scene.options.clone());
        changes.iter().for_each(|change| change.apply(&mut request, &mut options));
        let now = self.question.scene.now;
        let outages = changes.iter().filter_map(outage);
        let lifted: Vec<_> = outages.map(|outage| self.hosts.lift_outage(outage, now)).collect();
        self.state.restore();
        let scene = Scene { hosts: &self.hosts, options: &options, request: &request, now };
        let question = Question { scene, placement: self.placement.as_ref(), ..self.question };
        let passage = question.pass_with(entering, &mut self.state);
        let weighed = if passage.blocked.is_some() { None } else { weigh(&scene, &passage.left).ok() };
        let rows = weighed.unwrap_or_default().into_iter().map(|host| host.row);
        let rows = rows.filter(|row| passage.claimable(*row)).collect();
        lifted.into_iter().rev().for_each(|lifted| self.hosts.restore_outage(lifted));
        rows
    }

    /// The reasons that operators gave when they disabled the hosts that the change opens.
    fn with_reasons(&self, change: Change, opened: &[HostRow]) -> Change {
        let Change::Outage { outage: Outage::Disabled, .. } = change else { return change };
        let mut reasons = BTreeMap::new();
        for row in opened {
            if let Some(reason) = &self.hosts.service(*row).disabled_reason {
                *reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        Change::Outage { outage: Outage::Disabled, reasons }
    }

    /// Kinds of hosts of which one more, empty, would do.
    fn more_hosts(&mut self) -> Vec<Relaxation> {
        let mut seen: Vec<HostClassId> = Vec::new();
        let mut found = Vec::new();
        for row in self.question.scene.hosts.rows() {
            let class = self.hosts.class_ids()[row.0 as usize];
            if seen.len() < MOST_SHAPES && !seen.contains(&class) {
                seen.push(class);
                found.extend(self.one_more_like(row));
            }
        }
        found
    }

    fn one_more_like(&mut self, row: HostRow) -> Option<Relaxation> {
        let shape = HostModel::of(self.question.scene.hosts, row)?;
        let twin = self.hosts.add_empty_twin(row, self.question.scene.now)?;
        self.state.give(twin, self.state.candidates(row).to_vec());
        self.placement = self.question.placement.map(|placement| placement.with_twin(row));
        // The others enter, too: one that cannot be judged fails the request, however many more
        // there are.
        let fleet = self.question.scene.hosts.rows().chain([twin]).collect();
        let opened = self.destinations(&[], Survivors::ordered(fleet));
        let example = format!("like {}", self.question.name(row));
        (!opened.is_empty()).then(|| Relaxation {
            changes: vec![Change::MoreHosts { shape }],
            opens: opened.len(),
            example,
        })
    }
}

/// How far amounts are from what was asked.
fn distances(changes: &[Change]) -> Vec<u64> {
    changes.iter().filter_map(Change::amounts).map(|(asked, enough)| asked.abs_diff(enough)).collect()
}

const fn outage(change: &Change) -> Option<Outage> {
    match change {
        Change::Outage { outage, .. } => Some(*outage),
        _ => None,
    }
}
