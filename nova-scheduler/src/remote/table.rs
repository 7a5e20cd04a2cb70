//! The hosts as of the last decision, and what is looked up besides.

use berth_scheduler::decider::{HostChanges, HostSource};
use berth_scheduler::hosts::{HostLoadError, HostRecord};
use berth_scheduler::placement_query::ComputeNode;
use berth_scheduler::{AggregateRecord, HostTable, Options};

/// Hosts that follow their source.
pub(super) struct RemoteTable {
    pub(super) hosts: HostTable,
    pub(super) aggregates: Vec<AggregateRecord>,
    pub(super) computes: Vec<ComputeNode>,
}

impl RemoteTable {
    /// Brings the hosts up to date; loads them if there are none yet, or if hosts came or went.
    pub(super) fn follow(
        current: Option<Self>,
        source: &dyn HostSource,
        options: &Options,
        now: i64,
    ) -> Result<Self, HostLoadError> {
        let HostChanges { layout, hosts } = source.changes();
        if let Some(mut table) = current.filter(|_| !layout) {
            let is_current =
                hosts.is_empty() || table.hosts.update(&source.some(&hosts), &options.general, now).is_ok();
            if is_current {
                return Ok(table);
            }
        }
        let (records, aggregates) = source.all();
        let hosts = HostTable::load(&records, &aggregates, &options.general, now)?;
        let computes = records.iter().map(compute_node).collect();
        Ok(Self { hosts, aggregates, computes })
    }
}

/// The node by all its names.
fn compute_node(record: &HostRecord) -> ComputeNode {
    let HostRecord { host, node, uuid, cell_uuid, .. } = record;
    ComputeNode { host: host.clone(), node: node.clone(), uuid: *uuid, cell_uuid: Some(cell_uuid.clone()) }
}
