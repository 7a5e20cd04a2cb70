//! How far a trace has been read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`Progress`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of the source file, as stored (compressed bytes of a gzip file).
    Bytes,
    /// VMs.
    Vms,
    /// Seconds of the trace's own time.
    Seconds,
}

/// A handle on how far a trace has been read. Clones are cheap and watch the same trace, from any
/// thread.
#[derive(Debug, Clone)]
pub struct Progress {
    done: Arc<AtomicU64>,
    total: u64,
    unit: Unit,
}

impl Progress {
    /// Nothing done yet of `total`.
    #[must_use]
    pub fn new(total: u64, unit: Unit) -> Self {
        Self { done: Arc::default(), total, unit }
    }

    /// How much has been read so far, in [`unit`](Self::unit)s.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How much there is; 0 when nobody can know (a pipe).
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is counted.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The part read so far, from 0 to 1; `None` when the total is not known.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.done() as f64 / self.total as f64).min(1.0))
    }

    /// Reports that `done` units have been read in all.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
}
