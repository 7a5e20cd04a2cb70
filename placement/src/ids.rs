//! Dense ordinals, used inside; names and UUIDs stay at the edge.

use std::fmt;

/// The dense number of a resource provider. No other provider ever gets the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub u32);

impl Row {
    /// The row as an index into columns.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The block of 64 rows it belongs to, and its bit in that block's mask word.
    #[must_use]
    pub const fn block_and_lane(self) -> (usize, usize) {
        (self.index() / 64, self.index() % 64)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.0)
    }
}

/// The dense number of a resource class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u16);

impl ClassId {
    /// `VCPU`
    pub const VCPU: Self = Self(0);
    /// `MEMORY_MB`
    pub const MEMORY_MB: Self = Self(1);
    /// `DISK_GB`
    pub const DISK_GB: Self = Self(2);

    /// The class as an index into the set of columns.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The dense number of a trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraitId(pub u32);

/// A time in microseconds since the Unix epoch, by the caller's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);
