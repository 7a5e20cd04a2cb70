//! The stores, behind the five operations that Berth needs: open, commit, stream, compact, close.
mod fjall;
mod lmdb;
mod redb;
mod sqlite;

use anyhow::Result;
use clap::ValueEnum;
use std::path::Path;

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

impl Change {
    /// The bytes of key and value.
    pub fn len(&self) -> usize {
        match self {
            Change::Put(key, value) => key.len() + value.len(),
            Change::Delete(key) => key.len(),
        }
    }
}

pub trait Store {
    /// Writes all changes or none; they are durable when it returns.
    fn commit(&mut self, changes: &[Change]) -> Result<()>;

    /// Passes every record to `each`, ordered by key.
    fn stream(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Returns unused space, as far as the store can.
    fn compact(&mut self) -> Result<()>;

    fn close(self: Box<Self>) -> Result<()>;
}

/// A store and its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// redb, one fsync a commit
    Redb,
    /// redb, one fsync a commit, every checksum verified at each opening
    RedbChecked,
    /// redb, two fsyncs a commit
    RedbTwoPhase,
    /// redb, two fsyncs a commit and the allocator's state in it, so that a crash needs no repair
    RedbQuickRepair,
    /// fjall, fdatasync of its journal a commit
    Fjall,
    /// SQLite in WAL mode, synchronous=FULL
    Sqlite,
    /// LMDB, two syncs a commit
    Lmdb,
}

impl Kind {
    /// Opens or creates the store in the directory; `cache` is in bytes.
    pub fn open(self, directory: &Path, cache: usize) -> Result<Box<dyn Store>> {
        std::fs::create_dir_all(directory)?;
        Ok(match self {
            Kind::Fjall => Box::new(fjall::Fjall::open(directory, cache)?),
            Kind::Sqlite => Box::new(sqlite::Sqlite::open(directory, cache)?),
            Kind::Lmdb => Box::new(lmdb::Lmdb::open(directory)?),
            _ => Box::new(redb::Redb::open(self, directory, cache)?),
        })
    }

    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
