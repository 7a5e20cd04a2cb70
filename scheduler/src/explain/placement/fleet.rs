//! The index of a fleet that is written in a file.

use berth_placement::{Allocation, ClassId, ConsumerId, Index, Inventory, Units};
use uuid::Uuid;

use super::DISABLED;
use crate::aggregates::AggregateRecord;
use crate::hosts::{HostRecord, HostRow, HostTable};
use crate::placement_query::ComputeNode;

/// A record that makes no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host {host}, {field}: {problem}")]
pub struct InvalidProvider {
    /// Service host.
    pub host: String,
    /// The field.
    pub field: String,
    /// The problem.
    pub problem: String,
}

/// The facts of Placement about a fleet in a file, and the facts that Nova looks up.
pub(in crate::explain) struct RecordedFleet {
    pub(in crate::explain) index: Index,
    pub(in crate::explain) aggregates: Vec<AggregateRecord>,
    pub(in crate::explain) computes: Vec<ComputeNode>,
}

impl RecordedFleet {
    /// One provider for each host, with the inventories that are written or follow from the host's
    /// own figures.
    ///
    /// # Errors
    ///
    /// [`InvalidProvider`] for the first record that makes none.
    pub(in crate::explain) fn load(
        records: &[HostRecord],
        hosts: &HostTable,
        mut aggregates: Vec<AggregateRecord>,
    ) -> Result<Self, InvalidProvider> {
        for aggregate in &mut aggregates {
            // An aggregate without an id in Placement is known by its number.
            aggregate.uuid.get_or_insert(Uuid::from_u128(aggregate.id.into()));
        }
        let mut fleet = Self { index: Index::default(), aggregates, computes: Vec::new() };
        for (record, row) in records.iter().zip(hosts.rows()) {
            let inventories = match &record.inventories {
                Some(_) => written(record),
                None if hosts.report(row).is_some() => Ok(reported(hosts, row)),
                None => Ok(Vec::new()),
            };
            fleet.add(record, &inventories.map_err(|(field, problem)| invalid(record, &field, problem))?)?;
        }
        Ok(fleet)
    }

    fn add(&mut self, record: &HostRecord, inventories: &[Stock]) -> Result<(), InvalidProvider> {
        let holding = self.aggregates.iter().filter(|aggregate| aggregate.hosts.contains(&record.host));
        let ids: Vec<_> = holding.filter_map(|aggregate| aggregate.uuid).collect();
        let mut writer = self.index.write();
        let problem = |error: &dyn std::fmt::Display| invalid(record, "uuid", error.to_string());
        let row = writer
            .add_provider(record.uuid, &record.uuid.to_string(), None)
            .map_err(|error| problem(&error))?;
        // A disabled service shows in the service itself; only a trait that was left behind is one
        // of the provider.
        let is_own = |name: &&String| !(record.service.disabled && *name == DISABLED);
        let names = record.traits.iter().flatten().filter(is_own);
        let traits: Vec<_> = names.map(|name| writer.trait_named(name)).collect();
        writer.set_traits(row, &traits).map_err(|error| problem(&error))?;
        writer.set_aggregates(row, &ids).map_err(|error| problem(&error))?;
        drop(writer);
        for (at, (class, inventory, used)) in (0_u128..).zip(inventories) {
            let invalid = |problem: String| invalid(record, &format!("inventories.{class}"), problem);
            let set = |inventory: &Inventory| -> Result<ClassId, InvalidProvider> {
                let mut writer = self.index.write();
                let class = writer.resource_class(class).map_err(|error| invalid(error.to_string()))?;
                let set = writer.set_inventory(row, class, Some(inventory));
                set.map_err(|error| invalid(error.to_string()))?;
                Ok(class)
            };
            // What is used was taken before the unit rules were; a host is full at most.
            let class = set(&Inventory { units: Units::ANY, ..*inventory })?;
            let amount = u32::try_from((*used).clamp(0, inventory.capacity().max(0))).unwrap_or(0);
            if amount > 0 {
                let consumer = ConsumerId(u128::from(row.0) << 64 | at);
                let taken = self.index.claim(consumer, &[Allocation { row, class, amount }]);
                taken.map_err(|error| invalid(error.to_string()))?;
            }
            set(inventory)?;
        }
        self.computes.push(ComputeNode {
            host: record.host.clone(),
            node: record.node.clone(),
            uuid: record.uuid,
            cell_uuid: Some(record.cell_uuid.clone()),
        });
        Ok(())
    }
}

fn invalid(record: &HostRecord, field: &str, problem: String) -> InvalidProvider {
    InvalidProvider { host: record.host.clone(), field: field.to_owned(), problem }
}

/// A class, what there is of it and what is used.
type Stock = (String, Inventory, i64);

fn written(record: &HostRecord) -> Result<Vec<Stock>, (String, String)> {
    let mut stock = Vec::new();
    for (class, inventory) in record.inventories.iter().flatten() {
        let inventory = Inventory::from(*inventory);
        inventory.validate().map_err(|error| (format!("inventories.{class}"), error.to_string()))?;
        let used = record.usages.get(class).copied().unwrap_or(0);
        stock.push((class.clone(), inventory, i64::try_from(used).unwrap_or(i64::MAX)));
    }
    Ok(stock)
}

/// The inventories that follow from the host's figures, as Nova would report them. Reserved amounts
/// count as used.
fn reported(hosts: &HostTable, row: HostRow) -> Vec<Stock> {
    let Some(report) = hosts.report(row) else { return Vec::new() };
    let (usage, at) = (hosts.usage(), row.index());
    let (memory, ratios) = (report.total_usable_ram_mb, &report.ratios);
    let figures = [
        ("VCPU", report.vcpus_total, ratios.cpu.get(), usage.vcpus_used[at]),
        ("MEMORY_MB", memory, ratios.ram.get(), memory.saturating_sub(usage.free_ram_mb[at])),
        ("DISK_GB", report.total_usable_disk_gb, ratios.disk.get(), usage.disk_mb_used[at] / 1024),
    ];
    let stock = |(class, total, ratio, used): (&str, i64, f64, i64)| {
        let total = u32::try_from(total.max(0)).unwrap_or(Inventory::MAX_AMOUNT);
        (class.to_owned(), Inventory { allocation_ratio: ratio, ..Inventory::of(total) }, used)
    };
    figures.into_iter().filter(|(_, total, ..)| *total > 0).map(stock).collect()
}
