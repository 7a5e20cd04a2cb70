//! Up to 64 leaves that stand next to each other in a ranking.

use crate::policy::Rank;
use crate::ranking::sorted::FANOUT;
use crate::ranking::summary::{Summaries, Summary};

/// Leaves in order of rank, with the lowest rank that belongs to each and a summary of each.
#[derive(Clone)]
pub(crate) struct Group<const N: usize> {
    pub(crate) len: usize,
    pub(crate) lowest: [Rank; FANOUT],
    pub(crate) leaves: [u32; FANOUT],
    pub(crate) summaries: Summaries<N>,
}

impl<const N: usize> Group<N> {
    pub(crate) const NEW: Self =
        Self { len: 0, lowest: [Rank::LOWEST; FANOUT], leaves: [0; FANOUT], summaries: Summaries::EMPTY };

    pub(crate) fn insert(&mut self, at: usize, lowest: Rank, leaf: u32, summary: Summary<N>) {
        self.lowest.copy_within(at..self.len, at + 1);
        self.leaves.copy_within(at..self.len, at + 1);
        self.summaries.make_gap(at, self.len);
        self.len += 1;
        self.lowest[at] = lowest;
        self.leaves[at] = leaf;
        self.summaries.set(at, summary);
    }

    /// Removes a leaf that is not the first; its neighbour before it takes over its range.
    pub(crate) fn remove(&mut self, at: usize) -> u32 {
        let leaf = self.leaves[at];
        self.lowest.copy_within(at + 1..self.len, at);
        self.leaves.copy_within(at + 1..self.len, at);
        self.summaries.close_gap(at, self.len);
        self.len -= 1;
        leaf
    }

    /// Moves the upper half of a full group into one of its own.
    pub(crate) fn split(&mut self) -> Self {
        let mut upper = Self::NEW;
        for at in FANOUT / 2..FANOUT {
            upper.insert(upper.len, self.lowest[at], self.leaves[at], self.summaries.get(at));
            self.summaries.set(at, Summary::NOTHING);
        }
        self.len = FANOUT / 2;
        upper
    }

    /// The leaf whose range a rank belongs to.
    pub(crate) fn leaf_for(&self, rank: Rank) -> usize {
        self.lowest[..self.len].partition_point(|&lowest| lowest <= rank) - 1
    }
}
