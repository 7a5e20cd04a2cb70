//! Migrations of stores from earlier formats, which run when a store is opened.
//!
//! A format defines the meaning of keys and messages (`message.rs`). A change that earlier releases
//! cannot read increments [`FORMAT`] and adds a function to [`STEPS`] that converts the old
//! records. `data_dir.rs` converts the state file of releases before the first format.

use crate::message;
use crate::record::{self, FORMAT, Key};
use crate::store::{Changes, CommitError, LoadError, Store};

/// Converts one record to the next format: returns the records to write or to remove. A record that
/// does not change yields none.
type Step = fn(key: &[u8], value: &[u8], changes: &mut Changes) -> Result<(), String>;

/// Migrations in order: the first converts format 1 to 2, the last converts to [`FORMAT`].
const STEPS: [Step; FORMAT as usize - 1] = [];

/// A store that cannot be migrated to the format of this release.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Migrates a store to the format of this release. Every step is one commit.
pub(crate) fn migrate(store: &dyn Store) -> Result<(), MigrationError> {
    through(&STEPS, store)
}

fn through(steps: &[Step], store: &dyn Store) -> Result<(), MigrationError> {
    let Some(found) = format_of(store)? else { return Ok(()) };
    let to_do = (found as usize).checked_sub(1).and_then(|done| steps.get(done..)).unwrap_or_default();
    for (step, version) in to_do.iter().zip(found + 1..) {
        tracing::info!(format = version, "bringing the store to a new format");
        let mut changes = Changes::new();
        store.load(&mut |entry| step(entry.key, entry.value, &mut changes))?;
        let format = message::Format { version, ..record::format() };
        record::put(&mut changes, Key::Format, &format);
        store.commit(changes)?;
    }
    Ok(())
}

/// The format of a store; `None` without records, or without a format record.
fn format_of(store: &dyn Store) -> Result<Option<u32>, LoadError> {
    let mut found = None;
    let outcome = store.load(&mut |entry| {
        if Key::read(entry.key).is_ok_and(|key| key == Key::Format) {
            found = record::read_format(entry.value).ok();
        }
        Err(String::new()) // It is the first record, so that is enough.
    });
    match outcome {
        Ok(_) | Err(LoadError::Refused(_)) => Ok(found),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use crate::memory::MemoryStore;

    use super::*;

    fn with(records: &[(&[u8], &[u8])]) -> MemoryStore {
        let store = MemoryStore::default();
        let mut changes: Changes =
            records.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect();
        record::put(&mut changes, Key::Format, &record::format());
        store.commit(changes).unwrap();
        store
    }

    fn records(store: &MemoryStore) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut records = Vec::new();
        store
            .load(&mut |entry| {
                records.push((entry.key.to_vec(), entry.value.to_vec()));
                Ok(())
            })
            .unwrap();
        records
    }

    /// Doubles every value.
    fn double(key: &[u8], value: &[u8], changes: &mut Changes) -> Result<(), String> {
        if key != Key::Format.bytes() {
            changes.insert(key.to_vec(), Some(value.repeat(2)));
        }
        Ok(())
    }

    /// Changes the keys.
    fn rename(key: &[u8], value: &[u8], changes: &mut Changes) -> Result<(), String> {
        if key != Key::Format.bytes() {
            changes.insert(key.to_vec(), None);
            changes.insert([b"z", key].concat(), Some(value.to_vec()));
        }
        Ok(())
    }

    #[test]
    fn every_step_is_taken_once() {
        let store = with(&[(b"x", b"1"), (b"y", b"2")]);
        through(&[double], &store).unwrap();
        assert_eq!(format_of(&store).unwrap(), Some(2));
        through(&[double, rename], &store).unwrap();
        assert_eq!(format_of(&store).unwrap(), Some(3));
        through(&[double, rename], &store).unwrap();
        let expected = [(b"zx".to_vec(), b"11".to_vec()), (b"zy".to_vec(), b"22".to_vec())];
        assert_eq!(records(&store)[1..], expected);
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let store = with(&[(b"x", b"1")]);
        let before = records(&store);
        let outcome = through(&[|_, _, _| Err("no".to_owned())], &store);
        assert_eq!(outcome.unwrap_err().to_string(), "no");
        assert_eq!(records(&store), before);
    }

    #[test]
    fn there_is_nothing_to_do_for_new_stores_and_later_formats() {
        let store = MemoryStore::default();
        through(&[double], &store).unwrap();
        assert_eq!(records(&store), []);
        let later = with(&[(b"x", b"1")]);
        let mut changes = Changes::new();
        record::put(&mut changes, Key::Format, &message::Format { version: 9, ..record::format() });
        later.commit(changes).unwrap();
        let before = records(&later);
        through(&[double], &later).unwrap();
        assert_eq!(records(&later), before);
    }
}
