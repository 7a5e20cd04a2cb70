//! Making an index of what a store keeps.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::{num::NonZeroUsize, thread};

use berth_placement::store::{Entry, LoadError, Revision, Store};
use berth_placement::{Inconsistency, Index, Rebuild, RebuildError};

use super::record::{CONSUMER, FORMAT, FORMAT_KEY, Kept};

/// Records that a worker gets at a time.
const CHUNK: usize = 4096;

/// A store that no index can be made of.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store cannot be read, or a record says what cannot be.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The records do not belong together.
    #[error("the records do not belong together: {0}")]
    Inconsistent(#[from] Inconsistency),
}

/// Records that cannot be understood as a whole.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("the store is of format {0}; this release of Berth reads format {FORMAT}")]
    Format(u32),
    #[error("the store does not say of which format it is")]
    NoFormat,
    #[error("records of providers stand behind those of consumers")]
    Order,
}

/// The index that a store keeps, and how far that is; no index when the store is new.
///
/// # Errors
/// A store that cannot be read, or records that do not belong together.
pub fn load(store: &dyn Store) -> Result<(Option<Index>, Revision), StateError> {
    let index = Index::with_holders();
    let (revision, has_format) = fill(&index, store)?;
    if !has_format {
        return Ok((None, revision)); // there was no other record either
    }
    index.check()?;
    Ok((Some(index), revision))
}

/// Puts everything back, consumers on several threads; returns whether there was anything.
fn fill(index: &Index, store: &dyn Store) -> Result<(Revision, bool), LoadError> {
    let (sender, receiver) = sync_channel(2 * workers());
    let receiver = Mutex::new(receiver);
    let mut loading = Loading::new(index, sender);
    thread::scope(|scope| {
        let admitting: Vec<_> = (0..workers()).map(|_| scope.spawn(|| admit(index, &receiver))).collect();
        let visited = store.load(&mut |entry| loading.visit(&entry));
        let has_format = loading.has_format;
        let rest = loading.finish();
        let admitted = admitting.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"));
        let revision = visited?;
        rest.and(admitted).map_err(LoadError::Refused)?;
        Ok((revision, has_format))
    })
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

type Chunk = Vec<(Vec<u8>, Vec<u8>)>;

struct Loading<'index> {
    has_format: bool,
    /// Until the first consumer.
    rebuild: Option<Rebuild<'index>>,
    chunk: Chunk,
    admitting: SyncSender<Chunk>,
}

impl<'index> Loading<'index> {
    fn new(index: &'index Index, admitting: SyncSender<Chunk>) -> Self {
        Self { has_format: false, rebuild: Some(index.rebuild()), chunk: Chunk::new(), admitting }
    }

    fn visit(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        if entry.key == FORMAT_KEY {
            return self.check_format(&read(entry.key, entry.value)?);
        }
        if !self.has_format {
            return Err(Unfit::NoFormat.to_string());
        }
        if entry.key.first() != Some(&CONSUMER) {
            let rebuild = self.rebuild.as_mut().ok_or_else(|| Unfit::Order.to_string())?;
            return put_back(rebuild, read(entry.key, entry.value)?).map_err(|error| error.to_string());
        }
        self.finish_rebuild()?;
        self.chunk.push((entry.key.to_vec(), entry.value.to_vec()));
        if self.chunk.len() < CHUNK { Ok(()) } else { self.send() }
    }

    fn check_format(&mut self, kept: &Kept) -> Result<(), String> {
        self.has_format = true;
        match kept {
            Kept::Format(format) if *format != FORMAT => Err(Unfit::Format(*format).to_string()),
            _ => Ok(()),
        }
    }

    fn finish_rebuild(&mut self) -> Result<(), String> {
        let rebuild = self.rebuild.take().map(Rebuild::finish);
        rebuild.unwrap_or(Ok(())).map_err(|error| error.to_string())
    }

    fn send(&mut self) -> Result<(), String> {
        let chunk = std::mem::take(&mut self.chunk);
        self.admitting.send(chunk).map_err(|_| "nobody admits consumers".to_owned())
    }

    /// The end: the workers are told by this being dropped.
    fn finish(mut self) -> Result<(), String> {
        self.finish_rebuild().and_then(|()| self.send())
    }
}

fn put_back(rebuild: &mut Rebuild<'_>, kept: Kept) -> Result<(), RebuildError> {
    match kept {
        Kept::Class(id, record) => rebuild.class(id, record),
        Kept::Trait(id, record) => rebuild.of_trait(id, record),
        Kept::Provider(row, state) => rebuild.provider(row, &state),
        Kept::Inventories(row, inventories) => rebuild.inventories(row, inventories),
        Kept::Count(row, generation, changed_at) => {
            rebuild.counted(row, generation, changed_at);
            Ok(())
        }
        Kept::Format(_) | Kept::Consumer(..) => unreachable!("done by others"),
    }
}

/// Admits consumers until there are no more. After one that cannot be admitted, the rest are only taken in.
fn admit(index: &Index, chunks: &Mutex<Receiver<Chunk>>) -> Result<(), String> {
    let mut outcome = Ok(());
    loop {
        let chunk = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(chunk) = chunk else { return outcome };
        outcome =
            outcome.and_then(|()| chunk.iter().try_for_each(|(key, value)| admit_one(index, key, value)));
    }
}

fn admit_one(index: &Index, key: &[u8], value: &[u8]) -> Result<(), String> {
    match read(key, value)? {
        Kept::Consumer(id, consumer) => index.readmit(id, consumer).map_err(|error| error.to_string()),
        _ => Err(Unfit::Order.to_string()),
    }
}

fn read(key: &[u8], value: &[u8]) -> Result<Kept, String> {
    Kept::read(key, value).map_err(|error| {
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("the record {key}: {error}")
    })
}
