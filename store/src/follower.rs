//! A replica of a store's state: loaded once, then updated by the commits that the store publishes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use berth_placement::{ChangeSet, ConsumerId, Owner, RebuildError};
use rustc_hash::FxHashMap;

use crate::contents::Contents;
use crate::fleet_records::FleetRecords;
use crate::load::{Loaded, StateError, load};
use crate::record::{self, Key, Unreadable, words};
use crate::store::{Committed, Compacted, Revision, Store};

/// A replica of the index and the fleet of a store, as of one revision.
///
/// Commits are applied in order, each as a whole. After each commit the replica equals a state that
/// the original had, with the same rows, serials and generations.
pub struct Follower<F> {
    contents: Contents<F>,
    revision: Revision,
    commits: Receiver<Committed>,
    /// Owners by number.
    owners: FxHashMap<u32, Arc<Owner>>,
    /// Consumers by the serial of their entries.
    consumers: FxHashMap<u64, ConsumerId>,
}

/// The reason why a follower stopped. To continue, load the store again.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The store has no records.
    #[error("the store is empty")]
    Empty,
    /// The store cannot be loaded.
    #[error(transparent)]
    State(#[from] StateError),
    /// Commits between loading and watching are no longer kept.
    #[error(transparent)]
    Compacted(#[from] Compacted),
    /// The follower fell too far behind, or the store was closed.
    #[error("the store has no more commits for this follower after revision {}", .0.0)]
    Ended(Revision),
    /// The revision of a commit is not the next one.
    #[error("revision {} does not follow revision {}", .found.0, .after.0)]
    Order {
        /// The latest revision that was applied.
        after: Revision,
        /// The revision that was received.
        found: Revision,
    },
    /// A record cannot be decoded.
    #[error("{record} of revision {}: {problem}", .revision.0)]
    Unreadable {
        /// The commit.
        revision: Revision,
        /// Describes the key.
        record: String,
        /// What is wrong with the record.
        problem: String,
    },
    /// A commit is inconsistent with the state before it.
    #[error("revision {} does not fit the state before: {error}", .revision.0)]
    Unfit {
        /// The commit.
        revision: Revision,
        /// The inconsistency.
        error: RebuildError,
    },
}

impl<F: FleetRecords> Follower<F> {
    /// Loads the store and subscribes to its commits.
    ///
    /// # Errors
    /// The store is empty or cannot be loaded, or it no longer keeps the commits that were made
    /// during the load.
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

    /// The replica's state. Only [`Self::catch_up`] may change it.
    #[must_use]
    pub const fn contents(&self) -> &Contents<F> {
        &self.contents
    }

    /// The latest revision that was applied.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Applies all commits that the store has published.
    ///
    /// # Errors
    /// The store has no further commits for this follower, or a commit cannot be applied.
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

    /// Decodes a record into the change set. Keys sort owners before consumers.
    fn read(
        &mut self,
        bytes: &[u8],
        value: Option<&[u8]>,
        outcome: &mut ChangeSet,
    ) -> Result<(), Unreadable> {
        match (Key::read(bytes)?, value) {
            // A block or a delta is removed only when other records contain its generations.
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
            // The provider's own record is removed in the same commit.
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
