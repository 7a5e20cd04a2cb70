//! The budget of a search.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::query::{SearchOptions, WorkExceeded};

/// A signal that stops searches: they return [`WorkExceeded`] soon after it is set.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the searches.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed); // publishes no other memory
    }

    /// Whether the searches must stop.
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

/// The number of steps between two checks of the stop signal.
const STOP_CHECK_INTERVAL: u64 = 256;

impl Work {
    pub(super) fn new(options: &SearchOptions) -> Self {
        Self { limit: options.work, left: options.work, stop: options.stop.clone() }
    }

    /// Spends one step.
    #[inline]
    pub(super) fn spend(&mut self) -> Result<(), WorkExceeded> {
        let exceeded = WorkExceeded { limit: self.limit };
        self.left = self.left.checked_sub(1).ok_or(exceeded)?;
        if self.left.is_multiple_of(STOP_CHECK_INTERVAL) && self.stop.is_set() {
            Err(exceeded)
        } else {
            Ok(())
        }
    }
}
