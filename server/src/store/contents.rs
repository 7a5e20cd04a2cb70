//! What a store keeps: an index, and the fleet beside it.

use std::io::{self, Write};

use berth_placement::Index;
use uuid::Uuid;

use super::state_file::{Written, write_state};
use crate::fleet::State as FleetState;
use crate::migrate::{Digest, Summary};

/// A state as a whole. Whoever puts one in the place of another cannot forget a part of it.
pub struct Contents {
    /// The index, with holders.
    pub index: Index,
    /// The fleet.
    pub fleet: FleetState,
}

/// Without a fleet.
impl From<Index> for Contents {
    fn from(index: Index) -> Self {
        Self { index, fleet: FleetState::default() }
    }
}

impl Contents {
    /// How much there is of everything, and the digest of it.
    #[must_use]
    pub fn digest(&self) -> (Summary, String) {
        let mut digest = Digest::default();
        self.index.snapshot().records().for_each(|record| digest.add(&record));
        digest.add_fleet(&self.fleet);
        digest.finish()
    }

    /// The UUIDs of the fleet's instances.
    pub fn instances(&self) -> impl Iterator<Item = Uuid> {
        self.fleet.instance_uuids()
    }

    /// Writes everything as a state file.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: impl Write) -> io::Result<Written> {
        write_state(out, self.index.snapshot().records(), &self.fleet)
    }
}
