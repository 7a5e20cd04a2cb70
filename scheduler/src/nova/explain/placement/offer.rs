//! What a host offers of one resource class.

use berth_placement::{Inventory, Row, Units};

use crate::nova::filters::Reason;
use crate::nova::hosts::HostTable;

/// What may be held of one resource class, and what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// What consumers may hold in all.
    pub capacity: i64,
    /// What they hold.
    pub used: i64,
    /// What one allocation may have.
    pub units: Units,
}

/// The classes of which a host's own figures tell.
pub(super) const OF_HOSTS: [&str; 3] = ["VCPU", "MEMORY_MB", "DISK_GB"];

impl Offer {
    /// What an inventory offers, of which so much is used.
    #[must_use]
    pub fn new(inventory: &Inventory, used: u64) -> Self {
        let used = i64::try_from(used).unwrap_or(i64::MAX);
        Self { capacity: inventory.capacity(), used, units: inventory.units }
    }

    /// What follows from the host's figures, as Nova would report it. What is kept back counts as used.
    pub(super) fn of_host(hosts: &HostTable, row: Row, class: &str) -> Result<Self, Reason> {
        let report = hosts.report(row).ok_or(Reason::NotReported)?;
        let (usage, at) = (hosts.usage(), row.0 as usize);
        let (total, ratio, used) = match class {
            "VCPU" => (report.vcpus_total, report.ratios.cpu.get(), usage.vcpus_used[at]),
            "MEMORY_MB" => {
                let total = report.total_usable_ram_mb;
                (total, report.ratios.ram.get(), total.saturating_sub(usage.free_ram_mb[at]))
            }
            "DISK_GB" => {
                (report.total_usable_disk_gb, report.ratios.disk.get(), usage.disk_mb_used[at] / 1024)
            }
            _ => return Err(Reason::NoInventory { class: class.to_owned() }),
        };
        let total = u32::try_from(total.max(0)).unwrap_or(Inventory::MAX_AMOUNT);
        let capacity = Inventory { allocation_ratio: ratio, ..Inventory::of(total) }.capacity();
        Ok(Self { capacity, used, units: Inventory::of(total).units })
    }

    /// Whether so much more may be held at once.
    pub(super) fn allow(&self, class: &str, asked: u64) -> Result<(), Reason> {
        let free = self.capacity.saturating_sub(self.used);
        let class = || class.to_owned();
        if i64::try_from(asked).map_or(true, |asked| asked > free) {
            return Err(Reason::TooLittle { class: class(), asked, free });
        }
        if u32::try_from(asked).is_ok_and(|asked| self.units.allow(asked)) {
            return Ok(());
        }
        let Units { min_unit, max_unit, step_size } = self.units;
        Err(Reason::UnitRules { class: class(), asked, min_unit, max_unit, step_size })
    }

    /// The same, with nothing held.
    pub(super) const fn emptied(self) -> Self {
        Self { used: 0, ..self }
    }
}
