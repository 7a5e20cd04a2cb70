//! The budget of a search.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::query::{SearchOptions, WorkExceeded};

/// Ends searches from outside: they report [`WorkExceeded`] soon after.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the searches.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed); // it carries no other memory along
    }

    /// Whether they are to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The number of steps that a search may still take.
#[derive(Debug, Clone)]
pub(super) struct Work {
    limit: u64,
    left: u64,
    stop: Stop,
}

/// It is looked whether the search is to end once in so many steps.
const LOOK: u64 = 256;

impl Work {
    pub(super) fn new(options: &SearchOptions) -> Self {
        Self { limit: options.work, left: options.work, stop: options.stop.clone() }
    }

    /// Spends one step.
    #[inline]
    pub(super) fn spend(&mut self) -> Result<(), WorkExceeded> {
        let exceeded = WorkExceeded { limit: self.limit };
        self.left = self.left.checked_sub(1).ok_or(exceeded)?;
        if self.left.is_multiple_of(LOOK) && self.stop.is_set() { Err(exceeded) } else { Ok(()) }
    }
}
