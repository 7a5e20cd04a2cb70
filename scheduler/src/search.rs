//! Exact searches by branch and bound over a [`Ranking`].
//!
//! A node is opened only if something below it can still win: by its bound, or, at an equal bound, by its lowest row.
//! Nodes are opened best first, so a search usually ends after one group and a few leaves.

use berth_placement::{HostFree, Row};
use berth_placement::kernel::{CLASSES, Lanes, NOT_ASKED, fits, lane_of};
use smallvec::SmallVec;

use crate::mask::{first_lanes, lanes};
use crate::objective::{Extremes, Goal, Weights};
use crate::order::{Coefficients, Order};
use crate::policy::Rank;
use crate::ranking::{FANOUT, Group, Leaf, Ranking};
use crate::summary::Summary;

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

    /// The score below which no host would be among them.
    #[inline]
    fn bar(&self) -> f64 {
        if self.hosts.len() < self.most { f64::NEG_INFINITY } else { self.hosts.last().map_or(f64::INFINITY, |h| h.score) }
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
    /// The ranking it is in.
    ranking: u32,
    /// Its number there.
    number: u32,
}

type Nodes = SmallVec<[Node; FANOUT]>;

/// Takes the most promising node, if `best` admits what it could hold.
#[inline]
fn take_most_promising(nodes: &mut Nodes, best: &Best) -> Option<Node> {
    let first = nodes.first()?;
    let (mut most, mut at) = (first.at_best, 0);
    for (i, node) in nodes.iter().enumerate().skip(1) {
        if node.at_best.beats(&most) {
            (most, at) = (node.at_best, i);
        }
    }
    best.admits(&most).then(|| nodes.swap_remove(at))
}

/// What a search asks of hosts, and how it compares them.
struct Query<'a, A> {
    need: [i32; CLASSES],
    acceptable: A,
    goal: &'a Goal,
    budget: Option<Budget>,
    /// Whether it matters which of several hosts with the same score is found.
    rows_matter: bool,
}

/// How a node's place in a linear order bounds the scores below it.
///
/// With each class's amount taken times the sign of its multiplier, and the score's and the order's coefficients of it
/// `w` and `a` both positive, the highest score below a node is at most the largest `w·z` with `z` within the node's
/// amounts and `a·z` at most the node's largest sum. Classes with the most score per unit of sum are filled up first: a
/// fractional knapsack of three items.
struct Budget {
    /// Sign, `w`, and `a` of the classes, those with the highest `w / a` first.
    items: [Item; CLASSES],
    /// What the score has besides the amounts.
    constant: f64,
}

#[derive(Clone, Copy)]
struct Item {
    class: usize,
    sign: f64,
    score: f64,
    cost: f64,
}

impl Budget {
    /// Sums and bounds are computed in another order than scores; this covers the rounding of both many times over.
    const SLACK: f64 = 1e-9;

    /// `None` when the order does not go with the goal.
    #[allow(clippy::cast_precision_loss)] // covered by SLACK
    fn new(goal: &Goal, order: Order) -> Option<Self> {
        let Order::Linear(coefficients) = order else { return None };
        let mut constant = 0.0;
        let mut items = [Item { class: 0, sign: 1.0, score: 0.0, cost: 0.0 }; CLASSES];
        for (class, item) in items.iter_mut().enumerate() {
            let (term, coefficient) = (goal.terms[class], coefficients.of_classes()[class] as f64);
            let score = if term.range == 0.0 { 0.0 } else { term.multiplier / term.range };
            if score * coefficient < 0.0 {
                return None;
            }
            let sign = if coefficient < 0.0 { -1.0 } else { 1.0 };
            constant -= score * term.low;
            *item = Item { class, sign, score: score * sign, cost: coefficient * sign };
        }
        items.sort_unstable_by(|one, other| (other.score * one.cost).total_cmp(&(one.score * other.cost)));
        Some(Self { items, constant })
    }

    /// No host with amounts from `low` to `high` and a sum of at most `sum` scores higher.
    #[inline]
    #[allow(clippy::cast_precision_loss)] // covered by SLACK
    fn bound(&self, low: HostFree, high: HostFree, sum: i64) -> f64 {
        let (mut left, mut score, mut size) = (sum as f64, self.constant, self.constant.abs());
        for item in &self.items {
            let at_least = if item.sign > 0.0 { low[item.class] } else { high[item.class] };
            let least = f64::from(at_least) * item.sign;
            left -= item.cost * least;
            score += item.score * least;
            size += (item.score * least).abs();
        }
        left += (sum as f64).abs() * Self::SLACK;
        for item in &self.items {
            let span = f64::from(high[item.class]) - f64::from(low[item.class]);
            let taken = if item.cost * span <= left { span } else { (left / item.cost).max(0.0) };
            left -= item.cost * taken;
            score += item.score * taken;
            size += item.score * taken;
        }
        score + size * Self::SLACK
    }
}

impl<A: FnMut(Row) -> bool> Query<'_, A> {
    #[inline]
    const fn scored(&self, score: f64, row: Row) -> Scored {
        Scored { score, row: if self.rows_matter { row } else { Row(0) } }
    }

    /// A node with the best host it could hold.
    #[inline]
    fn node(&self, summary: Summary, lowest: Rank, ranking: u32, number: u32) -> Node {
        let Summary { largest: mut high, smallest: mut low, first_row: row } = summary;
        for class in 0..CLASSES {
            if self.need[class] == NOT_ASKED {
                // Hosts without the class weigh as 0, and are in no summary.
                low[class] = low[class].min(0);
                high[class] = high[class].max(0);
            } else {
                low[class] = low[class].max(self.need[class]);
            }
        }
        let corner = self.goal.bound(low, high);
        let score = match &self.budget {
            None => corner,
            Some(budget) => budget.bound(low, high, lowest.sum()).min(corner),
        };
        Node { at_best: self.scored(score, row), ranking, number }
    }
}

/// What a weighted search found, and what it took.
pub(crate) struct Found {
    pub(crate) best: Best,
    /// The order in which this search would have been shortest.
    pub(crate) ideal: Option<Order>,
    /// Leaves opened.
    pub(crate) effort: usize,
}

/// Rankings that are searched as one. All are in the same order.
pub(crate) struct Joint<'a> {
    pub(crate) rankings: SmallVec<[&'a Ranking; 16]>,
    pub(crate) order: Order,
}

impl Joint<'_> {
    /// The hosts with the highest scores that have `need` free and are acceptable, best first.
    pub(crate) fn highest(
        &self,
        need: [i32; CLASSES],
        weights: Weights,
        mut acceptable: impl FnMut(Row) -> bool,
        most: usize,
    ) -> Found {
        let mut effort = 0;
        let Some(extremes) = self.extremes(need, &mut acceptable, &mut effort) else {
            return Found { best: Best::new(most), ideal: None, effort };
        };
        let goal = Goal::new(weights, extremes);
        let budget = Budget::new(&goal, self.order);
        let mut query = Query { need, acceptable, goal: &goal, budget, rows_matter: true };
        let best = self.maximise(&mut query, most, &mut effort);
        Found { best, ideal: Some(Order::Linear(Coefficients::of(&goal))), effort }
    }

    /// The smallest and largest free amounts of the hosts that have `need` free and are acceptable; `None` without any.
    fn extremes(
        &self,
        need: [i32; CLASSES],
        mut acceptable: impl FnMut(Row) -> bool,
        effort: &mut usize,
    ) -> Option<Extremes> {
        let mut extremes = Extremes::NONE;
        for class in 0..CLASSES {
            extremes.high[class] = self.largest(need, class, &mut acceptable, effort)?;
            if need[class] == NOT_ASKED {
                // Of a class that is asked for, every host that satisfies the request has more than 0.
                extremes.low[class] = self.extreme(need, class, -1.0, &mut acceptable, effort)?.min(0);
            }
        }
        Some(extremes)
    }

    fn largest(
        &self,
        need: [i32; CLASSES],
        class: usize,
        mut acceptable: impl FnMut(Row) -> bool,
        effort: &mut usize,
    ) -> Option<i32> {
        if need[class] != NOT_ASKED {
            *effort += 1;
            if let Some(largest) = self.largest_at_once(need, class, &mut acceptable) {
                return Some(largest);
            }
        }
        self.extreme(need, class, 1.0, acceptable, effort)
    }

    /// The largest (`sign` 1) or smallest (−1) free amount of one class.
    #[allow(clippy::cast_possible_truncation)] // a score made of one whole number
    fn extreme(
        &self,
        need: [i32; CLASSES],
        class: usize,
        sign: f64,
        acceptable: impl FnMut(Row) -> bool,
        effort: &mut usize,
    ) -> Option<i32> {
        let goal = Goal::of_one(class, sign);
        let mut query = Query { need, acceptable, goal: &goal, budget: None, rows_matter: false };
        let best = self.maximise(&mut query, 1, effort);
        best.hosts.first().map(|host| (host.score * sign) as i32)
    }

    /// The largest free amount of one class, if a host that satisfies the request is the first place to look.
    #[inline]
    fn largest_at_once(
        &self,
        need: [i32; CLASSES],
        class: usize,
        mut acceptable: impl FnMut(Row) -> bool,
    ) -> Option<i32> {
        let promising = |free: &[Lanes; CLASSES], len| lanes(fits(free, need) & first_lanes(len)).map(|l| l as usize);
        let mut most = (i32::MIN, None);
        for ranking in &self.rankings {
            for (first, top) in (0..ranking.groups.len()).step_by(FANOUT).zip(&ranking.tops) {
                for lane in promising(&top.largest, ranking.groups.len() - first) {
                    let amount = top.largest[class].0[lane];
                    if amount > most.0 {
                        most = (amount, Some((ranking, first + lane)));
                    }
                }
            }
        }
        let (ranking, group) = most.1?;
        let group = &ranking.groups[group];
        let leaves = promising(&group.summaries.largest, group.len);
        let (amount, leaf) = leaves.map(|l| (group.summaries.largest[class].0[l], group.leaves[l])).max()?;
        let leaf = &ranking.leaves[leaf as usize];
        // The class's largest amount may be on a host that is short of another class; then it is no bound that is met.
        let mut holders = promising(&leaf.free, leaf.len).filter(|&l| leaf.free[class].0[l] == most.0);
        (amount == most.0 && holders.any(|l| acceptable(leaf.rows[l]))).then_some(amount)
    }

    fn maximise<A: FnMut(Row) -> bool>(
        &self,
        query: &mut Query<'_, A>,
        most: usize,
        effort: &mut usize,
    ) -> Best {
        let mut best = Best::new(most);
        let error = query.goal.error();
        let mut groups = self.promising_groups(query);
        while let Some(group) = take_most_promising(&mut groups, &best) {
            let ranking = self.rankings[group.ranking as usize];
            let mut leaves = open_group(&ranking.groups[group.number as usize], group.ranking, query);
            while let Some(leaf) = take_most_promising(&mut leaves, &best) {
                *effort += 1;
                open_leaf(&ranking.leaves[leaf.number as usize], query, error, &mut best);
            }
        }
        best
    }

    #[inline]
    fn promising_groups<A: FnMut(Row) -> bool>(&self, query: &Query<'_, A>) -> Nodes {
        let mut nodes = Nodes::new();
        for (number, ranking) in (0..).zip(&self.rankings) {
            for (first, top) in (0..).step_by(FANOUT).zip(&ranking.tops) {
                let groups = &ranking.groups[first as usize..];
                for lane in lanes(fits(&top.largest, query.need) & first_lanes(groups.len())) {
                    let lowest = groups[lane as usize].lowest[0];
                    nodes.push(query.node(top.get(lane as usize), lowest, number, first + lane));
                }
            }
        }
        nodes
    }
}

#[inline]
fn open_group<A: FnMut(Row) -> bool>(group: &Group, ranking: u32, query: &Query<'_, A>) -> Nodes {
    let mut nodes = Nodes::new();
    for lane in lanes(fits(&group.summaries.largest, query.need) & first_lanes(group.len)) {
        let lane = lane as usize;
        nodes.push(query.node(group.summaries.get(lane), group.lowest[lane], ranking, group.leaves[lane]));
    }
    nodes
}

#[inline]
fn open_leaf<A: FnMut(Row) -> bool>(leaf: &Leaf, query: &mut Query<'_, A>, error: f64, best: &mut Best) {
    let mut bar = best.bar() - error;
    for lane in lanes(fits(&leaf.free, query.need) & first_lanes(leaf.len)) {
        let free = lane_of(&leaf.free, lane as usize);
        if query.goal.estimate(free) < bar {
            continue;
        }
        let row = leaf.rows[lane as usize];
        let candidate = query.scored(query.goal.score(free), row);
        if best.admits(&candidate) && (query.acceptable)(row) {
            best.offer(candidate);
            bar = best.bar() - error;
        }
    }
}
