//! A fleet under load: the changes that Berth would write, and the digest of the records that the
//! store must then have.
use crate::digest::{Digest, mix};
use crate::stores::{Change, Store};
use anyhow::{Context, Result, bail, ensure};

const PROVIDER: u8 = 1;
const GENERATION: u8 = 2;
const CONSUMER: u8 = 3;
const PROVIDER_BYTES: usize = 600;
const CONSUMER_BYTES: usize = 150;
/// Reserved for the preload: a fleet with the same seed would draw ids of existing consumers.
const PRELOAD_SEED: u64 = u64::MAX;
const PRELOAD_BATCH: usize = 10_000;

#[derive(Clone, Copy)]
struct Consumer {
    id: u64,
    host: u32,
}

/// A generator of changes. Everything is drawn from the seed: two processes with the same store and
/// seed do the same.
#[derive(Clone)]
pub struct Fleet {
    generations: Vec<u64>,
    live: Vec<Consumer>,
    digest: Digest,
    drawn: u64,
    seed: u64,
}

impl Fleet {
    /// Writes providers with their generations, and consumers on random hosts, into an empty store.
    /// Returns the digest after each batch.
    pub fn preload(store: &mut dyn Store, providers: u32, consumers: u32) -> Result<Vec<Digest>> {
        let mut fleet = Self {
            generations: Vec::new(),
            live: Vec::new(),
            digest: Digest::default(),
            drawn: 0,
            seed: PRELOAD_SEED,
        };
        let (mut changes, mut states) = (Vec::new(), vec![Digest::default()]);
        for row in 0..providers {
            fleet.generations.push(0);
            changes.push(Change::Put(uuid_key(PROVIDER, row.into()), filler(row.into(), PROVIDER_BYTES)));
            changes.push(fleet.generation(row));
            write_when(&mut changes, PRELOAD_BATCH, store, &mut states)?;
        }
        for _ in 0..consumers {
            changes.push(fleet.claim()[0].clone());
            write_when(&mut changes, PRELOAD_BATCH, store, &mut states)?;
        }
        write_when(&mut changes, 1, store, &mut states)?;
        Ok(states)
    }

    /// Loads the fleet of a store.
    pub fn load(store: &dyn Store, seed: u64) -> Result<Self> {
        let mut fleet =
            Self { generations: Vec::new(), live: Vec::new(), digest: Digest::default(), drawn: 0, seed };
        let mut fault = Ok(());
        store.stream(&mut |key, value| {
            fleet.digest.add(key, value);
            if let Err(error) = fleet.take(key, value) {
                fault = Err(error);
            }
        })?;
        fault.map(|()| fleet)
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The next claims and releases, half of each, with each host's new generation.
    pub fn batch(&mut self, operations: usize) -> Vec<Change> {
        let claim_next = |fleet: &mut Self| fleet.live.is_empty() || fleet.draw().is_multiple_of(2);
        (0..operations).flat_map(|_| if claim_next(self) { self.claim() } else { self.release() }).collect()
    }

    /// The next claims, without releases.
    pub fn growth(&mut self, claims: usize) -> Vec<Change> {
        (0..claims).flat_map(|_| self.claim()).collect()
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key.first().context("empty key")? {
            &PROVIDER => {}
            &GENERATION => {
                let row = u32::from_be_bytes(key[1..].try_into()?);
                ensure!(row as usize == self.generations.len(), "generation of host {row} out of order");
                self.generations.push(u64::from_le_bytes(value.try_into()?));
            }
            &CONSUMER => {
                let id = u64::from_be_bytes(key[9..].try_into()?);
                let host = u32::from_le_bytes(value[..4].try_into()?);
                self.live.push(Consumer { id, host });
            }
            kind => bail!("record of kind {kind}"),
        }
        Ok(())
    }

    fn claim(&mut self) -> [Change; 2] {
        let host = (self.draw() % self.generations.len() as u64) as u32;
        let consumer = Consumer { id: self.draw(), host };
        let (key, value) = consumer.record();
        self.digest.add(&key, &value);
        self.live.push(consumer);
        [Change::Put(key, value), self.next_generation(host)]
    }

    fn release(&mut self) -> [Change; 2] {
        let place = (self.draw() % self.live.len() as u64) as usize;
        let consumer = self.live.swap_remove(place);
        let (key, value) = consumer.record();
        self.digest.remove(&key, &value);
        [Change::Delete(key), self.next_generation(consumer.host)]
    }

    fn next_generation(&mut self, row: u32) -> Change {
        let generation = &mut self.generations[row as usize];
        self.digest.remove(&row_key(row), &generation.to_le_bytes());
        *generation += 1;
        self.digest.add(&row_key(row), &generation.to_le_bytes());
        self.generation(row)
    }

    fn generation(&self, row: u32) -> Change {
        Change::Put(row_key(row), self.generations[row as usize].to_le_bytes().to_vec())
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        mix(mix(self.seed) ^ self.drawn)
    }
}

impl Consumer {
    fn record(self) -> (Vec<u8>, Vec<u8>) {
        let mut value = filler(self.id, CONSUMER_BYTES);
        value[..4].copy_from_slice(&self.host.to_le_bytes());
        (uuid_key(CONSUMER, self.id), value)
    }
}

/// Commits puts of new keys when there are enough of them.
fn write_when(
    changes: &mut Vec<Change>,
    length: usize,
    store: &mut dyn Store,
    states: &mut Vec<Digest>,
) -> Result<()> {
    if changes.len() < length {
        return Ok(());
    }
    let mut digest = states.last().copied().unwrap_or_default();
    for change in changes.iter() {
        if let Change::Put(key, value) = change {
            digest.add(key, value);
        }
    }
    states.push(digest);
    store.commit(&std::mem::take(changes))
}

/// A key of the kind and 16 pseudo-random bytes, of which the last eight are the id.
fn uuid_key(kind: u8, id: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(mix(id).to_be_bytes());
    key.extend(id.to_be_bytes());
    key
}

fn row_key(row: u32) -> Vec<u8> {
    let mut key = vec![GENERATION];
    key.extend(row.to_be_bytes());
    key
}

/// Incompressible bytes, as most of a record (UUIDs) is.
fn filler(seed: u64, length: usize) -> Vec<u8> {
    (0..length.div_ceil(8) as u64).flat_map(|word| mix(seed ^ mix(word)).to_le_bytes()).take(length).collect()
}
