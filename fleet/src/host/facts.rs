//! Hosts as the scheduler sees them: as Nova's database would describe them.

use std::collections::BTreeSet;

use berth_placement::{ConsumerId, Inventory};
use berth_scheduler::decider::HostChanges;
use berth_scheduler::hosts::{CpuInfo, HostRecord, InstanceRecord, ReportedAmount};
use berth_scheduler::packing::{LIFETIME_SPEC, stated};
use berth_scheduler::python::Value;
use uuid::Uuid;

use super::{Host, HostStatus};
use crate::Fleet;
use crate::instance::InstanceSpec;

impl Fleet {
    /// What the scheduler has to read again, since the last call.
    pub fn take_host_changes(&mut self) -> HostChanges {
        std::mem::take(&mut self.host_changes)
    }

    /// All hosts with a provider tree, and all aggregates.
    #[must_use]
    pub fn all_host_facts(&self) -> (Vec<HostRecord>, Vec<berth_scheduler::AggregateRecord>) {
        let hosts = self.state.hosts.values().filter(|host| !host.providers.is_empty());
        let records = hosts.map(|host| self.host_facts(host)).collect();
        let aggregates = (1..).zip(self.state.aggregates.values()).map(|(id, aggregate)| {
            berth_scheduler::AggregateRecord {
                id,
                uuid: Some(aggregate.uuid),
                name: Some(aggregate.name.clone()),
                hosts: aggregate.hosts.clone(),
                metadata: aggregate.metadata.clone(),
            }
        });
        (records, aggregates.collect())
    }

    /// Those of the hosts that exist and have a provider tree.
    #[must_use]
    pub fn some_host_facts(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
        let known = hosts.iter().filter_map(|name| self.state.hosts.get(name));
        known.filter(|host| !host.providers.is_empty()).map(|host| self.host_facts(host)).collect()
    }

    /// A host with its capacity, its use and its instances.
    fn host_facts(&self, host: &Host) -> HostRecord {
        let mut record = HostRecord::new(&host.name, &host.name, host.uuid);
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
        record.disk_available_least = self.connections.disk_available(&host.name).map(i64::from);
        record.service.disabled = host.status != HostStatus::Enabled;
        record.service.disabled_reason = (!host.reason.is_empty()).then(|| host.reason.clone());
        record.service.forced_down = !self.connections.is_up(&host.name);
        describe_hypervisor(&mut record, host);
        self.describe_instances(&mut record, host);
        record
    }

    fn describe_instances(&self, record: &mut HostRecord, host: &Host) {
        let on_host = self.state.on_host(&host.name);
        let instances: Vec<_> = on_host.filter_map(|uuid| self.state.instance(uuid)).collect();
        let busy = instances.iter().filter(|instance| instance.operation.is_some()).count();
        let counter = |name: &str, count: usize| (name.to_owned(), Value::Int(count as i128));
        // Consumers of clients that only schedule are instances, too.
        let holders = self.index.find(host.uuid).map(|root| self.index.holders(root)).unwrap_or_default();
        let known = self.state.by_host.get(&host.name);
        let is_known =
            |consumer: &&ConsumerId| known.is_some_and(|known| known.contains(&Uuid::from(**consumer)));
        let is_migration = |consumer: &ConsumerId| self.state.migrations.contains_key(&Uuid::from(*consumer));
        let others = holders.iter().filter(|consumer| !is_known(consumer) && !is_migration(consumer)).count();
        record.stats =
            Value::map([counter("num_instances", instances.len() + others), counter("io_workload", busy)]);
        let described = instances.into_iter().map(|instance| {
            let InstanceSpec { flavor, image, project, created_at, .. } = &*instance.spec;
            let properties = image.iter().flat_map(|image| &image.properties);
            InstanceRecord {
                uuid: instance.uuid,
                image_properties: properties
                    .map(|(name, value)| (name.clone(), Value::Text(value.clone())))
                    .collect(),
                started: i64::try_from(created_at.0).ok(),
                flavor: flavor.name.clone(),
                project: project.clone(),
                lifetime_s: flavor.extra_specs.get(LIFETIME_SPEC).and_then(|text| stated(text)),
            }
        });
        record.instances = described.collect();
    }
}

fn describe_hypervisor(record: &mut HostRecord, host: &Host) {
    let Some(hypervisor) = &host.hypervisor else { return };
    record.hypervisor_type.clone_from(&hypervisor.kind);
    record.hypervisor_version = hypervisor.version.into();
    record.host_ip.clone_from(&hypervisor.address);
    record.cpu_info = Some(CpuInfo::Report {
        architecture: hypervisor.architecture.as_str().into(),
        model: hypervisor.cpu_model.as_str().into(),
    });
    let kinds = if hypervisor.is_accelerated { &["kvm", "qemu"][..] } else { &["qemu"] };
    record.supported_instances = kinds
        .iter()
        .map(|kind| [hypervisor.architecture.clone(), (*kind).to_owned(), "hvm".to_owned()])
        .collect();
}
