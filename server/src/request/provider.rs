//! A resource provider with the snapshot in which it was found.

use std::sync::Arc;

use berth_placement::{Index, Provider, Row, Topology};
use uuid::Uuid;

/// A resource provider with the snapshot in which it was found.
pub(crate) struct FoundProvider {
    pub(crate) topology: Arc<Topology>,
    pub(crate) row: Row,
}

impl FoundProvider {
    /// Finds the provider with this UUID; `None` if it is missing.
    pub(crate) fn find(index: &Index, uuid: Uuid) -> Option<Self> {
        let row = index.find(uuid)?;
        let topology = index.topology();
        topology.provider(row)?;
        Some(Self { topology, row })
    }

    pub(crate) fn provider(&self) -> &Provider {
        self.topology.provider(self.row).expect("it was found in this snapshot")
    }
}
