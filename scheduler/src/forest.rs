//! One ranking for every large kind of hosts, and one for all the rest.
//!
//! Hosts of one kind have the same traits, aggregates and unit rules, so a request may have all of them or none: a whole
//! ranking is searched or passed over, and hosts that a request may not have never blur what the others could give. Small
//! and one-off kinds share the first ranking, where each host is asked by itself.

use std::collections::BTreeMap;

use berth_placement::kernel::CLASSES;
use berth_placement::{Change, HostKind, Row, View};

use crate::objective::Weights;
use crate::order::Order;
use crate::policy::Rank;
use crate::ranking::Ranking;
use crate::search::{Best, Found, Joint};

/// Kinds with a ranking of their own, besides the shared one. In a policy's order none has: there a search ends at the first
/// leaf with a host that fits, and asking each host costs less than searching dozens of rankings (measured at 100,000 hosts
/// of 70 kinds: 0.5 µs against 5.5 µs).
const MOST_KINDS: usize = 254;
/// Hosts that a kind has at least to get one.
const LARGE: usize = 64;
/// The shared ranking.
const SHARED: u8 = 0;

/// What is asked of hosts.
pub(crate) struct Ask<E, O> {
    /// What has to be free.
    pub(crate) need: [i32; CLASSES],
    /// What all hosts of a kind satisfy, or none.
    pub(crate) eligible: E,
    /// What each host satisfies by itself.
    pub(crate) others: O,
}

impl<E: Fn(Row) -> bool, O: Fn(Row) -> bool> Ask<E, O> {
    #[inline]
    fn accepts(&self, row: Row) -> bool {
        (self.eligible)(row) && (self.others)(row)
    }
}

/// All hosts of a view, ranked by kind.
pub(crate) struct Forest {
    order: Order,
    rankings: Vec<Ranking>,
    ranking_of_kind: BTreeMap<HostKind, u8>,
    ranking_of_row: Vec<u8>,
    /// Hosts in the shared ranking, and how many of them make it worth dividing the kinds anew.
    shared: usize,
    shared_limit: usize,
}

impl Forest {
    /// Ranks all hosts of the view.
    #[must_use]
    pub(crate) fn new(order: Order, view: &View) -> Self {
        let mut sizes: BTreeMap<HostKind, usize> = BTreeMap::new();
        view.iter().for_each(|(row, _)| *sizes.entry(view.kind_of(row)).or_default() += 1);
        let mut large: Vec<(usize, HostKind)> =
            sizes.into_iter().map(|(kind, size)| (size, kind)).filter(|&(size, _)| size >= LARGE).collect();
        large.sort_unstable_by(|a, b| b.cmp(a));
        large.truncate(if matches!(order, Order::Linear(_)) { MOST_KINDS } else { 0 });
        let ranking_of_kind: BTreeMap<HostKind, u8> =
            large.iter().map(|&(_, kind)| kind).zip(SHARED + 1..).collect();
        let mut hosts = vec![Vec::new(); ranking_of_kind.len() + 1];
        let mut ranking_of_row = vec![SHARED; view.blocks().len() * 64];
        for (row, free) in view.iter() {
            let ranking = ranking_of_kind.get(&view.kind_of(row)).copied().unwrap_or(SHARED);
            ranking_of_row[row.index()] = ranking;
            hosts[ranking as usize].push((order.rank(free, row), free));
        }
        let shared = hosts[SHARED as usize].len();
        let rankings = hosts.into_iter().map(|hosts| Ranking::new(order, hosts)).collect();
        Self { order, rankings, ranking_of_kind, ranking_of_row, shared, shared_limit: 2 * (shared + LARGE) }
    }

    /// Whether the best host is the one with the lowest row, wherever it stands in the order.
    #[inline]
    pub(crate) const fn finds_by_row(&self) -> bool {
        matches!(self.order, Order::Room)
    }

    /// Moves a host whose free amounts or kind changed.
    #[inline]
    pub(crate) fn update(&mut self, change: Change) {
        let row = change.row.index();
        if row >= self.ranking_of_row.len() {
            self.ranking_of_row.resize(row + 1, SHARED);
        }
        let known = self.ranking_of_row[row];
        if change.before.is_some() && change.after.is_some() && !change.kind_changed {
            self.rankings[known as usize].update(change);
            return;
        }
        let ranking = self.ranking_of_kind.get(&change.kind).copied().unwrap_or(SHARED);
        if change.before.is_some() {
            self.rankings[known as usize].update(Change { after: None, ..change });
            self.shared -= usize::from(known == SHARED);
        }
        if change.after.is_some() {
            self.rankings[ranking as usize].update(Change { before: None, ..change });
            self.shared += usize::from(ranking == SHARED);
            self.ranking_of_row[row] = ranking;
        }
    }

    /// Whether so many hosts share a ranking that dividing the kinds anew is worth it: at each doubling.
    #[inline]
    #[must_use]
    pub(crate) const fn is_overgrown(&self) -> bool {
        self.shared > self.shared_limit
    }

    /// The best host for the query, by the order itself.
    #[inline]
    pub(crate) fn best(&self, query: &Ask<impl Fn(Row) -> bool, impl Fn(Row) -> bool>) -> Option<Rank> {
        self.open(&query.eligible)
            .filter_map(|ranking| ranking.best(query.need, |row| query.accepts(row)))
            .min()
    }

    /// The `most` best hosts for the query, by the order itself, best first.
    pub(crate) fn first(
        &self,
        query: &Ask<impl Fn(Row) -> bool, impl Fn(Row) -> bool>,
        most: usize,
    ) -> Vec<Rank> {
        let rankings = self.open(&query.eligible);
        let mut best: Vec<Rank> =
            rankings.flat_map(|ranking| ranking.first(query.need, |row| query.accepts(row), most)).collect();
        best.sort_unstable();
        best.truncate(most);
        best
    }

    /// The `most` hosts with the highest scores for the query, best first.
    pub(crate) fn highest(
        &self,
        query: &Ask<impl Fn(Row) -> bool, impl Fn(Row) -> bool>,
        weights: Weights,
        most: usize,
    ) -> Found {
        self.joint(&query.eligible).highest(query.need, weights, |row| query.accepts(row), most)
    }

    /// The `most` lowest rows for the query.
    pub(crate) fn lowest_rows(
        &self,
        query: &Ask<impl Fn(Row) -> bool, impl Fn(Row) -> bool>,
        most: usize,
    ) -> Best {
        self.joint(&query.eligible).lowest_rows(query.need, |row| query.accepts(row), most)
    }

    fn joint<'a>(&'a self, eligible: &'a impl Fn(Row) -> bool) -> Joint<'a> {
        Joint { rankings: self.open(eligible).collect(), order: self.order }
    }

    /// Compares the rankings with their own rules and with the view they follow.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn check(&self, view: &View) -> Result<(), String> {
        let mut found = Vec::new();
        for (ranking, number) in self.rankings.iter().zip(0..) {
            let hosts = ranking.check()?;
            if number != SHARED
                && let Some(&(row, _)) = hosts
                    .iter()
                    .find(|&&(row, _)| self.ranking_of_kind.get(&view.kind_of(row)) != Some(&number))
            {
                return Err(format!("{row} is in the ranking of another kind"));
            }
            found.extend(hosts);
        }
        found.sort_unstable();
        if found.into_iter().eq(view.iter()) { Ok(()) } else { Err("other hosts than the view's".to_owned()) }
    }

    /// The rankings that are not ruled out as a whole: one host speaks for its kind.
    #[inline]
    fn open<'a>(&'a self, eligible: &'a impl Fn(Row) -> bool) -> impl Iterator<Item = &'a Ranking> {
        self.rankings.iter().enumerate().filter_map(move |(number, ranking)| {
            let open = number == SHARED as usize || ranking.any_host().is_some_and(eligible);
            open.then_some(ranking)
        })
    }
}
