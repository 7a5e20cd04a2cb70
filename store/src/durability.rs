//! Answers wait until the changes that they report are durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::committer::CommitProgress;
use crate::queue::Queue;

/// What an acknowledged change has survived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DurabilityMode {
    /// It is on disk: no acknowledged change is ever lost.
    #[default]
    Strict,
    /// It is on its way to the disk: a crash of the process or the machine may lose the latest acknowledged changes, at most
    /// 10,000 changes. What is left is a state that was.
    Relaxed,
}

/// How changes are made durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurabilityOptions {
    /// What answers wait for.
    pub mode: DurabilityMode,
    /// How long a commit waits for more changes to share it. While one commit is written, the changes of the next gather
    /// anyway.
    pub commit_delay: Duration,
    /// Whether no commit takes two changes, unless they are made at the same time: for tests that cut between any two.
    pub stepwise: bool,
}

/// Changes that may be on their way when answers do not wait for the disk.
pub(crate) const BEHIND: u64 = 10_000;

/// How far an index is durable, for the answers that are made of it.
pub struct Durability {
    queue: Arc<Queue>,
    progress: watch::Receiver<CommitProgress>,
    mode: DurabilityMode,
}

impl Durability {
    /// For an index whose changes pass through the queue.
    #[must_use]
    pub const fn new(
        queue: Arc<Queue>,
        progress: watch::Receiver<CommitProgress>,
        mode: DurabilityMode,
    ) -> Self {
        Self { queue, progress, mode }
    }

    /// Waits until everything that can be seen in the index by now may be reported.
    ///
    /// # Errors
    /// Why it never will be durable.
    pub async fn settled(&self) -> Result<(), Arc<str>> {
        let begun = self.queue.begun();
        self.wait(match self.mode {
            DurabilityMode::Strict => begun,
            DurabilityMode::Relaxed => begun.saturating_sub(BEHIND),
        })
        .await
    }

    /// Waits until everything that can be seen in the index by now is on disk, in either mode.
    ///
    /// # Errors
    /// Why it never will be.
    pub async fn on_disk(&self) -> Result<(), Arc<str>> {
        self.wait(self.queue.begun()).await
    }

    /// Changes that have begun, and how many of them are on disk.
    #[must_use]
    pub fn behind(&self) -> (u64, u64) {
        let reached = self.progress.borrow().reached();
        (self.queue.begun().max(reached), reached)
    }

    async fn wait(&self, needed: u64) -> Result<(), Arc<str>> {
        if let Some(verdict) = self.verdict(&self.progress.borrow(), needed) {
            return verdict;
        }
        let settles = |progress: &CommitProgress| self.verdict(progress, needed).is_some();
        match self.progress.clone().wait_for(settles).await.as_deref() {
            Ok(progress) => self.verdict(progress, needed).expect("it has settled"),
            Err(_) => Err("the service has ended".into()),
        }
    }

    /// Whether the changes below `needed` may be reported; `None` as long as that is not known.
    fn verdict(&self, progress: &CommitProgress, needed: u64) -> Option<Result<(), Arc<str>>> {
        match progress {
            // What is not on disk by now is rolled back, also for callers that did not wait for it.
            CommitProgress::Failed(reached, reason) if *reached < self.queue.begun() => {
                Some(Err(Arc::clone(reason)))
            }
            progress => (progress.reached() >= needed).then_some(Ok(())),
        }
    }
}
