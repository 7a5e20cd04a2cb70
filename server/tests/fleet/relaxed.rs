//! Durability `relaxed`: responses do not wait for the disk, agents do.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_server::DurabilityOptions;
use berth_store::{
    Changes, CommitError, Committed, Compacted, DurabilityMode, EmbeddedStore, LoadError, Revision, Store,
    StoreEntry,
};
use uuid::Uuid;

use crate::service::Cloud;

/// A store that remembers the keys on disk.
struct RecordingStore {
    store: EmbeddedStore,
    on_disk: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Store for RecordingStore {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
        self.store.load(visit)
    }

    fn commit(&self, changes: Changes) -> Result<Revision, CommitError> {
        let keys: Vec<Vec<u8>> = changes.keys().cloned().collect();
        let revision = self.store.commit(changes)?;
        self.on_disk.lock().unwrap().extend(keys);
        Ok(revision)
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.store.watch(after)
    }
}

/// The service sent the agent an instance that a crash could still undo: after the restart, the
/// guest was an orphan, and the capacity free.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_only_instances_that_are_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = Arc::new(Mutex::new(Vec::new()));
    let durability = DurabilityOptions {
        mode: DurabilityMode::Relaxed,
        commit_delay: Duration::from_millis(300),
        ..DurabilityOptions::default()
    };
    let keys = Arc::clone(&on_disk);
    let through =
        move |store| -> Box<dyn Store> { Box::new(RecordingStore { store, on_disk: Arc::clone(&keys) }) };
    let mut cloud = Cloud::through(directory.path(), durability, through).await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    let is_on_disk = || {
        let uuid = Uuid::parse_str(&it).unwrap();
        on_disk.lock().unwrap().iter().any(|key| key.windows(16).any(|part| part == uuid.as_bytes()))
    };
    assert!(!is_on_disk(), "the response waited for the disk");
    while host.guests().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(is_on_disk());
    cloud.until_status(&it, "ACTIVE").await;
    cloud.stop().await;
}
