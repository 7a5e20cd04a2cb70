//! Telling every change of an index to whoever makes it durable.
//!
//! An index can have a [`Recorder`]. It is told each change at the moment at which nobody can yet build on it: room that is
//! taken before its consumer is entered, room that is given back before it can be taken again, an inventory while claims on
//! its provider wait. So **every beginning of what was recorded is a state that the index could have been in**: no
//! allocation without its inventory, no room twice. A store that loses the end of it loses the latest changes, nothing else.
//!
//! What a reader sees may not be recorded yet. A change is announced before any of it can be seen ([`Recorder::begin`]) and
//! ended when all of it has been recorded and can be seen, so a reader who waits for the changes that had begun when it
//! looked tells nothing that could still be lost, and what is asked after that sees those changes as a whole. The order is argued in `docs/claim-protocol.md`.

use std::sync::Arc;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::consumers::{Allocation, Consumer, ConsumerId};
use crate::ids::{ClassId, Row, TraitId};
use crate::index::Index;
use crate::inventory::Inventory;
use crate::ledger::Rewrite;
use crate::records::NameRecord;
use crate::topology::{Provider, Topology};

/// One thing of an index as it is from now on. `None` stands for: it is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum StateChange {
    /// A resource class.
    Class(ClassId, Option<NameRecord>),
    /// A trait.
    Trait(TraitId, Option<NameRecord>),
    /// A provider, without its inventories. One that is gone has none, and no generation.
    Provider(Row, Option<ProviderState>),
    /// All inventories of a provider.
    Inventories(Row, Vec<(ClassId, Inventory)>),
    /// A provider's generation has gone up, or the time of its last change. What they are now is asked of the index
    /// ([`Index::generation`], [`Index::changed_at`]): neither ever goes back.
    Counted(Row),
    /// A consumer and what it holds.
    Consumer {
        /// Whose entry it is.
        id: ConsumerId,
        /// The serial of the entry before; `None` when there was none.
        replaces: Option<u64>,
        /// The entry, with a serial that is larger than those of all entries before.
        after: Option<Consumer>,
    },
}

impl StateChange {
    /// What a rewrite makes of a provider's inventories.
    pub(crate) fn inventories(rewrite: &Rewrite) -> Self {
        let mut inventories = rewrite.inventories.clone();
        inventories.sort_unstable_by_key(|(class, _)| *class);
        Self::Inventories(rewrite.row, inventories)
    }
}

/// What is kept of a provider beside its inventories, generation and time of change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderState {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// The provider that it stands below; `None` for a root.
    pub parent: Option<Row>,
    /// Its traits, in order.
    pub traits: Arc<[TraitId]>,
    /// The aggregates it is in, in order.
    pub aggregates: Arc<[Uuid]>,
}

impl From<&Provider> for ProviderState {
    fn from(provider: &Provider) -> Self {
        let Provider { uuid, name, parent, traits, aggregates, .. } = provider.clone();
        Self { uuid, name, parent, traits, aggregates }
    }
}

/// Who is told every change of an index. Called with locks held: all three are to be quick, and must not call the index.
pub trait Recorder: Send + Sync {
    /// A change begins. Nothing of it can be seen yet.
    fn begin(&self) -> Ticket;

    /// Takes down changes that stand or fall together. They come after all that was recorded before.
    fn record(&self, changes: Vec<StateChange>);

    /// The change has been recorded and can be seen as a whole, or changed nothing.
    fn end(&self, ticket: Ticket);
}

/// The number of a change that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A change that has begun, until it is dropped. Without a recorder, it costs a branch.
pub(crate) struct Recording<'index> {
    recorder: Option<(&'index dyn Recorder, Ticket)>,
}

impl<'index> Recording<'index> {
    pub(crate) fn begin(recorder: Option<&'index dyn Recorder>) -> Self {
        Self { recorder: recorder.map(|recorder| (recorder, recorder.begin())) }
    }

    /// Whether anybody wants to know.
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
    /// Has every change from now on told to `recorder`. What the index holds already is not told.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    pub(crate) fn recording(&self) -> Recording<'_> {
        Recording::begin(self.recorder.as_deref())
    }
}

/// A consumer that was `before` and is `after`, and the providers that were counted for it.
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
    let replaces = before.map(|before| before.serial);
    let consumer = StateChange::Consumer { id, replaces, after: after.cloned() };
    std::iter::once(consumer).chain(counted).collect()
}

/// Classes, traits and providers that a writer changed and has not recorded.
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

    /// All of them as they are in the topology to be, and others after them. They are forgotten here.
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
