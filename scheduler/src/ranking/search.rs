//! Exact searches by branch and bound over rankings.
//!
//! A node is opened only if something below it can still win: by its bound, or, at an equal bound,
//! by its lowest row. Nodes are opened best first, so a search usually ends after one group and a
//! few leaves.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, fits, lane_of, reach, weighed, wide};

use crate::mask::{first_lanes, lanes};
use crate::policy::objective::{Extremes, Goal, Weighing};
use crate::ranking::best::{Best, Scored};
use crate::ranking::bounds::Bounds;
use crate::ranking::cached_extremes::Recheck;
use crate::ranking::group::Group;
use crate::ranking::leaf::Leaf;
use crate::ranking::order::{Coefficients, Order};
use crate::ranking::sorted::{FANOUT, Ranking};
use crate::ranking::spans::Spans;
use crate::ranking::summary::{Summaries, highest};

/// The requirements of a search.
pub(crate) struct Query<A> {
    /// The amounts that must be free.
    pub(crate) need: [i32; CLASSES],
    /// The other conditions of each host.
    pub(crate) acceptable: A,
    /// Leaves opened so far.
    pub(crate) opened: usize,
    /// Bytes of summaries and leaves looked at so far, those looked at again counted again.
    pub(crate) bytes: usize,
}

impl<A> Query<A> {
    /// Counts what is looked at.
    #[inline(always)]
    pub(crate) const fn look_at<T>(&mut self, _: &T) {
        self.bytes += size_of::<T>();
    }
}

/// The result of a weighted search, and its cost.
pub(crate) struct Found<const N: usize> {
    pub(crate) best: Best,
    /// The order in which this search would have been shortest.
    pub(crate) ideal: Option<Order<N>>,
    /// Leaves opened.
    pub(crate) effort: usize,
    /// Bytes looked at.
    pub(crate) bytes: usize,
}

/// Rankings that are searched as one. All are in the same order.
pub(crate) struct Joint<'a, const N: usize> {
    pub(crate) order: &'a Order<N>,
    pub(crate) rankings: &'a [Ranking<N>],
    /// Lane `r % 64` of element `r / 64` summarises ranking `r`; not kept for a single one.
    pub(crate) tops: &'a [Summaries<N>],
    /// The rankings that are searched, as bits.
    pub(crate) open: &'a [u64],
    pub(crate) spans: &'a Spans<N>,
}

impl<const N: usize> Joint<'_, N> {
    /// The hosts with the highest scores that satisfy the query, best first.
    pub(crate) fn highest<A: FnMut(Row) -> bool, F: Fn(Row) -> Option<[i32; N]>>(
        &self,
        mut query: Query<A>,
        weighing: &Weighing<N>,
        mut recheck: Recheck<'_, N, F>,
        most: usize,
    ) -> Found<N> {
        let Some(extremes) = self.extremes(weighing, &mut query, &mut recheck) else {
            let Query { opened: effort, bytes, .. } = query;
            return Found { best: Best::new(most), ideal: None, effort, bytes };
        };
        let goal = Goal::new(weighing, &extremes);
        let (best, Query { opened: effort, bytes, .. }) = self.maximise(query, &goal, &extremes, most);
        Found { best, ideal: Some(Order::Linear(Coefficients::of(&goal))), effort, bytes }
    }

    /// The lowest rows that satisfy the query.
    pub(crate) fn lowest_rows<A: FnMut(Row) -> bool>(&self, query: Query<A>, most: usize) -> Best {
        self.maximise(query, &Goal::indifferent(), &Extremes::NONE, most).0
    }

    /// The amounts of all hosts that satisfy the query, by looking at each.
    pub(crate) fn hosts<A: FnMut(Row) -> bool>(
        &self,
        query: &mut Query<A>,
    ) -> impl Iterator<Item = [i32; N]> {
        let (need, acceptable) = (query.need, &mut query.acceptable);
        let open = |number: usize| self.open[number / FANOUT] >> (number % FANOUT) & 1 == 1;
        let rankings = self.rankings.iter().enumerate().filter(move |&(number, _)| open(number));
        let leaves = rankings.flat_map(|(_, ranking)| &ranking.leaves);
        let fitting = leaves.flat_map(move |leaf| {
            lanes(fits(&leaf.free, need) & first_lanes(leaf.len)).map(move |lane| (leaf, lane as usize))
        });
        fitting
            .filter(move |(leaf, lane)| acceptable(leaf.rows[*lane]))
            .map(|(leaf, lane)| lane_of(&leaf.free, lane))
    }

    /// The best hosts by a goal, and the query with what they took.
    fn maximise<A: FnMut(Row) -> bool>(
        &self,
        query: Query<A>,
        goal: &Goal<N>,
        extremes: &Extremes<N>,
        most: usize,
    ) -> (Best, Query<A>) {
        let bounds = Bounds::new(query.need, goal, extremes, self.order, self.spans);
        let mut descent = Descent { query, goal, bounds, best: Best::new(most) };
        if let [only] = self.rankings {
            descent.open_ranking(only);
        } else {
            for (rankings, (top, &open)) in self.rankings.chunks(FANOUT).zip(self.tops.iter().zip(self.open))
            {
                descent.visit(top, open, |descent, lane| descent.open_ranking(&rankings[lane]));
            }
        }
        (descent.best, descent.query)
    }
}

/// A search for the highest scores.
struct Descent<'a, A, const N: usize> {
    query: Query<A>,
    goal: &'a Goal<N>,
    bounds: Bounds,
    best: Best,
}

impl<A: FnMut(Row) -> bool, const N: usize> Descent<'_, A, N> {
    /// Visits the lanes that may hold a better host, the most promising first.
    #[inline]
    fn visit(&mut self, summaries: &Summaries<N>, lanes: u64, mut open: impl FnMut(&mut Self, usize)) {
        let wanted = fits(&summaries.largest, self.query.need) & lanes;
        if wanted == 0 {
            return self.query.look_at(&summaries.largest);
        }
        self.query.look_at(summaries);
        let mut frame = Frame { bounds: self.bounds.of(summaries, wanted), left: wanted, exact: 0 };
        while let Some(lane) = frame.next(summaries, self) {
            open(self, lane);
        }
    }

    fn open_ranking(&mut self, ranking: &Ranking<N>) {
        for (groups, top) in ranking.groups.chunks(FANOUT).zip(&ranking.tops) {
            if let [group] = groups {
                self.open_group(ranking, group);
            } else {
                self.visit(top, first_lanes(groups.len()), |descent, lane| {
                    descent.open_group(ranking, &groups[lane]);
                });
            }
        }
    }

    #[inline]
    fn open_group(&mut self, ranking: &Ranking<N>, group: &Group<N>) {
        let leaf = |lane: usize| &ranking.leaves[group.leaves[lane] as usize];
        if group.len == 1 {
            self.open_leaf(leaf(0));
        } else {
            self.visit(&group.summaries, first_lanes(group.len), |descent, lane| {
                descent.open_leaf(leaf(lane));
            });
        }
    }

    /// Looks at the hosts of a leaf: exactly at those whose estimate is near the best.
    fn open_leaf(&mut self, leaf: &Leaf<N>) {
        self.query.opened += 1;
        self.query.look_at(leaf);
        let mut fitting = fits(&leaf.free, self.query.need) & first_lanes(leaf.len);
        if fitting == 0 {
            return;
        }
        let mut estimates = estimates(self.goal, leaf);
        lanes(!fitting).for_each(|lane| estimates[lane as usize] = f64::NEG_INFINITY);
        // Good hosts first, so that the others are measured against them; of hosts that are alike,
        // the one that wins.
        while fitting != 0 && self.best.bar() == f64::NEG_INFINITY {
            let likely = lanes(fitting & reach(&estimates, highest(&estimates)));
            let Some(likely) = likely.min_by_key(|&lane| leaf.rows[lane as usize]) else { break };
            self.look_at(leaf, likely as usize);
            fitting &= !(1 << likely);
            estimates[likely as usize] = f64::NEG_INFINITY;
        }
        for lane in lanes(fitting & reach(&estimates, self.best.bar() - self.goal.error())) {
            self.look_at(leaf, lane as usize);
        }
    }

    #[inline]
    fn look_at(&mut self, leaf: &Leaf<N>, lane: usize) {
        let row = leaf.rows[lane];
        let host = Scored { score: self.goal.score(|column| leaf.free[column].0[lane]), row };
        if self.best.admits(&host) && (self.query.acceptable)(row) {
            self.best.offer(host);
        }
    }
}

/// The scores of a leaf's hosts, cheaper by a division for each column, and no further off than
/// [`Goal::error`].
#[inline]
fn estimates<const N: usize>(goal: &Goal<N>, leaf: &Leaf<N>) -> [f64; FANOUT] {
    wide(
        #[inline(always)]
        || {
            let mut estimates = [0.0; FANOUT];
            for ((rate, term), column) in goal.rates().iter().zip(&goal.terms).zip(&leaf.free) {
                if *rate != 0.0 {
                    for (estimate, &amount) in estimates.iter_mut().zip(&column.0) {
                        *estimate += rate * (f64::from(weighed(amount)) - term.low);
                    }
                }
            }
            estimates
        },
    )
}

/// Nodes side by side, and what the best host below each could score.
struct Frame {
    bounds: [f64; FANOUT],
    left: u64,
    /// Nodes whose bound is exact.
    exact: u64,
}

impl Frame {
    /// Takes the most promising node, if the best hosts so far admit what it could hold.
    #[inline]
    fn next<A, const N: usize>(
        &mut self,
        summaries: &Summaries<N>,
        descent: &Descent<'_, A, N>,
    ) -> Option<usize> {
        let bar = descent.best.bar();
        self.left &= reach(&self.bounds, bar); // it only rises
        loop {
            let at_best = |lane: usize| Scored { score: self.bounds[lane], row: summaries.first_row[lane] };
            let promising = lanes(self.left).map(|lane| (at_best(lane as usize), lane as usize));
            let (most, lane) = promising.reduce(|a, b| if b.0.beats(&a.0) { b } else { a })?;
            if most.score - bar <= 2.0 * descent.goal.error() && self.exact >> lane & 1 == 0 {
                // So close that the bound's own error may be all that speaks for it.
                let corner = Bounds::corner(descent.goal, descent.query.need, &summaries.get(lane));
                self.bounds[lane] = most.score.min(corner);
                self.exact |= 1 << lane;
                continue;
            }
            self.left &= !(1 << lane);
            return descent.best.admits(&most).then_some(lane);
        }
    }
}
