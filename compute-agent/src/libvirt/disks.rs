//! The folders of guests: their disks, config drives and console logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_api::v1::GuestSpec;
use rustix::fs::statvfs;
use uuid::Uuid;

use super::blueprint::{Blueprint, Root};
use super::{config_drive, images};
use crate::Fault;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// A folder with a folder for each guest.
#[derive(Debug)]
pub(super) struct Disks {
    folder: PathBuf,
}

/// The files of a guest.
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }

    pub(super) fn ephemeral(&self) -> PathBuf {
        self.folder.join("ephemeral.qcow2")
    }

    pub(super) fn swap(&self) -> PathBuf {
        self.folder.join("swap.qcow2")
    }

    pub(super) fn config_drive(&self) -> PathBuf {
        self.folder.join("config.img")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }
}

impl Disks {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let disks = Self { folder };
        disks.remove_leftovers()?;
        Ok(disks)
    }

    pub(super) fn files(&self, instance: Uuid) -> Files {
        Files { folder: self.folder.join(instance.to_string()) }
    }

    pub(super) fn has(&self, instance: Uuid) -> bool {
        self.files(instance).folder.is_dir()
    }

    /// Instances that have disks, in order.
    pub(super) fn all(&self) -> io::Result<Vec<Uuid>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            all.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Uuid>().ok()));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Makes the disks of a guest: all of them or, after a failure or a crash, none.
    pub(super) fn prepare(&self, blueprint: &Blueprint, spec: &GuestSpec) -> Result<(), Fault> {
        let new = Files { folder: self.aside(blueprint.instance, "new") };
        let fault = |error: io::Error| Fault::transient(format!("{}: {error}", new.folder.display()));
        remove(&new.folder).map_err(fault)?;
        fs::create_dir(&new.folder).map_err(fault)?;
        let made = make(&new, blueprint, spec)
            .and_then(|()| fs::rename(&new.folder, self.files(blueprint.instance).folder).map_err(fault));
        if made.is_err() {
            remove(&new.folder).map_err(fault)?;
        }
        made
    }

    pub(super) fn remove(&self, instance: Uuid) -> Result<(), Fault> {
        let folder = self.files(instance).folder;
        let old = self.aside(instance, "old");
        let moved = match fs::rename(&folder, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        };
        moved
            .and_then(|()| remove(&old))
            .map_err(|error| Fault::transient(format!("{}: {error}", folder.display())))
    }

    /// All room where the disks lie, and what is free of it, in GiB.
    pub(super) fn room_gb(&self) -> io::Result<(u32, u32)> {
        let stat = statvfs(&self.folder)?;
        let gb = |blocks: u64| u32::try_from(blocks.saturating_mul(stat.f_frsize) / GIB).unwrap_or(u32::MAX);
        Ok((gb(stat.f_blocks), gb(stat.f_bavail)))
    }

    /// What was begun and not finished before a crash.
    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let is_ours = stem.is_some_and(|stem| stem.parse::<Uuid>().is_ok());
            if is_ours && matches!(ending, Some("new" | "old")) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn aside(&self, instance: Uuid, ending: &str) -> PathBuf {
        self.folder.join(format!("{instance}.{ending}"))
    }
}

fn make(files: &Files, blueprint: &Blueprint, spec: &GuestSpec) -> Result<(), Fault> {
    match &blueprint.root {
        Root::Image { path, format, size_gb } => {
            images::create_overlay(&files.root(), path, *format, *size_gb)?;
        }
        Root::Empty { size_gb } => images::create_empty(&files.root(), u64::from(*size_gb) * GIB)?,
        Root::None => {}
    }
    if blueprint.ephemeral_gb > 0 {
        images::create_empty(&files.ephemeral(), u64::from(blueprint.ephemeral_gb) * GIB)?;
    }
    if blueprint.swap_mb > 0 {
        images::create_empty(&files.swap(), u64::from(blueprint.swap_mb) * MIB)?;
    }
    let drive = files.config_drive();
    config_drive::write(&drive, blueprint.instance, spec)
        .map_err(|error| Fault::transient(format!("{}: {error}", drive.display())))
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::blueprint::{Boot, Bus};
    use super::super::images::Format;
    use super::*;

    fn blueprint(root: Root) -> Blueprint {
        Blueprint {
            instance: Uuid::from_u128(7),
            title: String::new(),
            vcpus: 1,
            memory_mb: 64,
            machine: "pc".into(),
            boot: Boot::Disk,
            bus: Bus::Virtio,
            root,
            ephemeral_gb: 1,
            swap_mb: 64,
            cells: BTreeSet::new(),
            page_kib: None,
            devices: Vec::new(),
        }
    }

    #[test]
    fn disks_are_made_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let disks = Disks::open(folder.path().join("instances")).expect("opens");
        let plan = blueprint(Root::Empty { size_gb: 1 });
        disks.prepare(&plan, &GuestSpec::default()).expect("made");
        let files = disks.files(plan.instance);
        for file in [files.root(), files.ephemeral(), files.swap(), files.config_drive()] {
            assert!(file.is_file(), "{}", file.display());
        }
        assert_eq!(disks.all().expect("listed"), [plan.instance]);
        disks.remove(plan.instance).expect("removed");
        disks.remove(plan.instance).expect("gone is no error");
        assert!(!disks.has(plan.instance));
    }

    #[test]
    fn what_fails_or_was_interrupted_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let disks = Disks::open(folder.path().to_owned()).expect("opens");
        let path = folder.path().join("none.qcow2");
        let plan = blueprint(Root::Image { path, format: Format::Qcow2, size_gb: 1 });
        assert!(disks.prepare(&plan, &GuestSpec::default()).is_err());
        fs::create_dir(disks.aside(plan.instance, "new")).expect("made");
        let disks = Disks::open(folder.path().to_owned()).expect("opens");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
        assert!(disks.all().expect("listed").is_empty());
    }
}
