//! Guests of a hypervisor in memory as files, one for each, so that they outlive its process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use uuid::Uuid;

use super::Entry;
use crate::{Power, Record};

const POWERS: [Power; 7] =
    [Power::Gone, Power::Kept, Power::ShutDown, Power::Crashed, Power::Saved, Power::Running, Power::Paused];

/// What is in the folder, which is made if it is not there.
pub(super) fn read(folder: &Path) -> io::Result<BTreeMap<Uuid, Entry>> {
    fs::create_dir_all(folder)?;
    let mut guests = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        // Any other file was not finished.
        let Some(instance) = name.to_str().and_then(|name| Uuid::try_parse(name).ok()) else { continue };
        match fs::read_to_string(folder.join(&name)) {
            Ok(text) => {
                let entry = parse(&text).ok_or_else(|| io::Error::other(format!("{instance}: no guest")))?;
                guests.insert(instance, entry);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // forgotten since
            Err(error) => return Err(error),
        }
    }
    Ok(guests)
}

/// Writes a guest down, all of it or nothing.
pub(super) fn write(folder: &Path, instance: Uuid, entry: &Entry) -> io::Result<()> {
    let Entry { power, record: Record { known, fulfilled, boot } } = entry;
    let (file, unfinished) = (path(folder, instance), folder.join(format!("{instance}.new")));
    fs::write(&unfinished, format!("{power:?} {known} {fulfilled} {boot}"))?;
    fs::rename(unfinished, file)
}

pub(super) fn remove(folder: &Path, instance: Uuid) -> io::Result<()> {
    fs::remove_file(path(folder, instance))
}

fn path(folder: &Path, instance: Uuid) -> PathBuf {
    folder.join(instance.to_string())
}

fn parse(text: &str) -> Option<Entry> {
    let mut words = text.split(' ');
    let name = words.next()?;
    let power = POWERS.into_iter().find(|power| format!("{power:?}") == name)?;
    let (known, fulfilled) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let boot = words.next()?.parse().ok()?;
    Some(Entry { power, record: Record { known, fulfilled, boot } })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Facts, FakeHypervisor, Hypervisor, Job, Step};

    use super::*;

    #[tokio::test]
    async fn guests_outlive_their_hypervisor() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let facts = Facts::plain(Uuid::from_u128(1), 8, 16384, 100);
            Arc::new(FakeHypervisor::kept_in(folder.path().to_owned(), facts).expect("readable"))
        };
        let (one, other) = (Uuid::from_u128(0xa), Uuid::from_u128(0xb));
        let record = Record { known: 3, fulfilled: 2, boot: 1 };
        let hypervisor = open();
        for (instance, step) in [
            (one, Step::Prepare),
            (other, Step::Prepare),
            (one, Step::Remember(record)),
            (other, Step::RemoveDisks),
        ] {
            let outcome = hypervisor.perform(Job { instance, step, spec: None }).await;
            outcome.result.expect("it can be done");
        }
        hypervisor.forget(other).await;
        fs::write(folder.path().join(format!("{other}.new")), "Runn").expect("written");
        let again = open();
        assert_eq!(again.guest(one), (Power::Kept, record));
        assert_eq!(again.guests().await.expect("there").len(), 1);
    }
}
