//! Summaries of 64 nodes: what the best host below each could be.

use berth_placement::Row;
use berth_placement::kernel::{
    Lanes, lane_of, largest, set_lane, smallest, summarise, summarise_smallest, wide,
};

/// The hosts below one node, summarized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary<const N: usize> {
    /// Largest amount of each column.
    pub(crate) largest: [i32; N],
    /// Smallest amount of each column, leaving out hosts without the class.
    pub(crate) smallest: [i32; N],
    /// Highest sum of a linear order.
    pub(crate) highest: f64,
    /// Lowest row.
    pub(crate) first_row: Row,
}

impl<const N: usize> Summary<N> {
    /// Of a node without hosts.
    pub(crate) const NOTHING: Self = Self {
        largest: [i32::MIN; N],
        smallest: [i32::MAX; N],
        highest: f64::NEG_INFINITY,
        first_row: NO_ROW,
    };

    /// Of the hosts below both.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            largest: std::array::from_fn(|column| self.largest[column].max(other.largest[column])),
            smallest: std::array::from_fn(|column| self.smallest[column].min(other.smallest[column])),
            highest: self.highest.max(other.highest),
            first_row: self.first_row.min(other.first_row),
        }
    }
}

/// The lowest of no rows.
const NO_ROW: Row = Row(u32::MAX);

/// The parts of summaries that searches need, and that are therefore maintained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Largest amounts.
    Largest,
    /// Lowest rows too.
    Rows,
    /// Everything.
    All,
}

/// The summaries of 64 nodes, in columns.
#[derive(Clone)]
pub(crate) struct Summaries<const N: usize> {
    pub(crate) largest: [Lanes; N],
    pub(crate) smallest: [Lanes; N],
    pub(crate) highest: [f64; 64],
    pub(crate) first_row: [Row; 64],
}

impl<const N: usize> Summaries<N> {
    pub(crate) const EMPTY: Self = Self {
        largest: [const { Lanes::splat(i32::MIN) }; N],
        smallest: [const { Lanes::splat(i32::MAX) }; N],
        highest: [f64::NEG_INFINITY; 64],
        first_row: [NO_ROW; 64],
    };

    #[inline]
    pub(crate) fn get(&self, lane: usize) -> Summary<N> {
        Summary {
            largest: lane_of(&self.largest, lane),
            smallest: lane_of(&self.smallest, lane),
            highest: self.highest[lane],
            first_row: self.first_row[lane],
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, lane: usize, summary: Summary<N>) {
        set_lane(&mut self.largest, lane, summary.largest);
        set_lane(&mut self.smallest, lane, summary.smallest);
        self.highest[lane] = summary.highest;
        self.first_row[lane] = summary.first_row;
    }

    /// Brings a lane up to date after something of the node `below` went from `old` to `new`;
    /// whether that changed it.
    #[inline]
    pub(crate) fn follow(
        &mut self,
        lane: usize,
        below: &impl Summarised<N>,
        old: &Summary<N>,
        new: &Summary<N>,
        kept: Kept,
    ) -> bool {
        let before = self.get(lane);
        summarise(&mut self.largest, lane, below.largest(), old.largest, new.largest);
        if kept != Kept::Largest {
            let first = &mut self.first_row[lane];
            if new.first_row <= *first {
                *first = new.first_row;
            } else if old.first_row == *first {
                *first = below.first_row();
            }
        }
        if kept == Kept::All {
            summarise_smallest(&mut self.smallest, lane, below.smallest(), old.smallest, new.smallest);
            let highest = &mut self.highest[lane];
            if new.highest >= *highest {
                *highest = new.highest;
            } else if old.highest == *highest {
                *highest = below.highest();
            }
        }
        before != self.get(lane)
    }

    /// The summary of all lanes.
    pub(crate) fn summary(&self) -> Summary<N> {
        Summary {
            largest: self.largest.each_ref().map(largest),
            smallest: self.smallest.each_ref().map(smallest),
            highest: Summarised::highest(self),
            first_row: first_row(&self.first_row),
        }
    }

    /// Moves the lanes from `at` to `len` one up.
    pub(crate) fn make_gap(&mut self, at: usize, len: usize) {
        for lanes in self.largest.iter_mut().chain(&mut self.smallest) {
            lanes.0.copy_within(at..len, at + 1);
        }
        self.highest.copy_within(at..len, at + 1);
        self.first_row.copy_within(at..len, at + 1);
    }

    /// Moves the lanes behind `at` one down.
    pub(crate) fn close_gap(&mut self, at: usize, len: usize) {
        for lanes in self.largest.iter_mut().chain(&mut self.smallest) {
            lanes.0.copy_within(at + 1..len, at);
        }
        self.highest.copy_within(at + 1..len, at);
        self.first_row.copy_within(at + 1..len, at);
        self.set(len - 1, Summary::NOTHING);
    }
}

/// A node whose summary can be computed from what is below it, part by part.
pub(crate) trait Summarised<const N: usize> {
    fn largest(&self) -> &[Lanes; N];
    fn smallest(&self) -> &[Lanes; N];
    fn highest(&self) -> f64;
    fn first_row(&self) -> Row;
}

impl<const N: usize> Summarised<N> for Summaries<N> {
    fn largest(&self) -> &[Lanes; N] {
        &self.largest
    }

    fn smallest(&self) -> &[Lanes; N] {
        &self.smallest
    }

    fn highest(&self) -> f64 {
        highest(&self.highest)
    }

    fn first_row(&self) -> Row {
        first_row(&self.first_row)
    }
}

/// The largest of 64 numbers.
#[inline]
pub(crate) fn highest(values: &[f64; 64]) -> f64 {
    wide(
        #[inline(always)]
        || {
            let mut tops = [f64::NEG_INFINITY; 16];
            for values in values.chunks_exact(16) {
                for (top, &value) in tops.iter_mut().zip(values) {
                    *top = if value > *top { value } else { *top };
                }
            }
            tops.into_iter().fold(f64::NEG_INFINITY, f64::max)
        },
    )
}

/// The lowest of some rows.
#[inline]
pub(crate) fn first_row(rows: &[Row]) -> Row {
    rows.iter().copied().fold(NO_ROW, Row::min)
}
