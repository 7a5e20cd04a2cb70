//! The state that a store keeps: an index and a fleet.

use std::io::{self, Write};

use berth_placement::Index;

use crate::digest::{Digest, Summary};
use crate::fleet_records::FleetRecords;
use crate::state_file::{Written, write_state};

/// A complete state. Keeping both parts in one type prevents code from replacing one without the
/// other.
pub struct Contents<F> {
    /// The index, including the consumers of each provider.
    pub index: Index,
    /// The fleet.
    pub fleet: F,
}

/// Creates a state without a fleet.
impl<F: FleetRecords> From<Index> for Contents<F> {
    fn from(index: Index) -> Self {
        Self { index, fleet: F::default() }
    }
}

impl<F: FleetRecords> Contents<F> {
    /// The number of entries of each kind, and the digest.
    #[must_use]
    pub fn digest(&self) -> (Summary, String) {
        let mut digest = Digest::default();
        self.index.snapshot().records().for_each(|record| digest.add(&record));
        digest.add_fleet(&self.fleet);
        digest.finish()
    }

    /// Writes the state as a state file.
    ///
    /// # Errors
    /// Errors of `out`.
    pub fn write(&self, out: impl Write) -> io::Result<Written> {
        write_state(out, self.index.snapshot().records(), &self.fleet)
    }
}
