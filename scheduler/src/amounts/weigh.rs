//! The weigh pass: a rank or a score for every host that is left.

use berth_placement::View;
use berth_placement::kernel::{CLASSES, lane_of, range, reach, scores};

use crate::mask::{lanes, row_at};
use crate::policy::objective::{Extremes, Goal};
use crate::policy::{Policy, Rank};
use crate::ranking::best::{Best, Scored};

/// The hosts of some blocks that passed every filter.
pub(crate) struct Survivors<'a> {
    pub(crate) view: &'a View,
    /// The first block.
    pub(crate) first: usize,
    /// The hosts, a word for each block.
    pub(crate) words: Vec<u64>,
}

impl Survivors<'_> {
    /// Their ranks, in order of row.
    pub(crate) fn ranks(&self, policy: Policy) -> Vec<Rank> {
        let of_block = |(number, word): (usize, u64)| {
            let block = &self.view.blocks()[number];
            lanes(word).map(move |lane| policy.rank(lane_of(block, lane as usize), row_at(number, lane)))
        };
        self.blocks().flat_map(of_block).collect()
    }

    /// The smallest and largest amounts among them.
    pub(crate) fn extremes(&self) -> Extremes<CLASSES> {
        let mut extremes = Extremes::NONE;
        for (number, word) in self.blocks() {
            for (column, values) in self.view.blocks()[number].iter().enumerate() {
                extremes.widen(column, range(values, word));
            }
        }
        extremes
    }

    /// The `most` highest scores.
    pub(crate) fn highest(&self, goal: &Goal<CLASSES>, most: usize) -> Best {
        let mut best = Best::new(most);
        let mut column = [0.0; 64];
        for (number, word) in self.blocks() {
            scores(&self.view.blocks()[number], &goal.terms, &mut column);
            for lane in lanes(word & reach(&column, best.bar())) {
                best.offer(Scored { score: column[lane as usize], row: row_at(number, lane) });
            }
        }
        best
    }

    /// The blocks that hold some of them.
    fn blocks(&self) -> impl Iterator<Item = (usize, u64)> {
        (self.first..).zip(self.words.iter().copied()).filter(|&(_, word)| word != 0)
    }
}
