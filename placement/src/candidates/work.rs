//! The budget of a search.

use super::query::WorkExceeded;

/// The number of steps that a search may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    limit: u64,
    left: u64,
}

impl Work {
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    /// Spends one step.
    #[inline]
    pub(super) fn spend(&mut self) -> Result<(), WorkExceeded> {
        self.left = self.left.checked_sub(1).ok_or(WorkExceeded { limit: self.limit })?;
        Ok(())
    }
}
