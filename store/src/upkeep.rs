//! What an operator does to a store that is not in use: look whether it is whole, shrink it, save what can be saved of it, put
//! another in its place.

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

/// A store that was read as a whole and found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The format it is read as.
    pub format: u32,
    /// Its latest commit.
    pub revision: Revision,
    /// Of its file.
    pub bytes: u64,
    /// The number of entries of each kind.
    pub summary: Summary,
    /// The same for stores that keep the same.
    pub digest: String,
}

/// What can be saved of a damaged store.
pub struct Repair<F> {
    /// What cannot be read where it should be.
    pub damages: Vec<Damage>,
    /// What was dropped or made up so that the rest belongs together.
    pub notes: Vec<String>,
    /// How much is left of everything.
    pub summary: Summary,
    /// Of what is left.
    pub digest: String,
    /// What is left.
    contents: Contents<F>,
}

impl<F: FleetRecords> DataDir<F> {
    /// Reads everything and verifies all checksums, and that the records belong together. Nothing is written.
    ///
    /// # Errors
    /// No store; one that is not as it was written.
    pub fn inspect(&self) -> Result<Inspection, DataError> {
        let path = self.store()?;
        let loaded = self.look()?.ok_or_else(|| DataError::Empty(path.clone()))?;
        let bytes = size(&path)?;
        let (summary, digest) = loaded.contents.digest();
        Ok(Inspection { format: FORMAT, revision: loaded.revision, bytes, summary, digest })
    }

    /// Where a store is damaged. Nothing is written.
    ///
    /// # Errors
    /// No store; one that cannot be read at all.
    pub fn damages(&self) -> Result<Vec<Damage>, DataError> {
        Ok(self.salvage()?.damages)
    }

    /// Releases unused space in the file; returns its size before and after, in bytes.
    ///
    /// # Errors
    /// No store; one that is damaged or cannot be written.
    pub fn compact(&self) -> Result<(u64, u64), DataError> {
        let path = self.store()?;
        let before = size(&path)?;
        guarded(&path, || {
            let mut store = EmbeddedStore::in_file(self.locked_store()?).map_err(unopened(&path))?;
            self.standing(&store)?;
            // A pass moves what is at the end; the next one releases the space that this frees.
            while store.compact().map_err(unopened(&path))? {}
            Ok(())
        })?;
        Ok((before, size(&path)?))
    }

    /// Reads what can be read of a damaged store. Nothing is written.
    ///
    /// # Errors
    /// No store; one that cannot be read at all, or of a later format.
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

    /// Puts what was saved in the place of the damaged store, which is kept as `state.redb.damaged-<time>`; returns where.
    ///
    /// # Errors
    /// A file that cannot be written; a store that does not keep what it was given.
    pub fn write_repair(&self, repair: &Repair<F>, time: &str) -> Result<PathBuf, DataError> {
        let aside = self.directory.join(format!("{STORE}.damaged-{time}"));
        self.put_in_place(&repair.contents, Some(&aside))?;
        Ok(aside)
    }

    /// Replaces the state by one that nobody changes, once it was read back and found equal. An existing store is
    /// kept as `state.redb.replaced-<time>`; returns where.
    ///
    /// # Errors
    /// A file that cannot be written; a store that does not keep what it was given.
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
        // What was acknowledged is complete, so the commit before it is no substitute.
        let is_acknowledged = matches!(self.look(), Err(DataError::Behind { .. }));
        salvage::<F>(&path, is_acknowledged).map_err(at(&path))
    }

    /// The file of the existing store.
    fn store(&self) -> Result<PathBuf, DataError> {
        let path = self.directory.join(STORE);
        if self.has(STORE)? { Ok(path) } else { Err(DataError::NoStore(self.directory.clone())) }
    }
}

fn size(path: &Path) -> Result<u64, DataError> {
    Ok(fs::metadata(path).map_err(at(path))?.len())
}
