//! Loads an index from a store.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use berth_placement::{Inconsistency, Index, Owner, Rebuild, RebuildError};

use crate::contents::Contents;
use crate::encoder::Encoder;
use crate::fleet_records::FleetRecords;
use crate::record::{self, FORMAT, Key, Unreadable, words};
use crate::store::{LoadError, Revision, Store};

/// The number of records per batch for a worker.
const CHUNK: usize = 4096;

/// The largest number of unassigned owner numbers. It bounds the memory that a damaged number can
/// allocate.
const MISSING_OWNERS: usize = 1 << 20;

/// The reason why an index cannot be loaded from a store.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store cannot be read, or a record is impossible.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A record is damaged.
    #[error("{record} is damaged: {what}")]
    Damaged {
        /// Describes the key.
        record: String,
        /// What is wrong with the record.
        what: String,
    },
    /// A later release wrote the store.
    #[error("the store is of format {0}; this release of Berth reads formats up to {FORMAT}")]
    Later(u32),
    /// The records are inconsistent with each other.
    #[error("the records contradict each other: {0}")]
    Inconsistent(#[from] Inconsistency),
}

impl StateError {
    pub(crate) fn of_load<F: FleetRecords>(error: LoadError) -> Self {
        match error {
            LoadError::Damaged { key, what } => Self::Damaged { record: words::<F>(&key), what },
            error => Self::Load(error),
        }
    }
}

/// A record that is invalid at its position.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Impossible(#[from] RebuildError),
    #[error("the store is of format {0}")]
    Format(u32),
    #[error("the store does not state its format")]
    NoFormat,
    #[error("the record is out of place")]
    Order,
}

/// The loaded content of a store.
pub struct Loaded<F> {
    /// The index and the fleet.
    pub contents: Contents<F>,
    /// The encoder for later changes of the index.
    pub encoder: Encoder,
    /// The latest commit.
    pub revision: Revision,
}

/// Loads the content of a store; `None` if it is new.
///
/// # Errors
/// The store cannot be read, or its records are inconsistent with each other.
pub fn load<F: FleetRecords>(store: &dyn Store) -> Result<Option<Loaded<F>>, StateError> {
    let index = Index::with_holders();
    let Some((encoder, fleet, revision)) = fill(&index, store)? else { return Ok(None) };
    index.check()?;
    Ok(Some(Loaded { contents: Contents { index, fleet }, encoder, revision }))
}

/// Loads all records into an empty index; `None` for an empty store.
fn fill<F: FleetRecords>(
    index: &Index,
    store: &dyn Store,
) -> Result<Option<(Encoder, F, Revision)>, StateError> {
    let (sender, receiver) = sync_channel(2 * workers());
    let mut loading = Loading::new(index, sender);
    let outcome = loading.run(store, &Mutex::new(receiver));
    match loading {
        Loading { format: Some(later), .. } if later > FORMAT => Err(StateError::Later(later)),
        Loading { encoder, fleet, format, .. } => {
            let revision = outcome.map_err(StateError::of_load::<F>)?;
            Ok(format.map(|_| (encoder, fleet, revision)))
        }
    }
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

type Owners = Vec<Option<Arc<Owner>>>;

/// Batches of consumer records by serial, and the owners that they refer to.
struct Chunk {
    owners: Arc<Owners>,
    records: Vec<(u64, Vec<u8>)>,
}

struct Loading<'index, F> {
    index: &'index Index,
    encoder: Encoder,
    fleet: F,
    format: Option<u32>,
    /// The index until the first consumer.
    rebuild: Option<Rebuild<'index>>,
    owners: Arc<Owners>,
    records: Vec<(u64, Vec<u8>)>,
    admitting: Option<SyncSender<Chunk>>,
}

impl<'index, F: FleetRecords> Loading<'index, F> {
    fn new(index: &'index Index, admitting: SyncSender<Chunk>) -> Self {
        let (rebuild, admitting) = (Some(index.rebuild()), Some(admitting));
        let (encoder, owners, records) = Default::default();
        Self { index, encoder, fleet: F::default(), format: None, rebuild, owners, records, admitting }
    }

    /// Loads all records, consumers on several threads.
    fn run(&mut self, store: &dyn Store, chunks: &Mutex<Receiver<Chunk>>) -> Result<Revision, LoadError> {
        let index = self.index;
        thread::scope(|scope| {
            let admitting: Vec<_> = (0..workers()).map(|_| scope.spawn(|| admit(index, chunks))).collect();
            let visited = store.load(&mut |entry| {
                let put_back = self.visit(entry.key, entry.value);
                put_back.map_err(|error| format!("{}: {error}", words::<F>(entry.key)))
            });
            let rest = self.finish();
            let admitted = admitting.into_iter().map(|worker| worker.join().expect("it does not panic"));
            let admitted = admitted.collect::<Result<Vec<Members>, _>>();
            let revision = visited?;
            rest.map_err(|error| LoadError::Refused(error.to_string()))?;
            self.register_owners(&admitted.map_err(LoadError::Refused)?);
            Ok(revision)
        })
    }

    fn visit(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unfit> {
        let bytes = key;
        let key = Key::read(bytes)?;
        if self.format.is_none() && key != Key::Format {
            return Err(Unfit::NoFormat);
        }
        match key {
            Key::Format => self.check_format(record::read_format(value)?),
            Key::Owner(number) => self.put_back_owner(number, record::read_owner(value)?),
            Key::Consumer(serial) => self.put_back_consumer(serial, value),
            Key::Fleet(_) => Ok(self.fleet.insert(bytes, value).map_err(Unreadable::from)?),
            _ => self.put_back(key, value),
        }
    }

    fn check_format(&mut self, format: u32) -> Result<(), Unfit> {
        self.format = Some(format);
        if format == FORMAT { Ok(()) } else { Err(Unfit::Format(format)) }
    }

    fn put_back(&mut self, key: Key, value: &[u8]) -> Result<(), Unfit> {
        let rebuild = self.rebuild.as_mut().ok_or(Unfit::Order)?;
        match key {
            Key::Rows => {
                let rows = record::read_rows(value)?;
                self.encoder.register_rows(rows);
                rebuild.rows(rows)?;
            }
            Key::Class(id) => rebuild.class(id, record::read_name(value)?)?,
            Key::Trait(id) => rebuild.of_trait(id, record::read_name(value)?)?,
            Key::Provider(row) => rebuild.provider(row, &record::read_provider(value)?)?,
            Key::Inventories(row) => rebuild.inventories(row, record::read_inventories(value)?)?,
            Key::CountBlock(_) | Key::CountDelta(_) => {
                if let Key::CountDelta(number) = key {
                    self.encoder.register_delta(number);
                }
                let counts = record::read_counts(value)?.into_iter();
                counts.for_each(|(row, generation, at)| rebuild.counted(row, generation, at));
            }
            Key::Format | Key::Owner(_) | Key::Consumer(_) | Key::Fleet(_) => return Err(Unfit::Order),
        }
        Ok(())
    }

    fn register_owners(&mut self, admitted: &[Members]) {
        let consumers = |place: usize| admitted.iter().filter_map(|members| members.get(place)).sum();
        let owners = self.owners.iter().enumerate();
        let owners = owners.map(|(place, owner)| Some((owner.clone()?, consumers(place))));
        self.encoder.register_owners(owners);
    }

    fn put_back_owner(&mut self, number: u32, owner: Owner) -> Result<(), Unfit> {
        let owner = Arc::new(owner);
        let owners = Arc::get_mut(&mut self.owners).ok_or(Unfit::Order)?;
        let place = number as usize;
        if place > owners.len() + MISSING_OWNERS {
            return Err(Unfit::Order);
        }
        owners.resize(owners.len().max(place + 1), None);
        owners[place] = Some(owner);
        Ok(())
    }

    fn put_back_consumer(&mut self, serial: u64, value: &[u8]) -> Result<(), Unfit> {
        self.finish_rebuild()?;
        self.records.push((serial, value.to_vec()));
        if self.records.len() == CHUNK {
            self.send();
        }
        Ok(())
    }

    fn finish_rebuild(&mut self) -> Result<(), Unfit> {
        Ok(self.rebuild.take().map_or(Ok(()), Rebuild::finish)?)
    }

    fn send(&mut self) {
        let chunk = Chunk { owners: Arc::clone(&self.owners), records: std::mem::take(&mut self.records) };
        if let Some(admitting) = &self.admitting {
            admitting.send(chunk).expect("the receiver outlives the workers");
        }
    }

    /// Ends the batches: dropping the sender stops the workers.
    fn finish(&mut self) -> Result<(), Unfit> {
        self.send();
        self.admitting = None;
        self.finish_rebuild()
    }
}

/// The number of consumers of each owner, by number.
type Members = Vec<u64>;

/// Adds consumers to the index until the sender is dropped. After the first error, the remaining
/// batches are received and ignored.
fn admit(index: &Index, chunks: &Mutex<Receiver<Chunk>>) -> Result<Members, String> {
    let mut outcome = Ok(Members::new());
    loop {
        let chunk = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Chunk { owners, records }) = chunk else { return outcome };
        outcome = outcome.and_then(|mut members| {
            members.resize(owners.len(), 0);
            for (serial, value) in &records {
                let admitted = admit_one(index, *serial, value, &owners);
                let owner =
                    admitted.map_err(|error| format!("the consumer with serial {serial}: {error}"))?;
                if let Some(number) = owner {
                    members[number as usize] += 1;
                }
            }
            Ok(members)
        });
    }
}

/// Adds a consumer to the index; returns the number of its owner.
fn admit_one(
    index: &Index,
    serial: u64,
    value: &[u8],
    owners: &[Option<Arc<Owner>>],
) -> Result<Option<u32>, Unfit> {
    let (id, consumer, owner) = record::read_consumer(serial, value, owners)?;
    index.readmit(id, consumer)?;
    Ok(owner)
}
