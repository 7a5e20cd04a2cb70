//! When the log is folded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_etcd::{EtcdClient, KeyRange};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::fold::fold;
use super::layout::Layout;
use super::writer::Writer;
use super::{EtcdStoreError, EtcdStoreOptions};

/// The pause after a fold that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// The number of runs in one response while their size is added up.
const RUNS: u32 = 32;

/// A task that folds the log when it is large.
#[derive(Debug)]
pub(super) struct FoldTask {
    log: Arc<LogSize>,
    task: JoinHandle<()>,
}

/// The size of the log.
#[derive(Debug, Default)]
struct LogSize {
    bytes: AtomicU64,
    has_grown: Notify,
}

struct Folds {
    client: EtcdClient,
    layout: Layout,
    writer: Arc<Writer>,
    options: EtcdStoreOptions,
    log: Arc<LogSize>,
    /// The revision of etcd after the fold before; history before it is compacted.
    previous: Option<i64>,
}

impl FoldTask {
    /// Begins with a log of this size.
    pub(super) fn start(
        runtime: &Handle,
        client: &EtcdClient,
        layout: &Layout,
        writer: &Arc<Writer>,
        options: &EtcdStoreOptions,
        bytes: u64,
    ) -> Self {
        let log = Arc::new(LogSize { bytes: AtomicU64::new(bytes), has_grown: Notify::new() });
        let folds = Folds {
            client: client.clone(),
            layout: layout.clone(),
            writer: Arc::clone(writer),
            options: options.clone(),
            log: Arc::clone(&log),
            previous: None,
        };
        log.has_grown.notify_one();
        Self { log, task: runtime.spawn(folds.run()) }
    }

    pub(super) fn note_appended(&self, bytes: u64) {
        self.log.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.log.has_grown.notify_one();
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

impl Folds {
    async fn run(mut self) {
        let mut threshold = self.options.fold_bytes;
        loop {
            self.log.has_grown.notified().await;
            if self.log.bytes.load(Ordering::Relaxed) < threshold {
                continue;
            }
            match self.fold().await {
                Ok(run_bytes) => threshold = self.options.fold_bytes.max(run_bytes),
                Err(EtcdStoreError::NotWriter) => return,
                Err(error) => {
                    tracing::warn!(%error, "the log in etcd cannot be folded");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Folds the log; returns the size of the runs.
    async fn fold(&mut self) -> Result<u64, EtcdStoreError> {
        let Self { client, layout, writer, options, log, previous } = self;
        let folded = fold(client, layout, writer, options.run_bytes).await?;
        log.bytes.fetch_sub(folded.log_bytes, Ordering::Relaxed);
        // Watches that lag by less than one fold go on.
        if let Some(revision) = previous.replace(folded.etcd_revision)
            && options.compacts
        {
            client.compact(revision).await?;
        }
        let run_bytes = size_of(client, layout.runs(), folded.etcd_revision).await?;
        tracing::info!(log_bytes = folded.log_bytes, run_bytes, "folded the log in etcd");
        Ok(run_bytes)
    }
}

/// The size of all values of a range in bytes.
async fn size_of(client: &EtcdClient, range: KeyRange, revision: i64) -> Result<u64, EtcdStoreError> {
    let (mut bytes, mut pages) = (0, client.pages_at(range, RUNS, revision));
    while let Some(page) = pages.next().await? {
        bytes += page.iter().map(|entry| entry.value.len() as u64).sum::<u64>();
    }
    Ok(bytes)
}
