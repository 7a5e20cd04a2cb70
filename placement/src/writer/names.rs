//! Resource classes and traits: names with numbers.

use std::sync::Arc;

use super::{TopologyError, Writer};
use crate::ids::{ClassId, TraitId};
use crate::ledger::Ledger;
use crate::members::Members;
use crate::records::NameRecord;
use crate::reuse::Free;

impl Writer<'_> {
    /// The number of the resource class `name`, which is added if it is new.
    ///
    /// # Errors
    /// A full index.
    pub fn resource_class(&mut self, name: &str) -> Result<ClassId, TopologyError> {
        if let Some(class) = self.topology.class(name) {
            return Ok(class);
        }
        let oldest = self.oldest_topology();
        match self.reuse.classes.take(oldest) {
            Some(number) => {
                let record = NameRecord { name: name.into(), since: self.now };
                Arc::make_mut(&mut self.topology.classes).put_back(number, record);
            }
            None if self.topology.classes.len() >= Ledger::MAX_CLASSES => {
                return Err(TopologyError::Full { what: "resource classes", limit: Ledger::MAX_CLASSES });
            }
            None => {
                Arc::make_mut(&mut self.topology.classes).intern(name, self.now);
                self.topology.with_class.push(Members::default());
            }
        }
        let class = self.topology.class(name).expect("added just now");
        self.unrecorded.class(class);
        Ok(class)
    }

    /// The number of the trait `name`, which is added if it is new.
    pub fn trait_named(&mut self, name: &str) -> TraitId {
        if let Some(known) = self.topology.find_trait(name) {
            return known;
        }
        let oldest = self.oldest_topology();
        let traits = Arc::make_mut(&mut self.topology.traits);
        let id = match self.reuse.traits.take(oldest) {
            Some(number) => {
                traits.put_back(number, NameRecord { name: name.into(), since: self.now });
                TraitId(number)
            }
            None => {
                self.topology.with_trait.push(Members::default());
                TraitId(traits.intern(name, self.now))
            }
        };
        self.unrecorded.of_trait(id);
        id
    }

    /// How many numbers of resource classes have a name, or had one that a reader may know.
    pub fn class_numbers(&mut self) -> usize {
        let oldest = self.oldest_topology();
        self.topology.classes.len() - self.reuse.classes.ready(oldest)
    }

    /// How many numbers of traits have a name, or had one that a reader may know.
    pub fn trait_numbers(&mut self) -> usize {
        let oldest = self.oldest_topology();
        self.topology.traits.len() - self.reuse.traits.ready(oldest)
    }

    /// Renames a resource class.
    ///
    /// # Errors
    /// An unknown class, or a name that another class has.
    pub fn rename_class(&mut self, class: ClassId, name: &str) -> Result<(), TopologyError> {
        self.known_class(class)?;
        match self.topology.class(name) {
            Some(same) if same == class => Ok(()),
            Some(_) => Err(TopologyError::NameTaken(name.to_owned())),
            None => {
                Arc::make_mut(&mut self.topology.classes).rename(class.0.into(), name, self.now);
                self.unrecorded.class(class);
                Ok(())
            }
        }
    }

    /// Removes a resource class. Its number is used again when no caller can know it.
    ///
    /// # Errors
    /// An unknown class, or one of which some provider has an inventory.
    pub fn remove_class(&mut self, class: ClassId) -> Result<(), TopologyError> {
        self.known_class(class)?;
        if self.topology.with_class(class).is_some_and(|members| !members.rows().is_empty()) {
            return Err(TopologyError::ClassInUse(class));
        }
        Arc::make_mut(&mut self.topology.classes).remove(class.0.into());
        self.reuse.classes.add(class.0.into(), self.topology.version() + 1);
        self.unrecorded.class(class);
        Ok(())
    }

    /// Removes a trait. Its number is used again when no caller can know it.
    ///
    /// # Errors
    /// An unknown trait, or one that some provider has.
    pub fn remove_trait(&mut self, id: TraitId) -> Result<(), TopologyError> {
        self.known_trait(id)?;
        if self.topology.rows_with_trait(id).is_some_and(|rows| !rows.is_empty()) {
            return Err(TopologyError::TraitInUse(id));
        }
        Arc::make_mut(&mut self.topology.traits).remove(id.0);
        self.reuse.traits.add(id.0, self.topology.version() + 1);
        self.unrecorded.of_trait(id);
        Ok(())
    }

    /// The version of the oldest topology that a caller may use. The published one is not replaced
    /// yet.
    fn oldest_topology(&mut self) -> u64 {
        let published = self.topology.version();
        self.reuse.oldest(published)
    }

    /// Makes the numbers that have no name free, after names were restored with their numbers.
    pub(crate) fn find_free_numbers(&mut self) {
        let version = self.topology.version() + 1;
        self.reuse.classes = Free::of_holes(self.topology.classes.holes(), version);
        self.reuse.traits = Free::of_holes(self.topology.traits.holes(), version);
    }

    /// Removes the name of a class. Its number is retired, unless a name is restored with it.
    pub(crate) fn forget_class(&mut self, id: ClassId) {
        Arc::make_mut(&mut self.topology.classes).retire(id.0.into());
        self.topology.with_class.resize(self.topology.classes.len(), Members::default());
    }

    /// Removes the name of a trait, in the same way.
    pub(crate) fn forget_trait(&mut self, id: TraitId) {
        Arc::make_mut(&mut self.topology.traits).retire(id.0);
        self.topology.with_trait.resize(self.topology.traits.len(), Members::default());
    }

    /// Restores a class with its former number; fails with its name if another class has it.
    pub(crate) fn put_back_class(&mut self, id: ClassId, record: NameRecord) -> Result<(), Arc<str>> {
        if self.topology.class(&record.name).is_some_and(|other| other != id) {
            return Err(record.name);
        }
        Arc::make_mut(&mut self.topology.classes).put_back(id.0.into(), record);
        self.topology.with_class.resize(self.topology.classes.len(), Members::default());
        Ok(())
    }

    /// Restores a trait with its former number; fails with its name if another trait has it.
    pub(crate) fn put_back_trait(&mut self, id: TraitId, record: NameRecord) -> Result<(), Arc<str>> {
        if self.topology.find_trait(&record.name).is_some_and(|other| other != id) {
            return Err(record.name);
        }
        Arc::make_mut(&mut self.topology.traits).put_back(id.0, record);
        self.topology.with_trait.resize(self.topology.traits.len(), Members::default());
        Ok(())
    }
}
