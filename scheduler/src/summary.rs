//! Summaries of 64 nodes: what the best host below each could be.

use berth_placement::kernel::{CLASSES, EMPTY, Lanes, NOTHING, lane_of, set_lane};
use berth_placement::{HostFree, Row};

/// What is below one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Largest free amount of each class.
    pub(crate) largest: HostFree,
    /// Smallest free amount of each class, leaving out hosts without the class.
    pub(crate) smallest: HostFree,
    /// Lowest row.
    pub(crate) first_row: Row,
}

impl Summary {
    /// Of a node without hosts.
    pub(crate) const NOTHING: Self =
        Self { largest: NOTHING, smallest: [i32::MAX; CLASSES], first_row: Row(u32::MAX) };
}

/// The summaries of 64 nodes, in columns.
#[derive(Clone)]
pub(crate) struct Summaries {
    pub(crate) largest: [Lanes; CLASSES],
    pub(crate) smallest: [Lanes; CLASSES],
    pub(crate) first_row: [Row; 64],
}

impl Summaries {
    pub(crate) const EMPTY: Self = Self {
        largest: EMPTY,
        smallest: [const { Lanes::splat(i32::MAX) }; CLASSES],
        first_row: [Row(u32::MAX); 64],
    };

    #[inline]
    pub(crate) fn get(&self, lane: usize) -> Summary {
        Summary {
            largest: lane_of(&self.largest, lane),
            smallest: lane_of(&self.smallest, lane),
            first_row: self.first_row[lane],
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, lane: usize, summary: Summary) {
        set_lane(&mut self.largest, lane, summary.largest);
        set_lane(&mut self.smallest, lane, summary.smallest);
        self.first_row[lane] = summary.first_row;
    }

    /// Moves the lanes from `at` to `len` one up.
    pub(crate) fn make_room(&mut self, at: usize, len: usize) {
        for lanes in self.largest.iter_mut().chain(&mut self.smallest) {
            lanes.0.copy_within(at..len, at + 1);
        }
        self.first_row.copy_within(at..len, at + 1);
    }

    /// Moves the lanes behind `at` one down.
    pub(crate) fn close_gap(&mut self, at: usize, len: usize) {
        for lanes in self.largest.iter_mut().chain(&mut self.smallest) {
            lanes.0.copy_within(at + 1..len, at);
        }
        self.first_row.copy_within(at + 1..len, at);
        self.set(len - 1, Summary::NOTHING);
    }
}

/// The lowest of some rows.
pub(crate) fn first_row(rows: &[Row]) -> Row {
    rows.iter().copied().min().unwrap_or(Summary::NOTHING.first_row)
}
