//! Offline operations of an operator on a store: verify, compact, salvage, replace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::contents::Contents;
use crate::data_dir::{
    DataDir, DataError, STORE, UNFINISHED, at, guarded, look_at, remove_if_there, unopened, write_whole,
};
use crate::digest::Summary;
use crate::embedded::EmbeddedStore;
use crate::fit::fit;
use crate::fleet_records::FleetRecords;
use crate::load::StateError;
use crate::record::{FORMAT, Key, read_format};
use crate::salvage::{Damage, Salvage, salvage};
use crate::store::Revision;

/// The result of a successful verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The format of the store.
    pub format: u32,
    /// The latest commit.
    pub revision: Revision,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The number of entries of each kind.
    pub summary: Summary,
    /// A digest that is equal for stores with equal content.
    pub digest: String,
}

/// The content that was salvaged from a damaged store.
pub struct Repair<F> {
    /// Ranges of records that cannot be read.
    pub damages: Vec<Damage>,
    /// Records that were dropped or made up to make the state consistent.
    pub notes: Vec<String>,
    /// The number of salvaged entries of each kind.
    pub summary: Summary,
    /// The digest of the salvaged state.
    pub digest: String,
    /// The salvaged state.
    contents: Contents<F>,
}

impl<F: FleetRecords> DataDir<F> {
    /// Reads the store completely, and verifies all checksums and that the records are consistent.
    /// Nothing is written.
    ///
    /// # Errors
    /// There is no store, or it is damaged.
    pub fn inspect(&self) -> Result<Inspection, DataError> {
        let path = self.store()?;
        let loaded = self.look()?.ok_or_else(|| DataError::Empty(path.clone()))?;
        let bytes = size(&path)?;
        let (summary, digest) = loaded.contents.digest();
        Ok(Inspection { format: FORMAT, revision: loaded.revision, bytes, summary, digest })
    }

    /// Finds the damaged parts of a store. Nothing is written.
    ///
    /// # Errors
    /// There is no store, or it cannot be read at all.
    pub fn damages(&self) -> Result<Vec<Damage>, DataError> {
        Ok(self.salvage()?.damages)
    }

    /// Releases unused space in the file; returns its size before and after, in bytes.
    ///
    /// # Errors
    /// There is no store, it is damaged, or it cannot be written.
    pub fn compact(&self) -> Result<(u64, u64), DataError> {
        let path = self.store()?;
        let before = size(&path)?;
        guarded(&path, || {
            let mut store = EmbeddedStore::in_file(self.locked_store()?).map_err(unopened(&path))?;
            self.standing(&store)?;
            // One pass moves pages from the end of the file; the next pass releases the space that
            // this frees.
            while store.compact().map_err(unopened(&path))? {}
            Ok(())
        })?;
        Ok((before, size(&path)?))
    }

    /// Reads the intact records of a damaged store. Nothing is written.
    ///
    /// # Errors
    /// There is no store, it cannot be read at all, or it has a later format.
    pub fn repair(&self) -> Result<Repair<F>, DataError> {
        let salvage = self.salvage()?;
        let format =
            salvage.records.get(&Key::Format.bytes()).and_then(|stored| read_format(&stored.value).ok());
        if let Some(later) = format.filter(|&format| format > FORMAT) {
            let error = Box::new(StateError::Later(later));
            return Err(DataError::State { path: self.directory.join(STORE), error });
        }
        let (contents, notes) = fit(&salvage);
        let (summary, digest) = contents.digest();
        Ok(Repair { damages: salvage.damages, notes, summary, digest, contents })
    }

    /// Replaces the damaged store by the salvaged state, and renames it to
    /// `state.redb.damaged-<time>`; returns that path.
    ///
    /// # Errors
    /// A file cannot be written, or the new store does not read back as written.
    pub fn write_repair(&self, repair: &Repair<F>, time: &str) -> Result<PathBuf, DataError> {
        let aside = self.directory.join(format!("{STORE}.damaged-{time}"));
        self.put_in_place(&repair.contents, Some(&aside))?;
        Ok(aside)
    }

    /// Replaces the state by `contents`, which must not change meanwhile, after the new store was
    /// read back and compared. An existing store is renamed to `state.redb.replaced-<time>`;
    /// returns that path.
    ///
    /// # Errors
    /// A file cannot be written, or the new store does not read back as written.
    pub fn replace(&self, contents: &Contents<F>, time: &str) -> Result<Option<PathBuf>, DataError> {
        let aside = self.directory.join(format!("{STORE}.replaced-{time}"));
        let aside = self.has(STORE)?.then_some(aside);
        self.put_in_place(contents, aside.as_deref())?;
        Ok(aside)
    }

    fn put_in_place(&self, contents: &Contents<F>, aside: Option<&Path>) -> Result<(), DataError> {
        let (path, unfinished) = (self.directory.join(STORE), self.directory.join(UNFINISHED));
        remove_if_there(&unfinished)?;
        let mark = write_whole(&unfinished, contents)?;
        let kept =
            look_at::<F>(&unfinished, |_| Ok(()))?.ok_or_else(|| DataError::Empty(unfinished.clone()))?;
        if kept.contents.digest() != contents.digest() {
            return Err(DataError::Different(unfinished));
        }
        if let Some(aside) = aside {
            fs::hard_link(&path, aside).map_err(at(aside))?;
        }
        self.replace_store(&unfinished, mark)
    }

    fn salvage(&self) -> Result<Salvage, DataError> {
        let path = self.store()?;
        // An acknowledged commit is complete, so the commit before it is not a substitute for a
        // damaged one.
        let is_acknowledged = matches!(self.look(), Err(DataError::Behind { .. }));
        salvage::<F>(&path, is_acknowledged).map_err(at(&path))
    }

    /// The file of the existing store.
    fn store(&self) -> Result<PathBuf, DataError> {
        let path = self.directory.join(STORE);
        if self.has(STORE)? { Ok(path) } else { Err(self.without_store()?) }
    }
}

fn size(path: &Path) -> Result<u64, DataError> {
    Ok(fs::metadata(path).map_err(at(path))?.len())
}
