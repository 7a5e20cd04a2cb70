//! Repeats of a request that is in progress.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_fleet::{FleetError, Instance};

/// Identifies a request: its project and its idempotency key.
pub(super) type Key = (String, String);

type Answer = Result<Vec<Arc<Instance>>, FleetError>;

/// The response to a request, once there is one. The request in progress holds the lock.
type Turn = Arc<Mutex<Option<Answer>>>;

/// The requests with a key that are in progress.
#[derive(Default)]
pub(crate) struct Repeats {
    turns: Mutex<BTreeMap<Key, Turn>>,
}

impl Repeats {
    fn turns(&self) -> MutexGuard<'_, BTreeMap<Key, Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of requests with this key that are in progress or wait.
    #[cfg(test)]
    pub(super) fn in_progress(&self, key: &Key) -> usize {
        self.turns().get(key).map_or(0, |turn| Arc::strong_count(turn) - 1)
    }

    /// The response to a request. A repeat of a request in progress waits for it, and gets the same
    /// response.
    pub(super) fn answer(&self, key: &Key, work: impl FnOnce() -> Answer) -> Answer {
        let turn = Arc::clone(self.turns().entry(key.clone()).or_default());
        // A request that panicked has no response; the next one runs in its place.
        let mut answer = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = &*answer {
            return answer.clone();
        }
        let outcome = work();
        *answer = Some(outcome.clone());
        self.turns().remove(key);
        outcome
    }
}
