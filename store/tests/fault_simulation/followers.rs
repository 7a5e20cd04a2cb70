//! States that are fed by the commits of a store alone: they have to become what the store has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use berth_placement::{Consumer, ConsumerId, Index, Row};
use berth_store::{
    Changes, CommitError, Committed, Compacted, Digest, EmbeddedStore, Follower, LoadError, MemoryStore,
    Revision, Store, StoreEntry,
};
use uuid::Uuid;

use crate::machine::NoFleet;

/// A follower of the store on the disk, and one of a store in memory that gets the same commits.
pub(crate) struct Followers([Follower<NoFleet>; 2]);

impl Followers {
    /// The store to commit to, and what follows it.
    pub(crate) fn of(store: EmbeddedStore) -> (Mirrored, Self) {
        let memory = Arc::new(MemoryStore::default());
        let mut records = Changes::new();
        let visit = &mut |entry: StoreEntry<'_>| {
            records.insert(entry.key.to_vec(), Some(entry.value.to_vec()));
            Ok(())
        };
        store.load(visit).expect("it was loaded before");
        memory.commit(records).expect("it is in memory");
        let followers = [Follower::of(&store), Follower::of(&*memory)]
            .map(|follower| follower.expect("it can be loaded"));
        (Mirrored { store, memory }, Self(followers))
    }

    /// They apply what was committed.
    pub(crate) fn catch_up(&mut self) {
        for follower in &mut self.0 {
            follower.catch_up().expect("every commit can be applied");
            follower.contents().index.check().expect("between commits, a follower is consistent");
        }
    }

    /// All that the index has was committed: they have it too, with the same rows and serials.
    pub(crate) fn check(&self, index: &Index) {
        let expected = (digest(index), rows(index), consumers(index));
        for follower in &self.0 {
            let follower = &follower.contents().index;
            assert_eq!(expected, (digest(follower), rows(follower), consumers(follower)));
        }
    }
}

fn digest(index: &Index) -> String {
    let mut digest = Digest::default();
    index.snapshot().records().for_each(|record| digest.add(&record));
    digest.finish().1
}

fn rows(index: &Index) -> BTreeMap<Row, Uuid> {
    index.topology().providers().map(|(row, provider)| (row, provider.uuid)).collect()
}

fn consumers(index: &Index) -> BTreeMap<ConsumerId, Consumer> {
    let mut consumers = BTreeMap::new();
    index.for_each_consumer(|id, consumer| {
        consumers.insert(id, consumer.clone());
    });
    consumers
}

/// What is committed to the store on the disk is committed in memory as well.
pub(crate) struct Mirrored {
    store: EmbeddedStore,
    memory: Arc<MemoryStore>,
}

impl Store for Mirrored {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
        self.store.load(visit)
    }

    fn commit(&self, changes: Changes) -> Result<Revision, CommitError> {
        let revision = self.store.commit(changes.clone())?;
        self.memory.commit(changes).expect("it is in memory");
        Ok(revision)
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.store.watch(after)
    }
}
