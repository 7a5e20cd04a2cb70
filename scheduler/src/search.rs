//! Exact searches by branch and bound over a [`Ranking`].
//!
//! A node is opened only if something below it can still win: by its bound, or, at an equal bound, by its lowest row.
//! Nodes are opened best first, so a search usually ends after one group and a few leaves.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, NOT_ASKED, fits, lane_of};
use smallvec::SmallVec;

use crate::mask::{first_lanes, lanes};
use crate::objective::{Extremes, Goal, Weights};
use crate::ranking::{FANOUT, Ranking};
use crate::summary::{Summaries, Summary};

/// A host and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) score: f64,
    pub(crate) row: Row,
}

impl Scored {
    #[inline]
    fn beats(&self, other: &Self) -> bool {
        self.score > other.score || (self.score == other.score && self.row < other.row)
    }
}

/// The best hosts so far, best first, at most `most`.
pub(crate) struct Best {
    most: usize,
    hosts: SmallVec<[Scored; 4]>,
}

impl Best {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, hosts: SmallVec::new() }
    }

    /// Whether a host like this would be among them.
    #[inline]
    fn admits(&self, candidate: &Scored) -> bool {
        self.hosts.len() < self.most || self.hosts.last().is_some_and(|worst| candidate.beats(worst))
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.hosts.into_iter().map(|host| host.row).collect()
    }

    #[inline]
    pub(crate) fn offer(&mut self, candidate: Scored) {
        if self.admits(&candidate) {
            let at = self.hosts.partition_point(|host| host.beats(&candidate));
            self.hosts.insert(at, candidate);
            self.hosts.truncate(self.most);
        }
    }
}

/// A node that may hold a better host: its bound and the lowest row below it, as the best host it could hold.
#[derive(Clone, Copy)]
struct Node {
    at_best: Scored,
    number: usize,
}

type Nodes = SmallVec<[Node; FANOUT]>;

/// Takes the most promising node, if `best` admits what it could hold.
#[inline]
fn take_most_promising(nodes: &mut Nodes, best: &Best) -> Option<usize> {
    let first = nodes.first()?;
    let (mut most, mut at) = (first.at_best, 0);
    for (i, node) in nodes.iter().enumerate().skip(1) {
        if node.at_best.beats(&most) {
            (most, at) = (node.at_best, i);
        }
    }
    best.admits(&most).then(|| nodes.swap_remove(at).number)
}

/// What a search asks of hosts, and how it compares them.
struct Query<'a, A> {
    need: [i32; CLASSES],
    acceptable: A,
    goal: &'a Goal,
}

impl<A: FnMut(Row) -> bool> Query<'_, A> {
    /// The node in a lane of `summaries`, with the best host it could hold.
    #[inline]
    fn node(&self, summaries: &Summaries, lane: usize, number: usize) -> Node {
        let Summary { largest: mut high, smallest: mut low, first_row: row } = summaries.get(lane);
        for class in 0..CLASSES {
            if self.need[class] == NOT_ASKED {
                // Hosts without the class weigh as 0, and are in no summary.
                low[class] = low[class].min(0);
                high[class] = high[class].max(0);
            } else {
                low[class] = low[class].max(self.need[class]);
            }
        }
        Node { at_best: Scored { score: self.goal.bound(low, high), row }, number }
    }
}

impl Ranking {
    /// The hosts with the highest scores that have `need` free and are acceptable, best first.
    pub(crate) fn highest(
        &self,
        need: [i32; CLASSES],
        weights: Weights,
        mut acceptable: impl FnMut(Row) -> bool,
        most: usize,
    ) -> Best {
        let Some(extremes) = self.extremes(need, &mut acceptable) else { return Best::new(most) };
        let goal = Goal::new(weights, extremes);
        self.maximise(&mut Query { need, acceptable, goal: &goal }, most)
    }

    /// The smallest and largest free amounts of the hosts that have `need` free and are acceptable; `None` without any.
    fn extremes(&self, need: [i32; CLASSES], mut acceptable: impl FnMut(Row) -> bool) -> Option<Extremes> {
        let mut extremes = Extremes::NONE;
        for class in 0..CLASSES {
            extremes.high[class] = self.extreme(need, class, 1.0, &mut acceptable)?;
            if need[class] == NOT_ASKED {
                // Of a class that is asked for, every host that satisfies the request has more than 0.
                extremes.low[class] = self.extreme(need, class, -1.0, &mut acceptable)?.min(0);
            }
        }
        Some(extremes)
    }

    /// The largest (`sign` 1) or smallest (−1) free amount of one class.
    #[allow(clippy::cast_possible_truncation)] // a score made of one whole number
    fn extreme(
        &self,
        need: [i32; CLASSES],
        class: usize,
        sign: f64,
        acceptable: impl FnMut(Row) -> bool,
    ) -> Option<i32> {
        let goal = Goal::of_one(class, sign);
        let best = self.maximise(&mut Query { need, acceptable, goal: &goal }, 1);
        best.hosts.first().map(|host| (host.score * sign) as i32)
    }

    fn maximise<A: FnMut(Row) -> bool>(&self, query: &mut Query<'_, A>, most: usize) -> Best {
        let mut best = Best::new(most);
        let mut groups = self.promising_groups(query);
        while let Some(group) = take_most_promising(&mut groups, &best) {
            let mut leaves = self.open_group(group, query);
            while let Some(leaf) = take_most_promising(&mut leaves, &best) {
                let leaf = &self.leaves[leaf];
                for lane in lanes(fits(&leaf.free, query.need) & first_lanes(leaf.len)) {
                    let row = leaf.rows[lane as usize];
                    let candidate =
                        Scored { score: query.goal.score(lane_of(&leaf.free, lane as usize)), row };
                    if best.admits(&candidate) && (query.acceptable)(row) {
                        best.offer(candidate);
                    }
                }
            }
        }
        best
    }

    #[inline]
    fn promising_groups<A: FnMut(Row) -> bool>(&self, query: &Query<'_, A>) -> Nodes {
        let mut nodes = Nodes::new();
        for (first, top) in (0..self.groups.len()).step_by(FANOUT).zip(&self.tops) {
            for lane in lanes(fits(&top.largest, query.need) & first_lanes(self.groups.len() - first)) {
                nodes.push(query.node(top, lane as usize, first + lane as usize));
            }
        }
        nodes
    }

    #[inline]
    fn open_group<A: FnMut(Row) -> bool>(&self, group: usize, query: &Query<'_, A>) -> Nodes {
        let group = &self.groups[group];
        let mut nodes = Nodes::new();
        for lane in lanes(fits(&group.summaries.largest, query.need) & first_lanes(group.len)) {
            nodes.push(query.node(&group.summaries, lane as usize, group.leaves[lane as usize] as usize));
        }
        nodes
    }
}
