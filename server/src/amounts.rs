//! Inventories and allocations as messages have them.

use berth_api::v1;
use berth_placement::{Allocation, Inventory, Topology, Units};

use crate::request::message::{class_name, provider_uuid};

/// The inventory that a message stands for: what is 0 has its default. Not checked
/// ([`Inventory::validate`]).
pub(crate) fn read_inventory(record: &v1::Inventory) -> Inventory {
    let or = |amount: u32, default: u32| if amount == 0 { default } else { amount };
    let units = Units {
        min_unit: or(record.min_unit, 1),
        max_unit: or(record.max_unit, Inventory::MAX_AMOUNT),
        step_size: or(record.step_size, 1),
    };
    let allocation_ratio = if record.allocation_ratio == 0.0 { 1.0 } else { record.allocation_ratio };
    Inventory { total: record.total, reserved: record.reserved, units, allocation_ratio }
}

pub(crate) fn inventory(inventory: &Inventory) -> v1::Inventory {
    let Inventory { total, reserved, units, allocation_ratio } = *inventory;
    let Units { min_unit, max_unit, step_size } = units;
    v1::Inventory { total, reserved, min_unit, max_unit, step_size, allocation_ratio }
}

/// One message for each provider.
pub(crate) fn allocations(topology: &Topology, mut allocations: Vec<Allocation>) -> Vec<v1::Allocation> {
    allocations.sort_unstable();
    let of_providers = allocations.chunk_by(|a, b| a.row == b.row);
    let message = |of_provider: &[Allocation]| v1::Allocation {
        provider: provider_uuid(topology, of_provider[0].row),
        resources: of_provider
            .iter()
            .map(|held| (class_name(topology, held.class).to_owned(), held.amount))
            .collect(),
    };
    of_providers.map(message).collect()
}
