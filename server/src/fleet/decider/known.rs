//! The fleet as the decider knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_placement::{Index, JournalRead, Row};
use berth_scheduler::nova::placement_query::ComputeNode;
use berth_scheduler::nova::{Aggregate, FilterScheduler, HostTable, Options};
use uuid::Uuid;

use super::FleetView;
use super::prepared::Prepared;

/// The fleet as it was when the decider looked.
pub(super) struct KnownFleet {
    pub(super) scheduler: FilterScheduler,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) computes: Vec<ComputeNode>,
    /// Names of hosts, by the row of their root provider.
    names: BTreeMap<Row, String>,
    pub(super) prepared: Prepared,
    /// Where the journal was read to.
    cursor: u64,
}

impl KnownFleet {
    /// All of it as it is now.
    pub(super) fn load(
        index: &Arc<Index>,
        options: &Options,
        fleet: &dyn FleetView,
        now: i64,
    ) -> Result<Self, String> {
        let cursor = index.journal().end();
        let (records, aggregates) = fleet.all();
        let table = HostTable::load(&records, &aggregates, &options.general, now)
            .map_err(|error| error.to_string())?;
        let mut names = BTreeMap::new();
        let mut computes = Vec::new();
        for record in &records {
            let uuid = Uuid::try_parse(&record.uuid).map_err(|error| error.to_string())?;
            if let Some(row) = index.find(uuid) {
                names.insert(row, record.host.clone());
            }
            let (host, node) = (record.host.clone(), record.node.clone());
            computes.push(ComputeNode { host, node, uuid, cell_uuid: Some(record.cell_uuid.clone()) });
        }
        let scheduler = FilterScheduler::new(Arc::clone(index), table, options.clone());
        Ok(Self { scheduler, aggregates, computes, names, prepared: Prepared::default(), cursor })
    }

    /// Takes in how these hosts are; returns whether that could be done.
    pub(super) fn update(&mut self, fleet: &dyn FleetView, hosts: &BTreeSet<String>, now: i64) -> bool {
        let updated = self.scheduler.update_hosts(&fleet.some(hosts), now);
        updated.inspect_err(|error| tracing::warn!(%error, "all hosts are read anew")).is_ok()
    }

    /// Adds hosts that others have claimed from.
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
