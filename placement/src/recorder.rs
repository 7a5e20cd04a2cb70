//! Reports every change of an index to a recorder, which makes it durable.
//!
//! The index calls its [`Recorder`] at a moment when no other operation can depend on the change
//! yet: a reservation before its consumer is entered, a release before the capacity can be claimed
//! again, an inventory while claims on its provider wait. So **every prefix of the recorded changes
//! is a state that the index could have been in**: no allocation without its inventory, no capacity
//! allocated twice. A store that loses the tail loses the latest changes, and nothing else.
//!
//! A reader may observe a change that is not recorded yet. The index calls [`Recorder::begin`]
//! before any part of a change is visible, and [`Recorder::end`] after all of it is recorded and
//! visible. A reader that waits for the changes begun before its read therefore returns nothing
//! that a crash could lose, and later reads observe those changes completely.
//! `docs/claim-protocol.md` argues the order.

use std::sync::Arc;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::consumers::{Allocation, Consumer, ConsumerId, Entry, Owner};
use crate::ids::{ClassId, Row, TraitId};
use crate::index::Index;
use crate::inventory::Inventory;
use crate::ledger::Rewrite;
use crate::records::NameRecord;
use crate::topology::{Provider, Topology};

/// One part of an index after a change. `None` means removed.
#[derive(Debug, Clone, PartialEq)]
pub enum StateChange {
    /// A resource class.
    Class(ClassId, Option<NameRecord>),
    /// A trait.
    Trait(TraitId, Option<NameRecord>),
    /// A provider, without its inventories. A removed provider has no inventory and no generation.
    Provider(Row, Option<ProviderState>),
    /// All inventories of a provider.
    Inventories(Row, Vec<(ClassId, Inventory)>),
    /// A provider's generation increased, or the time of its last change. The recorder reads the
    /// current values from the index ([`Index::generation`], [`Index::changed_at`]): neither ever
    /// decreases.
    Counted(Row),
    /// A consumer and its allocations.
    Consumer {
        /// The consumer.
        id: ConsumerId,
        /// The previous entry; `None` when there was none.
        replaces: Option<Replaced>,
        /// The entry, with a serial number above those of all earlier entries.
        after: Option<Consumer>,
    },
}

impl StateChange {
    /// The inventories of a provider after a rewrite.
    pub(crate) fn inventories(rewrite: &Rewrite) -> Self {
        let mut inventories = rewrite.inventories.clone();
        inventories.sort_unstable_by_key(|(class, _)| *class);
        Self::Inventories(rewrite.row, inventories)
    }
}

/// What a recorder needs of a removed or replaced entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Its serial number.
    pub serial: u64,
    /// Its owner.
    pub owner: Option<Arc<Owner>>,
}

impl From<&Entry> for Replaced {
    fn from(entry: &Entry) -> Self {
        Self { serial: entry.serial(), owner: entry.owner().cloned() }
    }
}

impl From<&Consumer> for Replaced {
    fn from(consumer: &Consumer) -> Self {
        Self { serial: consumer.serial, owner: consumer.owner.clone() }
    }
}

/// A provider without its inventories, generation and time of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderState {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// Its parent; `None` for a root.
    pub parent: Option<Row>,
    /// Its traits, in order.
    pub traits: Arc<[TraitId]>,
    /// Its aggregates, in order.
    pub aggregates: Arc<[Uuid]>,
}

impl From<&Provider> for ProviderState {
    fn from(provider: &Provider) -> Self {
        let Provider { uuid, name, parent, traits, aggregates, .. } = provider.clone();
        Self { uuid, name, parent, traits, aggregates }
    }
}

/// Receives every change of an index. The index calls it with locks held: the methods must be fast
/// and must not call the index.
pub trait Recorder: Send + Sync {
    /// Begins a change. No part of it is visible yet.
    fn begin(&self) -> Ticket;

    /// Records changes that are atomic together. They follow everything recorded before.
    fn record(&self, changes: Vec<StateChange>);

    /// Ends a change: it is recorded and completely visible, or it changed nothing.
    fn end(&self, ticket: Ticket);
}

/// The number of a begun change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A begun change, until it is dropped. Without a recorder, it costs one branch.
pub(crate) struct Recording<'index> {
    recorder: Option<(&'index dyn Recorder, Ticket)>,
}

impl<'index> Recording<'index> {
    pub(crate) fn begin(recorder: Option<&'index dyn Recorder>) -> Self {
        Self { recorder: recorder.map(|recorder| (recorder, recorder.begin())) }
    }

    /// Whether a recorder is attached.
    pub(crate) fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    pub(crate) fn record(&self, changes: impl FnOnce() -> Vec<StateChange>) {
        if let Some((recorder, _)) = self.recorder {
            let changes = changes();
            if !changes.is_empty() {
                recorder.record(changes);
            }
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some((recorder, ticket)) = self.recorder {
            recorder.end(ticket);
        }
    }
}

impl Index {
    /// Attaches `recorder`, which receives every later change. The current content is not reported.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    pub(crate) fn recording(&self) -> Recording<'_> {
        Recording::begin(self.recorder.as_deref())
    }
}

/// The record of a consumer that changed from `before` to `after`, and of the providers counted for
/// it.
pub(crate) fn consumer_changes(
    id: ConsumerId,
    before: Option<&Consumer>,
    after: Option<&Consumer>,
    counted: &[Allocation],
) -> Vec<StateChange> {
    let mut rows: SmallVec<[Row; 4]> = counted.iter().map(|allocation| allocation.row).collect();
    rows.sort_unstable();
    rows.dedup();
    let counted = rows.into_iter().map(StateChange::Counted);
    let replaces = before.map(Replaced::from);
    let consumer = StateChange::Consumer { id, replaces, after: after.cloned() };
    std::iter::once(consumer).chain(counted).collect()
}

/// Classes, traits and providers that a writer changed and has not recorded yet.
#[derive(Default)]
pub(crate) struct Unrecorded {
    classes: Vec<ClassId>,
    traits: Vec<TraitId>,
    rows: Vec<Row>,
}

impl Unrecorded {
    pub(crate) fn class(&mut self, class: ClassId) {
        self.classes.push(class);
    }

    pub(crate) fn of_trait(&mut self, id: TraitId) {
        self.traits.push(id);
    }

    pub(crate) fn provider(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Takes the unrecorded changes, as they are in the new topology, followed by `others`.
    pub(crate) fn take_and(
        &mut self,
        topology: &Topology,
        others: impl IntoIterator<Item = StateChange>,
    ) -> Vec<StateChange> {
        let Self { mut classes, mut traits, mut rows } = std::mem::take(self);
        classes.sort_unstable();
        classes.dedup();
        traits.sort_unstable();
        traits.dedup();
        rows.sort_unstable();
        rows.dedup();
        let class = |id: ClassId| StateChange::Class(id, topology.classes().record(id.0.into()));
        let of_trait = |id: TraitId| StateChange::Trait(id, topology.traits().record(id.0));
        let provider = |row| StateChange::Provider(row, topology.provider(row).map(ProviderState::from));
        let classes = classes.into_iter().map(class);
        let providers = rows.into_iter().map(provider);
        classes.chain(traits.into_iter().map(of_trait)).chain(providers).chain(others).collect()
    }
}
