//! A store in memory, for simulations and as a reference for other stores.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::feed::Feed;
use crate::store::{Changes, CommitError, Committed, Compacted, LoadError, Revision, Store, StoreEntry};

/// Keeps records in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    records: BTreeMap<Vec<u8>, (Vec<u8>, Revision)>,
    feed: Feed,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { state: Mutex::new(State { records: BTreeMap::new(), feed: Feed::after(Revision(0)) }) }
    }
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
        let state = self.state();
        for (key, (value, revision)) in &state.records {
            visit(StoreEntry { key, value, revision: *revision }).map_err(LoadError::Refused)?;
        }
        Ok(state.feed.latest())
    }

    fn commit(&self, changes: Changes) -> Result<Revision, CommitError> {
        let mut state = self.state();
        let revision = Revision(state.feed.latest().0 + 1);
        for (key, value) in &changes {
            match value {
                Some(value) => drop(state.records.insert(key.clone(), (value.clone(), revision))),
                None => drop(state.records.remove(key)),
            }
        }
        Ok(state.feed.publish(changes))
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.state().feed.watch(after)
    }
}
