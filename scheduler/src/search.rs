//! Exact searches by branch and bound over a [`Ranking`].
//!
//! A node is opened only if something below it can still win: by its bound, or, at an equal bound, by its lowest row.
//! Nodes are opened best first, so a search usually ends after one group and a few leaves.

use berth_placement::Row;
use berth_placement::kernel::{CLASSES, Lanes, NOT_ASKED, Term, fits, lane_of, wide};
use smallvec::SmallVec;

use crate::mask::{first_lanes, lanes};
use crate::objective::{Extremes, Goal, Weights};
use crate::order::{Coefficients, Order};
use crate::policy::Rank;
use crate::ranking::{FANOUT, Group, Leaf, Ranking};
use crate::summary::Summaries;

/// Bounds of up to this many lanes are computed one by one: more cost less all 64 at a time.
const FEW_LANES: u32 = 8;

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
        if self.hosts.len() < self.most {
            f64::NEG_INFINITY
        } else {
            self.hosts.last().map_or(f64::INFINITY, |h| h.score)
        }
    }

    /// Whether a host like this would be among them.
    #[inline]
    fn admits(&self, candidate: &Scored) -> bool {
        self.hosts.len() < self.most || self.hosts.last().is_some_and(|worst| candidate.beats(worst))
    }

    pub(crate) fn first(&self) -> Option<Row> {
        self.hosts.first().map(|host| host.row)
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
    bounds: Bounds,
    /// Whether it matters which of several hosts with the same score is found.
    rows_matter: bool,
}

impl<'a, A: FnMut(Row) -> bool> Query<'a, A> {
    fn new(need: [i32; CLASSES], acceptable: A, goal: &'a Goal, order: Order, rows_matter: bool) -> Self {
        Self { need, acceptable, goal, bounds: Bounds::new(need, goal, order), rows_matter }
    }

    #[inline]
    const fn scored(&self, score: f64, row: Row) -> Scored {
        Scored { score, row: if self.rows_matter { row } else { Row(0) } }
    }

    /// Adds the nodes of some lanes of `summaries`, each with the best host it could hold.
    #[inline]
    fn add_nodes(
        &self,
        nodes: &mut Nodes,
        lanes_wanted: u64,
        summaries: &Summaries,
        node: impl Fn(usize) -> (Rank, u32),
    ) {
        let mut scores = [0.0; FANOUT];
        for lane in lanes(lanes_wanted) {
            scores[lane as usize] = self.bounds.largest_sum(node(lane as usize).0);
        }
        if lanes_wanted.count_ones() > FEW_LANES {
            let smallest = summaries.smallest.each_ref().map(|lanes| &lanes.0);
            let largest = summaries.largest.each_ref().map(|lanes| &lanes.0);
            scores = wide(
                #[inline(always)]
                || self.bounds.of(smallest, largest, scores),
            );
        } else {
            for lane in lanes(lanes_wanted) {
                let lane = lane as usize;
                let one = |columns| lane_of(columns, lane).map(|amount| [amount]);
                let (smallest, largest) = (one(&summaries.smallest), one(&summaries.largest));
                [scores[lane]] = self.bounds.of(smallest.each_ref(), largest.each_ref(), [scores[lane]]);
            }
        }
        for lane in lanes(lanes_wanted) {
            let lane = lane as usize;
            let at_best = self.scored(scores[lane], summaries.first_row[lane]);
            nodes.push(Node { at_best, ranking: 0, number: node(lane).1 });
        }
    }
}

/// Bounds of the scores below nodes, 64 at a time.
///
/// With each class's amount taken times the sign of its multiplier, and the score's and the order's coefficients of it
/// `rate` and `cost` both positive, the highest score below a node is at most the largest `rate·z` with `z` within the
/// node's amounts and `cost·z` at most the node's largest sum. Classes with the most score per cost are filled up first: a
/// fractional knapsack of three items. Without a fitting order, only the amounts count.
struct Bounds {
    need: [i32; CLASSES],
    /// The classes, those with the most score per cost first.
    items: [Item; CLASSES],
    /// The score of hosts with nothing.
    constant: f64,
    terms: [Term; CLASSES],
    /// Whether the order's sums bound anything.
    ordered: bool,
}

#[derive(Clone, Copy)]
struct Item {
    class: usize,
    sign: f64,
    rate: f64,
    cost: f64,
}

impl Item {
    fn score_per_cost(&self) -> f64 {
        if self.cost == 0.0 { f64::INFINITY } else { self.rate / self.cost }
    }
}

impl Bounds {
    /// What every product of the knapsack is made larger by, relative to its largest factor: a few thousand times the
    /// rounding of a double, so that computing in another order than scores do never makes a bound too low.
    const SLACK: f64 = 1e-12;

    #[allow(clippy::cast_precision_loss)] // covered by SLACK
    fn new(need: [i32; CLASSES], goal: &Goal, order: Order) -> Self {
        let costs =
            if let Order::Linear(coefficients) = order { coefficients.of_classes() } else { [0; CLASSES] };
        let rates = goal.rates();
        let mut constant = goal.error();
        let mut items = [Item { class: 0, sign: 1.0, rate: 0.0, cost: 0.0 }; CLASSES];
        for (class, item) in items.iter_mut().enumerate() {
            let (rate, cost) = (rates[class], costs[class] as f64);
            let sign = if cost < 0.0 || (cost == 0.0 && rate < 0.0) { -1.0 } else { 1.0 };
            constant -= rate * goal.terms[class].low;
            constant += (rate * goal.terms[class].low).abs() * Self::SLACK;
            *item = Item { class, sign, rate: rate * sign, cost: cost * sign };
        }
        let ordered = items.iter().all(|item| item.rate >= 0.0) && items.iter().any(|item| item.cost > 0.0);
        items.sort_unstable_by(|one, other| other.score_per_cost().total_cmp(&one.score_per_cost()));
        Self { need, items, constant, terms: goal.terms, ordered }
    }

    /// The largest sum below a node whose hosts rank no lower than this.
    #[inline]
    #[allow(clippy::cast_precision_loss)] // covered by SLACK
    fn largest_sum(&self, lowest: Rank) -> f64 {
        if self.ordered {
            let sum = lowest.sum() as f64;
            sum + sum.abs() * Self::SLACK
        } else {
            f64::INFINITY
        }
    }

    /// No host below the node in a lane, with these amounts and sums, scores higher than this. Written in plain loops over
    /// lanes, for vector code.
    ///
    /// The least of two bounds. One is the score of the node's best corner: it is computed as scores are, step by step, and
    /// every step rounds monotonically, so it holds without slack and ties are told from better scores. The other is the
    /// knapsack.
    #[inline(always)]
    fn of<const LANES: usize>(
        &self,
        smallest: [&[i32; LANES]; CLASSES],
        largest: [&[i32; LANES]; CLASSES],
        mut left: [f64; LANES],
    ) -> [f64; LANES] {
        let mut knapsack = [self.constant; LANES];
        let (mut lows, mut highs) = ([[0.0; LANES]; CLASSES], [[0.0; LANES]; CLASSES]);
        for class in 0..CLASSES {
            let need = self.need[class];
            // Hosts without a class weigh as 0, and are in no summary; they are found only if it is not asked for.
            let (at_least, at_most) = if need == NOT_ASKED { (i32::MIN, 0) } else { (need, i32::MIN) };
            let cap = if need == NOT_ASKED { 0 } else { i32::MAX };
            for lane in 0..LANES {
                lows[class][lane] = f64::from(smallest[class][lane].max(at_least).min(cap));
                highs[class][lane] = f64::from(largest[class][lane].max(at_most));
            }
        }
        let mut corner = [0.0; LANES];
        for (class, term) in self.terms.iter().enumerate() {
            let amounts = if term.multiplier < 0.0 { &lows[class] } else { &highs[class] };
            if term.range != 0.0 {
                for lane in 0..LANES {
                    corner[lane] += term.multiplier * ((amounts[lane] - term.low) / term.range);
                }
            }
        }
        if !self.ordered {
            return corner;
        }
        for item in &self.items {
            let (low, high) = (&lows[item.class], &highs[item.class]);
            for lane in 0..LANES {
                let least = if item.sign > 0.0 { low[lane] } else { -high[lane] };
                let slack = (low[lane].abs() + high[lane].abs()) * Self::SLACK;
                left[lane] += item.cost * slack - item.cost * least;
                knapsack[lane] += item.rate * least + item.rate * slack;
            }
        }
        for item in &self.items {
            let (low, high) = (&lows[item.class], &highs[item.class]);
            let per_cost = 1.0 / item.cost;
            for lane in 0..LANES {
                let span = high[lane] - low[lane];
                let afforded = left[lane] * per_cost;
                let taken = if item.cost == 0.0 || afforded >= span { span } else { afforded };
                let taken = if taken > 0.0 { taken } else { 0.0 };
                left[lane] -= item.cost * taken;
                knapsack[lane] += item.rate * taken;
            }
        }
        for lane in 0..LANES {
            if knapsack[lane] < corner[lane] {
                corner[lane] = knapsack[lane];
            }
        }
        corner
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
        let mut query = Query::new(need, acceptable, &goal, self.order, true);
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
        let mut query = Query::new(need, acceptable, &goal, self.order, false);
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
        let promising =
            |free: &[Lanes; CLASSES], len| lanes(fits(free, need) & first_lanes(len)).map(|l| l as usize);
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

    /// The lowest rows that have `need` free and are acceptable.
    pub(crate) fn lowest_rows(
        &self,
        need: [i32; CLASSES],
        mut acceptable: impl FnMut(Row) -> bool,
        most: usize,
    ) -> Best {
        let at_row = |row| Scored { score: 0.0, row };
        let promising = |summaries: &Summaries, len| lanes(fits(&summaries.largest, need) & first_lanes(len));
        let mut best = Best::new(most);
        let mut groups = Nodes::new();
        for (number, ranking) in (0..).zip(&self.rankings) {
            for (first, top) in (0..).step_by(FANOUT).zip(&ranking.tops) {
                groups.extend(promising(top, ranking.groups.len() - first as usize).map(|lane| {
                    let at_best = at_row(top.first_row[lane as usize]);
                    Node { at_best, ranking: number, number: first + lane }
                }));
            }
        }
        while let Some(group) = take_most_promising(&mut groups, &best) {
            let ranking = self.rankings[group.ranking as usize];
            let group = &ranking.groups[group.number as usize];
            let mut leaves = Nodes::new();
            for lane in promising(&group.summaries, group.len).map(|lane| lane as usize) {
                let at_best = at_row(group.summaries.first_row[lane]);
                if best.admits(&at_best) {
                    leaves.push(Node { at_best, ranking: 0, number: group.leaves[lane] });
                }
            }
            while let Some(leaf) = take_most_promising(&mut leaves, &best) {
                let leaf = &ranking.leaves[leaf.number as usize];
                for lane in lanes(fits(&leaf.free, need) & first_lanes(leaf.len)) {
                    let candidate = at_row(leaf.rows[lane as usize]);
                    if best.admits(&candidate) && acceptable(candidate.row) {
                        best.offer(candidate);
                    }
                }
            }
        }
        best
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
            let mut leaves = open_group(&ranking.groups[group.number as usize], query);
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
                let promising = fits(&top.largest, query.need) & first_lanes(groups.len());
                let from = nodes.len();
                query.add_nodes(&mut nodes, promising, top, |lane| {
                    (groups[lane].lowest[0], first + lane as u32)
                });
                nodes[from..].iter_mut().for_each(|node| node.ranking = number);
            }
        }
        nodes
    }
}

#[inline]
fn open_group<A: FnMut(Row) -> bool>(group: &Group, query: &Query<'_, A>) -> Nodes {
    let mut nodes = Nodes::new();
    let promising = fits(&group.summaries.largest, query.need) & first_lanes(group.len);
    query.add_nodes(&mut nodes, promising, &group.summaries, |lane| (group.lowest[lane], group.leaves[lane]));
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
