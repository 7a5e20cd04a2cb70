//! The guests of a fake hypervisor as files, so that they outlive its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use uuid::Uuid;

use super::Entry;
use crate::{GuestRecord, ObservedState};

const POWERS: [ObservedState; 9] = [
    ObservedState::Absent,
    ObservedState::Shelved,
    ObservedState::ShutDown,
    ObservedState::Crashed,
    ObservedState::Saved,
    ObservedState::Running,
    ObservedState::Paused,
    ObservedState::Leaving,
    ObservedState::Arriving,
];

/// Reads the guests in a directory, which is created if it is missing.
pub(super) fn read(directory: &Path) -> io::Result<BTreeMap<Uuid, Entry>> {
    fs::create_dir_all(directory)?;
    let mut guests = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let name = file?.file_name();
        // Any other file is the remainder of an interrupted write.
        let Some(instance) = name.to_str().and_then(|name| Uuid::try_parse(name).ok()) else { continue };
        match fs::read_to_string(directory.join(&name)) {
            Ok(text) => {
                let entry = parse(&text)
                    .ok_or_else(|| io::Error::other(format!("{instance}: invalid file of a guest")))?;
                guests.insert(instance, entry);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // removed in the meantime
            Err(error) => return Err(error),
        }
    }
    Ok(guests)
}

/// Writes the file of a guest atomically.
pub(super) fn write(directory: &Path, instance: Uuid, entry: &Entry) -> io::Result<()> {
    let Entry { power, record, data } = entry;
    let GuestRecord { known, fulfilled, boot, rebuilt, is_rescue } = record;
    let (file, unfinished) = (path(directory, instance), directory.join(format!("{instance}.new")));
    fs::write(&unfinished, format!("{power:?} {known} {fulfilled} {boot} {data} {rebuilt} {is_rescue}"))?;
    fs::rename(unfinished, file)
}

/// Makes the file of one guest that of another, atomically, as disks are set aside.
pub(super) fn rename(directory: &Path, from: Uuid, to: Uuid) -> io::Result<()> {
    fs::rename(path(directory, from), path(directory, to))
}

pub(super) fn remove(directory: &Path, instance: Uuid) -> io::Result<()> {
    fs::remove_file(path(directory, instance))
}

fn path(directory: &Path, instance: Uuid) -> PathBuf {
    directory.join(instance.to_string())
}

fn parse(text: &str) -> Option<Entry> {
    let mut words = text.split(' ');
    let name = words.next()?;
    let power = POWERS.into_iter().find(|power| format!("{power:?}") == name)?;
    let (known, fulfilled) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let boot = words.next()?.parse().ok()?;
    let data = words.next()?.parse().ok()?;
    // Files of earlier releases have none.
    let rebuilt = words.next().map_or(Some(0), |word| word.parse().ok())?;
    let is_rescue = words.next() == Some("true");
    Some(Entry { power, record: GuestRecord { known, fulfilled, boot, rebuilt, is_rescue }, data })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Facts, FakeHypervisor, GuestStep, Hypervisor, Job};

    use super::*;

    #[tokio::test]
    async fn guests_outlive_their_hypervisor() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = || {
            let facts = Facts::plain(Uuid::from_u128(1), 8, 16384, 100);
            Arc::new(FakeHypervisor::open(directory.path().to_owned(), facts).expect("readable"))
        };
        let (one, other) = (Uuid::from_u128(0xa), Uuid::from_u128(0xb));
        let record = GuestRecord { known: 3, fulfilled: 2, boot: 1, rebuilt: 2, is_rescue: true };
        let hypervisor = open();
        for (instance, step) in [
            (one, GuestStep::Prepare),
            (other, GuestStep::Prepare),
            (one, GuestStep::Remember(record)),
            (other, GuestStep::RemoveDisks),
        ] {
            let outcome =
                hypervisor.perform(Job { instance, step, spec: None, incoming: None, transfer: None }).await;
            outcome.result.expect("it can be done");
        }
        hypervisor.forget(other).await;
        fs::write(directory.path().join(format!("{other}.new")), "Runn").expect("written");
        let again = open();
        assert_eq!(again.guest(one), (ObservedState::Shelved, record));
        assert_eq!(again.guests().await.expect("there").len(), 1);
    }
}
