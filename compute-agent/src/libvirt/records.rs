//! The records of guests, in the state directory and in the metadata of their domains.
//!
//! Both have the same content. A domain's metadata survives the loss of the state directory, and
//! moves with the domain; the directory has the records of guests without a domain.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::xml::Element;
use crate::{Fault, GuestRecord};

/// The namespace of Berth's element in the metadata of domains. It marks a domain as Berth's.
pub(super) const NAMESPACE: &str = "urn:berth:guest:1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    known: u64,
    fulfilled: u64,
    boot: u32,
    /// Earlier releases rebuilt nothing.
    #[serde(default)]
    rebuilt: u64,
    /// Nor did they rescue anything.
    #[serde(default)]
    is_rescue: bool,
}

impl From<Stored> for GuestRecord {
    fn from(Stored { known, fulfilled, boot, rebuilt, is_rescue }: Stored) -> Self {
        Self { known, fulfilled, boot, rebuilt, is_rescue }
    }
}

/// A directory with a file for each guest.
#[derive(Debug)]
pub(super) struct Records {
    directory: PathBuf,
}

impl Records {
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let directory = state.join("guests");
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// The records of all guests, in order. An invalid file is skipped with a warning.
    pub(super) fn all(&self) -> io::Result<Vec<(Uuid, GuestRecord)>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let Some(instance) = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok())
            else {
                continue;
            };
            records.push((instance, self.get(instance)));
        }
        records.sort_by_key(|(instance, _)| *instance);
        Ok(records)
    }

    /// The record of a guest.
    pub(super) fn get(&self, instance: Uuid) -> GuestRecord {
        let path = self.path(instance);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return GuestRecord::default(),
            Err(error) => {
                tracing::warn!("{}: {error}", path.display());
                return GuestRecord::default();
            }
        };
        match serde_json::from_slice::<Stored>(&text) {
            Ok(stored) => stored.into(),
            Err(error) => {
                tracing::warn!("{}: {error}", path.display());
                GuestRecord::default()
            }
        }
    }

    /// Stores a record atomically.
    pub(super) fn put(&self, instance: Uuid, record: GuestRecord) -> Result<(), Fault> {
        let GuestRecord { known, fulfilled, boot, rebuilt, is_rescue } = record;
        let path = self.path(instance);
        let fault = |error: &dyn std::fmt::Display| Fault::transient(format!("{}: {error}", path.display()));
        let stored = Stored { known, fulfilled, boot, rebuilt, is_rescue };
        let text = serde_json::to_vec(&stored).map_err(|error| fault(&error))?;
        replace(&path, &text).map_err(|error| fault(&error))
    }

    pub(super) fn remove(&self, instance: Uuid) -> io::Result<()> {
        match fs::remove_file(self.path(instance)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, instance: Uuid) -> PathBuf {
        self.directory.join(format!("{instance}.json"))
    }
}

/// Replaces a file atomically: after a crash it has the old or the new content.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(new, path)
}

/// A record as an XML element.
pub(super) fn element(name: &'static str, record: GuestRecord) -> Element {
    Element::new(name)
        .attribute("known", record.known)
        .attribute("fulfilled", record.fulfilled)
        .attribute("boot", record.boot)
        .attribute("rebuilt", record.rebuilt)
        .attribute("is_rescue", record.is_rescue)
}

/// Reads the metadata of a domain. Invalid metadata is an empty record.
pub(super) fn parse(metadata: &str) -> GuestRecord {
    let Ok(document) = roxmltree::Document::parse(metadata) else { return GuestRecord::default() };
    let root = document.root_element();
    let number = |name| root.attribute(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let boot = u32::try_from(number("boot")).unwrap_or(0);
    let [known, fulfilled, rebuilt] = ["known", "fulfilled", "rebuilt"].map(number);
    let is_rescue = root.attribute("is_rescue") == Some("true");
    GuestRecord { known, fulfilled, boot, rebuilt, is_rescue }
}

/// Merges two records: the later values.
pub(super) fn later(one: GuestRecord, other: GuestRecord) -> GuestRecord {
    let age = |record: &GuestRecord| (record.known, record.fulfilled, record.rebuilt, record.boot);
    std::cmp::max_by_key(one, other, age)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: GuestRecord = GuestRecord { known: 5, fulfilled: 4, boot: 2, rebuilt: 3, is_rescue: true };

    #[test]
    fn a_record_survives_in_its_directory() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let [one, other] = [1, 2].map(Uuid::from_u128);
        let records = Records::open(state.path()).expect("opens");
        records.put(one, RECORD).expect("written");
        records.put(other, GuestRecord::default()).expect("written");
        let records = Records::open(state.path()).expect("opens");
        assert_eq!(records.all().expect("read"), [(one, RECORD), (other, GuestRecord::default())]);
        records.remove(one).expect("removed");
        records.remove(one).expect("gone is no error");
        assert_eq!(records.get(one), GuestRecord::default());
    }

    #[test]
    fn a_damaged_file_counts_as_nothing_known() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let records = Records::open(state.path()).expect("opens");
        let instance = Uuid::from_u128(1);
        fs::write(records.path(instance), "{").expect("written");
        assert_eq!(records.get(instance), GuestRecord::default());
    }

    #[test]
    fn metadata_contains_the_record() {
        assert_eq!(parse(&element("record", RECORD).to_string()), RECORD);
        assert_eq!(parse("<record known='-1'/>"), GuestRecord::default());
        assert_eq!(parse("rubbish"), GuestRecord::default());
        assert_eq!(later(RECORD, GuestRecord { known: 6, ..GuestRecord::default() }).known, 6);
    }
}
