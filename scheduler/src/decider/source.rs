//! What is known of hosts besides the index.

use std::collections::BTreeSet;

use crate::AggregateRecord;
use crate::hosts::HostRecord;

/// A compute service of a recent release: one that every pre-filter but those of the latest release may be used with.
const RECENT_COMPUTE: u32 = 68;

/// Knows hosts: a control plane's records, or the fleet of a simulation.
pub trait HostSource {
    /// What changed since the last call.
    fn changes(&self) -> HostChanges;

    /// All hosts, and the aggregates they are in.
    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>);

    /// The version of the oldest compute service, as Nova counts them. Pre-filters that need a newer one are off.
    fn oldest_compute(&self) -> u32 {
        RECENT_COMPUTE
    }

    /// These hosts. Those that are unknown are left out.
    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord>;
}

/// Knows nothing besides the index: for rules that consider amounts alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct IndexOnly;

impl HostSource for IndexOnly {
    fn changes(&self) -> HostChanges {
        HostChanges::default()
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>) {
        (Vec::new(), Vec::new())
    }

    fn some(&self, _: &BTreeSet<String>) -> Vec<HostRecord> {
        Vec::new()
    }
}

/// What changed about hosts.
#[derive(Debug, Default)]
pub struct HostChanges {
    /// Whether hosts came or went, or aggregates changed.
    pub layout: bool,
    /// Hosts whose status, instances or facts changed. Those whose free amounts changed on the index need not be named.
    pub hosts: BTreeSet<String>,
}
