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
    /// Steps that may be taken before the stop signal is checked.
    portion: u64,
    /// Steps after those.
    left: u64,
    stop: Option<Stop>,
}

/// The number of steps between two checks of the stop signal.
const STOP_CHECK_INTERVAL: u64 = 256;

impl Work {
    pub(super) fn new(options: &SearchOptions) -> Self {
        Self { limit: options.work, portion: 0, left: options.work, stop: options.stop.clone() }
    }

    /// Spends one step.
    #[inline]
    pub(super) fn spend(&mut self) -> Result<(), WorkExceeded> {
        if self.portion == 0 {
            self.next_portion()?;
        }
        self.portion -= 1;
        Ok(())
    }

    #[cold]
    fn next_portion(&mut self) -> Result<(), WorkExceeded> {
        if self.left == 0 || self.stop.as_ref().is_some_and(Stop::is_set) {
            return Err(WorkExceeded { limit: self.limit });
        }
        self.portion = self.left.min(STOP_CHECK_INTERVAL);
        self.left -= self.portion;
        Ok(())
    }
}
