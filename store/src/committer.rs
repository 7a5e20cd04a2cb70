//! Group commit: all changes that await a commit are made durable together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_placement::Index;
use tokio::sync::watch;

use crate::encoder::Encoder;
use crate::queue::{CommitGroup, Queue};
use crate::store::{CommitError, Store, Tenure};

/// The idle time after which the store completes work that commits deferred.
const IDLE: Duration = Duration::from_millis(20);

/// The time after which an idle store is asked again whether it still works.
const STILL_IDLE: Duration = Duration::from_secs(1);

/// How many operations are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitProgress {
    /// All operations with a lower ticket are durable.
    Durable(u64),
    /// The store has failed. All operations with a lower ticket are durable; the reason follows.
    Failed(u64, Arc<str>),
}

/// Commits the changes of an index to a store.
pub struct Committer {
    index: Arc<Index>,
    queue: Arc<Queue>,
    store: Box<dyn Store>,
    encoder: Encoder,
    progress: watch::Sender<CommitProgress>,
}

impl Committer {
    /// Creates a committer. No operation is durable yet.
    #[must_use]
    pub fn new(index: Arc<Index>, queue: Arc<Queue>, store: Box<dyn Store>, encoder: Encoder) -> Self {
        Self { index, queue, store, encoder, progress: watch::Sender::new(CommitProgress::Durable(0)) }
    }

    /// Subscribes to the progress of commits.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<CommitProgress> {
        self.progress.subscribe()
    }

    /// Whether this process may answer for the store ([`Store::tenure`]).
    #[must_use]
    pub fn tenure(&self) -> Option<Arc<dyn Tenure>> {
        self.store.tenure()
    }

    /// Commits until the queue is closed and empty, or the store fails. It waits for `delay` before
    /// each commit, so that more changes share it. `note` receives the number of records of each
    /// commit and its duration.
    ///
    /// # Errors
    /// The store's errors. After an error, call [`Self::fail`]: no further changes are committed.
    pub fn run(&mut self, delay: Duration, note: impl Fn(usize, Duration)) -> Result<(), CommitError> {
        loop {
            let mut pause = IDLE;
            while !self.queue.has_changes_within(pause) {
                self.store.idle()?;
                pause = STILL_IDLE;
            }
            let Some(group) = self.queue.wait(delay) else { return Ok(()) };
            #[expect(clippy::disallowed_methods, reason = "for the metrics only")]
            let start = Instant::now();
            let records = self.commit(group)?;
            note(records, start.elapsed());
        }
    }

    /// Reports to all waiting callers that their changes will not become durable.
    pub fn fail(&self, reason: &str) {
        self.progress.send_modify(|progress| {
            *progress = CommitProgress::Failed(progress.reached(), reason.into());
        });
    }

    /// Commits the queued changes; returns whether there were any.
    ///
    /// # Errors
    /// The store's errors.
    pub fn step(&mut self) -> Result<bool, CommitError> {
        let group = self.queue.take();
        group.map_or(Ok(false), |group| self.commit(group).map(|_| true))
    }

    /// Commits a group; returns the number of records written.
    fn commit(
        &mut self,
        CommitGroup { changes, records, complete }: CommitGroup,
    ) -> Result<usize, CommitError> {
        let mut changes = self.encoder.encode(changes, &self.index);
        changes.extend(records);
        let records = changes.len();
        if records > 0 {
            self.store.commit(changes)?;
        }
        self.progress.send_replace(CommitProgress::Durable(complete));
        Ok(records)
    }
}

impl CommitProgress {
    /// All operations with a lower ticket are durable.
    #[must_use]
    pub const fn reached(&self) -> u64 {
        match *self {
            Self::Durable(reached) | Self::Failed(reached, _) => reached,
        }
    }
}
