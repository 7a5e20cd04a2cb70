//! The source of host properties other than the index.

use std::collections::BTreeSet;

use berth_placement::Row;

use crate::AggregateRecord;
use crate::hosts::{HostRecord, UsageRow};

/// A compute service of a recent release: one that every pre-filter but those of the latest release
/// may be used with.
const RECENT_COMPUTE: u32 = 68;

/// Knows hosts: a control plane's records, or the fleet of a simulation.
pub trait HostSource {
    /// The changes since the last call.
    fn changes(&self) -> HostChanges;

    /// All hosts, and their aggregates.
    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>);

    /// The version of the oldest compute service, as Nova counts them. Pre-filters that need a
    /// newer one are off.
    fn oldest_compute(&self) -> u32 {
        RECENT_COMPUTE
    }

    /// These hosts. Those that are unknown are left out.
    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord>;

    /// What the host of this root provider uses, if nothing else of its record changes with the
    /// free amounts of its tree. `None`: such a change needs the whole record.
    fn usage(&self, _: Row) -> Option<UsageRow> {
        None
    }
}

/// A source without hosts, for rules that consider amounts alone.
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

/// Changes of hosts.
#[derive(Debug, Default)]
pub struct HostChanges {
    /// Whether hosts were added or removed, or aggregates changed.
    pub layout: bool,
    /// Hosts whose status, instances or facts have changed. Hosts whose free amounts changed in the
    /// index need not be named.
    pub hosts: BTreeSet<String>,
}
