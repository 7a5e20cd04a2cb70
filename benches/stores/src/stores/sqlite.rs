use super::{Change, Store};
use anyhow::Result;
use rusqlite::Connection;
use std::path::Path;

/// 64 MiB of pages: with SQLite's default of 1,000, most of the time is spent on writing the same
/// pages repeatedly.
const CHECKPOINT_PAGES: u32 = 16_384;

pub(super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub(super) fn open(directory: &Path, cache: usize) -> Result<Self> {
        let connection = Connection::open(directory.join("store.sqlite"))?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -i64::try_from(cache >> 10)?)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        )?;
        Ok(Self { connection })
    }
}

impl Store for Sqlite {
    fn commit(&mut self, changes: &[Change]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO records VALUES (?, ?)")?;
        let mut delete = transaction.prepare_cached("DELETE FROM records WHERE key = ?")?;
        for change in changes {
            match change {
                Change::Put(key, value) => put.execute((key, value))?,
                Change::Delete(key) => delete.execute((key,))?,
            };
        }
        drop((put, delete));
        Ok(transaction.commit()?)
    }

    fn stream(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut select = self.connection.prepare("SELECT key, value FROM records ORDER BY key")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            each(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        self.connection.execute_batch("VACUUM")?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.connection.close().map_err(|(_, error)| error.into())
    }
}
