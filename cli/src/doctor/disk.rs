//! The data directory: space, owners, a file system that can be written.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::Check;
use crate::config::ServeSettings;
use crate::serve;

const SPACE: &str = "disk_space";
const OWNERS: &str = "data_directory";

/// Space that has to be free for a backup and a compaction, beside that of the store.
const LEAST: u64 = 1 << 30;

pub(super) fn checks(settings: &ServeSettings) -> Vec<Check> {
    let directory = match serve::directory(settings) {
        Ok(Some(directory)) => directory,
        Ok(None) if settings.store.is_some() => return Vec::new(), // the disks are etcd's
        Ok(None) => {
            return vec![Check::warning(OWNERS, "serve.data is none: the state ends with the process")];
        }
        Err(error) => return vec![Check::failed(OWNERS, format!("{error:#}"))],
    };
    match fs::metadata(&directory) {
        Ok(_) => vec![owners(&directory), space(&directory)],
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            vec![Check::warning(
                OWNERS,
                format!("{}: does not exist; the service creates it", directory.display()),
            )]
        }
        Err(error) => vec![Check::failed(OWNERS, format!("{}: {error}", directory.display()))],
    }
}

/// Files of another user are usually those of a command that root ran; the service cannot write
/// them.
fn owners(directory: &Path) -> Check {
    let shown = directory.display();
    let foreign = || -> io::Result<Vec<String>> {
        let owner = fs::metadata(directory)?.uid();
        let mut foreign = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.metadata()?.uid() != owner {
                foreign.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(foreign)
    };
    match foreign() {
        Err(error) => Check::failed(OWNERS, format!("{shown}: {error}")),
        Ok(files) if files.is_empty() => Check::ok(OWNERS, format!("{shown}: all files have its owner")),
        Ok(files) => Check::failed(
            OWNERS,
            format!(
                "{shown}: {} have another owner than the directory: chown -R --reference={shown}/ {shown}/",
                files.join(", ")
            ),
        ),
    }
}

fn space(directory: &Path) -> Check {
    let shown = directory.display();
    let store = fs::metadata(directory.join("state.redb")).map_or(0, |file| file.len());
    match statvfs(directory) {
        Err(error) => Check::failed(SPACE, format!("{shown}: {error}")),
        Ok(StatVfs { f_flag, .. }) if f_flag.contains(StatVfsMountFlags::RDONLY) => {
            Check::failed(SPACE, format!("{shown}: the file system is mounted read-only"))
        }
        Ok(stat) => judge(&shown.to_string(), stat.f_bavail * stat.f_frsize, store),
    }
}

fn judge(directory: &str, free: u64, store: u64) -> Check {
    let mib = |bytes: u64| bytes >> 20;
    let detail = format!("{directory}: {} MiB free, the store has {} MiB", mib(free), mib(store));
    match free {
        _ if free < LEAST / 16 => Check::failed(SPACE, format!("{detail}: writes will be refused soon")),
        _ if free < LEAST + store => {
            Check::warning(SPACE, format!("{detail}: too little for a backup or a compaction"))
        }
        _ => Check::ok(SPACE, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckState;
    use super::*;

    #[test]
    fn space_is_for_the_store_and_its_copy() {
        let state = |free, store| judge("/data", free, store).state;
        assert_eq!(state(10 << 30, 1 << 20), CheckState::Ok);
        assert_eq!(state(10 << 30, 20 << 30), CheckState::Warning);
        assert_eq!(state(10 << 20, 1 << 20), CheckState::Failed);
    }
}
