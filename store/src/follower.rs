//! A state that follows a store: it is loaded once, and then kept by the commits that the store publishes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use berth_placement::{ChangeSet, ConsumerId, Owner, RebuildError};
use rustc_hash::FxHashMap;

use crate::contents::Contents;
use crate::fleet_records::FleetRecords;
use crate::load::{Loaded, StateError, load};
use crate::record::{self, Key, Unreadable, words};
use crate::store::{Committed, Compacted, Revision, Store};

/// An index and a fleet that have what a store has, up to a revision.
///
/// Commits are applied in order and as a whole. Between two of them, the state is one that the state they were made of has
/// had, with the same rows, serials and generations.
pub struct Follower<F> {
    contents: Contents<F>,
    revision: Revision,
    commits: Receiver<Committed>,
    /// By number.
    owners: FxHashMap<u32, Arc<Owner>>,
    /// Whose entry has the serial.
    consumers: FxHashMap<u64, ConsumerId>,
}

/// The reason why a follower cannot go on: everything has to be loaded again.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store has nothing.
    #[error("the store is empty")]
    Empty,
    /// The store cannot be loaded.
    #[error(transparent)]
    State(#[from] StateError),
    /// More was committed between loading and watching than the store keeps.
    #[error(transparent)]
    Compacted(#[from] Compacted),
    /// The follower fell too far behind, or the store was closed.
    #[error("the store has no more commits for this follower after revision {}", .0.0)]
    Ended(Revision),
    /// A commit is not the next one.
    #[error("revision {} does not follow revision {}", .found.0, .after.0)]
    Order {
        /// The latest that was applied.
        after: Revision,
        /// The one that came.
        found: Revision,
    },
    /// A record cannot be understood.
    #[error("{record} of revision {}: {problem}", .revision.0)]
    Unreadable {
        /// The commit.
        revision: Revision,
        /// Its key in words.
        record: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A commit does not fit the state before.
    #[error("revision {} does not fit the state before: {error}", .revision.0)]
    Unfit {
        /// The commit.
        revision: Revision,
        /// What does not fit.
        error: RebuildError,
    },
}

impl<F: FleetRecords> Follower<F> {
    /// Loads what the store has, and follows it from then on.
    ///
    /// # Errors
    /// A store that is empty or cannot be loaded, or that was written too quickly meanwhile.
    pub fn of(store: &dyn Store) -> Result<Self, FollowError> {
        let Loaded { contents, encoder, revision } = load::<F>(store)?.ok_or(FollowError::Empty)?;
        let commits = store.watch(revision)?;
        let owners = encoder.owners().map(|(number, owner)| (number, Arc::clone(owner))).collect();
        let mut consumers = FxHashMap::default();
        contents.index.for_each_consumer(|id, consumer| {
            consumers.insert(consumer.serial, id);
        });
        Ok(Self { contents, revision, commits, owners, consumers })
    }

    /// The state, which nobody else may change.
    #[must_use]
    pub const fn contents(&self) -> &Contents<F> {
        &self.contents
    }

    /// The latest commit that was applied.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Applies all commits that the store has published by now.
    ///
    /// # Errors
    /// A store without further commits for this follower, or a commit that cannot be applied.
    pub fn catch_up(&mut self) -> Result<(), FollowError> {
        loop {
            match self.commits.try_recv() {
                Ok(committed) => self.apply(&committed)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(FollowError::Ended(self.revision)),
            }
        }
    }

    fn apply(&mut self, Committed { revision, changes }: &Committed) -> Result<(), FollowError> {
        let (after, found) = (self.revision, *revision);
        if found.0 != after.0 + 1 {
            return Err(FollowError::Order { after, found });
        }
        let mut outcome = ChangeSet::default();
        for (key, value) in changes.iter() {
            let read = self.read(key, value.as_deref(), &mut outcome);
            read.map_err(|error| FollowError::Unreadable {
                revision: found,
                record: words::<F>(key),
                problem: error.to_string(),
            })?;
        }
        let applied = self.contents.index.apply(outcome);
        applied.map_err(|error| FollowError::Unfit { revision: found, error })?;
        self.revision = found;
        Ok(())
    }

    /// Takes a record to where it belongs. Owners come before consumers, by their keys.
    fn read(
        &mut self,
        bytes: &[u8],
        value: Option<&[u8]>,
        outcome: &mut ChangeSet,
    ) -> Result<(), Unreadable> {
        match (Key::read(bytes)?, value) {
            // Counts of a block or of a commit are removed when others have them.
            (Key::Format | Key::Rows | Key::CountBlock(_) | Key::CountDelta(_), None)
            | (Key::Format, Some(_)) => {}
            (Key::Rows, Some(value)) => outcome.rows = Some(record::read_rows(value)?),
            (Key::Class(id), value) => {
                outcome.classes.insert(id, value.map(record::read_name).transpose()?);
            }
            (Key::Trait(id), value) => {
                outcome.traits.insert(id, value.map(record::read_name).transpose()?);
            }
            (Key::Provider(row), value) => {
                outcome.providers.insert(row, value.map(record::read_provider).transpose()?);
            }
            // Its provider is removed with them.
            (Key::Inventories(_), None) => {}
            (Key::Inventories(row), Some(value)) => {
                outcome.inventories.insert(row, record::read_inventories(value)?);
            }
            (Key::CountBlock(_) | Key::CountDelta(_), Some(value)) => {
                for (row, generation, at) in record::read_counts(value)? {
                    let count = outcome.counts.entry(row).or_default();
                    *count = (count.0.max(generation), count.1.max(at));
                }
            }
            (Key::Owner(number), None) => drop(self.owners.remove(&number)),
            (Key::Owner(number), Some(value)) => {
                self.owners.insert(number, record::read_owner(value)?.into());
            }
            (Key::Consumer(serial), None) => outcome.released.extend(self.consumers.remove(&serial)),
            (Key::Consumer(serial), Some(value)) => {
                let number = record::read_owner_number(value)?;
                let owner = number.map(|number| self.owners.get(&number).ok_or(Unreadable::Field("owner")));
                let owner = owner.transpose()?.cloned();
                let (id, consumer) = record::read_consumer_of(serial, value, owner)?;
                self.consumers.insert(serial, id);
                outcome.consumers.push((id, consumer));
            }
            (Key::Fleet(_), Some(value)) => self.contents.fleet.insert(bytes, value)?,
            (Key::Fleet(_), None) => self.contents.fleet.remove(bytes)?,
        }
        Ok(())
    }
}
