//! A buffer of the latest commits for watchers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::store::{Changes, Committed, Compacted, Revision};

/// The largest number of changes in the buffer, in whole commits.
const KEPT_CHANGES: usize = 1 << 16;

/// The largest number of commits that a watcher may lag behind.
const BEHIND: usize = 1 << 10;

/// The latest commits of a store and its watchers; a building block for implementations of stores.
#[derive(Debug)]
pub struct Feed {
    /// The latest commits, in order and without gaps.
    kept: VecDeque<Committed>,
    kept_changes: usize,
    latest: Revision,
    watchers: Vec<SyncSender<Committed>>,
}

impl Feed {
    /// Creates a feed that begins after the revision.
    #[must_use]
    pub const fn after(revision: Revision) -> Self {
        Self { kept: VecDeque::new(), kept_changes: 0, latest: revision, watchers: Vec::new() }
    }

    /// The revision of the latest commit.
    #[must_use]
    pub const fn latest(&self) -> Revision {
        self.latest
    }

    /// Publishes the next commit; returns its revision.
    pub fn publish(&mut self, changes: Changes) -> Revision {
        self.latest.0 += 1;
        let committed = Committed { revision: self.latest, changes: Arc::new(changes) };
        // Drop watchers that are gone or too slow instead of waiting for them.
        self.watchers.retain(|watcher| watcher.try_send(committed.clone()).is_ok());
        self.kept_changes += committed.changes.len();
        self.kept.push_back(committed);
        while self.kept_changes > KEPT_CHANGES || self.kept.len() > BEHIND / 2 {
            let oldest = self.kept.pop_front().expect("changes are kept in commits");
            self.kept_changes -= oldest.changes.len();
        }
        self.latest
    }

    /// See [`Store::watch`](crate::Store::watch).
    ///
    /// # Errors
    /// Commits after the revision are no longer kept.
    pub fn watch(&mut self, after: Revision) -> Result<Receiver<Committed>, Compacted> {
        let oldest = self.kept.front().map_or(Revision(self.latest.0 + 1), |committed| committed.revision);
        if after.0 + 1 < oldest.0 {
            return Err(Compacted { oldest });
        }
        let (sender, receiver) = sync_channel(BEHIND);
        for committed in self.kept.iter().filter(|committed| committed.revision > after) {
            sender.try_send(committed.clone()).expect("fewer are kept than it takes");
        }
        self.watchers.push(sender);
        Ok(receiver)
    }
}
