//! Up to 64 hosts that stand next to each other in a ranking.

use berth_placement::Row;
use berth_placement::kernel::{Lanes, lane_of, set_lane, weighed, wide};

use crate::policy::Rank;
use crate::ranking::order::Order;
use crate::ranking::sorted::FANOUT;
use crate::ranking::summary::{Summarised, Summary, first_row, highest};

/// Hosts in no order.
#[derive(Clone)]
pub(crate) struct Leaf<const N: usize> {
    pub(crate) len: usize,
    pub(crate) rows: [Row; FANOUT],
    pub(crate) free: [Lanes; N],
}

impl<const N: usize> Leaf<N> {
    pub(crate) const NEW: Self =
        Self { len: 0, rows: [Row(0); FANOUT], free: [const { Lanes::splat(i32::MIN) }; N] };

    pub(crate) fn of(hosts: &[(Rank, [i32; N])]) -> Self {
        let mut leaf = Self::NEW;
        hosts.iter().for_each(|&(rank, free)| leaf.push(rank.row(), free));
        leaf
    }

    /// The lane of a row that is in the leaf.
    pub(crate) fn lane(&self, row: Row) -> usize {
        self.rows[..self.len].iter().position(|&r| r == row).expect("the leaf holds the row")
    }

    pub(crate) fn push(&mut self, row: Row, free: [i32; N]) {
        self.rows[self.len] = row;
        set_lane(&mut self.free, self.len, free);
        self.len += 1;
    }

    pub(crate) fn swap_remove(&mut self, lane: usize) {
        self.len -= 1;
        self.rows[lane] = self.rows[self.len];
        let last = lane_of(&self.free, self.len);
        set_lane(&mut self.free, lane, last);
        set_lane(&mut self.free, self.len, [i32::MIN; N]);
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = (Row, [i32; N])> {
        (0..self.len).map(|lane| (self.rows[lane], lane_of(&self.free, lane)))
    }

    pub(crate) fn summary(&self, order: &Order<N>) -> Summary<N> {
        let below = Ordered { leaf: self, order };
        Summary {
            largest: self.free.each_ref().map(berth_placement::kernel::largest),
            smallest: self.free.each_ref().map(berth_placement::kernel::smallest),
            highest: below.highest(),
            first_row: below.first_row(),
        }
    }
}

/// A leaf and the order it is part of.
pub(crate) struct Ordered<'a, const N: usize> {
    pub(crate) leaf: &'a Leaf<N>,
    pub(crate) order: &'a Order<N>,
}

impl<const N: usize> Summarised<N> for Ordered<'_, N> {
    fn largest(&self) -> &[Lanes; N] {
        &self.leaf.free
    }

    fn smallest(&self) -> &[Lanes; N] {
        &self.leaf.free
    }

    fn highest(&self) -> f64 {
        if self.leaf.len == 0 {
            return f64::NEG_INFINITY;
        }
        let Order::Linear(coefficients) = self.order else { return 0.0 };
        let mut sums = wide(
            #[inline(always)]
            || {
                let mut sums = [0.0; FANOUT];
                // The same steps as `Coefficients::sum`, for all lanes.
                for (coefficient, column) in coefficients.of_columns().iter().zip(&self.leaf.free) {
                    if *coefficient == 0.0 {
                        continue;
                    }
                    for (sum, &amount) in sums.iter_mut().zip(&column.0) {
                        *sum += coefficient * f64::from(weighed(amount));
                    }
                }
                sums
            },
        );
        sums[self.leaf.len..].fill(f64::NEG_INFINITY);
        highest(&sums)
    }

    fn first_row(&self) -> Row {
        first_row(&self.leaf.rows[..self.leaf.len])
    }
}
