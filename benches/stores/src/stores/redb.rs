use super::{Change, Kind, Store};
use anyhow::Result;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;

const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");

pub(super) struct Redb {
    database: Database,
    kind: Kind,
}

impl Redb {
    pub(super) fn open(kind: Kind, directory: &Path, cache: usize) -> Result<Self> {
        let database = Database::builder()
            .set_cache_size(cache)
            .set_check_integrity_on_open(kind == Kind::RedbChecked)
            .create(directory.join("store.redb"))?;
        Ok(Self { database, kind })
    }
}

impl Store for Redb {
    fn commit(&mut self, changes: &[Change]) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(self.kind == Kind::RedbTwoPhase);
        transaction.set_quick_repair(self.kind == Kind::RedbQuickRepair);
        let mut records = transaction.open_table(RECORDS)?;
        for change in changes {
            match change {
                Change::Put(key, value) => drop(records.insert(&key[..], &value[..])?),
                Change::Delete(key) => drop(records.remove(&key[..])?),
            }
        }
        drop(records);
        Ok(transaction.commit()?)
    }

    fn stream(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let records = match self.database.begin_read()?.open_table(RECORDS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            records => records?,
        };
        for record in records.iter()? {
            let (key, value) = record?;
            each(key.value(), value.value());
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        while self.database.compact()? {}
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.close()?)
    }
}
