//! The inventory of a host's resource provider, as in Placement's API.

use berth_placement::{Inventory, Units};
use serde::Deserialize;

/// The inventory of one resource class, as in `GET /resource_providers/{uuid}/inventories`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct InventoryRecord {
    /// Everything there is.
    pub total: u32,
    /// Kept back from consumers.
    #[serde(default)]
    pub reserved: u32,
    /// Smallest amount of one allocation.
    #[serde(default = "one")]
    pub min_unit: u32,
    /// Largest amount of one allocation.
    #[serde(default = "any")]
    pub max_unit: u32,
    /// Every amount is a multiple of this.
    #[serde(default = "one")]
    pub step_size: u32,
    /// Overcommitment.
    #[serde(default = "no_overcommitment")]
    pub allocation_ratio: f64,
}

const fn one() -> u32 {
    1
}

const fn any() -> u32 {
    Inventory::MAX_AMOUNT
}

const fn no_overcommitment() -> f64 {
    1.0
}

impl From<InventoryRecord> for Inventory {
    fn from(record: InventoryRecord) -> Self {
        let InventoryRecord { total, reserved, min_unit, max_unit, step_size, allocation_ratio } = record;
        Self { total, reserved, units: Units { min_unit, max_unit, step_size }, allocation_ratio }
    }
}
