//! Counts of reads from the databases, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of reads from the databases since the start.
#[derive(Debug, Default)]
pub struct ReadStatistics {
    pub(crate) refreshes: AtomicU64,
    pub(crate) services: AtomicU64,
    pub(crate) listed: AtomicU64,
    pub(crate) compute_nodes: AtomicU64,
    pub(crate) instances: AtomicU64,
    pub(crate) aggregates: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl ReadStatistics {
    /// Counts by name: refreshes for requests, rows of services that were read, of compute nodes
    /// that were listed and that were read, and of instances, readings of all aggregates, and
    /// readings that failed.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("refreshes", count(&self.refreshes)),
            ("service_rows", count(&self.services)),
            ("listed_compute_nodes", count(&self.listed)),
            ("compute_node_rows", count(&self.compute_nodes)),
            ("instance_rows", count(&self.instances)),
            ("aggregate_readings", count(&self.aggregates)),
            ("failures", count(&self.failures)),
        ]
    }

    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
