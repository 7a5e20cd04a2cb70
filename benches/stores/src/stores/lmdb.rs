use super::{Change, Store};
use anyhow::Result;
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};
use std::path::Path;

/// Address space, not memory or disk: more than the store will ever hold.
const MAP_BYTES: usize = 16 << 30;

pub(super) struct Lmdb {
    env: Env,
    records: Database<Bytes, Bytes>,
}

impl Lmdb {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        // SAFETY: no one else touches the file while this process has it open. (The runs that
        // damage files do it before.)
        let env = unsafe { EnvOpenOptions::new().map_size(MAP_BYTES).open(directory)? };
        let mut transaction = env.write_txn()?;
        let records = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { env, records })
    }
}

impl Store for Lmdb {
    fn commit(&mut self, changes: &[Change]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for change in changes {
            match change {
                Change::Put(key, value) => self.records.put(&mut transaction, key, value)?,
                Change::Delete(key) => drop(self.records.delete(&mut transaction, key)?),
            }
        }
        Ok(transaction.commit()?)
    }

    fn stream(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.env.read_txn()?;
        for record in self.records.iter(&transaction)? {
            let (key, value) = record?;
            each(key, value);
        }
        Ok(())
    }

    /// LMDB reuses free pages but can return them only by a copy.
    fn compact(&mut self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}
