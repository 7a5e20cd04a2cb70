//! The fleet as a store sees it.

use berth_placement::Index;
use berth_store::{FleetRecords, InvalidFleetRecord};

use super::State;
use super::state::words;

impl FleetRecords for State {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), InvalidFleetRecord> {
        self.put_back(key, value).map_err(|error| InvalidFleetRecord(error.to_string()))
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), InvalidFleetRecord> {
        self.take_away(key).map_err(|error| InvalidFleetRecord(error.to_string()))
    }

    fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.records()
    }

    fn describe(key: &[u8]) -> Option<String> {
        words(key)
    }

    fn without_capacity(&self, index: &Index) -> Vec<String> {
        let without = self.without_room(index);
        let message = |(instance, host)| {
            format!(
                "instance {instance} on host {host} holds no capacity any more: delete it, or recreate it"
            )
        };
        without.map(message).collect()
    }
}
