//! The hosts as a decider knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_placement::{Index, JournalRead, Row};
use uuid::Uuid;

use super::cache::Cache;
use super::{HostSource, HostsError};
use crate::nova::hosts::HostRecord;
use crate::nova::placement_query::ComputeNode;
use crate::nova::{Aggregate, FilterScheduler, HostTable, Options, Preference};

/// The hosts as they were when the decider looked.
pub(super) struct KnownHosts {
    pub(super) scheduler: FilterScheduler,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) computes: Vec<ComputeNode>,
    pub(super) cache: Cache,
    /// Names of hosts, by the row of their root provider.
    names: BTreeMap<Row, String>,
    /// Where the journal was read to.
    cursor: u64,
}

impl KnownHosts {
    /// All of them as they are now.
    pub(super) fn load(
        index: &Arc<Index>,
        (options, preference): (&Options, Preference),
        source: &dyn HostSource,
        now: i64,
    ) -> Result<Self, HostsError> {
        let cursor = index.journal().end();
        let (records, aggregates) = source.all();
        let table = HostTable::load(&records, &aggregates, &options.general, now)?;
        let computes = records.iter().map(compute_node).collect::<Result<Vec<_>, _>>()?;
        let name = |node: &ComputeNode| Some((index.find(node.uuid)?, node.host.clone()));
        let names = computes.iter().filter_map(name).collect();
        let scheduler = FilterScheduler::preferring(preference, Arc::clone(index), table, options.clone());
        Ok(Self { scheduler, aggregates, computes, cache: Cache::default(), names, cursor })
    }

    /// Applies how these hosts are now; returns whether that was possible.
    pub(super) fn update(&mut self, source: &dyn HostSource, hosts: &BTreeSet<String>, now: i64) -> bool {
        self.scheduler.update_hosts(&source.some(hosts), now).is_ok()
    }

    /// Adds the hosts that have other amounts free since the last call.
    pub(super) fn read_journal(&mut self, index: &Index, hosts: &mut BTreeSet<String>) {
        let topology = index.topology();
        loop {
            match index.journal().read(&mut self.cursor) {
                JournalRead::Changed(entry) => {
                    let root = topology.provider(entry.row).map(|provider| provider.root);
                    hosts.extend(root.and_then(|root| self.names.get(&root)).cloned());
                }
                JournalRead::UpToDate => return,
                JournalRead::Overrun => hosts.extend(self.names.values().cloned()),
            }
        }
    }
}

fn compute_node(record: &HostRecord) -> Result<ComputeNode, HostsError> {
    let HostRecord { host, node, uuid, cell_uuid, .. } = record;
    let parsed =
        Uuid::try_parse(uuid).map_err(|_| HostsError::Provider { host: host.clone(), uuid: uuid.clone() })?;
    Ok(ComputeNode {
        host: host.clone(),
        node: node.clone(),
        uuid: parsed,
        cell_uuid: Some(cell_uuid.clone()),
    })
}
