//! Hosts that report again, and aggregates that change.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use uuid::Uuid;

use super::load::{MetadataByHost, class_report, node_and_usage, service_host};
use super::record::HostRecord;
use super::{ClassReport, HostClass, HostLoadError, HostRow, HostTable, Node, ServiceHost, UsageRow, index};
use crate::aggregates::AggregateRecord;
use crate::options::GeneralOptions;

/// Records that hosts of a table cannot be updated by. The table stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// One of them cannot be read.
    #[error(transparent)]
    Unreadable(#[from] HostLoadError),
    /// One of them is of no host in the table.
    #[error("host {host}, node {node}: is not known")]
    Unknown {
        /// Service host.
        host: String,
        /// Compute node.
        node: String,
    },
    /// A service's instances are those of all its nodes, so its nodes report together.
    #[error("host {host}: only some of its nodes are given, {missing} is missing")]
    Incomplete {
        /// Service host.
        host: String,
        /// A compute node that is not among the records.
        missing: String,
    },
}

/// A record, read.
struct Update {
    row: HostRow,
    service: ServiceHost,
    node: Node,
    usage: UsageRow,
    report: Option<ClassReport>,
}

impl HostTable {
    /// Makes hosts what these records say, whatever decisions have taken from them since they
    /// reported last. Aggregates stay as they are. Returns the rows, which are those that the hosts
    /// had before.
    ///
    /// `now` (microseconds since 1970) stands in for times that a service record lacks.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; then nothing has changed.
    pub fn update(
        &mut self,
        records: &[HostRecord],
        options: &GeneralOptions,
        now: i64,
    ) -> Result<Vec<HostRow>, UpdateError> {
        let read = |record| self.read(record, options, now);
        let updates = records.iter().map(read).collect::<Result<Vec<Update>, UpdateError>>()?;
        let rows: Vec<HostRow> = updates.iter().map(|update| update.row).collect();
        self.require_whole_services(&rows)?;
        rows.iter().for_each(|row| self.forget_instances(*row));
        for (record, update) in records.iter().zip(updates) {
            self.apply(record, update);
        }
        self.observe_lifetimes(records, now);
        Ok(rows)
    }

    /// Makes the use of a host what its source says, whatever decisions have taken from it.
    pub(crate) fn set_usage(&mut self, row: HostRow, usage: UsageRow) {
        self.usage.set(row, usage);
    }

    /// Puts the hosts into these aggregates and no others. Returns the rows for which that makes a
    /// difference.
    pub fn replace_aggregates(&mut self, aggregates: &[AggregateRecord]) -> Vec<HostRow> {
        let mut metadata = MetadataByHost::new(aggregates);
        let mut changed = Vec::new();
        for row in self.rows() {
            let found = metadata.of(self.host(row));
            let class = self.class(row);
            if class.aggregates != found {
                let class = HostClass { aggregates: found, ..class.clone() };
                self.class[index(row)] = self.classes.intern(class);
                changed.push(row);
            }
        }
        changed
    }

    fn read(&self, record: &HostRecord, options: &GeneralOptions, now: i64) -> Result<Update, UpdateError> {
        let unknown = || UpdateError::Unknown { host: record.host.clone(), node: record.node.clone() };
        let row = self.row_of_node(&record.host, &record.node).ok_or_else(unknown)?;
        let service = service_host(&record.host, &record.service, now).map_err(|error| error.of(record))?;
        let (node, usage) = node_and_usage(record).map_err(|error| error.of(record))?;
        let report = record.free_disk_gb.map(|_| class_report(record, options));
        Ok(Update { row, service, node, usage, report })
    }

    fn require_whole_services(&self, rows: &[HostRow]) -> Result<(), UpdateError> {
        let given: FxHashSet<HostRow> = rows.iter().copied().collect();
        for row in rows {
            let siblings = &self.rows_of_service[self.service_id(*row) as usize];
            if let Some(missing) = siblings.iter().find(|sibling| !given.contains(sibling)) {
                let (host, missing) = (self.host(*row).to_owned(), self.node(*missing).to_owned());
                return Err(UpdateError::Incomplete { host, missing });
            }
        }
        Ok(())
    }

    fn forget_instances(&mut self, row: HostRow) {
        let service = self.service_id(row);
        let instances = std::mem::take(&mut self.services[service as usize].instances);
        instances.into_keys().for_each(|uuid| self.remove_instance(service, uuid));
    }

    fn apply(&mut self, record: &HostRecord, update: Update) {
        let Update { row, service, node, usage, report } = update;
        let id = self.service_id(row);
        let known = &mut self.services[id as usize];
        *known = ServiceHost { instances: std::mem::take(&mut known.instances), ..service };
        for instance in &record.instances {
            self.add_instance(id, instance.uuid, instance.image_properties.clone());
        }
        let aggregates = Arc::clone(&self.class(row).aggregates);
        let class = HostClass { cell_uuid: record.cell_uuid.as_str().into(), aggregates, report };
        self.class[index(row)] = self.classes.intern(class);
        self.usage.set(row, usage);
        self.rename_provider(row, node.uuid);
        self.nodes[index(row)] = node;
    }

    fn rename_provider(&mut self, row: HostRow, uuid: Option<Uuid>) {
        let known = self.nodes[index(row)].uuid;
        if known == uuid {
            return;
        }
        self.provider_moves += 1;
        if let Some(known) = known.filter(|known| self.row_of(*known) == Some(row)) {
            self.row_by_uuid.remove(&known);
        }
        if let Some(uuid) = uuid {
            self.row_by_uuid.insert(uuid, row);
        }
    }
}
