//! Reverse lookups of the consumers' table: the consumers of a provider and of a project.

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use dashmap::DashMap;
use rustc_hash::{FxHashSet, FxHasher};

use crate::consumers::{Consumer, ConsumerId, Owner};
use crate::ids::Row;

type Sets<K> = DashMap<K, FxHashSet<ConsumerId>, BuildHasherDefault<FxHasher>>;

/// Consumers by provider and by project, changed under the lock of the consumer's shard. No thread
/// waits for another lock while it holds the lock of a set.
#[derive(Default)]
pub(crate) struct Holders {
    by_row: Sets<Row>,
    by_project: Sets<Arc<str>>,
    /// One copy of each distinct owner.
    owners: DashMap<Arc<Owner>, (), BuildHasherDefault<FxHasher>>,
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
            self.by_project.entry(Arc::clone(&owner.project)).or_default().insert(consumer);
        }
    }

    /// Removes a consumer whose entry was `before`.
    pub(crate) fn remove(&self, consumer: ConsumerId, before: &Consumer) {
        for allocation in &before.allocations {
            forget(&self.by_row, &allocation.row, consumer);
        }
        if let Some(owner) = &before.owner {
            forget(&self.by_project, &owner.project, consumer);
        }
    }

    /// The shared copy of `owner`.
    pub(crate) fn share(&self, owner: &Arc<Owner>) -> Arc<Owner> {
        Arc::clone(self.owners.entry(Arc::clone(owner)).or_default().key())
    }

    /// The consumers with allocations on the provider, in order.
    pub(crate) fn of_row(&self, row: Row) -> Vec<ConsumerId> {
        sorted(&self.by_row, &row)
    }

    /// The consumers of the project, in order.
    pub(crate) fn of_project(&self, project: &str) -> Vec<ConsumerId> {
        sorted(&self.by_project, &Arc::from(project))
    }
}

fn forget<K: Eq + std::hash::Hash>(sets: &Sets<K>, key: &K, consumer: ConsumerId) {
    sets.remove_if_mut(key, |_, set| {
        set.remove(&consumer);
        set.is_empty()
    });
}

fn sorted<K: Eq + std::hash::Hash>(sets: &Sets<K>, key: &K) -> Vec<ConsumerId> {
    #[expect(clippy::disallowed_methods, reason = "sorted in the next statement")]
    let mut consumers: Vec<_> = sets.get(key).map(|set| set.iter().copied().collect()).unwrap_or_default();
    consumers.sort_unstable();
    consumers
}
