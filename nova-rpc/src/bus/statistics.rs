//! Counts of the bus, for metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts of the bus since the start.
#[derive(Debug, Default)]
pub struct BusStatistics {
    pub(super) is_connected: AtomicBool,
    pub(super) connections: AtomicU64,
    pub(super) messages: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) keep_alives: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) abandoned: AtomicU64,
}

impl BusStatistics {
    /// Whether a connection exists.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Counts by name: connections made, messages received, duplicates dropped, messages that could
    /// not be read, keep-alives sent, repeated attempts to send a reply, replies that nobody
    /// received.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("connections", count(&self.connections)),
            ("messages", count(&self.messages)),
            ("duplicates", count(&self.duplicates)),
            ("unreadable", count(&self.unreadable)),
            ("keep_alives", count(&self.keep_alives)),
            ("resent_replies", count(&self.resent)),
            ("abandoned_replies", count(&self.abandoned)),
        ]
    }

    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
