//! Writing a whole state into a new store.

use berth_placement::store::{Batch, Changes, CommitError, Store};

use super::contents::Contents;
use super::encoder::Encoder;
use super::record::{self, Key};

/// Changes that are committed at a time.
const CHUNK: usize = 50_000;

/// Writes a state that nobody changes into a new store. Until it returns, the store holds no state.
///
/// # Errors
/// The store's.
pub fn fill(store: &dyn Store, Contents { index, fleet }: &Contents) -> Result<(), CommitError> {
    let (snapshot, mut encoder) = (index.snapshot(), Encoder::default());
    let mut changes = snapshot.changes().peekable();
    while changes.peek().is_some() {
        let chunk = changes.by_ref().take(CHUNK).collect();
        let changes = encoder.encode(chunk, index);
        store.commit(Batch { expected: Vec::new(), changes })?;
    }
    let mut records = fleet.records().peekable();
    while records.peek().is_some() {
        let changes = records.by_ref().take(CHUNK).map(|(key, value)| (key, Some(value))).collect();
        store.commit(Batch { expected: Vec::new(), changes })?;
    }
    // Last: without it, the rest is no state.
    let mut changes = Changes::new();
    record::put(&mut changes, Key::Format, &record::format());
    store.commit(Batch { expected: Vec::new(), changes }).map(|_| ())
}
