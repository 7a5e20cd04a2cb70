//! One ranking for every large kind of hosts, and one for all the rest.
//!
//! As far as requests distinguish hosts ([`super::kinds`]), a request may have all hosts of a kind
//! or none: a whole ranking is searched or passed over, and hosts that a request may not have never
//! blur what the others could give. Small and one-off kinds share the first ranking, where each
//! host is asked by itself.

use std::collections::BTreeMap;

use berth_placement::Row;
use berth_placement::kernel::CLASSES;
use smallvec::SmallVec;

use crate::policy::Rank;
use crate::policy::objective::Weighing;
use crate::ranking::best::Best;
use crate::ranking::cached_extremes::Recheck;
use crate::ranking::kinds::HostKind;
use crate::ranking::order::Order;
use crate::ranking::search::{Found, Joint, Query};
use crate::ranking::sorted::{FANOUT, Ranking};
use crate::ranking::spans::Spans;
use crate::ranking::summary::Summaries;

/// Kinds with a ranking of their own, besides the shared one. In a policy's order none has: there a
/// search ends at the first leaf with a host that fits, and asking each host costs less than
/// searching dozens of rankings (measured at 100,000 hosts of 70 kinds: 0.5 µs against 5.5 µs).
const MOST_KINDS: usize = 254;
/// Hosts that a kind has at least to get one.
const LARGE: usize = 64;
/// The shared ranking.
const SHARED: u8 = 0;

/// Rankings of a forest, as bits.
pub(crate) type Open = SmallVec<[u64; MOST_KINDS.div_ceil(FANOUT)]>;

/// The requirements of a request.
pub(crate) struct Ask<'a, A> {
    /// The amounts that must be free.
    pub(crate) need: [i32; CLASSES],
    /// The rankings that are not ruled out as a whole; see [`Forest::open`].
    pub(crate) open: &'a [u64],
    /// The conditions of each single host.
    pub(crate) acceptable: A,
}

impl<A> Ask<'_, A> {
    fn query(self) -> Query<A> {
        Query { need: self.need, acceptable: self.acceptable, opened: 0, bytes: 0 }
    }
}

/// A host: its row, kind and amounts.
pub(crate) type Host<const N: usize> = (Row, HostKind, [i32; N]);

/// All hosts of a fleet, ranked by kind.
pub(crate) struct Forest<const N: usize> {
    order: Order<N>,
    rankings: Vec<Ranking<N>>,
    /// Lane `r % 64` of element `r / 64` summarises ranking `r`; not kept for a single one.
    tops: Vec<Summaries<N>>,
    ranking_of_kind: BTreeMap<HostKind, u8>,
    ranking_of_row: Vec<u8>,
    spans: Spans<N>,
    /// Hosts in the shared ranking, and how many of them make it worth dividing the kinds again.
    shared: usize,
    shared_limit: usize,
}

impl<const N: usize> Forest<N> {
    /// Ranks hosts.
    #[must_use]
    pub(crate) fn new(order: Order<N>, hosts: impl Iterator<Item = Host<N>> + Clone) -> Self {
        let (mut sizes, mut rows) = (BTreeMap::<HostKind, usize>::new(), 0);
        for (row, kind, _) in hosts.clone() {
            *sizes.entry(kind).or_default() += 1;
            rows = rows.max(row.index() + 1);
        }
        let mut large: Vec<(usize, HostKind)> =
            sizes.into_iter().map(|(kind, size)| (size, kind)).filter(|&(size, _)| size >= LARGE).collect();
        large.sort_unstable_by(|a, b| b.cmp(a));
        large.truncate(if matches!(order, Order::Linear(_)) { MOST_KINDS } else { 0 });
        let ranking_of_kind: BTreeMap<HostKind, u8> =
            large.iter().map(|&(_, kind)| kind).zip(SHARED + 1..).collect();
        let mut members = vec![Vec::new(); ranking_of_kind.len() + 1];
        let (mut ranking_of_row, mut spans) = (vec![SHARED; rows], Spans::NONE);
        for (row, kind, free) in hosts {
            spans.widen(&free);
            let ranking = ranking_of_kind.get(&kind).copied().unwrap_or(SHARED);
            ranking_of_row[row.index()] = ranking;
            members[ranking as usize].push((order.rank(free, row), free));
        }
        let shared = members[SHARED as usize].len();
        let rankings: Vec<Ranking<N>> = members.into_iter().map(|hosts| Ranking::new(order, hosts)).collect();
        let mut tops = vec![Summaries::EMPTY; rankings.len().div_ceil(FANOUT)];
        for (number, ranking) in rankings.iter().enumerate() {
            tops[number / FANOUT].set(number % FANOUT, ranking.summary());
        }
        let shared_limit = 2 * (shared + LARGE);
        Self { order, rankings, tops, ranking_of_kind, ranking_of_row, spans, shared, shared_limit }
    }

    /// Whether the best host is the one with the lowest row, wherever it stands in the order.
    #[inline]
    pub(crate) const fn finds_by_row(&self) -> bool {
        matches!(self.order, Order::Capacity)
    }

    /// Moves a host whose amounts or kind changed.
    #[inline]
    pub(crate) fn update(
        &mut self,
        row: Row,
        before: Option<[i32; N]>,
        after: Option<[i32; N]>,
        new_kind: Option<HostKind>,
    ) {
        if row.index() >= self.ranking_of_row.len() {
            self.ranking_of_row.resize(row.index() + 1, SHARED);
        }
        after.iter().for_each(|after| self.spans.widen(after));
        let known = self.ranking_of_row[row.index()];
        let Some(kind) = new_kind else {
            return self.update_in(known, row, before, after);
        };
        let ranking = self.ranking_of_kind.get(&kind).copied().unwrap_or(SHARED);
        if before.is_some() {
            self.update_in(known, row, before, None);
            self.shared -= usize::from(known == SHARED);
        }
        if after.is_some() {
            self.update_in(ranking, row, None, after);
            self.shared += usize::from(ranking == SHARED);
            self.ranking_of_row[row.index()] = ranking;
        }
    }

    #[inline]
    fn update_in(&mut self, number: u8, row: Row, before: Option<[i32; N]>, after: Option<[i32; N]>) {
        let number = number as usize;
        let ranking = &mut self.rankings[number];
        if ranking.update(row, before, after) && self.rankings.len() > 1 {
            self.tops[number / FANOUT].set(number % FANOUT, self.rankings[number].summary());
        }
    }

    /// Whether so many hosts share a ranking that dividing the kinds again is worth it: at each
    /// doubling.
    #[inline]
    #[must_use]
    pub(crate) const fn is_overgrown(&self) -> bool {
        self.shared > self.shared_limit
    }

    /// The rankings that are not ruled out as a whole: what `eligible` says of one host holds for
    /// its kind. It is true until some host's kind or the forest itself changes.
    pub(crate) fn open(&self, eligible: impl Fn(Row) -> bool) -> Open {
        let mut open = Open::from_elem(0, self.tops.len());
        for (number, ranking) in self.rankings.iter().enumerate() {
            if number == SHARED as usize || ranking.any_host().is_some_and(&eligible) {
                open[number / FANOUT] |= 1 << (number % FANOUT);
            }
        }
        open
    }

    /// The best host for the query, by the order itself.
    #[inline]
    pub(crate) fn best(&self, mut ask: Ask<'_, impl FnMut(Row) -> bool>) -> Option<Rank> {
        let rankings = self.opened(ask.open);
        rankings.filter_map(|ranking| ranking.best(ask.need, &mut ask.acceptable)).min()
    }

    /// The `most` best hosts for the query, by the order itself, best first.
    pub(crate) fn first(&self, mut ask: Ask<'_, impl FnMut(Row) -> bool>, most: usize) -> Vec<Rank> {
        let rankings = self.opened(ask.open);
        let mut best: Vec<Rank> =
            rankings.flat_map(|ranking| ranking.first(ask.need, &mut ask.acceptable, most)).collect();
        best.sort_unstable();
        best.truncate(most);
        best
    }

    /// The `most` hosts with the highest scores for the query, best first.
    pub(crate) fn highest(
        &self,
        ask: Ask<'_, impl FnMut(Row) -> bool>,
        weighing: &Weighing<N>,
        recheck: Recheck<'_, N, impl Fn(Row) -> Option<[i32; N]>>,
        most: usize,
    ) -> Found<N> {
        self.joint(ask.open).highest(ask.query(), weighing, recheck, most)
    }

    /// The `most` lowest rows for the query.
    pub(crate) fn lowest_rows(&self, ask: Ask<'_, impl FnMut(Row) -> bool>, most: usize) -> Best {
        self.joint(ask.open).lowest_rows(ask.query(), most)
    }

    fn joint<'a>(&'a self, open: &'a [u64]) -> Joint<'a, N> {
        let Self { order, rankings, tops, spans, .. } = self;
        Joint { order, rankings, tops, open, spans }
    }

    #[inline]
    fn opened<'a>(&'a self, open: &'a [u64]) -> impl Iterator<Item = &'a Ranking<N>> {
        let numbered = self.rankings.iter().enumerate();
        numbered
            .filter(|&(number, _)| open[number / FANOUT] >> (number % FANOUT) & 1 == 1)
            .map(|(_, ranking)| ranking)
    }

    /// Compares the rankings with their own rules and with the hosts they follow, in order of row.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn check(&self, hosts: impl Iterator<Item = Host<N>>) -> Result<(), String> {
        let mut found = Vec::new();
        for (ranking, number) in self.rankings.iter().zip(0..) {
            let in_ranking = ranking.check()?;
            found.extend(in_ranking.into_iter().map(|(row, free)| (row, number, free)));
            let place = number as usize;
            if self.rankings.len() > 1 && self.tops[place / FANOUT].get(place % FANOUT) != ranking.summary() {
                return Err(format!("ranking {number}: wrong summary"));
            }
        }
        found.sort_unstable();
        let ranking_of = |kind| self.ranking_of_kind.get(&kind).copied();
        let mut expected = hosts;
        for (row, number, free) in found {
            let Some((expected_row, kind, expected_free)) = expected.next() else {
                return Err(format!("{row} is no host"));
            };
            if (row, free) != (expected_row, expected_free) {
                return Err(format!("{row} has {free:?}, expected {expected_row} with {expected_free:?}"));
            }
            if number != SHARED && ranking_of(kind) != Some(number) {
                return Err(format!("{row} is in the ranking of another kind"));
            }
        }
        expected.next().map_or(Ok(()), |(row, ..)| Err(format!("{row} is missing")))
    }
}
