//! How high the hosts below a node can score at most.

use berth_placement::kernel::{CLASSES, NOT_ASKED, wide};
use smallvec::SmallVec;

use crate::policy::objective::{Extremes, Goal};
use crate::ranking::order::Order;
use crate::ranking::sorted::FANOUT;
use crate::ranking::spans::Spans;
use crate::ranking::summary::{Summaries, Summary};

/// Nodes whose bounds are computed at a time.
const STEP: usize = 8;

/// Bounds of the scores below nodes.
///
/// With each column's amount taken times the sign of its multiplier, and the score's and the
/// order's coefficients of it `rate` and `cost` both positive, the highest score below a node is at
/// most the largest `rate·z` with `z` within the node's amounts and `cost·z` at most the node's
/// highest sum. Columns with the most score per cost are filled up first: a fractional knapsack of
/// a few items. Where the order's sums say nothing of a column, its best amount counts.
pub(crate) struct Bounds {
    /// Columns whose best amount counts.
    free: SmallVec<[Item; 4]>,
    /// Columns that the sums bound, those with the most score per cost first.
    bounded: SmallVec<[Item; 4]>,
    /// More than the rounding of all steps.
    error: f64,
    /// More than the rounding of a sum.
    slack: f64,
}

/// A column that counts.
#[derive(Clone, Copy)]
struct Item {
    column: usize,
    sign: f64,
    rate: f64,
    cost: f64,
    /// The signed amount that counts 0.
    origin: f64,
    /// The amounts of hosts that satisfy the request are within these.
    least: i32,
    most: i32,
    /// Amounts that every node is taken to have: 0 for hosts without the class, which summaries
    /// leave out, or none.
    lacking: (i32, i32),
}

impl Item {
    const NONE_LACKS: (i32, i32) = (i32::MAX, i32::MIN);
    const SOME_LACK: (i32, i32) = (0, 0);

    fn score_per_cost(&self) -> f64 {
        self.rate / self.cost
    }

    /// Amounts below a few nodes times the sign: the least, and how much more the most is.
    #[inline(always)]
    fn ranges<const N: usize>(&self, summaries: &Summaries<N>, first: usize) -> [[f64; STEP]; 2] {
        let smallest: &[i32; STEP] =
            summaries.smallest[self.column].0[first..].first_chunk().expect("a step");
        let largest: &[i32; STEP] = summaries.largest[self.column].0[first..].first_chunk().expect("a step");
        let (mut low, mut high) = ([0.0; STEP], [0.0; STEP]);
        for lane in 0..STEP {
            low[lane] = f64::from(smallest[lane].min(self.lacking.0).max(self.least).min(self.most));
            high[lane] = f64::from(largest[lane].max(self.lacking.1).max(self.least).min(self.most));
        }
        let mut span = [0.0; STEP];
        for lane in 0..STEP {
            span[lane] = high[lane] - low[lane];
        }
        [if self.sign > 0.0 { low } else { high.map(|high| -high) }, span]
    }
}

impl Bounds {
    pub(crate) fn new<const N: usize>(
        need: [i32; CLASSES],
        goal: &Goal<N>,
        extremes: &Extremes<N>,
        order: &Order<N>,
        spans: &Spans<N>,
    ) -> Self {
        let costs =
            if let Order::Linear(coefficients) = order { *coefficients.of_columns() } else { [0.0; N] };
        let mut items = SmallVec::<[Item; 4]>::new();
        for column in 0..N {
            let (rate, cost) = (goal.rates()[column], costs[column]);
            if rate == 0.0 && cost == 0.0 {
                continue;
            }
            let asked = need.get(column).is_some_and(|&need| need != NOT_ASKED);
            let sign = if cost < 0.0 || (cost == 0.0 && rate < 0.0) { -1.0 } else { 1.0 };
            let (least, most) = if rate == 0.0 {
                (if asked { need[column] } else { i32::MIN }, i32::MAX) // its extremes are not known
            } else {
                (extremes.low[column].max(if asked { need[column] } else { i32::MIN }), extremes.high[column])
            };
            let origin = if rate == 0.0 { 0.0 } else { sign * goal.terms[column].low };
            let lacking = if column < CLASSES && !asked { Item::SOME_LACK } else { Item::NONE_LACKS };
            let (rate, cost) = (rate * sign, cost * sign);
            items.push(Item { column, sign, rate, cost, origin, least, most, lacking });
        }
        // Where one more unit is worth less to the score but more to the order, a sum bounds
        // nothing.
        let agrees = items.iter().all(|item| item.rate >= 0.0);
        let (mut bounded, free): (SmallVec<[Item; 4]>, SmallVec<[Item; 4]>) =
            items.into_iter().partition(|item| agrees && item.cost > 0.0);
        bounded.sort_unstable_by(|one, other| other.score_per_cost().total_cmp(&one.score_per_cost()));
        // What rounding can make of a sum, a few hundred times over. No more: where one column
        // costs much more than another, it would hide what the other can add.
        let magnitude = |item: &Item| item.cost * f64::from(spans.magnitude(item.column));
        let slack = bounded.iter().map(magnitude).sum::<f64>() * 1e-13;
        Self { free, bounded, error: goal.error(), slack }
    }

    /// No host below the node in a lane scores higher than this; of other lanes than `wanted`,
    /// nothing is said.
    #[inline]
    pub(crate) fn of<const N: usize>(&self, summaries: &Summaries<N>, wanted: u64) -> [f64; FANOUT] {
        let mut bounds = [f64::NEG_INFINITY; FANOUT];
        for (step, bounds) in bounds.chunks_exact_mut(STEP).enumerate() {
            let first = step * STEP;
            if wanted >> first & ((1 << STEP) - 1) != 0 {
                bounds.copy_from_slice(&wide(
                    #[inline(always)]
                    || self.compute(summaries, first),
                ));
            }
        }
        bounds
    }

    /// The score of the node's best corner, computed as scores are: every step rounds
    /// monotonically, so it holds without an error, and distinguishes ties from better scores.
    pub(crate) fn corner<const N: usize>(goal: &Goal<N>, need: [i32; CLASSES], summary: &Summary<N>) -> f64 {
        goal.score(|column| {
            let need = need.get(column).copied();
            let upwards = goal.terms[column].multiplier >= 0.0;
            match (upwards, need) {
                // Summaries leave out hosts without the class; they weigh as 0.
                (true, Some(NOT_ASKED)) => summary.largest[column].max(0),
                (false, Some(NOT_ASKED)) => summary.smallest[column].min(0),
                (true, _) => summary.largest[column],
                (false, need) => summary.smallest[column].max(need.unwrap_or(i32::MIN)),
            }
        })
    }

    /// Bounds of a few nodes, in plain loops over lanes, for vector code.
    #[inline(always)]
    fn compute<const N: usize>(&self, summaries: &Summaries<N>, first: usize) -> [f64; STEP] {
        let mut bound = [self.error; STEP];
        for item in &self.free {
            let [least, span] = item.ranges(summaries, first);
            let share = if item.rate < 0.0 { 0.0 } else { 1.0 };
            for lane in 0..STEP {
                bound[lane] += item.rate * (least[lane] + share * span[lane] - item.origin);
            }
        }
        let mut left: [f64; STEP] = *summaries.highest[first..].first_chunk().expect("a step");
        let mut spans = [[0.0; STEP]; N];
        for (item, kept) in self.bounded.iter().zip(&mut spans) {
            let [least, span] = item.ranges(summaries, first);
            for lane in 0..STEP {
                left[lane] -= item.cost * least[lane];
                bound[lane] += item.rate * (least[lane] - item.origin);
            }
            *kept = span;
        }
        left.iter_mut().for_each(|left| *left += self.slack);
        for (item, span) in self.bounded.iter().zip(&spans) {
            let per_cost = 1.0 / item.cost;
            for lane in 0..STEP {
                let taken = (left[lane] * per_cost).min(span[lane]).max(0.0);
                left[lane] -= item.cost * taken;
                bound[lane] += item.rate * taken;
            }
        }
        bound
    }
}
