//! The inventory of one resource class on a provider.

/// The unit rules of an inventory: which amounts one allocation may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Units {
    /// Smallest amount of one allocation.
    pub min_unit: u32,
    /// Largest amount of one allocation.
    pub max_unit: u32,
    /// Every amount is a multiple of this.
    pub step_size: u32,
}

impl Units {
    /// Any amount that an allocation can have.
    pub const ANY: Self = Self { min_unit: 1, max_unit: Inventory::MAX_AMOUNT, step_size: 1 };

    /// Whether one allocation of `amount` respects the rules.
    #[must_use]
    pub const fn allow(&self, amount: u32) -> bool {
        self.min_unit <= amount && amount <= self.max_unit && amount.is_multiple_of(self.step_size)
    }
}

/// An inventory record, as in the Placement API: amounts in the class's own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inventory {
    /// The total amount.
    pub total: u32,
    /// The amount withheld from consumers.
    pub reserved: u32,
    /// Unit rules.
    pub units: Units,
    /// Overcommitment: capacity is `(total - reserved) * allocation_ratio`.
    pub allocation_ratio: f64,
}

/// An inventory field out of bounds, with its value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("inventory field {field}: {value} is not allowed, {rule}")]
pub struct InvalidInventory {
    /// The offending field.
    pub field: &'static str,
    /// Its value as text.
    pub value: String,
    /// The allowed values.
    pub rule: &'static str,
}

impl Inventory {
    /// Placement stores amounts as signed 32-bit integers.
    pub const MAX_AMOUNT: u32 = i32::MAX as u32;

    /// A plain inventory: nothing reserved, any amount up to `total` per allocation, no
    /// overcommitment.
    #[must_use]
    pub const fn of(total: u32) -> Self {
        Self {
            total,
            reserved: 0,
            units: Units { min_unit: 1, max_unit: total, step_size: 1 },
            allocation_ratio: 1.0,
        }
    }

    /// The amount that consumers may hold in total: `(total - reserved) * allocation_ratio`,
    /// rounded down.
    ///
    /// Computed in double precision, as Placement does; an overflow is capped at `i64::MAX`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // a float cast saturates, which is the documented cap
    pub fn capacity(&self) -> i64 {
        let offered = i64::from(self.total) - i64::from(self.reserved);
        #[allow(clippy::cast_precision_loss)] // |offered| < 2^33 is exact in a double
        let capacity = offered as f64 * self.allocation_ratio;
        capacity.floor() as i64
    }

    /// Whether the unit rules allow every positive amount up to the capacity.
    #[must_use]
    pub fn capacity_implies_units(&self) -> bool {
        let Units { min_unit, max_unit, step_size } = self.units;
        min_unit == 1 && step_size == 1 && i64::from(max_unit) >= self.capacity()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field out of bounds: `total`, `min_unit`, `max_unit` and `step_size` from 1 and
    /// `reserved` from 0 to `total`, all at most 2³¹−1; `allocation_ratio` positive and finite.
    pub fn validate(&self) -> Result<(), InvalidInventory> {
        let bounded = |field, value: u32, low: u32, high: u32, rule| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(InvalidInventory { field, value: value.to_string(), rule })
            }
        };
        const POSITIVE: &str = "it must be from 1 to 2147483647";
        bounded("total", self.total, 1, Self::MAX_AMOUNT, POSITIVE)?;
        bounded("reserved", self.reserved, 0, self.total, "it must be from 0 to total")?;
        bounded("min_unit", self.units.min_unit, 1, Self::MAX_AMOUNT, POSITIVE)?;
        bounded("max_unit", self.units.max_unit, 1, Self::MAX_AMOUNT, POSITIVE)?;
        bounded("step_size", self.units.step_size, 1, Self::MAX_AMOUNT, POSITIVE)?;
        if self.allocation_ratio.is_finite() && self.allocation_ratio > 0.0 {
            Ok(())
        } else {
            let value = self.allocation_ratio.to_string();
            Err(InvalidInventory { field: "allocation_ratio", value, rule: "it must be positive and finite" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_rounds_down_in_double_precision() {
        let inventory = |total, reserved, allocation_ratio| Inventory {
            reserved,
            allocation_ratio,
            ..Inventory::of(total)
        };
        assert_eq!(inventory(10, 0, 0.9).capacity(), 9);
        assert_eq!(inventory(7, 0, 1.5).capacity(), 10);
        assert_eq!(inventory(64, 4, 16.0).capacity(), 960);
        assert_eq!(inventory(i32::MAX as u32, 0, 1e300).capacity(), i64::MAX);
    }

    #[test]
    fn a_bad_field_is_named_with_its_value() {
        let text = |inventory: Inventory| inventory.validate().unwrap_err().to_string();
        let good = Inventory::of(8);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(
            text(Inventory { reserved: 9, ..good }),
            "inventory field reserved: 9 is not allowed, it must be from 0 to total"
        );
        assert!(text(Inventory { total: 0, ..good }).contains("field total: 0"));
        assert!(text(Inventory { allocation_ratio: f64::NAN, ..good }).contains("allocation_ratio: NaN"));
        assert!(
            text(Inventory { units: Units { step_size: 0, ..good.units }, ..good }).contains("step_size: 0")
        );
    }
}
