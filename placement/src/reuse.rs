//! Which numbers of removed classes, traits and providers can be given again.
//!
//! **Classes and traits.** A caller looks a name up in a [`Topology`] and uses the number
//! afterwards, for example in a claim. If the number meant another class by then, the claim would
//! take what it did not ask for. So a number is given again only when no topology is left in which
//! it had its former meaning. **A caller that uses a number holds the topology in which it was
//! found until the use is over**: handlers until they respond, deciders as part of their view.
//!
//! The writer keeps a weak reference to each topology that was replaced, oldest first. A reader
//! that never lets go delays the reuse, and nothing else.
//!
//! **Providers.** The row of a provider is not given again while the index exists: a claim looks a
//! UUID up and uses the row without a topology, and a decider keeps rows of hosts. If each claim
//! held a topology for this, all claims would write one counter of references, which costs more
//! than the claim's own line of the ledger when several cores claim. When an index is restored,
//! nobody knows a row. So the rows that have no provider then are free, as far as no record of the
//! former provider is left.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use roaring::RoaringBitmap;

use crate::ids::Row;
use crate::topology::Topology;

/// References that are looked through for dead ones when there are more.
const MANY: usize = 64;

/// What the writer remembers from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Reuse {
    /// Topologies that were replaced, with their versions, oldest first.
    replaced: VecDeque<(u64, Weak<Topology>)>,
    /// How many there may be before all are looked through.
    many: usize,
    pub(crate) classes: Free,
    pub(crate) traits: Free,
    /// Rows that had no provider when the index was restored.
    rows: RoaringBitmap,
}

/// Free numbers, each with the version of the first topology without its former meaning, lowest
/// version first.
#[derive(Debug, Default)]
pub(crate) struct Free(VecDeque<(u64, u32)>);

impl Reuse {
    /// Notes that a topology was replaced.
    pub(crate) fn replaced(&mut self, topology: &Arc<Topology>) {
        self.replaced.push_back((topology.version(), Arc::downgrade(topology)));
        if self.replaced.len() > self.many.max(MANY) {
            self.replaced.retain(|(_, topology)| topology.strong_count() > 0);
            self.many = 2 * self.replaced.len();
        }
    }

    /// The version of the oldest topology that a reader may have; `present` is the published one.
    pub(crate) fn oldest(&mut self, present: u64) -> u64 {
        while self.replaced.front().is_some_and(|(_, topology)| topology.strong_count() == 0) {
            self.replaced.pop_front();
        }
        self.replaced.front().map_or(present, |(version, _)| *version)
    }
}

impl Reuse {
    /// Sets the rows that can be given.
    pub(crate) fn set_rows(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows = rows.into_iter().map(|row| row.0).collect();
    }

    /// The lowest of these rows, which is given now.
    pub(crate) fn take_row(&mut self) -> Option<Row> {
        let row = self.rows.min()?;
        self.rows.remove(row);
        Some(Row(row))
    }
}

impl Free {
    /// Every number that has no name, when no reader knows another meaning.
    pub(crate) fn of_holes(holes: impl Iterator<Item = u32>, version: u64) -> Self {
        Self(holes.map(|number| (version, number)).collect())
    }

    /// The number is free from this version on.
    pub(crate) fn add(&mut self, number: u32, version: u64) {
        self.0.push_back((version, number));
    }

    /// How many numbers [`Self::take`] would return.
    pub(crate) fn ready(&self, oldest: u64) -> usize {
        self.0.iter().take_while(|(version, _)| *version <= oldest).count()
    }

    /// How many numbers are not ready.
    pub(crate) fn waiting(&self, oldest: u64) -> usize {
        self.0.len() - self.ready(oldest)
    }

    /// A number that no reader of a version from `oldest` on knows by another name.
    pub(crate) fn take(&mut self, oldest: u64) -> Option<u32> {
        let (version, _) = self.0.front()?;
        if *version > oldest {
            return None;
        }
        self.0.pop_front().map(|(_, number)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(version: u64) -> Arc<Topology> {
        Arc::new(Topology { version, ..Topology::default() })
    }

    #[test]
    fn a_reader_delays_the_reuse_of_what_it_knows() {
        let mut reuse = Reuse::default();
        let topologies: Vec<_> = (1..=3).map(topology).collect();
        topologies.iter().for_each(|topology| reuse.replaced(topology));
        reuse.classes.add(7, 2); // version 1 is the last one that knows it
        assert_eq!((reuse.oldest(4), reuse.classes.take(1)), (1, None));
        let reader = Arc::clone(&topologies[1]);
        drop(topologies);
        assert_eq!(reuse.oldest(4), 2);
        assert_eq!((reuse.classes.waiting(1), reuse.classes.ready(2)), (1, 1));
        assert_eq!((reuse.classes.take(2), reuse.classes.take(2)), (Some(7), None));
        drop(reader);
        assert_eq!(reuse.oldest(4), 4);
    }

    /// One that stays must not make the writer remember all that follow.
    #[test]
    fn topologies_that_are_gone_are_forgotten() {
        let mut reuse = Reuse::default();
        let reader = topology(0);
        reuse.replaced(&reader);
        (1..10_000).for_each(|version| reuse.replaced(&topology(version)));
        assert!(reuse.replaced.len() <= 2 * MANY, "{}", reuse.replaced.len());
        assert_eq!(reuse.oldest(10_000), 0);
    }
}
