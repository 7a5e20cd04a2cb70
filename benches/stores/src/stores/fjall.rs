use super::{Change, Store};
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

pub(super) struct Fjall {
    database: Database,
    records: Keyspace,
}

impl Fjall {
    pub(super) fn open(directory: &Path, cache: usize) -> Result<Self> {
        let database = Database::builder(directory.join("store.fjall")).cache_size(cache as u64).open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records })
    }
}

impl Store for Fjall {
    fn commit(&mut self, changes: &[Change]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for change in changes {
            match change {
                Change::Put(key, value) => batch.insert(&self.records, &key[..], &value[..]),
                Change::Delete(key) => batch.remove(&self.records, &key[..]),
            }
        }
        Ok(batch.commit()?)
    }

    fn stream(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for record in self.records.iter() {
            let (key, value) = record.into_inner()?;
            each(&key, &value);
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        self.records.rotate_memtable_and_wait()?;
        Ok(self.records.major_compact()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
