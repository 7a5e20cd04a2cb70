//! The fleet's part of a stored state.

use std::collections::BTreeMap;
use std::fmt::Debug;

use berth_placement::Index;

/// The reason why a record is not one of the fleet's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFleetRecord(pub String);

/// The fleet as a store sees it: records whose keys begin with a byte from `k` to `z`.
///
/// A store keeps these records without interpreting them. The owner of the fleet implements this
/// trait.
pub trait FleetRecords: Debug + Default + Send + 'static {
    /// Applies a stored record.
    ///
    /// # Errors
    /// An unknown kind of key, or a value that is not of its format.
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), InvalidFleetRecord>;

    /// Removes the record with this key, if there is one.
    ///
    /// # Errors
    /// An unknown kind of key.
    fn remove(&mut self, key: &[u8]) -> Result<(), InvalidFleetRecord>;

    /// All records, in the order of their kinds.
    fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)>;

    /// A key in words, for operators; `None` for a key of an unknown kind.
    fn describe(key: &[u8]) -> Option<String>;

    /// Entries that should hold capacity in the index but hold none, a message each.
    fn without_capacity(&self, index: &Index) -> Vec<String>;
}

/// Uninterpreted records, for tools and tests that have no fleet.
impl FleetRecords for BTreeMap<Vec<u8>, Vec<u8>> {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), InvalidFleetRecord> {
        Self::insert(self, key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), InvalidFleetRecord> {
        Self::remove(self, key);
        Ok(())
    }

    fn records(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.iter().map(|(key, value)| (key.clone(), value.clone()))
    }

    fn describe(_: &[u8]) -> Option<String> {
        None
    }

    fn without_capacity(&self, _: &Index) -> Vec<String> {
        Vec::new()
    }
}
