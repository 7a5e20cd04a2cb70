//! The progress of reading a trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The unit of a [`ReadProgress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of the source file, as stored (compressed bytes of a gzip file).
    Bytes,
    /// VMs.
    Vms,
    /// Seconds of the trace's own time.
    Seconds,
}

/// A handle on the progress of reading a trace. Clones are cheap and observe the same trace from
/// any thread.
#[derive(Debug, Clone)]
pub struct ReadProgress {
    done: Arc<AtomicU64>,
    total: u64,
    unit: Unit,
}

impl ReadProgress {
    /// Progress with nothing of `total` done yet.
    #[must_use]
    pub fn new(total: u64, unit: Unit) -> Self {
        Self { done: Arc::default(), total, unit }
    }

    /// The amount read so far, in [`unit`](Self::unit)s.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The total amount; 0 when it is unknown (a pipe).
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The unit.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The share read so far, from 0 to 1; `None` when the total is unknown.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.done() as f64 / self.total as f64).min(1.0))
    }

    /// Sets the amount read so far to `done` units.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
}
