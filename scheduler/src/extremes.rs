//! The smallest and largest amounts among the hosts that satisfy a request, by branch and bound on whole numbers.
//!
//! A node is opened only if it promises more than what was found so far; the one that promises most comes first, so
//! usually one host is looked at, and one pass over the summaries shows that no other has more.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, Lanes, NOT_ASKED, at_least, fits, largest, smallest, weighed};

use crate::mask::{first_lanes, lanes};
use crate::objective::{Extremes, Low, Weighing};
use crate::ranking::{FANOUT, Ranking};
use crate::search::{Joint, Query};
use crate::summary::Summaries;

/// Which end of a column is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Largest,
    Smallest,
}

impl End {
    /// The lanes with an amount beyond the best so far. Lanes without an amount hold no smallest one.
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
    query: &'a mut Query<A>,
}

impl<A: FnMut(Row) -> bool> Climb<'_, A> {
    /// Visits the lanes that promise more than the best so far, the most promising first.
    #[inline]
    fn visit(&mut self, amounts: &Lanes, lanes: u64, mut open: impl FnMut(&mut Self, usize)) {
        if self.end == End::Smallest {
            self.query.look_at(amounts);
        }
        let mut left = lanes & self.end.beyond(amounts, self.best);
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

    fn open_ranking<const N: usize>(&mut self, ranking: &Ranking<N>) {
        for (groups, top) in ranking.groups.chunks(FANOUT).zip(&ranking.tops) {
            let promising = fits(&top.largest, self.query.need) & first_lanes(groups.len());
            self.query.look_at(&top.largest);
            self.visit(self.end.summary(top, self.column), promising, |climb, lane| {
                let group = &groups[lane];
                let promising = fits(&group.summaries.largest, climb.query.need) & first_lanes(group.len);
                climb.query.look_at(&group.summaries.largest);
                climb.visit(climb.end.summary(&group.summaries, climb.column), promising, |climb, lane| {
                    let leaf = &ranking.leaves[group.leaves[lane] as usize];
                    climb.query.opened += 1;
                    climb.query.look_at(&leaf.free);
                    let fitting = fits(&leaf.free, climb.query.need) & first_lanes(leaf.len);
                    let amounts = &leaf.free[climb.column];
                    for lane in lanes(fitting & climb.end.beyond(amounts, climb.best)) {
                        let (amount, row) = (amounts.0[lane as usize], leaf.rows[lane as usize]);
                        if climb.end.is_beyond(amount, climb.best) && (climb.query.acceptable)(row) {
                            climb.best = Some(amount);
                        }
                    }
                });
            });
        }
    }
}

impl<const N: usize> Joint<'_, N> {
    /// The extremes of the columns that count; `None` when no host satisfies the request.
    #[inline]
    pub(crate) fn extremes<A: FnMut(Row) -> bool>(
        &self,
        weighing: &Weighing<N>,
        query: &mut Query<A>,
    ) -> Option<Extremes<N>> {
        let mut extremes = Extremes { low: [0; N], high: [0; N] };
        for column in (0..N).filter(|&column| weighing.multipliers[column] != 0.0) {
            if let Some(only) = self.only_amount(column) {
                (extremes.low[column], extremes.high[column]) = (only, only);
                if weighing.lows[column] == Low::Zero {
                    extremes.low[column] = 0;
                }
                continue;
            }
            extremes.high[column] = self.largest(column, query)?;
            let asked = query.need.get(column).is_some_and(|&need| need != NOT_ASKED);
            extremes.low[column] = match weighing.lows[column] {
                Low::Zero => 0,
                // Of a class that is asked for, every host that satisfies the request has more than 0.
                Low::AtMostZero if asked => 0,
                Low::AtMostZero => self.extreme(End::Smallest, column, Some(0), query)?,
                Low::Smallest => self.extreme(End::Smallest, column, None, query)?,
            };
        }
        Some(extremes)
    }

    /// The amount that all hosts have, whether they satisfy a request or not, in a column that is no class.
    #[inline]
    fn only_amount(&self, column: usize) -> Option<i32> {
        if column < CLASSES {
            return None;
        }
        let tops = if let [only] = self.rankings { &only.tops } else { self.tops };
        let largest = tops.iter().map(|top| largest(&top.largest[column])).max()?;
        let smallest = tops.iter().map(|top| smallest(&top.smallest[column])).min()?;
        (largest == smallest).then_some(largest)
    }

    fn largest<A: FnMut(Row) -> bool>(&self, column: usize, query: &mut Query<A>) -> Option<i32> {
        let largest = self.extreme(End::Largest, column, None, query);
        let may_lack = column < CLASSES && query.need[column] == NOT_ASKED;
        if may_lack && largest.is_none_or(|largest| largest < 0) {
            // What a host does not have weighs as 0.
            let all = self.hosts(query).map(|free| weighed(free[column]));
            return all.max();
        }
        largest
    }

    #[inline]
    fn extreme<A: FnMut(Row) -> bool>(
        &self,
        end: End,
        column: usize,
        best: Option<i32>,
        query: &mut Query<A>,
    ) -> Option<i32> {
        let mut climb = Climb { end, column, best, query };
        if let [only] = self.rankings {
            climb.open_ranking(only);
        } else {
            for (rankings, (top, &open)) in self.rankings.chunks(FANOUT).zip(self.tops.iter().zip(self.open))
            {
                let promising = fits(&top.largest, climb.query.need) & open;
                climb.query.look_at(&top.largest);
                climb.visit(end.summary(top, column), promising, |climb, lane| {
                    climb.open_ranking(&rankings[lane]);
                });
            }
        }
        climb.best
    }
}
