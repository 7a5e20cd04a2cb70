//! Writing a whole state into a new store.

use crate::contents::Contents;
use crate::encoder::Encoder;
use crate::fleet_records::FleetRecords;
use crate::record::{self, Key};
use crate::store::{Changes, CommitError, Store};

/// The number of changes per commit.
const CHUNK: usize = 50_000;

/// Writes a state into a new store. The state must not change meanwhile. The store is valid only
/// after this function has returned.
///
/// # Errors
/// The store's errors.
pub fn fill<F: FleetRecords>(
    store: &dyn Store,
    Contents { index, fleet }: &Contents<F>,
) -> Result<(), CommitError> {
    let (snapshot, mut encoder) = (index.snapshot(), Encoder::default());
    let mut changes = snapshot.changes().peekable();
    while changes.peek().is_some() {
        let chunk = changes.by_ref().take(CHUNK).collect();
        let changes = encoder.encode(chunk, index);
        store.commit(changes)?;
    }
    let mut records = fleet.records().peekable();
    while records.peek().is_some() {
        let changes = records.by_ref().take(CHUNK).map(|(key, value)| (key, Some(value))).collect();
        store.commit(changes)?;
    }
    // Write the format record last: without it, the store is not valid.
    let mut changes = Changes::new();
    record::put(&mut changes, Key::Format, &record::format());
    store.commit(changes).map(|_| ())
}

/// Commits a record that is already stored, to check whether the store can be written.
///
/// # Errors
/// The store's errors.
pub fn probe(store: &dyn Store) -> Result<(), CommitError> {
    let mut changes = Changes::new();
    record::put(&mut changes, Key::Format, &record::format());
    store.commit(changes).map(|_| ())
}
