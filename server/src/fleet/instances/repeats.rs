//! Requests that are repeated while the first is still being answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fleet::entry::Instance;
use crate::fleet::error::FleetError;

/// What a request is known by: its project and its idempotency key.
pub(super) type Key = (String, String);

type Answer = Result<Vec<Instance>, FleetError>;

/// The answer to a request, once there is one. Locked by the request that is being answered.
type Turn = Arc<Mutex<Option<Answer>>>;

/// The requests with a key that are being answered.
#[derive(Default)]
pub(crate) struct Repeats {
    turns: Mutex<BTreeMap<Key, Turn>>,
}

impl Repeats {
    fn turns(&self) -> MutexGuard<'_, BTreeMap<Key, Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a request. One that comes while another with its key is being answered waits for that, and gets the same.
    pub(super) fn answer(&self, key: &Key, work: impl FnOnce() -> Answer) -> Answer {
        let turn = Arc::clone(self.turns().entry(key.clone()).or_default());
        // Of a request that panicked there is no answer; the next one is answered in its place.
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
