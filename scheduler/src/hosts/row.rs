//! The rows of host tables.

use std::fmt;

use berth_placement::Row;

/// A row of a host table: a compute node. Providers have rows of their own in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRow(pub u32);

impl HostRow {
    /// The position in a column.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The position in masks and rankings, which contain either hosts or providers.
    #[inline]
    pub(crate) const fn slot(self) -> Row {
        Row(self.0)
    }

    /// The host at a position in masks and rankings of hosts.
    #[inline]
    pub(crate) const fn at(slot: Row) -> Self {
        Self(slot.0)
    }
}

impl fmt::Display for HostRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "host {}", self.0)
    }
}
