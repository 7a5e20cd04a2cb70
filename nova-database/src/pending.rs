//! Decisions that the rows of their hosts do not show yet.

use std::collections::{BTreeMap, VecDeque};

use berth_scheduler::hosts::HostRecord;

use crate::compute_node::add_to_stat;

/// Microseconds after which a decision no longer counts: compute services write their rows each
/// minute.
const EXPIRES: i64 = 60_000_000;

/// The use of an instance on its host, as the row of the host will show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// vCPUs.
    pub vcpus: i64,
    /// Memory in MiB.
    pub memory_mb: i64,
    /// Root and ephemeral disk in GiB.
    pub disk_gb: i64,
    /// When it was decided, microseconds since 1970.
    pub at: i64,
}

/// The decisions of each host since its row was written. Without them, requests that arrive at once
/// would all see the same best host.
#[derive(Debug, Default)]
pub(crate) struct PendingDecisions {
    of_host: BTreeMap<String, Vec<Pending>>,
    /// When each decision was made, and its host, in order; those whose rows show them included.
    in_order: VecDeque<(i64, String)>,
}

impl PendingDecisions {
    pub(crate) fn add(&mut self, host: &str, decision: Pending) {
        self.of_host.entry(host.to_owned()).or_default().push(decision);
        self.in_order.push_back((decision.at, host.to_owned()));
    }

    /// How many decisions a host has.
    pub(crate) fn count(&self, host: &str) -> usize {
        self.of_host.get(host).map_or(0, Vec::len)
    }

    /// The row of the host was written again, at a time in microseconds since 1970 that is cut to
    /// seconds: it shows what was decided before.
    pub(crate) fn settle(&mut self, host: &str, written: i64) {
        if let Some(decisions) = self.of_host.get_mut(host) {
            decisions.retain(|decision| decision.at > written.saturating_add(999_999));
            if decisions.is_empty() {
                self.of_host.remove(host);
            }
        }
    }

    /// Forgets decisions that are too old, or that were made in the future of a clock that was set
    /// back; returns their hosts.
    pub(crate) fn expire(&mut self, now: i64) -> Vec<String> {
        let is_over = |at: i64| now.saturating_sub(at).saturating_abs() > EXPIRES;
        let mut expired = Vec::new();
        while let Some((_, host)) = self.in_order.pop_front_if(|(at, _)| is_over(*at)) {
            let Some(decisions) = self.of_host.get_mut(&host) else { continue };
            let before = decisions.len();
            decisions.retain(|decision| !is_over(decision.at));
            let is_changed = decisions.len() != before;
            if decisions.is_empty() {
                self.of_host.remove(&host);
            }
            if is_changed {
                expired.push(host);
            }
        }
        expired
    }

    /// Takes from the host what its decisions took.
    pub(crate) fn apply(&self, record: &mut HostRecord) {
        for Pending { vcpus, memory_mb, disk_gb, .. } in self.of_host.get(&record.host).into_iter().flatten()
        {
            record.vcpus_used += vcpus;
            record.memory_mb_used += memory_mb;
            record.free_ram_mb -= memory_mb;
            record.local_gb_used += disk_gb;
            record.free_disk_gb = record.free_disk_gb.map(|free| free - disk_gb);
            record.disk_available_least = record.disk_available_least.map(|free| free - disk_gb);
            add_to_stat(&mut record.stats, "num_instances", 1);
            add_to_stat(&mut record.stats, "io_workload", 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at: i64) -> Pending {
        Pending { vcpus: 1, memory_mb: 1, disk_gb: 1, at }
    }

    #[test]
    fn decisions_expire_one_after_the_other() {
        let mut pending = PendingDecisions::default();
        for (host, decided) in [("a", 0), ("b", 10), ("a", 20)] {
            pending.add(host, at(decided));
        }
        assert_eq!(pending.expire(EXPIRES), [""; 0]);
        assert_eq!(pending.expire(EXPIRES + 11), ["a", "b"]);
        assert_eq!((pending.count("a"), pending.count("b")), (1, 0));
        pending.settle("a", 20);
        assert_eq!(pending.expire(EXPIRES + 21), [""; 0], "its row shows it: nothing changes");
        assert!(pending.of_host.is_empty() && pending.in_order.is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_decision() {
        let mut pending = PendingDecisions::default();
        pending.add("a", at(10 * EXPIRES));
        pending.add("a", at(1));
        assert_eq!(pending.expire(2), ["a"]);
        assert_eq!(pending.count("a"), 1);
        assert_eq!(pending.expire(EXPIRES + 2), ["a"]);
    }
}
