//! The smallest and largest amounts among the hosts that satisfy a request, by branch and bound on
//! whole numbers.
//!
//! A node is opened only if it promises more than what was found so far; the one that promises most
//! comes first, so usually one host is looked at, and one pass over the summaries shows that no
//! other has more. The search begins with what the host has now that had the extreme when the
//! request was last decided.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, Lanes, NOT_ASKED, at_least, fits, weighed};
use smallvec::SmallVec;

use crate::mask::{first_lanes, lanes};
use crate::policy::objective::{Extremes, Low, Weighing};
use crate::ranking::cached_extremes::{CachedExtremes, Recheck};
use crate::ranking::group::Group;
use crate::ranking::leaf::Leaf;
use crate::ranking::search::{Joint, Query};
use crate::ranking::sorted::{FANOUT, Ranking};
use crate::ranking::summary::Summaries;

/// Which end of a column is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Largest,
    Smallest,
}

impl End {
    /// The lanes with an amount beyond the best so far. Lanes without an amount hold no smallest
    /// one.
    #[inline]
    fn beyond(self, amounts: &Lanes, best: Option<i32>) -> u64 {
        match (self, best) {
            (Self::Largest, None) => u64::MAX,
            (Self::Largest, Some(best)) => best.checked_add(1).map_or(0, |more| at_least(amounts, more)),
            (Self::Smallest, best) => {
                at_least(amounts, i32::MIN + 1) & best.map_or(u64::MAX, |best| !at_least(amounts, best))
            }
        }
    }

    #[inline]
    fn is_beyond(self, amount: i32, best: Option<i32>) -> bool {
        best.is_none_or(|best| if self == Self::Largest { amount > best } else { amount < best })
    }

    /// Whether it is an amount that can be this end: what a host does not have is no smallest one.
    #[inline]
    fn is_amount(self, amount: i32) -> bool {
        self == Self::Largest || amount != i32::MIN
    }

    #[inline]
    fn holder<const N: usize>(self, cached: &mut CachedExtremes<N>, column: usize) -> &mut Option<Row> {
        match self {
            Self::Largest => &mut cached.high[column],
            Self::Smallest => &mut cached.low[column],
        }
    }

    #[inline]
    fn summary<const N: usize>(self, summaries: &Summaries<N>, column: usize) -> &Lanes {
        match self {
            Self::Largest => &summaries.largest[column],
            Self::Smallest => &summaries.smallest[column],
        }
    }

    /// The lane of `left`, which is not empty, with the most promising amount.
    #[inline]
    fn first(self, amounts: &Lanes, left: u64) -> usize {
        let promise = |lane: u32| {
            let amount = amounts.0[lane as usize];
            if self == Self::Largest { amount } else { !amount }
        };
        let first =
            lanes(left).map(|lane| (promise(lane), lane)).reduce(|a, b| if b.0 > a.0 { b } else { a });
        first.map_or(0, |(_, lane)| lane as usize)
    }
}

/// A search for one end of one column.
struct Climb<'a, A> {
    end: End,
    column: usize,
    best: Option<i32>,
    /// The host that has it.
    holder: Option<Row>,
    query: &'a mut Query<A>,
}

impl<A: FnMut(Row) -> bool> Climb<'_, A> {
    /// Visits the nodes that promise more than the best so far, the most promising first. `fitting`
    /// says which of them may hold what is needed; it is asked last, since few promise more than a
    /// former holder has.
    #[inline]
    fn visit(
        &mut self,
        amounts: &Lanes,
        fitting: impl FnOnce(&mut Self) -> u64,
        mut open: impl FnMut(&mut Self, usize),
    ) {
        self.query.look_at(amounts);
        let beyond = self.end.beyond(amounts, self.best);
        if beyond == 0 {
            return;
        }
        let mut left = beyond & fitting(self);
        while left != 0 {
            let lane = self.end.first(amounts, left);
            left &= !(1 << lane);
            let before = self.best;
            open(self, lane);
            if self.best != before {
                left &= self.end.beyond(amounts, self.best);
            }
        }
    }

    /// The nodes that may hold what is needed.
    #[inline]
    fn fitting<const N: usize>(&mut self, largest: &[Lanes; N]) -> u64 {
        self.query.bytes += CLASSES * size_of::<Lanes>();
        fits(largest, self.query.need)
    }

    fn open_ranking<const N: usize>(&mut self, ranking: &Ranking<N>) {
        for (groups, top) in ranking.groups.chunks(FANOUT).zip(&ranking.tops) {
            let amounts = self.end.summary(top, self.column);
            let fitting = |climb: &mut Self| climb.fitting(&top.largest) & first_lanes(groups.len());
            self.visit(amounts, fitting, |climb, lane| climb.open_group(ranking, &groups[lane]));
        }
    }

    #[inline]
    fn open_group<const N: usize>(&mut self, ranking: &Ranking<N>, group: &Group<N>) {
        let amounts = self.end.summary(&group.summaries, self.column);
        let fitting = |climb: &mut Self| climb.fitting(&group.summaries.largest) & first_lanes(group.len);
        self.visit(amounts, fitting, |climb, lane| {
            climb.open_leaf(&ranking.leaves[group.leaves[lane] as usize]);
        });
    }

    #[inline]
    fn open_leaf<const N: usize>(&mut self, leaf: &Leaf<N>) {
        self.query.opened += 1;
        let amounts = &leaf.free[self.column];
        self.query.look_at(amounts);
        let beyond = self.end.beyond(amounts, self.best);
        if beyond == 0 {
            return;
        }
        for lane in lanes(beyond & self.fitting(&leaf.free) & first_lanes(leaf.len)) {
            let (amount, row) = (amounts.0[lane as usize], leaf.rows[lane as usize]);
            if self.end.is_beyond(amount, self.best) && (self.query.acceptable)(row) {
                (self.best, self.holder) = (Some(amount), Some(row));
            }
        }
    }
}

impl<const N: usize> Joint<'_, N> {
    /// The extremes of the columns that count; `None` when no host satisfies the request.
    #[inline]
    pub(crate) fn extremes<A: FnMut(Row) -> bool, F: Fn(Row) -> Option<[i32; N]>>(
        &self,
        weighing: &Weighing<N>,
        query: &mut Query<A>,
        recheck: &mut Recheck<'_, N, F>,
    ) -> Option<Extremes<N>> {
        let mut extremes = Extremes { low: [0; N], high: [0; N] };
        let promising = self.promising(query);
        let mut ends = Ends { joint: self, promising: &promising, query, recheck };
        for column in (0..N).filter(|&column| weighing.multipliers[column] != 0.0) {
            let low = weighing.lows[column];
            (extremes.low[column], extremes.high[column]) = match ends.only_amount(column) {
                Some(only) => (if low == Low::Zero { 0 } else { only }, only),
                None => ends.of(column, low)?,
            };
        }
        Some(extremes)
    }

    /// The rankings that may hold a host that has what is needed, as bits.
    #[inline]
    fn promising<A>(&self, query: &mut Query<A>) -> SmallVec<[u64; 4]> {
        let promising = self.tops.iter().zip(self.open).map(|(top, open)| {
            query.look_at(&top.largest);
            fits(&top.largest, query.need) & open
        });
        promising.collect()
    }
}

/// The ends of columns, among the hosts that satisfy one query.
struct Ends<'a, 't, A, F, const N: usize> {
    joint: &'a Joint<'a, N>,
    promising: &'a [u64],
    query: &'a mut Query<A>,
    recheck: &'a mut Recheck<'t, N, F>,
}

impl<A: FnMut(Row) -> bool, F: Fn(Row) -> Option<[i32; N]>, const N: usize> Ends<'_, '_, A, F, N> {
    /// The amount that all hosts have, whether they satisfy a request or not, in a column that is
    /// no class.
    #[inline]
    fn only_amount(&self, column: usize) -> Option<i32> {
        if column < CLASSES { None } else { self.joint.spans.only(column) }
    }

    #[inline]
    fn of(&mut self, column: usize, low: Low) -> Option<(i32, i32)> {
        let high = self.largest(column)?;
        let asked = self.query.need.get(column).is_some_and(|&need| need != NOT_ASKED);
        let low = match low {
            Low::Zero => 0,
            // Of a class that is asked for, every host that satisfies the request has more than 0.
            Low::AtMostZero if asked => 0,
            Low::AtMostZero => self.extreme(End::Smallest, column, Some(0))?,
            Low::Smallest => self.extreme(End::Smallest, column, None)?,
        };
        Some((low, high))
    }

    fn largest(&mut self, column: usize) -> Option<i32> {
        let largest = self.extreme(End::Largest, column, None);
        let may_lack = column < CLASSES && self.query.need[column] == NOT_ASKED;
        if may_lack && largest.is_none_or(|largest| largest < 0) {
            // What a host does not have weighs as 0.
            let all = self.joint.hosts(self.query).map(|free| weighed(free[column]));
            return all.max();
        }
        largest
    }

    /// The end of a column beyond `best`, if there is any; else `best`.
    #[inline]
    fn extreme(&mut self, end: End, column: usize, best: Option<i32>) -> Option<i32> {
        let Self { joint, promising, query, recheck } = self;
        let holder = *end.holder(recheck.cached, column);
        let known = holder.and_then(|row| recheck.of(row, column, query));
        let known = known.filter(|&known| end.is_beyond(known, best) && end.is_amount(known));
        let mut climb = Climb { end, column, best: known.or(best), holder, query };
        if let [only] = joint.rankings {
            climb.open_ranking(only);
        } else {
            let tops = joint.tops.iter().zip(*promising);
            for (rankings, (top, &promising)) in joint.rankings.chunks(FANOUT).zip(tops) {
                climb.visit(
                    end.summary(top, column),
                    |_| promising,
                    |climb, lane| {
                        climb.open_ranking(&rankings[lane]);
                    },
                );
            }
        }
        *end.holder(recheck.cached, column) = climb.holder;
        climb.best
    }
}
