//! Writes inventories. They change immediately, not when the batch is published.

use super::{TopologyError, Writer};
use crate::ids::{ClassId, Row};
use crate::inventory::Inventory;
use crate::ledger::Rewrite;
use crate::recorder::StateChange;

impl Writer<'_> {
    /// Replaces all inventories of a provider, immediately and as one change; returns the new
    /// generation.
    ///
    /// # Errors
    /// An unknown provider or class, a field out of bounds, another generation than the given one,
    /// or the removal of an inventory in use.
    pub fn set_inventories(
        &mut self,
        row: Row,
        generation: Option<u64>,
        inventories: Vec<(ClassId, Inventory)>,
    ) -> Result<u64, TopologyError> {
        let rewrite = Rewrite { row, generation, inventories };
        self.check(&rewrite)?;
        let (ledger, classes) = (&self.index.ledger, self.topology.classes.len());
        let generation = ledger.rewrite_then(&rewrite, classes, || {
            ledger.set_changed_at(row, self.now);
            let written = || [StateChange::inventories(&rewrite), StateChange::Counted(row)];
            self.recording.record(|| self.unrecorded.take_and(&self.topology, written()));
        })?;
        self.inventories_written(&rewrite);
        Ok(generation)
    }

    /// Records the prepared changes, followed by `others`.
    pub(crate) fn record(&mut self, others: impl FnOnce() -> Vec<StateChange>) {
        self.recording.record(|| self.unrecorded.take_and(&self.topology, others()));
    }

    /// Checks that everything in the rewrite is known and within bounds.
    pub(crate) fn check(&self, rewrite: &Rewrite) -> Result<(), TopologyError> {
        self.known(rewrite.row)?;
        for (class, inventory) in &rewrite.inventories {
            self.known_class(*class)?;
            inventory.validate()?;
        }
        Ok(())
    }

    /// Applies to the topology a rewrite that the ledger has written.
    pub(crate) fn inventories_written(&mut self, rewrite: &Rewrite) {
        let row = rewrite.row;
        let present: Vec<ClassId> = rewrite.inventories.iter().map(|(class, _)| *class).collect();
        self.topology.set_classes(row, &present);
        self.note(row);
        if !self.added.contains(&row) {
            self.index.journal().push(row, true); // it is valid now, however long this batch takes
        }
    }

    /// Adds, replaces or (with `None`) removes an inventory, immediately.
    ///
    /// # Errors
    /// An unknown provider or class, a field out of bounds, or the removal of an inventory in use.
    pub fn set_inventory(
        &mut self,
        row: Row,
        class: ClassId,
        inventory: Option<&Inventory>,
    ) -> Result<(), TopologyError> {
        self.known(row)?;
        self.known_class(class)?;
        inventory.map_or(Ok(()), Inventory::validate)?;
        let after = self.recording.is_on().then(|| self.inventories_with(row, class, inventory));
        self.index.ledger.set_inventory_then(row, class, inventory, || {
            let written = || after.map(|inventories| StateChange::Inventories(row, inventories));
            self.recording.record(|| self.unrecorded.take_and(&self.topology, written()));
        })?;
        self.topology.set_class(row, class, inventory.is_some());
        self.count(row);
        if !self.added.contains(&row) {
            self.index.journal().push(row, true); // it is valid now, however long this batch takes
        }
        Ok(())
    }

    /// All inventories of the provider after one was added or removed. Only writers change them.
    fn inventories_with(
        &self,
        row: Row,
        class: ClassId,
        inventory: Option<&Inventory>,
    ) -> Vec<(ClassId, Inventory)> {
        let (_, mut inventories) = self.index.inventories(row);
        inventories.retain(|(other, _)| *other != class);
        let place = inventories.partition_point(|(other, _)| *other < class);
        inventories.splice(place..place, inventory.map(|&inventory| (class, inventory)));
        inventories
    }
}
