//! A store whose process dies at a commit.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use berth_store::{
    Changes, CommitError, Committed, Compacted, EmbeddedStore, LoadError, Revision, Store, StoreEntry,
};

use crate::cut::{Cut, Side, Step};

pub(crate) struct MortalStore {
    store: EmbeddedStore,
    cut: Arc<Cut>,
}

impl MortalStore {
    pub(crate) fn new(store: EmbeddedStore, cut: Arc<Cut>) -> Self {
        Self { store, cut }
    }
}

impl Store for MortalStore {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
        self.store.load(visit)
    }

    fn commit(&self, changes: Changes) -> Result<Revision, CommitError> {
        if self.cut.has_died() {
            return Err(dead());
        }
        let Step::IsLast(side) = self.cut.step() else { return self.store.commit(changes) };
        if side == Side::After {
            self.store.commit(changes)?;
        }
        // The commit is never acknowledged: when this returns, the process is dead.
        self.cut.die();
        self.cut.wait_for_end();
        Err(dead())
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.store.watch(after)
    }
}

fn dead() -> CommitError {
    CommitError::Failed("the process is dead".to_owned())
}
