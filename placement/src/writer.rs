//! Changes the fleet: providers, inventories, traits and aggregates.

mod inventories;
mod names;

use std::sync::{Arc, MutexGuard};

use rustc_hash::FxHashSet;
use uuid::Uuid;

use crate::ids::{ClassId, Row, Timestamp, TraitId};
use crate::index::Index;
use crate::inventory::InvalidInventory;
use crate::ledger::{InventoryError, InventoryInUse, Ledger, Rewrite};
use crate::recorder::{Recording, StateChange, Unrecorded};
use crate::reuse::Reuse;
use crate::topology::{Provider, Topology};

/// A refused change of topology; nothing has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TopologyError {
    /// A provider with this UUID exists.
    #[error("a resource provider with UUID {0} exists already")]
    DuplicateUuid(Uuid),
    /// A provider with this name exists.
    #[error("a resource provider named {0} exists already")]
    DuplicateName(String),
    /// No such provider.
    #[error("there is no resource provider in {0}")]
    UnknownProvider(Row),
    /// A provider with children cannot be removed.
    #[error("the resource provider in {0} has child providers")]
    HasChildren(Row),
    /// The provider or one of its inventories has allocations.
    #[error(transparent)]
    InUse(#[from] InventoryInUse),
    /// The provider has another generation.
    #[error("the resource provider has generation {found}, not {given}")]
    Generation {
        /// The expected generation.
        given: u64,
        /// The current generation.
        found: u64,
    },
    /// A provider cannot be its own descendant.
    #[error("the resource provider in {0} would be its own descendant")]
    Loop(Row),
    /// Another class or trait has this name.
    #[error("the name {0} is taken")]
    NameTaken(String),
    /// Some provider has an inventory of the class.
    #[error("resource class {} is in use", .0.0)]
    ClassInUse(ClassId),
    /// Some provider has the trait.
    #[error("trait {} is in use", .0.0)]
    TraitInUse(TraitId),
    /// An inventory field is out of bounds.
    #[error(transparent)]
    Inventory(#[from] InvalidInventory),
    /// No such resource class.
    #[error("there is no resource class number {}", .0.0)]
    UnknownClass(ClassId),
    /// No such trait.
    #[error("there is no trait number {}", .0.0)]
    UnknownTrait(TraitId),
    /// The index is full.
    #[error("the index holds at most {limit} {what}")]
    Full {
        /// What exceeds the limit.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// The only writer of an index's topology. Writers wait for each other; readers and claims do not
/// wait.
///
/// Inventories, and the lookups by UUID and name, change immediately. Everything else is prepared
/// here and published as one snapshot when the writer is dropped, so a batch of changes costs one
/// copy of what it touches. (A recorder receives the changes the same way: inventories immediately,
/// with everything prepared before them, the rest in the end.) An existing provider's generation
/// increases once per batch that changes its inventories, traits or aggregates. As in Placement,
/// the generation does not guard its name and its position in the tree.
pub struct Writer<'index> {
    index: &'index Index,
    topology: Topology,
    changed: Vec<Row>,
    seen: FxHashSet<Row>,
    counted: FxHashSet<Row>,
    /// Providers that no published topology has.
    added: FxHashSet<Row>,
    now: Timestamp,
    unrecorded: Unrecorded,
    recording: Recording<'index>,
    /// Held by one writer at a time.
    reuse: MutexGuard<'index, Reuse>,
}

impl<'index> Writer<'index> {
    pub(crate) fn new(index: &'index Index, reuse: MutexGuard<'index, Reuse>, now: Timestamp) -> Self {
        let topology = Topology::clone(&index.topology());
        let changed = Vec::new();
        let (seen, counted, added) = (FxHashSet::default(), FxHashSet::default(), FxHashSet::default());
        let (unrecorded, recording) = (Unrecorded::default(), index.recording());
        Self { index, topology, changed, seen, counted, added, now, unrecorded, recording, reuse }
    }

    /// The topology to be published.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The current sum of all allocations of a class on a provider.
    #[must_use]
    pub fn used(&self, row: Row, class: ClassId) -> i64 {
        self.index.used(row, class)
    }

    /// Adds a provider: a root, or a child of `parent`.
    ///
    /// # Errors
    /// A UUID or name that is taken, an unknown parent, or a full index.
    pub fn add_provider(
        &mut self,
        uuid: Uuid,
        name: &str,
        parent: Option<Row>,
    ) -> Result<Row, TopologyError> {
        if self.index.by_uuid.contains_key(&uuid) {
            return Err(TopologyError::DuplicateUuid(uuid));
        }
        if self.index.by_name.contains_key(name) {
            return Err(TopologyError::DuplicateName(name.to_owned()));
        }
        let root = self.root_of(parent)?;
        let row = self.take_row()?;
        self.insert_provider(row, Provider::new(uuid, name.into(), parent, root.unwrap_or(row)));
        Ok(row)
    }

    /// Restores a provider in its former row.
    pub(crate) fn put_back_provider(
        &mut self,
        row: Row,
        uuid: Uuid,
        name: &Arc<str>,
        parent: Option<Row>,
    ) -> Result<(), TopologyError> {
        if row.index() >= Ledger::MAX_ROWS {
            return Err(full_of_providers());
        }
        if self.index.by_uuid.contains_key(&uuid) || self.topology.provider(row).is_some() {
            return Err(TopologyError::DuplicateUuid(uuid));
        }
        if self.index.by_name.contains_key(name) {
            return Err(TopologyError::DuplicateName(name.to_string()));
        }
        let root = self.root_of(parent)?;
        self.put_back_rows(row.index() + 1);
        self.insert_provider(row, Provider::new(uuid, Arc::clone(name), parent, root.unwrap_or(row)));
        Ok(())
    }

    /// Reserves all rows below `rows`: new providers do not get them.
    pub(crate) fn put_back_rows(&mut self, rows: usize) {
        self.topology.rows = self.topology.rows.max(rows);
    }

    fn root_of(&self, parent: Option<Row>) -> Result<Option<Row>, TopologyError> {
        parent.map(|parent| self.known(parent).map(|provider| provider.root)).transpose()
    }

    fn insert_provider(&mut self, row: Row, provider: Provider) {
        self.index.by_uuid.insert(provider.uuid, row);
        self.index.by_name.insert(Arc::clone(&provider.name), row);
        self.topology.insert_provider(row, provider);
        self.added.insert(row);
        self.touch(row);
    }

    /// Renames a provider.
    ///
    /// # Errors
    /// An unknown provider, or a name that another provider has.
    pub fn rename_provider(&mut self, row: Row, name: &str) -> Result<(), TopologyError> {
        let old = Arc::clone(&self.known(row)?.name);
        if *old == *name {
            return Ok(());
        }
        if self.index.by_name.contains_key(name) {
            return Err(TopologyError::DuplicateName(name.to_owned()));
        }
        let name: Arc<str> = name.into();
        self.index.by_name.insert(Arc::clone(&name), row);
        self.index.by_name.remove(&old);
        self.topology.rename(row, name);
        self.touch(row);
        Ok(())
    }

    /// Renames known providers, all at once: a name may move from one to another.
    pub(crate) fn rename_providers(
        &mut self,
        names: &[(Row, &Arc<str>)],
    ) -> Result<(), (Row, TopologyError)> {
        let is_renamed = |writer: &Self, row, name: &Arc<str>| {
            writer.topology.provider(row).is_some_and(|known| known.name != *name)
        };
        let renamed: Vec<_> = names.iter().filter(|(row, name)| is_renamed(self, *row, name)).collect();
        for (row, _) in &renamed {
            if let Some(known) = self.topology.provider(*row) {
                self.index.by_name.remove(&known.name);
            }
        }
        for &&(row, name) in &renamed {
            if self.index.by_name.contains_key(name) {
                return Err((row, TopologyError::DuplicateName(name.to_string())));
            }
            self.index.by_name.insert(Arc::clone(name), row);
            self.topology.rename(row, Arc::clone(name));
            self.touch(row);
        }
        Ok(())
    }

    /// Moves a provider and its descendants below `parent`, or makes it a root.
    ///
    /// # Errors
    /// An unknown provider, or a parent that is the provider itself or its descendant.
    pub fn move_provider(&mut self, row: Row, parent: Option<Row>) -> Result<(), TopologyError> {
        let old = self.known(row)?.parent;
        parent.map_or(Ok(()), |parent| self.known(parent).map(|_| ()))?;
        let moved = self.topology.subtree(row);
        if parent.is_some_and(|parent| moved.contains(&parent)) {
            return Err(TopologyError::Loop(row));
        }
        if old != parent {
            self.topology.move_provider(row, parent);
            moved.into_iter().for_each(|row| self.touch(row));
        }
        Ok(())
    }

    /// Removes a provider with its inventories, traits and aggregates.
    ///
    /// # Errors
    /// An unknown provider, one with children, or one with allocations.
    pub fn remove_provider(&mut self, row: Row) -> Result<(), TopologyError> {
        let Provider { uuid, name, .. } = self.known(row)?.clone();
        if self.topology.subtree(row).len() > 1 {
            return Err(TopologyError::HasChildren(row));
        }
        let nothing = Rewrite { row, generation: None, inventories: Vec::new() };
        let classes = self.topology.classes.len();
        self.index.ledger.rewrite_then(&nothing, classes, || {
            let removal = || self.unrecorded.take_and(&self.topology, [StateChange::Provider(row, None)]);
            self.recording.record(removal);
        })?;
        self.topology.clear_provider(row);
        self.topology.remove_provider(row);
        self.index.by_uuid.remove(&uuid);
        self.index.by_name.remove(&name);
        self.note(row);
        Ok(())
    }

    /// Replaces the provider's traits.
    ///
    /// # Errors
    /// An unknown provider or trait.
    pub fn set_traits(&mut self, row: Row, traits: &[TraitId]) -> Result<(), TopologyError> {
        self.known(row)?;
        traits.iter().try_for_each(|&id| self.known_trait(id))?;
        self.topology.set_traits(row, traits.to_vec());
        self.touch(row);
        self.count(row);
        Ok(())
    }

    /// Replaces the provider's aggregates.
    ///
    /// # Errors
    /// An unknown provider.
    pub fn set_aggregates(&mut self, row: Row, aggregates: &[Uuid]) -> Result<(), TopologyError> {
        self.associate(row, aggregates)?;
        self.count(row);
        Ok(())
    }

    /// [`Self::set_aggregates`] without counting a change, as early microversions of Placement do.
    ///
    /// # Errors
    /// An unknown provider.
    pub fn associate(&mut self, row: Row, aggregates: &[Uuid]) -> Result<(), TopologyError> {
        self.known(row)?;
        self.topology.set_aggregates(row, aggregates.to_vec());
        self.touch(row);
        Ok(())
    }

    /// Checks the generation of a provider before its traits or aggregates are set.
    /// ([`Self::set_inventories`] guards inventories more strictly.)
    ///
    /// # Errors
    /// Another generation than the given one.
    pub fn expect_generation(&self, row: Row, given: u64) -> Result<(), TopologyError> {
        let found = self.index.generation(row);
        if found == given { Ok(()) } else { Err(TopologyError::Generation { given, found }) }
    }

    /// Sets the time of the changes that follow.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn known(&self, row: Row) -> Result<&Provider, TopologyError> {
        self.topology.provider(row).ok_or(TopologyError::UnknownProvider(row))
    }

    /// A row for a new provider: one that was free when the index was restored, or one that was
    /// never given. The row of a provider that was removed since is not given again, so a decision
    /// about that provider cannot claim from its successor.
    fn take_row(&mut self) -> Result<Row, TopologyError> {
        if let Some(row) = self.reuse.take_row() {
            return Ok(row);
        }
        if self.topology.rows >= Ledger::MAX_ROWS {
            return Err(full_of_providers());
        }
        let row = Row(u32::try_from(self.topology.rows).expect("bounded by the ledger"));
        self.topology.rows += 1;
        Ok(row)
    }

    /// Lets new providers have the rows that have no provider and that `is_free`. Nobody may know
    /// them from before.
    pub(crate) fn find_free_rows(&mut self, is_free: impl Fn(Row) -> bool) {
        let rows = (0..).map(Row).take(self.topology.rows);
        let free = rows.filter(|&row| self.topology.provider(row).is_none() && is_free(row));
        self.reuse.set_rows(free);
    }

    fn known_class(&self, class: ClassId) -> Result<(), TopologyError> {
        self.topology.classes.name(class.0.into()).map(|_| ()).ok_or(TopologyError::UnknownClass(class))
    }

    fn known_trait(&self, id: TraitId) -> Result<(), TopologyError> {
        self.topology.traits.name(id.0).map(|_| ()).ok_or(TopologyError::UnknownTrait(id))
    }

    /// Counts a change that the provider's generation guards.
    fn count(&mut self, row: Row) {
        if !self.added.contains(&row) {
            self.counted.insert(row);
        }
        self.note(row);
    }

    /// Marks a change of the provider's own record.
    fn touch(&mut self, row: Row) {
        self.unrecorded.provider(row);
        self.note(row);
    }

    /// Marks any change of the provider.
    fn note(&mut self, row: Row) {
        if self.seen.insert(row) {
            self.changed.push(row);
        }
    }
}

fn full_of_providers() -> TopologyError {
    TopologyError::Full { what: "resource providers", limit: Ledger::MAX_ROWS }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.index.publish(&mut self.topology, &mut self.reuse);
        for &row in &self.changed {
            if self.counted.contains(&row) {
                self.index.ledger.bump_generation(row);
            }
            self.index.ledger.set_changed_at(row, self.now);
            self.index.journal().push(row, true);
        }
        let Self { topology, changed, unrecorded, .. } = self;
        let here = changed.iter().filter(|&&row| topology.provider(row).is_some());
        let counted = here.map(|&row| StateChange::Counted(row));
        self.recording.record(|| unrecorded.take_and(topology, counted));
    }
}

impl From<InventoryError> for TopologyError {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::Generation { given, found, .. } => Self::Generation { given, found },
            InventoryError::InUse(in_use) => Self::InUse(in_use),
        }
    }
}
