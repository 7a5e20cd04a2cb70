//! Writes inventories: the only code that makes a row's sequence odd.

use super::{
    ABSENT, Head, InventoryInUse, Ledger, Record, Refusal, Shift, fence, stable_sequence, unchanged,
};
use crate::ids::{ClassId, Row};
use crate::inventory::{Inventory, Units};
use crate::segment::Segmented;
use crate::sync::Ordering;

/// The inventories that one provider gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewrite {
    /// The provider.
    pub row: Row,
    /// The generation that the provider must have; `None` for any.
    pub generation: Option<u64>,
    /// Its inventories afterwards, each class once. Other classes are removed.
    pub inventories: Vec<(ClassId, Inventory)>,
}

/// Why the inventories of a provider were not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// The provider has another generation.
    #[error("{row} has generation {found}, not {given}")]
    Generation {
        /// The provider.
        row: Row,
        /// The expected generation.
        given: u64,
        /// The current generation.
        found: u64,
    },
    /// An inventory to be removed has allocations.
    #[error(transparent)]
    InUse(#[from] InventoryInUse),
}

/// Why a reshape changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReshapeRefusal {
    /// The inventories cannot be written.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// An allocation does not fit the new inventories.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Ledger {
    /// All inventories of a provider and its generation, as of one moment.
    #[must_use]
    pub fn inventories(&self, row: Row, classes: usize) -> (u64, Vec<(ClassId, Inventory)>) {
        let Some(head) = self.heads.get(row.index()) else { return (0, Vec::new()) };
        loop {
            let sequence = stable_sequence(head);
            let generation = head.generation.load(Ordering::Acquire);
            let present = |class: &ClassId| {
                let account = self.account(head, row, *class);
                account.is_some_and(|account| account.capacity.load(Ordering::Relaxed) != ABSENT)
            };
            let inventories = class_ids(classes).filter(present);
            let inventories = inventories.filter_map(|class| Some((class, self.record(row, class)?.load())));
            let inventories = inventories.collect();
            if unchanged(head, sequence) {
                return (generation, inventories);
            }
        }
    }

    /// Adds, replaces or (with `None`) removes an inventory. The caller serialises writers of one
    /// provider.
    ///
    /// # Errors
    /// The inventory to be removed has allocations, or a claim that will be refused briefly holds
    /// some of it. Shrinking below the used amount is allowed, as in Placement: no claim fits until
    /// consumers release enough.
    pub fn set_inventory(
        &self,
        row: Row,
        class: ClassId,
        inventory: Option<&Inventory>,
    ) -> Result<(), InventoryInUse> {
        self.set_inventory_then(row, class, inventory, || ())
    }

    /// [`Self::set_inventory`] that calls `written` while claims on the provider still wait.
    pub(crate) fn set_inventory_then(
        &self,
        row: Row,
        class: ClassId,
        inventory: Option<&Inventory>,
        written: impl FnOnce(),
    ) -> Result<(), InventoryInUse> {
        self.grow(row, class);
        self.with_rows_closed(&[row], || {
            if inventory.is_none() && self.used(row, class) != 0 {
                return Err(InventoryInUse { row, class });
            }
            self.store(row, class, inventory);
            written();
            Ok(())
        })
    }

    /// Replaces all inventories of a provider and counts the change. The caller serialises writers
    /// of one provider. Returns the new generation.
    ///
    /// # Errors
    /// Another generation than expected, or the removal of an inventory in use; see
    /// [`Self::set_inventory`].
    pub fn rewrite(&self, rewrite: &Rewrite, classes: usize) -> Result<u64, InventoryError> {
        self.rewrite_then(rewrite, classes, || ())
    }

    /// [`Self::rewrite`] that calls `written` while claims on the provider still wait.
    pub(crate) fn rewrite_then(
        &self,
        rewrite: &Rewrite,
        classes: usize,
        written: impl FnOnce(),
    ) -> Result<u64, InventoryError> {
        rewrite.inventories.iter().for_each(|&(class, _)| self.grow(rewrite.row, class));
        self.with_rows_closed(&[rewrite.row], || {
            self.check_generation(rewrite)?;
            self.check_removals(rewrite, classes, &[])?;
            let generation = self.advance_generation(rewrite)?;
            self.store_all(rewrite, classes);
            written();
            Ok(generation)
        })
    }

    /// Counts the rewrite; returns the new generation. A rewrite that expects a generation makes
    /// exactly the next one: a release, which waits for no lock, must not be counted in between
    /// unnoticed.
    fn advance_generation(&self, rewrite: &Rewrite) -> Result<u64, InventoryError> {
        let word = &self.heads.get_or_grow(rewrite.row.index()).generation;
        let advanced = match rewrite.generation {
            None => Ok(word.fetch_add(1, Ordering::AcqRel)),
            Some(given) => word.compare_exchange(given, given + 1, Ordering::AcqRel, Ordering::Acquire),
        };
        let conflict = |found| InventoryError::Generation {
            row: rewrite.row,
            given: rewrite.generation.unwrap_or(found),
            found,
        };
        advanced.map(|before| before + 1).map_err(conflict)
    }

    /// Replaces the inventories of several providers and shifts the use of accounts, as one change.
    /// Counts a change of each row as often as `counted` contains it. Calls `written` while claims
    /// on the rows still wait. The caller serialises writers.
    ///
    /// # Errors
    /// Another generation than expected, allocations that do not fit the new inventories, or the
    /// removal of an inventory that remains in use. Nothing has changed then.
    pub(crate) fn reshape(
        &self,
        rewrites: &[Rewrite],
        shifts: &[Shift],
        counted: &[Row],
        classes: usize,
        written: impl FnOnce(),
    ) -> Result<(), ReshapeRefusal> {
        for rewrite in rewrites {
            rewrite.inventories.iter().for_each(|&(class, _)| self.grow(rewrite.row, class));
        }
        let mut rows: Vec<Row> = rewrites.iter().map(|rewrite| rewrite.row).collect();
        rows.extend(shifts.iter().map(|shift| shift.row));
        rows.sort_unstable();
        rows.dedup();
        self.with_rows_closed(&rows, || {
            rewrites.iter().try_for_each(|rewrite| self.check_generation(rewrite))?;
            shifts.iter().try_for_each(|shift| self.judge_against(rewrites, shift))?;
            rewrites.iter().try_for_each(|rewrite| self.check_removals(rewrite, classes, shifts))?;
            rewrites.iter().for_each(|rewrite| self.store_all(rewrite, classes));
            shifts.iter().filter(|shift| shift.delta != 0).for_each(|shift| self.add_used(shift));
            counted.iter().for_each(|&row| self.bump_generation(row));
            written();
            Ok(())
        })
    }

    /// Runs `change` while claims on the rows wait: their sequences are odd during the call.
    fn with_rows_closed<T>(&self, rows: &[Row], change: impl FnOnce() -> T) -> T {
        let heads: Vec<&Head> = rows.iter().map(|row| self.heads.get_or_grow(row.index())).collect();
        for head in &heads {
            head.sequence.fetch_add(1, Ordering::Relaxed);
        }
        // Either this writer observes a claim's reservation and count, or that claim observes the
        // odd sequence: see reserve.
        fence(Ordering::SeqCst);
        let _closed = Closed(&heads);
        change()
    }

    fn check_generation(&self, rewrite: &Rewrite) -> Result<(), InventoryError> {
        let found = self.generation(rewrite.row);
        match rewrite.generation {
            Some(given) if given != found => {
                Err(InventoryError::Generation { row: rewrite.row, given, found })
            }
            _ => Ok(()),
        }
    }

    /// Checks that nothing remains in use of the removed inventories.
    fn check_removals(
        &self,
        rewrite: &Rewrite,
        classes: usize,
        shifts: &[Shift],
    ) -> Result<(), InventoryError> {
        let row = rewrite.row;
        let shifted = |class: ClassId| {
            shifts
                .iter()
                .filter(|shift| (shift.row, shift.class) == (row, class))
                .map(|shift| shift.delta)
                .sum::<i64>()
        };
        match class_ids(classes)
            .find(|&class| !rewrite.names(class) && self.used(row, class) + shifted(class) != 0)
        {
            Some(class) => Err(InventoryInUse { row, class }.into()),
            None => Ok(()),
        }
    }

    /// Judges a shift by the new inventory. For a removed inventory it uses the old one, and only
    /// [`Self::check_removals`] refuses the shift.
    fn judge_against(&self, rewrites: &[Rewrite], shift: &Shift) -> Result<(), Refusal> {
        let used = self.used(shift.row, shift.class);
        if shift.amounts.is_empty() {
            return Ok(());
        }
        let rewrite = rewrites.iter().find(|rewrite| rewrite.row == shift.row);
        let planned = rewrite.and_then(|rewrite| rewrite.inventory(shift.class));
        let (units, capacity) = match planned {
            Some(inventory) => (inventory.units, inventory.capacity()),
            None => self.units_and_capacity(shift.row, shift.class),
        };
        shift.judge(units, capacity, used)
    }

    fn units_and_capacity(&self, row: Row, class: ClassId) -> (Units, i64) {
        let head = self.heads.get_or_grow(row.index());
        let account = self.account(head, row, class);
        let capacity = account.map_or(ABSENT, |account| account.capacity.load(Ordering::Relaxed));
        (self.record(row, class).map(Record::units).unwrap_or_default(), capacity)
    }

    fn store_all(&self, rewrite: &Rewrite, classes: usize) {
        for class in class_ids(classes) {
            self.store(rewrite.row, class, rewrite.inventory(class));
        }
    }

    /// Writes an inventory whose cells exist; an absent one stays absent.
    fn store(&self, row: Row, class: ClassId, inventory: Option<&Inventory>) {
        let head = self.heads.get_or_grow(row.index());
        let (Some(account), Some(record)) = (self.account(head, row, class), self.record(row, class)) else {
            return;
        };
        if let Some(inventory) = inventory {
            record.store(inventory);
        }
        account.capacity.store(inventory.map_or(ABSENT, Inventory::capacity), Ordering::Relaxed);
        head.set_plain(class, inventory.is_some_and(Inventory::capacity_implies_units));
    }

    /// Allocates the cells of an inventory.
    fn grow(&self, row: Row, class: ClassId) {
        let head = self.heads.get_or_grow(row.index());
        self.records[class.index()].get_or_init(Segmented::new).get_or_grow(row.index());
        if class.index() >= head.accounts.len() {
            self.others[class.index()].get_or_init(Segmented::new).get_or_grow(row.index());
        }
    }
}

/// Rows with odd sequences, which become even again on drop.
struct Closed<'a>(&'a [&'a Head]);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        for head in self.0 {
            head.sequence.fetch_add(1, Ordering::Release);
        }
    }
}

impl Rewrite {
    fn inventory(&self, class: ClassId) -> Option<&Inventory> {
        self.inventories.iter().find(|(of, _)| *of == class).map(|(_, inventory)| inventory)
    }

    fn names(&self, class: ClassId) -> bool {
        self.inventory(class).is_some()
    }
}

/// The numbers of the first `classes` classes.
pub(crate) fn class_ids(classes: usize) -> impl Iterator<Item = ClassId> {
    (0..u16::try_from(classes).expect("bounded by the ledger")).map(ClassId)
}
