//! Decisions that the rows of their hosts do not show yet.

use std::collections::BTreeMap;

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
}

impl PendingDecisions {
    pub(crate) fn add(&mut self, host: &str, decision: Pending) {
        self.of_host.entry(host.to_owned()).or_default().push(decision);
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

    /// Forgets decisions that are too old; returns their hosts.
    pub(crate) fn expire(&mut self, now: i64) -> Vec<String> {
        let mut expired = Vec::new();
        self.of_host.retain(|host, decisions| {
            let before = decisions.len();
            decisions.retain(|decision| now.saturating_sub(decision.at) <= EXPIRES);
            if decisions.len() != before {
                expired.push(host.clone());
            }
            !decisions.is_empty()
        });
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
