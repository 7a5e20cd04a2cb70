//! Which host the disks of a guest belong to, on storage that several hosts may share.
//!
//! A file in the directory with all guests identifies the storage: hosts that read the same
//! identity share it. A file beside the disks of a guest names their host. Each agent sees, moves
//! and erases the disks of its own host only.
//!
//! An evacuation takes disks over. While it replaces the file, it has exclusive locks on the disks.
//! QEMU locks them as long as the guest runs, on whichever host, so neither is a running guest
//! robbed of its disks, nor does a second one start: the lock is the lease that holds when a fence
//! record lies. Locks are those of `fcntl`, which NFS, CephFS, GFS2 and OCFS2 keep between hosts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disks::NO_FOLLOW;
use crate::Fault;

/// The file that identifies the storage.
const IDENTITY: &str = ".berth-storage";
const OWNER: &str = "owner.json";

/// The content of the file beside the disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskOwner {
    /// The UUID of the host.
    pub(super) host: Uuid,
    /// The migration for which the host took them over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) taken: Option<Taken>,
}

/// A takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taken {
    /// The migration.
    pub(super) migration: Uuid,
    /// The generation of the desired state. A lower one is refused.
    pub(super) generation: u64,
    /// The host that had them before the migration.
    pub(super) before: Uuid,
}

impl DiskOwner {
    pub(super) const fn host(host: Uuid) -> Self {
        Self { host, taken: None }
    }

    /// Reads the file; `None` if there is none.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Self>> {
        // QEMU may write to the directory: no link is followed.
        match File::options().read(true).custom_flags(NO_FOLLOW).open(directory.join(OWNER)) {
            Ok(file) => serde_json::from_reader(file).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file atomically.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let new = directory.join(format!("{OWNER}.{}", self.host));
        super::files::remove_file(&new)?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(new, directory.join(OWNER))
    }

    /// The owner when `host` takes the disks over.
    pub(super) fn taken_by(&self, host: Uuid, migration: Uuid, generation: u64) -> Result<Self, Fault> {
        let before = match self.taken {
            Some(Taken { generation: latest, .. }) if latest > generation => {
                return Err(Fault::permanent(format!(
                    "the disks were taken over at generation {latest}; {generation} is outdated"
                )));
            }
            Some(taken) if taken.migration == migration => taken.before,
            _ => self.host,
        };
        Ok(Self { host, taken: Some(Taken { migration, generation, before }) })
    }

    /// The owner when `host` returns what it took over for the migration; `None` if it took nothing
    /// over for it.
    pub(super) fn returned_by(&self, host: Uuid, migration: Uuid) -> Option<Self> {
        let taken = self.taken.filter(|taken| self.host == host && taken.migration == migration)?;
        Some(Self { host: taken.before, taken: Some(Taken { before: taken.before, ..taken }) })
    }
}

/// Reads the identity of the storage. The first host creates it.
pub(super) fn identity(directory: &Path, host: Uuid) -> io::Result<Uuid> {
    let path = directory.join(IDENTITY);
    if !path.exists() {
        #[expect(clippy::disallowed_methods, reason = "an identity that no other storage has")]
        let identity = Uuid::new_v4();
        let new = directory.join(format!("{IDENTITY}.{host}"));
        let mut file = File::create(&new)?;
        writeln!(file, "{identity}")?;
        file.sync_data()?;
        // Unlike a rename, a link replaces nothing: of two hosts, one is first.
        let linked = fs::hard_link(&new, &path);
        fs::remove_file(&new)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let text = fs::read_to_string(&path)?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{}: {text:?} is not a UUID", path.display())))
}

/// Exclusive locks on files, until they are dropped.
#[derive(Debug)]
pub(super) struct DiskLocks {
    _files: Vec<File>,
}

impl DiskLocks {
    /// Locks those of the files that exist. Refused while a process uses one of them, on whichever
    /// host.
    pub(super) fn take(files: impl IntoIterator<Item = PathBuf>) -> Result<Self, Fault> {
        let mut locked = Vec::new();
        for path in files {
            let fault =
                |error: &dyn std::fmt::Display| Fault::transient(format!("{}: {error}", path.display()));
            let mut options = File::options();
            let file = match options.read(true).write(true).custom_flags(NO_FOLLOW).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fault(&error)),
            };
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => locked.push(file),
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    return Err(Fault::permanent(format!(
                        "{}: a process uses the disk: the guest still runs on its former host, whatever the fence record says",
                        path.display()
                    )));
                }
                Err(error) => return Err(fault(&error)),
            }
        }
        Ok(Self { _files: locked })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn disks_that_are_taken_over_return_to_the_host_that_had_them() {
        let [source, one, two] = [1, 2, 3].map(Uuid::from_u128);
        let [evacuation, other] = [7, 8].map(Uuid::from_u128);
        let owner = DiskOwner::host(source);
        let taken = owner.taken_by(one, evacuation, 5).expect("taken");
        let again = taken.taken_by(two, evacuation, 7).expect("taken from a target that failed");
        assert_eq!(again.returned_by(one, evacuation), None, "they are another host's");
        assert_eq!(again.returned_by(two, other), None, "they were taken for another migration");
        assert_eq!(again.returned_by(two, evacuation).expect("returned").host, source);
        assert!(again.taken_by(one, evacuation, 6).is_err(), "outdated");
        let later = again.taken_by(one, other, 9).expect("the next evacuation");
        assert_eq!(later.returned_by(one, other).expect("returned").host, two);
    }

    /// QEMU, which may write there, must not make the agent write elsewhere.
    #[test]
    fn no_link_is_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let precious = directory.path().join("precious");
        fs::write(&precious, "{}").expect("written");
        let guest = directory.path().join("guest");
        fs::create_dir(&guest).expect("made");
        let owner = DiskOwner::host(Uuid::from_u128(1));
        for name in [OWNER.to_owned(), format!("{OWNER}.{}", owner.host)] {
            std::os::unix::fs::symlink(&precious, guest.join(name)).expect("made");
        }
        assert!(DiskOwner::read(&guest).is_err());
        owner.write(&guest).expect("written");
        assert_eq!(DiskOwner::read(&guest).expect("read"), Some(owner));
        assert_eq!(fs::read_to_string(precious).expect("there"), "{}");
    }

    #[test]
    fn the_first_host_identifies_the_storage() {
        let directory = tempfile::tempdir().expect("a directory");
        let [one, two] = [1, 2].map(|host| identity(directory.path(), Uuid::from_u128(host)).expect("read"));
        assert_eq!(one, two);
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
        let other = tempfile::tempdir().expect("a directory");
        assert_ne!(identity(other.path(), Uuid::from_u128(1)).expect("read"), one);
    }

    #[test]
    fn disks_that_a_process_uses_are_not_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = directory.path().join("disk.qcow2");
        super::super::images::create_empty(&disk, 1 << 20).expect("made");
        let files = || [disk.clone(), directory.path().join("missing")];
        drop(DiskLocks::take(files()).expect("nobody uses it"));
        // As the guest's QEMU does: it has the disk open until its input ends. It prompts once it
        // has it open; a lock taken before that would make it give up.
        let mut user = std::process::Command::new("qemu-io")
            .args(["-f", "qcow2"])
            .arg(&disk)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("qemu-io is installed");
        user.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it opens the disk and prompts");
        let refused = DiskLocks::take(files()).expect_err("it is in use");
        assert!(refused.message.contains("still runs"), "{refused}");
        drop(user.stdin.take());
        user.wait().expect("it ends");
        drop(DiskLocks::take(files()).expect("it is free again"));
    }
}
