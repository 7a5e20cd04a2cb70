//! Responses wait until the changes that they report are durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::committer::CommitProgress;
use crate::queue::Queue;
use crate::store::Tenure;

/// The failures that an acknowledged change survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DurabilityMode {
    /// The change is on disk: no acknowledged change is ever lost.
    #[default]
    Strict,
    /// The change may still be queued: a crash of the process or of the machine may lose the latest
    /// acknowledged changes, at most 10,000. The state after the crash is a consistent earlier
    /// state.
    Relaxed,
}

/// How changes are made durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurabilityOptions {
    /// The durability that a response waits for.
    pub mode: DurabilityMode,
    /// How long a commit waits for more changes to share it. While a commit is being written, the
    /// changes for the next one collect in any case.
    pub commit_delay: Duration,
    /// Whether each operation is committed by itself, unless operations overlap; for tests that
    /// interrupt the service between two operations.
    pub stepwise: bool,
}

/// The largest number of acknowledged operations that may not be on disk in relaxed mode.
pub(crate) const MAX_BEHIND: u64 = 10_000;

/// Waits for the durability of an index on behalf of responses.
pub struct Durability {
    queue: Arc<Queue>,
    progress: watch::Receiver<CommitProgress>,
    mode: DurabilityMode,
    tenure: Option<Arc<dyn Tenure>>,
}

impl Durability {
    /// Creates it for an index whose changes pass through the queue.
    #[must_use]
    pub const fn new(
        queue: Arc<Queue>,
        progress: watch::Receiver<CommitProgress>,
        mode: DurabilityMode,
    ) -> Self {
        Self { queue, progress, mode, tenure: None }
    }

    /// Lets responses fail once another process may have written the store.
    #[must_use]
    pub fn while_held(self, tenure: Option<Arc<dyn Tenure>>) -> Self {
        Self { tenure, ..self }
    }

    /// Waits until everything that is visible in the index now is durable, as the mode defines it.
    ///
    /// # Errors
    /// The reason why the changes will not become durable.
    pub async fn wait_durable(&self) -> Result<(), Arc<str>> {
        let begun = self.queue.begun();
        self.wait(match self.mode {
            DurabilityMode::Strict => begun,
            DurabilityMode::Relaxed => begun.saturating_sub(MAX_BEHIND),
        })
        .await
    }

    /// Waits until everything that is visible in the index now is on disk, in either mode.
    ///
    /// # Errors
    /// The reason why the changes will not become durable.
    pub async fn wait_on_disk(&self) -> Result<(), Arc<str>> {
        self.wait(self.queue.begun()).await
    }

    /// The number of operations that have begun, and how many of them are on disk.
    #[must_use]
    pub fn behind(&self) -> (u64, u64) {
        let reached = self.progress.borrow().reached();
        (self.queue.begun().max(reached), reached)
    }

    async fn wait(&self, needed: u64) -> Result<(), Arc<str>> {
        self.wait_committed(needed).await?;
        match &self.tenure {
            Some(tenure) if !tenure.is_held() => Err("another process may be the writer now".into()),
            _ => Ok(()),
        }
    }

    async fn wait_committed(&self, needed: u64) -> Result<(), Arc<str>> {
        if let Some(verdict) = self.verdict(&self.progress.borrow(), needed) {
            return verdict;
        }
        let is_decided = |progress: &CommitProgress| self.verdict(progress, needed).is_some();
        match self.progress.clone().wait_for(is_decided).await.as_deref() {
            Ok(progress) => self.verdict(progress, needed).expect("the wait has ended"),
            Err(_) => Err("the service has ended".into()),
        }
    }

    /// Whether the changes below `needed` may be reported; `None` while the outcome is unknown.
    fn verdict(&self, progress: &CommitProgress, needed: u64) -> Option<Result<(), Arc<str>>> {
        match progress {
            // Changes that are not on disk are rolled back, also those that relaxed mode
            // acknowledged.
            CommitProgress::Failed(reached, reason) if *reached < self.queue.begun() => {
                Some(Err(Arc::clone(reason)))
            }
            progress => (progress.reached() >= needed).then_some(Ok(())),
        }
    }
}
