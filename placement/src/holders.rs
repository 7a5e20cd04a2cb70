//! Reverse lookups of the consumers' table: the consumers of a provider and of a project.

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use dashmap::DashMap;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::consumers::{Consumer, ConsumerId, Owner};
use crate::ids::Row;

type Table<K, V> = DashMap<K, V, BuildHasherDefault<FxHasher>>;

/// Consumers by provider and by project, changed under the lock of the consumer's shard. No thread
/// waits for another lock while it holds the lock of a set.
#[derive(Default)]
pub(crate) struct Holders {
    by_row: Table<Row, FxHashSet<ConsumerId>>,
    by_project: Table<Arc<str>, Project>,
}

/// The consumers of a project.
#[derive(Default)]
struct Project {
    consumers: FxHashSet<ConsumerId>,
    /// One copy of each distinct owner, with the number of its consumers.
    owners: FxHashMap<Arc<Owner>, usize>,
}

impl Holders {
    /// Updates the sets for a consumer whose entry changed from `before` to `after`.
    pub(crate) fn replace(&self, consumer: ConsumerId, before: Option<&Consumer>, after: &Consumer) {
        if let Some(before) = before {
            self.remove(consumer, before);
        }
        for allocation in &after.allocations {
            self.by_row.entry(allocation.row).or_default().insert(consumer);
        }
        if let Some(owner) = &after.owner {
            let mut project = self.by_project.entry(Arc::clone(&owner.project)).or_default();
            project.consumers.insert(consumer);
            *project.owners.entry(Arc::clone(owner)).or_default() += 1;
        }
    }

    /// Removes a consumer whose entry was `before`.
    pub(crate) fn remove(&self, consumer: ConsumerId, before: &Consumer) {
        for allocation in &before.allocations {
            self.by_row.remove_if_mut(&allocation.row, |_, consumers| {
                consumers.remove(&consumer);
                consumers.is_empty()
            });
        }
        if let Some(owner) = &before.owner {
            self.by_project.remove_if_mut(&owner.project, |_, project| project.forget(consumer, owner));
        }
    }

    /// The copy of `owner` that its other consumers share, or `owner` itself.
    pub(crate) fn share(&self, owner: &Arc<Owner>) -> Arc<Owner> {
        let shared = self
            .by_project
            .get(&owner.project)
            .and_then(|project| project.owners.get_key_value(owner).map(|(shared, _)| Arc::clone(shared)));
        shared.unwrap_or_else(|| Arc::clone(owner))
    }

    /// The consumers with allocations on the provider, in order.
    pub(crate) fn of_row(&self, row: Row) -> Vec<ConsumerId> {
        self.by_row.get(&row).map(|consumers| sorted(&consumers)).unwrap_or_default()
    }

    pub(crate) fn count_of_row(&self, row: Row) -> usize {
        self.by_row.get(&row).map_or(0, |consumers| consumers.len())
    }

    pub(crate) fn count_of_project(&self, project: &str) -> usize {
        self.by_project.get(&Arc::from(project)).map_or(0, |project| project.consumers.len())
    }

    /// The consumers of the project, in order.
    pub(crate) fn of_project(&self, project: &str) -> Vec<ConsumerId> {
        let found = self.by_project.get(&Arc::from(project));
        found.map(|project| sorted(&project.consumers)).unwrap_or_default()
    }
}

impl Project {
    /// The consumer is gone; returns whether it was the last.
    fn forget(&mut self, consumer: ConsumerId, owner: &Arc<Owner>) -> bool {
        self.consumers.remove(&consumer);
        if let Some(consumers) = self.owners.get_mut(owner) {
            *consumers -= 1;
            if *consumers == 0 {
                self.owners.remove(owner);
            }
        }
        self.consumers.is_empty()
    }
}

fn sorted(consumers: &FxHashSet<ConsumerId>) -> Vec<ConsumerId> {
    #[expect(clippy::disallowed_methods, reason = "sorted in the next statement")]
    let mut consumers: Vec<_> = consumers.iter().copied().collect();
    consumers.sort_unstable();
    consumers
}
