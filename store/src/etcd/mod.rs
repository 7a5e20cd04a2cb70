//! The store in etcd, for several Berths: a log of batches, and runs of sorted records.
//!
//! docs/adr/0035-several-berths-over-etcd.md describes the design: one process at a time is the
//! *writer*, and every transaction that it makes compares the create revision of the key that says
//! so.
//!
//! | file | content |
//! |---|---|
//! | `layout.rs` | keys and values |
//! | `read.rs`, `reader.rs` | a whole state as of one revision; a process that only reads and follows |
//! | `writer.rs` | becoming the writer; appending a batch |
//! | `fold.rs` | moving batches from the log to the runs |
//! | `fold_task.rs` | when that is done |

mod fold;
mod fold_task;
mod layout;
mod read;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::EtcdReader;

use std::fmt;
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_etcd::{EtcdClient, EtcdError, EtcdLease, EtcdOptions, LeaseView};
use berth_placement::Index;
use tokio::runtime::{Builder, Runtime};

use crate::contents::Contents;
use crate::feed::Feed;
use crate::fill::fill;
use crate::fleet_records::FleetRecords;
use crate::load::{Loaded, StateError, load as load_state};
use crate::migrations::{MigrationError, migrate};
use crate::record::FORMAT;
use crate::store::{
    Changes, CommitError, Committed, Compacted, LoadError, Revision, Store, StoreEntry, Tenure,
};

use fold_task::FoldTask;
use layout::Layout;
use read::LogTail;
use writer::{Writer, become_writer};

/// Where and how a state is kept in etcd.
#[derive(Debug, Clone)]
pub struct EtcdStoreOptions {
    /// How etcd is reached.
    pub etcd: EtcdOptions,
    /// The prefix of all keys, without a slash at its end.
    pub prefix: String,
    /// A name of this process for operators: the host's, most often.
    pub name: String,
    /// How long after the writer's end another process becomes the writer.
    pub lease: Duration,
    /// How long to wait while another process is the writer; `None` for as long as it takes.
    pub patience: Option<Duration>,
    /// The size of the log in bytes from which on it is folded into the runs, if it is also as
    /// large as these.
    pub fold_bytes: u64,
    /// The size of a run in bytes.
    pub run_bytes: usize,
    /// Whether etcd's history is compacted. It is the history of all keys of the cluster.
    pub compacts: bool,
}

impl EtcdStoreOptions {
    /// The usual sizes and times.
    #[must_use]
    pub fn new(etcd: EtcdOptions, prefix: &str, name: &str) -> Self {
        Self {
            etcd,
            prefix: prefix.to_owned(),
            name: name.to_owned(),
            lease: Duration::from_secs(2),
            patience: None,
            fold_bytes: 16 << 20,
            run_bytes: 256 << 10,
            compacts: true,
        }
    }
}

/// A store in etcd that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EtcdStoreError {
    /// etcd failed.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// A key of etcd has a value that Berth did not write.
    #[error("etcd's key {key} is damaged: {what}")]
    Damaged {
        /// The key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A later release wrote the state.
    #[error(
        "the state in etcd has layout {layout} and records of format {records}, written by Berth {by}; this release \
         knows layout 1 and formats up to {FORMAT}: upgrade it"
    )]
    Later {
        /// The version of the layout.
        layout: u32,
        /// The format of the records.
        records: u32,
        /// The release.
        by: String,
    },
    /// Another process is the writer now.
    #[error("this process is not the writer any more: its lease has ended")]
    NotWriter,
    /// Another process is the writer, and stayed it for as long as this one waits.
    #[error("another Berth is the writer")]
    OtherWriter,
    /// There is a state below the prefix already.
    #[error("etcd has a state below this prefix already; choose another prefix")]
    Occupied,
    /// A state that was just written does not read back as written.
    #[error("the state that was just written does not read back as written")]
    Different,
    /// There is no state below the prefix.
    #[error("etcd has no state below this prefix")]
    Empty,
    /// The records are not a valid state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state cannot be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The visitor of the records stopped the visit.
    #[error("{0}")]
    Stopped(String),
    /// The system refuses threads.
    #[error("cannot start the thread for etcd: {0}")]
    Thread(#[from] io::Error),
}

impl EtcdStoreError {
    /// Whether writing fails for now although the state can be read: etcd's database is full.
    #[must_use]
    pub const fn is_unwritable(&self) -> bool {
        matches!(self, Self::Etcd(EtcdError::NoSpace))
    }
}

impl From<MigrationError> for EtcdStoreError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Load(error) => Self::State(error.into()),
            MigrationError::Commit(error) => Self::Commit(error),
        }
    }
}

/// A store in etcd of which this process is the writer.
///
/// Its methods block, and must not be called from a task of a tokio runtime.
pub struct EtcdStore {
    client: EtcdClient,
    layout: Layout,
    writer: Arc<Writer>,
    lease: Option<EtcdLease>,
    fold_task: FoldTask,
    /// Locked during a commit, so that commits are published in order.
    commits: Mutex<Commits>,
    /// `None` while the store is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Commits {
    feed: Feed,
    /// Whether a commit has failed. Whether it is in etcd is unknown from then on.
    has_failed: bool,
}

impl EtcdStore {
    /// Waits until this process is the writer, and opens the store.
    ///
    /// # Errors
    /// etcd cannot be reached, or what it has is damaged or of a later release.
    pub fn open(options: &EtcdStoreOptions) -> Result<Self, EtcdStoreError> {
        let runtime = runtime()?;
        let opened = runtime.block_on(async {
            let client = EtcdClient::new(options.etcd.clone())?;
            let layout = Layout::below(&options.prefix);
            warn_of_versions(&client).await;
            let won = become_writer(&client, &layout, &options.name, options.lease);
            let (writer, lease) = match options.patience {
                None => won.await?,
                Some(patience) => {
                    let won = tokio::time::timeout(patience, won).await;
                    won.map_err(|_| EtcdStoreError::OtherWriter)??
                }
            };
            // Nobody else can append from here on, so this is the final state.
            let tail = read::read_log(&client, &layout).await?;
            if tail.has_rest {
                writer.delete_rest(tail.head).await?;
            }
            Ok::<_, EtcdStoreError>((client, layout, Arc::new(writer), lease, tail))
        });
        let (client, layout, writer, lease, LogTail { head, bytes, .. }) = opened?;
        let fold_task = FoldTask::start(runtime.handle(), &client, &layout, &writer, options, bytes);
        let commits = Mutex::new(Commits { feed: Feed::after(head), has_failed: false });
        Ok(Self { client, layout, writer, lease: Some(lease), fold_task, commits, runtime: Some(runtime) })
    }

    /// Waits until this process is the writer, opens the store and loads its content. Where there
    /// is no state yet, it creates an empty one.
    ///
    /// # Errors
    /// As [`Self::open`]; also if the records are not a valid state.
    pub fn open_for_service<F: FleetRecords>(
        options: &EtcdStoreOptions,
    ) -> Result<(Self, Loaded<F>), EtcdStoreError> {
        let store = Self::open(options)?;
        if store.commits().feed.latest() == Revision(0) {
            fill(&store, &Contents::<F>::from(Index::with_holders()))?;
        }
        migrate(&store)?;
        let loaded = load_state(&store)?.ok_or(EtcdStoreError::Empty)?;
        Ok((store, loaded))
    }

    /// Writes a state below a prefix that has none, reads it back and compares it. Until this
    /// returns, the prefix has no valid state.
    ///
    /// # Errors
    /// As [`Self::open`]; also if there is a state already.
    pub fn create<F: FleetRecords>(
        options: &EtcdStoreOptions,
        contents: &Contents<F>,
    ) -> Result<(), EtcdStoreError> {
        let store = Self::open(options)?;
        if store.commits().feed.latest() > Revision(0) {
            return Err(EtcdStoreError::Occupied);
        }
        fill(&store, contents)?;
        let written = load_state::<F>(&store)?.ok_or(EtcdStoreError::Empty)?;
        if written.contents.digest() == contents.digest() { Ok(()) } else { Err(EtcdStoreError::Different) }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the store is open")
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("etcd").enable_all().build()
}

/// Warns of members that cannot be reached and of versions with bugs that can lose data.
async fn warn_of_versions(client: &EtcdClient) {
    for (member, status) in client.statuses().await {
        match status {
            Ok(status) => {
                if let Some(bug) = status.version.known_bug() {
                    tracing::warn!(member, version = %status.version, bug, "this version of etcd has a known bug");
                }
            }
            Err(error) => tracing::warn!(member, %error, "a member of etcd does not answer"),
        }
    }
}

impl Store for EtcdStore {
    fn load(
        &self,
        visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
    ) -> Result<Revision, LoadError> {
        load(self.runtime(), &self.client, &self.layout, visit)
    }

    fn commit(&self, changes: Changes) -> Result<Revision, CommitError> {
        let Commits { feed, has_failed } = &mut *self.commits();
        if *has_failed {
            return Err(CommitError::Failed("a commit before has failed".to_owned()));
        }
        let revision = Revision(feed.latest().0 + 1);
        *has_failed = true;
        let appended = self.runtime().block_on(self.writer.append(revision, changes.clone()));
        let bytes = appended.map_err(|error| CommitError::Failed(error.to_string()))?;
        *has_failed = false;
        self.fold_task.note_appended(bytes);
        Ok(feed.publish(changes))
    }

    /// etcd has said that the lease has ended, so another process may be the writer.
    fn idle(&self) -> Result<(), CommitError> {
        match &self.lease {
            Some(lease) if !lease.view().has_ended() => Ok(()),
            _ => Err(CommitError::Failed(EtcdStoreError::NotWriter.to_string())),
        }
    }

    fn tenure(&self) -> Option<Arc<dyn Tenure>> {
        let lease = self.lease.as_ref()?;
        Some(Arc::new(WriterTenure(lease.view())))
    }

    fn watch(&self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        self.commits().feed.watch(after)
    }
}

/// The lease of the writer's key. No clock is compared with another machine's: both sides measure
/// the time since the same renewal, and this side begins earlier.
struct WriterTenure(LeaseView);

impl Tenure for WriterTenure {
    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

fn load(
    runtime: &Runtime,
    client: &EtcdClient,
    layout: &Layout,
    visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
) -> Result<Revision, LoadError> {
    runtime.block_on(read::visit_all(client, layout, visit)).map_err(|error| match error {
        EtcdStoreError::Stopped(reason) => LoadError::Refused(reason),
        error => LoadError::Failed(error.to_string()),
    })
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.fold_task.stop();
        // Another process can become the writer at once. If this fails, the lease ends by itself.
        if let Some(lease) = self.lease.take()
            && let Err(error) =
                runtime.block_on(async { tokio::time::timeout(RELEASE, lease.revoke()).await })
        {
            tracing::debug!(%error, "the lease of the writer ends by itself");
        }
        runtime.shutdown_background();
    }
}

/// How long the writer tries to revoke its lease when it ends.
const RELEASE: Duration = Duration::from_secs(1);

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").field("layout", &self.layout).finish_non_exhaustive()
    }
}
