//! The shares of the service that each compute host has: how often its agent's provider trees and
//! reports about guests are applied.
//!
//! A share belongs to the host, not to the connection: an agent that connects again does not get
//! another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;

/// A host's trees take at most one part in so many of the time: other writes go on in between.
const SHARE_OF_TREES: u32 = 10;

/// The time for one report about a guest: at most 200 a second are applied for long.
const TIME_OF_REPORT: Duration = Duration::from_millis(5);

/// How far reports may be ahead of their time: 2,000 are applied at once, as when an agent joins.
const REPORTS_AHEAD: Duration = Duration::from_secs(10);

/// The shares of all hosts.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<BTreeMap<String, Arc<HostShare>>>);

/// What a host has used of its share.
#[derive(Debug, Default)]
pub(super) struct HostShare(Mutex<Used>);

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    /// When the next tree may be applied.
    next_tree: Monotonic,
    /// When the time of all reports so far is over.
    reports_until: Monotonic,
}

impl Shares {
    /// The share of a host. Those of hosts that have no connection and used little are forgotten.
    pub(super) fn of(&self, host: &str, now: Monotonic) -> Arc<HostShare> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| Arc::strong_count(share) > 1 || share.is_in_use(now));
        Arc::clone(shares.entry(host.to_owned()).or_default())
    }
}

impl HostShare {
    fn with<T>(&self, change: impl FnOnce(&mut Used) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_in_use(&self, now: Monotonic) -> bool {
        self.with(|used| used.next_tree > now || used.reports_until > now)
    }

    /// How long the next tree has to wait.
    pub(super) fn pause_of_trees(&self, now: Monotonic) -> Duration {
        self.with(|used| used.next_tree.since(now))
    }

    /// Notes that a tree was applied, and how long that took.
    pub(super) fn note_tree(&self, now: Monotonic, took: Duration) {
        self.with(|used| used.next_tree = now.after(took * SHARE_OF_TREES));
    }

    /// How long the next report has to wait.
    pub(super) fn pause_of_reports(&self, now: Monotonic) -> Duration {
        self.with(|used| used.reports_until.since(now.after(REPORTS_AHEAD)))
    }

    /// Notes that a report is applied.
    pub(super) fn note_report(&self, now: Monotonic) {
        self.with(|used| used.reports_until = used.reports_until.max(now).after(TIME_OF_REPORT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn reports_come_in_bursts_and_at_a_rate_for_long() {
        let (share, mut now) = (HostShare::default(), Monotonic::default().after(SECOND));
        for _ in 0..2_000 {
            assert_eq!(share.pause_of_reports(now), Duration::ZERO);
            share.note_report(now);
        }
        let mut applied = 0;
        let end = now.after(10 * SECOND);
        while now < end {
            share.note_report(now);
            applied += 1;
            now = now.after(share.pause_of_reports(now));
        }
        assert_eq!(applied, 2_000);
        now = now.after(20 * SECOND);
        assert_eq!(share.pause_of_reports(now), Duration::ZERO, "a quiet host may report at once again");
    }

    /// A regression: an agent that connected again had no pause after its last tree.
    #[test]
    fn a_share_belongs_to_the_host_and_not_to_the_connection() {
        let (shares, now) = (Shares::default(), Monotonic::default());
        shares.of("a", now).note_tree(now, SECOND);
        shares.of("b", now).note_report(now);
        assert_eq!(shares.of("a", now).pause_of_trees(now), 10 * SECOND);
        assert_eq!(shares.of("b", now).pause_of_trees(now), Duration::ZERO);
        let connected = shares.of("b", now);
        let later = now.after(11 * SECOND);
        drop(shares.of("c", later));
        let kept: Vec<String> = shares.0.lock().unwrap().keys().cloned().collect();
        assert_eq!(kept, ["b", "c"], "those without a connection that used little are forgotten");
        drop(connected);
    }
}
