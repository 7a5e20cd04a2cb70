//! Changing the fleet: providers, inventories, traits and aggregates.

use std::sync::{Arc, MutexGuard};

use rustc_hash::FxHashSet;
use uuid::Uuid;

use crate::ids::{ClassId, Row, TraitId};
use crate::index::Index;
use crate::inventory::{InvalidInventory, Inventory};
use crate::ledger::{InventoryInUse, Ledger};
use crate::members::Members;
use crate::topology::{Provider, Topology};

/// A change of topology that was refused; nothing was changed.
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
    /// The provider cannot be removed while others stand below it.
    #[error("the resource provider in {0} has child providers")]
    HasChildren(Row),
    /// The provider or one of its inventories has allocations.
    #[error(transparent)]
    InUse(#[from] InventoryInUse),
    /// An inventory breaks a rule.
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
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// The one writer of an index's topology; writers wait for each other, readers and claims do not.
///
/// Inventories, and the lookups by UUID and name, change at once. Everything else is prepared here and published as one
/// snapshot when the writer is dropped, so a batch of changes costs one copy of what it touches. An existing provider's
/// generation goes up once per batch that changes it.
pub struct Writer<'index> {
    index: &'index Index,
    topology: Topology,
    published_rows: usize,
    changed: Vec<Row>,
    seen: FxHashSet<Row>,
    _one_at_a_time: MutexGuard<'index, ()>,
}

impl<'index> Writer<'index> {
    pub(crate) fn new(index: &'index Index, guard: MutexGuard<'index, ()>) -> Self {
        let topology = Topology::clone(&index.topology());
        let published_rows = topology.rows();
        let (changed, seen) = (Vec::new(), FxHashSet::default());
        Self { index, topology, published_rows, changed, seen, _one_at_a_time: guard }
    }

    /// The topology as it will be published.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
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
        let parent_root =
            parent.map(|parent| self.known(parent).map(|provider| provider.root)).transpose()?;
        let row = self.take_row()?;
        let name: Arc<str> = name.into();
        self.index.by_uuid.insert(uuid, row);
        self.index.by_name.insert(Arc::clone(&name), row);
        let root = parent_root.unwrap_or(row);
        self.topology.plant(row, Provider::new(uuid, name, parent, root));
        self.touch(row);
        Ok(row)
    }

    /// Removes a provider with its inventories, traits and aggregates.
    ///
    /// # Errors
    /// An unknown provider, one with children, or one with allocations.
    pub fn remove_provider(&mut self, row: Row) -> Result<(), TopologyError> {
        let Provider { uuid, name, root, classes, .. } = self.known(row)?.clone();
        let parent_of = |row| self.topology.provider(row).and_then(|provider| provider.parent);
        if self.topology.tree(root).iter().any(|&other| parent_of(other) == Some(row)) {
            return Err(TopologyError::HasChildren(row));
        }
        if let Some(&class) = classes.iter().find(|&&class| self.index.ledger.used(row, class) != 0) {
            return Err(InventoryInUse { row, class }.into());
        }
        let inventories = classes.iter().map(|&class| (class, self.index.ledger.inventory(row, class)));
        let mut removed = Vec::new();
        for (class, inventory) in inventories {
            if let Err(in_use) = self.index.ledger.set_inventory(row, class, None) {
                // A claim came between: put back what is gone already.
                for (class, inventory) in removed {
                    let inventory: Option<Inventory> = inventory;
                    self.index.ledger.set_inventory(row, class, inventory.as_ref())?;
                }
                self.index.journal().push(row, true); // who looked in between has to look again
                return Err(in_use.into());
            }
            removed.push((class, inventory));
        }
        self.topology.set_traits(row, Vec::new());
        self.topology.set_aggregates(row, Vec::new());
        classes.iter().for_each(|&class| self.topology.set_class(row, class, false));
        self.topology.uproot(row);
        self.index.by_uuid.remove(&uuid);
        self.index.by_name.remove(&name);
        self.touch(row);
        Ok(())
    }

    /// Puts, replaces or (with `None`) removes an inventory, at once.
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
        if class.index() >= self.topology.classes.len() {
            return Err(TopologyError::UnknownClass(class));
        }
        inventory.map_or(Ok(()), Inventory::validate)?;
        self.index.ledger.set_inventory(row, class, inventory)?;
        self.topology.set_class(row, class, inventory.is_some());
        self.touch(row);
        if row.index() < self.published_rows {
            self.index.journal().push(row, true); // it holds from now on, however long this batch takes
        }
        Ok(())
    }

    /// The number of the resource class called `name`, which is added if it is new.
    ///
    /// # Errors
    /// A full index.
    pub fn resource_class(&mut self, name: &str) -> Result<ClassId, TopologyError> {
        if let Some(class) = self.topology.class(name) {
            return Ok(class);
        }
        if self.topology.classes.len() >= Ledger::MAX_CLASSES {
            return Err(TopologyError::Full { what: "resource classes", limit: Ledger::MAX_CLASSES });
        }
        Arc::make_mut(&mut self.topology.classes).intern(name);
        self.topology.with_class.push(Members::default());
        Ok(self.topology.class(name).expect("added just now"))
    }

    /// The number of the trait called `name`, which is added if it is new.
    pub fn trait_named(&mut self, name: &str) -> TraitId {
        if let Some(known) = self.topology.find_trait(name) {
            return known;
        }
        self.topology.with_trait.push(Members::default());
        TraitId(Arc::make_mut(&mut self.topology.traits).intern(name))
    }

    /// Replaces the provider's traits.
    ///
    /// # Errors
    /// An unknown provider or trait.
    pub fn set_traits(&mut self, row: Row, traits: &[TraitId]) -> Result<(), TopologyError> {
        self.known(row)?;
        if let Some(&unknown) = traits.iter().find(|wanted| wanted.0 as usize >= self.topology.traits.len()) {
            return Err(TopologyError::UnknownTrait(unknown));
        }
        self.topology.set_traits(row, traits.to_vec());
        self.touch(row);
        Ok(())
    }

    /// Replaces the aggregates the provider is in.
    ///
    /// # Errors
    /// An unknown provider.
    pub fn set_aggregates(&mut self, row: Row, aggregates: &[Uuid]) -> Result<(), TopologyError> {
        self.known(row)?;
        self.topology.set_aggregates(row, aggregates.to_vec());
        self.touch(row);
        Ok(())
    }

    fn known(&self, row: Row) -> Result<&Provider, TopologyError> {
        self.topology.provider(row).ok_or(TopologyError::UnknownProvider(row))
    }

    /// A row that no provider ever had: a decision about a removed provider can never claim from its successor.
    fn take_row(&mut self) -> Result<Row, TopologyError> {
        if self.topology.rows >= Ledger::MAX_ROWS {
            return Err(TopologyError::Full { what: "resource providers", limit: Ledger::MAX_ROWS });
        }
        let row = Row(u32::try_from(self.topology.rows).expect("bounded by the ledger"));
        self.topology.rows += 1;
        Ok(row)
    }

    fn touch(&mut self, row: Row) {
        if self.seen.insert(row) {
            self.changed.push(row);
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.index.publish(&mut self.topology, &self.changed, self.published_rows);
    }
}
