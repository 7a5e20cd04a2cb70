//! The fleet as the scheduler sees it: hosts as Nova's database would describe them.

use std::collections::BTreeSet;

use berth_placement::{ConsumerId, Inventory};
use berth_scheduler::Aggregate;
use berth_scheduler::decider::{HostChanges, HostSource};
use berth_scheduler::hosts::{HostRecord, InstanceRecord, ReportedAmount};
use berth_scheduler::python::Value;
use serde_json::json;
use uuid::Uuid;

use super::Fleet;
use super::entry::{Host, HostStatus, Task};
use super::state::State;

impl HostSource for Fleet {
    fn changes(&self) -> HostChanges {
        std::mem::take(&mut *self.host_changes.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<Aggregate>) {
        let state = self.state();
        let hosts = state.hosts.values().filter(|host| !host.providers.is_empty());
        let records = hosts.map(|host| self.record(&state, host)).collect();
        let aggregates = (1..).zip(state.aggregates.values()).map(|(id, aggregate)| Aggregate {
            id,
            uuid: Some(aggregate.uuid().to_string()),
            name: Some(aggregate.name.clone()),
            hosts: aggregate.hosts.clone(),
            metadata: aggregate.metadata.clone(),
        });
        (records, aggregates.collect())
    }

    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
        let state = self.state();
        let known = hosts.iter().filter_map(|name| state.hosts.get(name));
        known.filter(|host| !host.providers.is_empty()).map(|host| self.record(&state, host)).collect()
    }
}

impl Fleet {
    /// The host with what it has, uses and runs.
    pub(super) fn record(&self, state: &State, host: &Host) -> HostRecord {
        let mut record = HostRecord::new(&host.name, &host.name, host.uuid());
        let stock = self.stock(host);
        let of = |class: &str| {
            let none = ReportedAmount { total: 0, used: 0, allocation_ratio: 1.0 };
            stock.get(class).map_or(none, |(inventory, used)| {
                let Inventory { total, reserved, allocation_ratio, .. } = *inventory;
                let used = i64::try_from(*used).unwrap_or(i64::MAX).saturating_add(reserved.into());
                ReportedAmount { total: total.into(), used, allocation_ratio }
            })
        };
        record.set_amounts(["VCPU", "MEMORY_MB", "DISK_GB"].map(of));
        record.disk_available_least = self.agents.disk_available(&host.name).map(i64::from);
        record.service.disabled = host.status() != HostStatus::Enabled;
        record.service.disabled_reason = (!host.reason.is_empty()).then(|| host.reason.clone());
        record.service.forced_down = !self.agents.is_up(&host.name);
        self.describe_hypervisor(&mut record, host);
        self.describe_instances(&mut record, state, host);
        record
    }

    fn describe_hypervisor(&self, record: &mut HostRecord, host: &Host) {
        let Some(hypervisor) = &host.hypervisor else { return };
        record.hypervisor_type.clone_from(&hypervisor.kind);
        record.hypervisor_version = hypervisor.version.into();
        record.host_ip.clone_from(&hypervisor.address);
        record.cpu_info = Some(
            json!({"arch": hypervisor.architecture, "model": hypervisor.cpu_model, "topology": {}})
                .to_string(),
        );
        let kinds = if hypervisor.is_accelerated { &["kvm", "qemu"][..] } else { &["qemu"] };
        record.supported_instances = kinds
            .iter()
            .map(|kind| [hypervisor.architecture.clone(), (*kind).to_owned(), "hvm".to_owned()])
            .collect();
    }

    fn describe_instances(&self, record: &mut HostRecord, state: &State, host: &Host) {
        let none = BTreeSet::new();
        let known = state.by_host.get(&host.name).unwrap_or(&none);
        let instances: Vec<_> =
            known.iter().filter_map(|uuid| Some((uuid, state.instances.get(uuid)?))).collect();
        let working = instances.iter().filter(|(_, instance)| instance.task() != Task::None).count();
        let counter = |name: &str, count: usize| (name.to_owned(), Value::Text(count.to_string()));
        // Consumers of clients that only schedule are instances, too.
        let holders = self.index.find(host.uuid()).map(|root| self.index.holders(root)).unwrap_or_default();
        let is_known = |consumer: &&ConsumerId| known.contains(&Uuid::from(**consumer));
        let others = holders.iter().filter(|consumer| !is_known(consumer)).count();
        record.stats =
            Value::map([counter("num_instances", instances.len() + others), counter("io_workload", working)]);
        let described = instances.into_iter().map(|(uuid, instance)| {
            let properties = instance.image.iter().flat_map(|image| &image.properties);
            InstanceRecord {
                uuid: uuid.to_string(),
                image_properties: properties
                    .map(|(name, value)| (name.clone(), Value::Text(value.clone())))
                    .collect(),
            }
        });
        record.instances = described.collect();
    }
}
