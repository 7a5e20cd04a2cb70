//! The fleet as a store sees it.

use berth_fleet::State;
use berth_placement::Index;
use berth_store::{FleetRecords, InvalidFleetRecord};
use uuid::Uuid;

use super::records;

/// The records of a fleet.
#[derive(Debug, Clone, Default)]
pub struct FleetState(pub(crate) State);

impl FleetState {
    /// The UUIDs of all instances.
    pub fn instance_uuids(&self) -> impl Iterator<Item = Uuid> {
        self.0.instances().map(|(uuid, _)| uuid)
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FleetRecords for FleetState {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), InvalidFleetRecord> {
        records::apply(&mut self.0, key, value).map_err(|error| InvalidFleetRecord(error.to_string()))
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), InvalidFleetRecord> {
        records::remove(&mut self.0, key).map_err(|error| InvalidFleetRecord(error.to_string()))
    }

    fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let encode = |key| {
            let (key, value) = records::encode(&self.0, &key);
            Some((key, value?))
        };
        self.0.keys().filter_map(encode)
    }

    fn describe(key: &[u8]) -> Option<String> {
        records::describe(key)
    }

    fn without_capacity(&self, index: &Index) -> Vec<String> {
        let without = self.0.without_capacity(index);
        let message = |(instance, host)| {
            format!(
                "instance {instance} on host {host} holds no capacity any more: delete it, or recreate it"
            )
        };
        without.map(message).collect()
    }
}
