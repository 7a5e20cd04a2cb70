//! The use of an instance on the host that was chosen for it.

use uuid::Uuid;

use super::{HostRow, HostTable, InstanceImage, UsageRow, index};
use crate::numa::{self, ConsumeFault, HostTopology, InstanceTopology, NumaConsumer};
use crate::pci::Pools;
use crate::request_spec::RequestedFlavor;

/// A host as it was before an instance was put on it.
#[derive(Debug, Clone)]
pub struct Undo {
    row: HostRow,
    usage: UsageRow,
    numa: Option<HostTopology>,
    pools: Option<Pools>,
    instance: Option<Uuid>,
}

impl Undo {
    /// The host.
    #[must_use]
    pub const fn row(&self) -> HostRow {
        self.row
    }
}

impl HostTable {
    /// Takes from the row what the instance needs, so that the next decision sees it. `topology`,
    /// the instance's NUMA cells, becomes what was fitted.
    ///
    /// Where cells or devices turn out not to suffice, the rest is left out, as in Nova: the host
    /// stays chosen, and its compute service has the last word.
    pub fn consume(
        &mut self,
        row: HostRow,
        flavor: &RequestedFlavor,
        topology: &mut Option<InstanceTopology>,
        consumer: &NumaConsumer<'_>,
    ) -> (Undo, Result<(), ConsumeFault>) {
        let node = &self.nodes[index(row)];
        let before = self.usage.row(row);
        let undo =
            Undo { row, usage: before, numa: node.numa.clone(), pools: node.pools.clone(), instance: None };
        let mut after = UsageRow {
            free_ram_mb: before.free_ram_mb.saturating_sub(flavor.memory_mb),
            free_disk_mb: before.free_disk_mb.saturating_sub(flavor.disk_mb()),
            vcpus_used: before.vcpus_used.saturating_add(flavor.vcpus),
            num_instances: before.num_instances + 1,
            ..before
        };
        let node = &mut self.nodes[index(row)];
        let taken = numa::consume(&mut node.numa, &mut node.pools, topology, consumer);
        if taken.is_ok() {
            after.num_io_ops += 1;
        }
        self.usage.set(row, after);
        (undo, taken)
    }

    /// Notes that the instance is on the row's service host, for the server group's sake. The undo
    /// takes it away, too.
    pub(crate) fn place_instance(&mut self, row: HostRow, instance: Uuid, undo: &mut Undo) {
        if self.show_instance(row, instance) {
            undo.instance = Some(instance);
        }
    }

    /// Adds the instance to the row's service host, unless it is on it already; returns whether it
    /// was added.
    pub(crate) fn show_instance(&mut self, row: HostRow, instance: Uuid) -> bool {
        let service = self.service_id(row);
        let is_new = !self.services[service as usize].instances.contains_key(&instance);
        if is_new {
            self.add_instance(service, instance, InstanceImage::new());
        }
        is_new
    }

    /// Removes an instance that [`Self::show_instance`] added.
    pub(crate) fn hide_instance(&mut self, row: HostRow, instance: Uuid) {
        self.remove_instance(self.service_id(row), instance);
    }

    pub(super) fn add_instance(&mut self, service: u32, uuid: Uuid, image: InstanceImage) {
        let hosts = self.hosts_by_instance.entry(uuid).or_default();
        if !hosts.contains(&service) {
            hosts.push(service);
        }
        self.services[service as usize].instances.insert(uuid, image);
    }

    /// Makes undone what [`HostTable::consume`] did; the latest first.
    pub fn undo(&mut self, undo: Undo) {
        self.usage.set(undo.row, undo.usage);
        let node = &mut self.nodes[index(undo.row)];
        (node.numa, node.pools) = (undo.numa, undo.pools);
        if let Some(instance) = undo.instance {
            self.hide_instance(undo.row, instance);
        }
    }

    pub(super) fn remove_instance(&mut self, service: u32, uuid: Uuid) {
        self.services[service as usize].instances.remove(&uuid);
        if let Some(hosts) = self.hosts_by_instance.get_mut(&uuid) {
            hosts.retain(|host| *host != service);
            if hosts.is_empty() {
                self.hosts_by_instance.remove(&uuid);
            }
        }
    }
}
