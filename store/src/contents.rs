//! What a store keeps: an index, and the fleet beside it.

use std::io::{self, Write};

use berth_placement::Index;

use crate::digest::{Digest, Summary};
use crate::fleet_records::FleetRecords;
use crate::state_file::{Written, write_state};

/// A state as a whole. Whoever puts one in the place of another cannot forget a part of it.
pub struct Contents<F> {
    /// The index, with holders.
    pub index: Index,
    /// The fleet.
    pub fleet: F,
}

/// Without a fleet.
impl<F: FleetRecords> From<Index> for Contents<F> {
    fn from(index: Index) -> Self {
        Self { index, fleet: F::default() }
    }
}

impl<F: FleetRecords> Contents<F> {
    /// How much there is of everything, and the digest of it.
    #[must_use]
    pub fn digest(&self) -> (Summary, String) {
        let mut digest = Digest::default();
        self.index.snapshot().records().for_each(|record| digest.add(&record));
        digest.add_fleet(&self.fleet);
        digest.finish()
    }

    /// Writes everything as a state file.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: impl Write) -> io::Result<Written> {
        write_state(out, self.index.snapshot().records(), &self.fleet)
    }
}
