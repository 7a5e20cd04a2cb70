//! Writes the allocations of several consumers at once, all or nothing, as the Placement API does.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::consumers::{Allocation, Allocations, Consumer, ConsumerId, Entry, Locked, Owner};
use crate::groups::{GroupError, Joining, Regrouping};
use crate::ids::{ClassId, Row, Timestamp};
use crate::index::Index;
use crate::ledger::{InventoryError, Refusal, ReshapeRefusal, Rewrite, Shift};
use crate::recorder::{Replaced, StateChange};
use crate::writer::TopologyError;

/// The desired allocations of one consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerWrite {
    /// The consumer.
    pub consumer: ConsumerId,
    /// The generation that the consumer must have.
    pub generation: ExpectedGeneration,
    /// Its owner afterwards. Without a consumer type, the former type stays.
    pub owner: Arc<Owner>,
    /// Its allocations afterwards, each (provider, class) once. Writing an empty list removes an
    /// existing consumer; a new consumer with an empty list is kept with generation 0, as in
    /// Placement.
    pub allocations: Allocations,
}

/// The generation that a write expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedGeneration {
    /// Any generation, or no consumer.
    Any,
    /// The consumer must not exist.
    New,
    /// Exactly this generation.
    Exactly(u64),
}

/// Why a transfer changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// A consumer has another generation than expected.
    #[error("consumer {:032x} has generation {found:?}, not {expected:?}", consumer.0)]
    ConsumerGeneration {
        /// The consumer.
        consumer: ConsumerId,
        /// What was expected.
        expected: ExpectedGeneration,
        /// The current generation; `None` when the consumer does not exist.
        found: Option<u64>,
    },
    /// Two of the writes are for the same consumer.
    #[error("consumer {:032x} is written twice", .0.0)]
    WrittenTwice(ConsumerId),
    /// A server group refused.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A provider refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a reshape changed nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReshapeError {
    /// The consumers could not be written.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The inventories could not be written.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// An unknown provider or class, or an inventory field out of bounds.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl From<ReshapeRefusal> for ReshapeError {
    fn from(refusal: ReshapeRefusal) -> Self {
        match refusal {
            ReshapeRefusal::Inventory(error) => Self::Inventory(error),
            ReshapeRefusal::Refused(refusal) => Self::Transfer(refusal.into()),
        }
    }
}

impl ExpectedGeneration {
    /// Whether a consumer with generation `found` (`None`: no consumer) satisfies the expectation.
    #[must_use]
    pub fn met_by(self, found: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::New => found.is_none(),
            Self::Exactly(generation) => found == Some(generation),
        }
    }
}

impl Index {
    /// Replaces the allocations of several consumers, as one change.
    ///
    /// Increments the generation of every provider in the new allocations, and of every provider of
    /// a consumer whose new list is empty. (Placement counts the same way.) A member of a server
    /// group stays in it: on its host as long as it has an allocation there, otherwise on the host
    /// of its allocations.
    ///
    /// # Errors
    /// A consumer with another generation, a violated group policy, or the first provider that
    /// refuses. Nothing has changed then.
    pub fn transfer(&self, writes: &[ConsumerWrite], now: Timestamp) -> Result<(), TransferError> {
        self.transfer_joining(writes, now, None)
    }

    /// [`Self::transfer`] that also lets consumers join a group.
    pub(crate) fn transfer_joining(
        &self,
        writes: &[ConsumerWrite],
        now: Timestamp,
        joining: Option<&Joining>,
    ) -> Result<(), TransferError> {
        let recording = self.recording();
        let mut locked = self.consumers.lock(writes.iter().map(|write| write.consumer));
        check_consumers(&locked, writes)?;
        let groups = Regrouping::groups(&locked, writes, joining);
        let regrouping = Regrouping::prepare(&groups, &locked, writes, joining, self)?;
        let shifts = shifts(&locked, writes);
        let counted = counted(&locked, writes);
        let touched = touched(&shifts, &counted);
        let mut entries = Vec::new();
        let outcome = self.ledger.shift(&shifts, &counted, || {
            self.stamp(&touched, now);
            entries = self.entries(&locked, writes, now);
            recording.record(|| self.written(&locked, &mut entries, &touched));
        });
        if outcome.is_ok() {
            self.apply_entries(&mut locked, entries);
            regrouping.publish(&mut locked);
        } else {
            drop(regrouping);
        }
        drop(locked);
        drop(recording);
        // Also after a refusal: other threads may have observed the amounts that it held briefly,
        // and have to look again.
        self.journal_touched(&touched);
        Ok(outcome?)
    }

    /// Replaces the inventories of providers and the allocations of consumers, as one change.
    ///
    /// # Errors
    /// A consumer or a provider with another generation, allocations that do not fit the new
    /// inventories, or the removal of an inventory that remains in use. Nothing has changed then.
    pub fn reshape(
        &self,
        rewrites: &[Rewrite],
        writes: &[ConsumerWrite],
        now: Timestamp,
    ) -> Result<(), ReshapeError> {
        let mut writer = self.write_at(now);
        rewrites.iter().try_for_each(|rewrite| writer.check(rewrite))?;
        let mut locked = self.consumers.lock(writes.iter().map(|write| write.consumer));
        check_consumers(&locked, writes)?;
        let groups = Regrouping::groups(&locked, writes, None);
        let regrouping =
            Regrouping::prepare(&groups, &locked, writes, None, self).map_err(TransferError::from)?;
        let shifts = shifts(&locked, writes);
        let mut counted = counted(&locked, writes);
        for rewrite in rewrites {
            // Placement writes inventories that are not empty twice: before the allocations change,
            // and after.
            let times = if rewrite.inventories.is_empty() { 1 } else { 2 };
            counted.extend(std::iter::repeat_n(rewrite.row, times));
        }
        let touched = touched(&shifts, &counted);
        let classes = writer.topology().classes().len();
        let mut entries = Vec::new();
        self.ledger.reshape(rewrites, &shifts, &counted, classes, || {
            self.stamp(&touched, now);
            entries = self.entries(&locked, writes, now);
            writer.record(|| {
                let inventories = rewrites.iter().map(StateChange::inventories);
                inventories.chain(self.written(&locked, &mut entries, &touched)).collect()
            });
        })?;
        self.apply_entries(&mut locked, entries);
        regrouping.publish(&mut locked);
        drop(locked);
        rewrites.iter().for_each(|rewrite| writer.inventories_written(rewrite));
        drop(writer);
        self.journal_touched(&touched);
        Ok(())
    }

    /// The consumers with allocations on the provider, in order. Empty unless the index was made
    /// [`Self::with_holders`].
    #[must_use]
    pub fn holders(&self, row: Row) -> Vec<ConsumerId> {
        self.holders.as_ref().map(|holders| holders.of_row(row)).unwrap_or_default()
    }

    /// The number of [`Self::holders`].
    #[must_use]
    pub fn holder_count(&self, row: Row) -> usize {
        self.holders.as_ref().map_or(0, |holders| holders.count_of_row(row))
    }

    /// The number of [`Self::project_consumers`].
    #[must_use]
    pub fn project_consumer_count(&self, project: &str) -> usize {
        self.holders.as_ref().map_or(0, |holders| holders.count_of_project(project))
    }

    /// The consumers of the project, in order. Empty unless the index was made
    /// [`Self::with_holders`].
    #[must_use]
    pub fn project_consumers(&self, project: &str) -> Vec<ConsumerId> {
        self.holders.as_ref().map(|holders| holders.of_project(project)).unwrap_or_default()
    }

    /// The consumers' entries after the writes; `None` for a consumer that releases everything.
    fn entries(&self, locked: &Locked<'_>, writes: &[ConsumerWrite], now: Timestamp) -> Vec<Written> {
        let entry = |write: &ConsumerWrite| {
            let before = locked.get(write.consumer);
            let leaves = before.is_some() && write.allocations.is_empty();
            (write.consumer, (!leaves).then(|| self.entry(write, before, now)))
        };
        writes.iter().map(entry).collect()
    }

    /// Replaces the consumers by their entries after the writes.
    fn apply_entries(&self, locked: &mut Locked<'_>, entries: Vec<Written>) {
        for (consumer, after) in entries {
            let before = locked.remove(consumer);
            match (&self.holders, &before, &after) {
                (Some(holders), Some(before), None) => holders.remove(consumer, before),
                (Some(holders), before, Some(after)) => holders.replace(consumer, before.as_ref(), after),
                _ => {}
            }
            if let Some(after) = after {
                locked.insert(consumer, after);
            }
        }
    }

    fn entry(&self, write: &ConsumerWrite, before: Option<&Entry>, now: Timestamp) -> Consumer {
        let known_type = before.and_then(|before| before.owner()?.consumer_type.clone());
        let owner = match &write.owner.consumer_type {
            None if known_type.is_some() => {
                Arc::new(Owner { consumer_type: known_type, ..Owner::clone(&write.owner) })
            }
            _ => Arc::clone(&write.owner),
        };
        let owner = self.share(&owner);
        Consumer {
            allocations: write.allocations.clone(),
            owner: Some(owner),
            // A new consumer without allocations does not count as written.
            generation: before.map_or(0, Entry::generation) + u64::from(!write.allocations.is_empty()),
            written_at: now,
            serial: 0,
            group: before.and_then(Entry::group).cloned(),
        }
    }

    /// The record of a transfer. Assigns the entries' serial numbers.
    fn written(&self, locked: &Locked<'_>, entries: &mut [Written], touched: &[Row]) -> Vec<StateChange> {
        let consumers = entries.iter_mut().map(|(id, after)| {
            if let Some(after) = after {
                after.serial = self.next_serial();
            }
            let replaces = locked.get(*id).map(Replaced::from);
            StateChange::Consumer { id: *id, replaces, after: after.clone() }
        });
        consumers.chain(touched.iter().copied().map(StateChange::Counted)).collect()
    }

    /// Stores the time of change of the providers.
    fn stamp(&self, touched: &[Row], now: Timestamp) {
        touched.iter().for_each(|&row| self.ledger.set_changed_at(row, now));
    }

    fn journal_touched(&self, touched: &[Row]) {
        touched.iter().for_each(|&row| self.journal().push(row, false));
    }
}

/// A consumer after a write.
type Written = (ConsumerId, Option<Consumer>);

/// The rows whose amounts or generations change, each once, in order.
fn touched(shifts: &[Shift], counted: &[Row]) -> Vec<Row> {
    let mut rows: Vec<Row> = shifts.iter().map(|shift| shift.row).chain(counted.iter().copied()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn check_consumers(locked: &Locked<'_>, writes: &[ConsumerWrite]) -> Result<(), TransferError> {
    let mut seen = FxHashSet::default();
    for &ConsumerWrite { consumer, generation: expected, .. } in writes {
        let found = locked.get(consumer).map(Entry::generation);
        if !expected.met_by(found) {
            return Err(TransferError::ConsumerGeneration { consumer, expected, found });
        }
        if !seen.insert(consumer) {
            return Err(TransferError::WrittenTwice(consumer));
        }
    }
    Ok(())
}

/// The net change of every account: the sum of the new allocations less that of the old ones.
fn shifts(locked: &Locked<'_>, writes: &[ConsumerWrite]) -> Vec<Shift> {
    let mut shifts = Shifts::default();
    for &allocation in writes.iter().flat_map(|write| &write.allocations) {
        let shift = shifts.of(allocation);
        shift.delta += i64::from(allocation.amount);
        shift.amounts.push(allocation.amount);
    }
    let held = writes.iter().filter_map(|write| locked.get(write.consumer));
    for allocation in held.flat_map(Entry::allocations) {
        shifts.of(allocation).delta -= i64::from(allocation.amount);
    }
    shifts.in_order
}

/// Shifts in the order in which their accounts first appear.
#[derive(Default)]
struct Shifts {
    in_order: Vec<Shift>,
    places: FxHashMap<(Row, ClassId), usize>,
}

impl Shifts {
    fn of(&mut self, Allocation { row, class, .. }: Allocation) -> &mut Shift {
        let place = *self.places.entry((row, class)).or_insert_with(|| {
            self.in_order.push(Shift { row, class, delta: 0, amounts: Vec::new() });
            self.in_order.len() - 1
        });
        &mut self.in_order[place]
    }
}

/// The providers whose generations increase, each once.
fn counted(locked: &Locked<'_>, writes: &[ConsumerWrite]) -> Vec<Row> {
    let mut rows: SmallVec<[Row; 4]> = SmallVec::new();
    for write in writes {
        if write.allocations.is_empty() {
            let held = locked.get(write.consumer).into_iter().flat_map(Entry::allocations);
            rows.extend(held.map(|allocation| allocation.row));
        } else {
            rows.extend(write.allocations.iter().map(|allocation| allocation.row));
        }
    }
    rows.sort_unstable();
    rows.dedup();
    rows.into_vec()
}
