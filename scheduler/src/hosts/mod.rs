//! The hosts as columns: one row for each compute node.
//!
//! The amounts that change with every instance are plain columns ([`Usage`]). The rest is the row's
//! [`HostClass`], of which a fleet has few: a filter that looks at nothing else is decided once for
//! each class. Service hosts, which several nodes may share, stand beside the rows.

mod attributes;
mod class;
mod consume;
mod cpu_info;
mod inventory_record;
mod load;
mod outage;
mod record;
mod row;
mod service;
mod twin;
mod update;
mod usage;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use uuid::Uuid;

use super::numa::HostTopology;
use super::packing::HostLifetimes;
use super::pci::Pools;
use super::python::Value;

pub use attributes::{Reach, reach};
pub use class::{ClassReport, HostClass, HostClassId, Ratio, Ratios};
pub use consume::Undo;
pub use cpu_info::CpuInfo;
pub use inventory_record::InventoryRecord;
pub use load::HostLoadError;
pub use outage::{LiftedOutage, Outage};
pub use record::{HostRecord, InstanceRecord, MetricRecord, ReportedAmount, ServiceRecord};
pub use row::HostRow;
pub(crate) use service::stored_properties;
pub use service::{InstanceImage, ServiceHost};
pub use update::UpdateError;
pub use usage::{Usage, UsageRow};

use class::Classes;

/// All hosts that may be chosen, in the order in which they enter a decision.
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    usage: Usage,
    class: Vec<HostClassId>,
    classes: Classes,
    service: Vec<u32>,
    services: Vec<ServiceHost>,
    service_by_name: FxHashMap<String, u32>,
    /// By service.
    rows_of_service: Vec<SmallVec<[HostRow; 2]>>,
    nodes: Vec<Node>,
    /// Rows of a provider.
    row_by_uuid: FxHashMap<Uuid, HostRow>,
    /// How often a row became another provider's.
    provider_moves: u64,
    /// Service hosts of an instance; more than one while it moves.
    hosts_by_instance: FxHashMap<Uuid, Vec<u32>>,
    /// When hosts are expected to be empty; none unless a weigher asks.
    lifetimes: Option<Box<HostLifetimes>>,
}

/// The properties of a single compute node that few decisions need.
#[derive(Debug, Clone)]
struct Node {
    name: String,
    /// None until the node has reported.
    uuid: Option<Uuid>,
    host_ip: Option<String>,
    stats: Option<Value>,
    metrics: Option<BTreeMap<String, Option<i64>>>,
    numa: Option<HostTopology>,
    /// None until the node has reported; no devices are an empty list.
    pools: Option<Pools>,
}

impl HostTable {
    /// How many hosts there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = HostRow> + Clone + use<> {
        #[expect(clippy::cast_possible_truncation, reason = "rows are 32 bits wide")]
        let len = self.len() as u32;
        (0..len).map(HostRow)
    }

    /// The columns that change.
    #[must_use]
    pub const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The class of each row.
    #[must_use]
    pub fn class_ids(&self) -> &[HostClassId] {
        &self.class
    }

    /// How many classes there are.
    #[must_use]
    pub const fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// All classes, by number.
    pub fn classes(&self) -> impl Iterator<Item = &HostClass> {
        self.classes.iter()
    }

    /// The class of a row.
    #[must_use]
    pub fn class(&self, row: HostRow) -> &HostClass {
        self.classes.get(self.class[index(row)])
    }

    /// The constant part of the node's report; none if it never reported.
    #[must_use]
    pub fn report(&self, row: HostRow) -> Option<&ClassReport> {
        self.class(row).report.as_ref()
    }

    /// Whether every host that reports says something of its CPUs.
    #[must_use]
    pub(crate) fn all_report_cpu_info(&self) -> bool {
        self.classes.iter().all(|class| class.report.as_ref().is_none_or(|report| report.cpu_info.is_some()))
    }

    /// The service of a row.
    #[must_use]
    pub fn service(&self, row: HostRow) -> &ServiceHost {
        &self.services[self.service[index(row)] as usize]
    }

    /// The number of a row's service.
    #[must_use]
    pub(crate) fn service_id(&self, row: HostRow) -> u32 {
        self.service[index(row)]
    }

    /// All services.
    #[must_use]
    pub fn services(&self) -> &[ServiceHost] {
        &self.services
    }

    /// The service host of this name.
    pub(crate) fn service_named(&self, host: &str) -> Option<u32> {
        self.service_by_name.get(host).copied()
    }

    /// The row of a compute node.
    #[must_use]
    pub(crate) fn row_of_node(&self, host: &str, node: &str) -> Option<HostRow> {
        let service = self.service_named(host)?;
        self.rows_of_service[service as usize].iter().copied().find(|row| self.node(*row) == node)
    }

    /// All rows of a row's service.
    pub(crate) fn rows_of_service_of(&self, row: HostRow) -> &[HostRow] {
        &self.rows_of_service[self.service_id(row) as usize]
    }

    /// Service host of a row.
    #[must_use]
    pub fn host(&self, row: HostRow) -> &str {
        &self.service(row).name
    }

    /// Name of a row's compute node.
    #[must_use]
    pub fn node(&self, row: HostRow) -> &str {
        &self.details(row).name
    }

    /// Provider of a row; none if the node has never reported.
    #[must_use]
    pub fn uuid(&self, row: HostRow) -> Option<Uuid> {
        self.details(row).uuid
    }

    /// The row of a provider.
    #[must_use]
    pub fn row_of(&self, provider: Uuid) -> Option<HostRow> {
        self.row_by_uuid.get(&provider).copied()
    }

    /// How often a row has become another provider's.
    pub(crate) const fn provider_moves(&self) -> u64 {
        self.provider_moves
    }

    /// Address of a row's host.
    #[must_use]
    pub fn host_ip(&self, row: HostRow) -> Option<&str> {
        self.details(row).host_ip.as_deref()
    }

    /// Measurements by name; a measurement may lack a number. None if the node has never reported.
    #[must_use]
    pub fn metrics(&self, row: HostRow) -> Option<&BTreeMap<String, Option<i64>>> {
        self.details(row).metrics.as_ref()
    }

    /// The node's report beside fixed columns.
    #[must_use]
    pub fn stats(&self, row: HostRow) -> Option<&Value> {
        self.details(row).stats.as_ref()
    }

    /// NUMA cells of a row.
    #[must_use]
    pub fn numa(&self, row: HostRow) -> Option<&HostTopology> {
        self.details(row).numa.as_ref()
    }

    /// Passthrough devices of a row; none if the node has never reported.
    #[must_use]
    pub fn pools(&self, row: HostRow) -> Option<&Pools> {
        self.details(row).pools.as_ref()
    }

    /// Service hosts that the instance is on, by number.
    #[must_use]
    pub(crate) fn hosts_of_instance(&self, uuid: Uuid) -> &[u32] {
        self.hosts_by_instance.get(&uuid).map_or(&[], Vec::as_slice)
    }

    /// How many of the instances each service host has; hosts without any are absent. An instance
    /// counts once.
    #[must_use]
    pub(crate) fn count_instances(&self, uuids: &[Uuid]) -> FxHashMap<u32, i64> {
        let mut distinct = uuids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut counts = FxHashMap::default();
        for host in distinct.into_iter().flat_map(|uuid| self.hosts_of_instance(uuid)) {
            *counts.entry(*host).or_default() += 1;
        }
        counts
    }

    /// When hosts are expected to be empty; none unless [`Self::track_lifetimes`] was called.
    pub(crate) fn lifetimes(&self) -> Option<&HostLifetimes> {
        self.lifetimes.as_deref()
    }

    /// Follows how long instances live from now on, beginning with those of `records`.
    pub(crate) fn track_lifetimes(&mut self, known: HostLifetimes, records: &[HostRecord], now: i64) {
        self.lifetimes = Some(Box::new(known));
        self.observe_lifetimes(records, now);
    }

    /// What was learned of lifetimes, for another table.
    pub(crate) fn take_lifetimes(&mut self) -> Option<HostLifetimes> {
        self.lifetimes.take().map(|known| known.carried_over())
    }

    /// Follows the time before a decision.
    pub(crate) fn follow_lifetimes(&mut self, now: i64) {
        if let Some(lifetimes) = &mut self.lifetimes {
            lifetimes.follow(now);
        }
    }

    /// Applies the instances of hosts that have reported again.
    fn observe_lifetimes(&mut self, records: &[HostRecord], now: i64) {
        let Some(mut lifetimes) = self.lifetimes.take() else { return };
        let is_elsewhere = |uuid: Uuid| !self.hosts_of_instance(uuid).is_empty();
        let mut of_service: BTreeMap<u32, Vec<InstanceRecord>> = BTreeMap::new();
        for record in records {
            if let Some(&service) = self.service_by_name.get(&record.host) {
                of_service.entry(service).or_default().extend(record.instances.iter().cloned());
            }
        }
        for (service, instances) in of_service {
            lifetimes.observe(service, &instances, is_elsewhere, now);
        }
        self.lifetimes = Some(lifetimes);
    }

    fn details(&self, row: HostRow) -> &Node {
        &self.nodes[index(row)]
    }
}

/// The position of a row in a column.
pub(super) const fn index(row: HostRow) -> usize {
    row.0 as usize
}
