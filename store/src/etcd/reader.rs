//! A state in etcd that this process reads, and follows.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use berth_etcd::{EtcdClient, KeyEvent, KeyWatch};
use tokio::runtime::Runtime;

use super::layout::{Change, Layout};
use super::read::{Assembly, PARTS, read_base};
use super::writer::check_versions;
use super::{EtcdStoreError, EtcdStoreOptions, load, runtime};
use crate::contents::Contents;
use crate::fleet_records::FleetRecords;
use crate::load::{Loaded, load as load_state};
use crate::store::{Changes, CommitError, Committed, Compacted, LoadError, Revision, Store, StoreEntry};

/// The largest number of commits that a watcher may lag behind.
const BEHIND: usize = 1 << 10;

/// A store in etcd that another process may write. It accepts no commits.
///
/// Its methods block, and must not be called from a task of a tokio runtime.
pub struct EtcdReader {
    client: EtcdClient,
    layout: Layout,
    /// `None` while the reader is dropped.
    runtime: Option<Runtime>,
}

impl EtcdReader {
    /// Connects to etcd.
    ///
    /// # Errors
    /// etcd cannot be reached, or the state is of a later release.
    pub fn open(options: &EtcdStoreOptions) -> Result<Self, EtcdStoreError> {
        let runtime = runtime()?;
        let layout = Layout::below(&options.prefix);
        let client = runtime.block_on(async {
            let client = EtcdClient::new(options.etcd.clone())?;
            check_versions(&client, &layout).await?;
            Ok::<_, EtcdStoreError>(client)
        })?;
        Ok(Self { client, layout, runtime: Some(runtime) })
    }

    /// The state as of now; `None` if there is none.
    ///
    /// # Errors
    /// etcd cannot be read, or the records are not a valid state.
    pub fn contents<F: FleetRecords>(&self) -> Result<Option<Contents<F>>, EtcdStoreError> {
        Ok(self.loaded()?.map(|loaded| loaded.contents))
    }

    /// The state as of now, with its revision; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::contents`].
    pub fn loaded<F: FleetRecords>(&self) -> Result<Option<Loaded<F>>, EtcdStoreError> {
        Ok(load_state(self)?)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the reader is open")
    }

    /// Sends the batches after a revision that are in the log, and begins to watch for more.
    async fn follow(&self, after: Revision) -> Result<Result<Following, Compacted>, EtcdStoreError> {
        let (base, read_at) = read_base(&self.client, &self.layout).await?;
        if base > after {
            return Ok(Err(Compacted { oldest: Revision(base.0 + 1) }));
        }
        let watch = self.client.watch(self.layout.log(), read_at + 1);
        let (sender, receiver) = sync_channel(BEHIND);
        let (layout, assembly) = (self.layout.clone(), Assembly::after(after));
        let mut following = Following { layout, assembly, sender: Some(sender), receiver: None, watch };
        let mut pages = self.client.pages_at(self.layout.log_after(after), PARTS, read_at);
        while let Some(page) = pages.next().await? {
            for entry in page {
                following.enter(KeyEvent::Put(entry))?;
            }
        }
        following.receiver = Some(receiver);
        Ok(Ok(following))
    }
}

/// A watch of the log.
struct Following {
    layout: Layout,
    assembly: Assembly,
    /// `None` once the receiver is gone or lags too far behind.
    sender: Option<SyncSender<Committed>>,
    receiver: Option<Receiver<Committed>>,
    watch: KeyWatch,
}

impl Following {
    async fn run(mut self) {
        while self.sender.is_some() {
            let events = match self.watch.next().await {
                Ok(events) => events,
                Err(error) => return tracing::info!(%error, "a watch of the log has ended"),
            };
            for event in events {
                if let Err(error) = self.enter(event) {
                    return tracing::warn!(%error, "a watch of the log has ended");
                }
            }
        }
    }

    fn enter(&mut self, event: KeyEvent) -> Result<(), EtcdStoreError> {
        let entry = match event {
            KeyEvent::Put(entry) => entry,
            KeyEvent::Deleted { key, .. } => {
                // Batches before were folded. A new writer deletes what the former did not
                // complete.
                let part = self.layout.part_of(&key);
                if part.is_some_and(|(revision, _)| revision > self.assembly.latest()) {
                    self.assembly.forget_parts();
                }
                return Ok(());
            }
        };
        let Some((revision, changes)) = self.assembly.enter(&self.layout, &entry)? else { return Ok(()) };
        let changes: Changes = changes.into_iter().map(|Change { key, value }| (key, value)).collect();
        let committed = Committed { revision, changes: Arc::new(changes) };
        self.sender = self.sender.take().filter(|sender| sender.try_send(committed).is_ok());
        Ok(())
    }
}

impl Store for EtcdReader {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
        load(self.runtime(), &self.client, &self.layout, visit)
    }

    fn commit(&self, _: Changes) -> Result<Revision, CommitError> {
        Err(CommitError::Failed("this process reads the store and is not its writer".to_owned()))
    }

    /// A receiver that is closed from the start means that etcd failed.
    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        match self.runtime().block_on(self.follow(after)) {
            Ok(Ok(mut following)) => {
                let receiver = following.receiver.take().expect("a new one has its receiver");
                self.runtime().spawn(following.run());
                Ok(receiver)
            }
            Ok(Err(compacted)) => Err(compacted),
            Err(error) => {
                tracing::warn!(%error, "the log cannot be watched");
                Ok(sync_channel(0).1)
            }
        }
    }
}

impl Drop for EtcdReader {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for EtcdReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdReader").field("layout", &self.layout).finish_non_exhaustive()
    }
}
