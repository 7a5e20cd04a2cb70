//! The files of a guest, and their way to another host.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use berth_api::v1;
use tokio::sync::mpsc;

use super::disks::NO_FOLLOW;
use super::images;
use crate::Fault;
use crate::disks::{DiskPart, IncomingPart};

/// What arrives of the disks that another host sends.
pub(super) type Parts = mpsc::Receiver<Result<IncomingPart, Fault>>;

/// The names of all files. No other is sent or received.
const NAMES: [&str; 5] = [ROOT, "ephemeral.qcow2", "swap.qcow2", "config.img", "console.log"];
const ROOT: &str = "disk.qcow2";

/// The files of a guest.
pub(super) struct Files {
    pub(super) directory: PathBuf,
}

impl Files {
    pub(super) fn root(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    /// The temporary disk of a rescue. It stays on its host.
    pub(super) fn rescue(&self) -> PathBuf {
        self.directory.join("rescue.qcow2")
    }

    pub(super) fn ephemeral(&self) -> PathBuf {
        self.directory.join("ephemeral.qcow2")
    }

    pub(super) fn swap(&self) -> PathBuf {
        self.directory.join("swap.qcow2")
    }

    pub(super) fn config_drive(&self) -> PathBuf {
        self.directory.join("config.img")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }
}

impl Files {
    /// Those that QEMU locks while the guest runs.
    pub(super) fn locked(&self) -> [PathBuf; 4] {
        [self.root(), self.ephemeral(), self.swap(), self.config_drive()]
    }

    /// The latest bytes of the console output; none if the guest has never run.
    pub(super) fn console_tail(&self, most_bytes: u32) -> Result<Vec<u8>, Fault> {
        let path = self.console();
        let read = || {
            let mut file = File::options().read(true).custom_flags(NO_FOLLOW).open(&path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(most_bytes.into())))?;
            let mut tail = Vec::new();
            // The guest may write meanwhile.
            file.take(most_bytes.into()).read_to_end(&mut tail)?;
            Ok(tail)
        };
        match read() {
            Ok(tail) => Ok(tail),
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Fault::transient(format!("console.log: {error}"))),
        }
    }

    /// All that exist, to be sent to another host.
    pub(super) fn export(&self) -> Result<Vec<DiskPart>, Fault> {
        let fault = |name: &str, error: io::Error| Fault::transient(format!("{name}: {error}"));
        let mut parts = Vec::new();
        for name in NAMES {
            let path = self.directory.join(name);
            let file = match File::options().read(true).custom_flags(NO_FOLLOW).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fault(name, error)),
            };
            let bytes = file.metadata().map_err(|error| fault(name, error))?.len();
            let image_sha256 = if name == ROOT { images::digest_below(&path)? } else { String::new() };
            let file_of = v1::DiskFile { name: name.to_owned(), bytes, image_sha256 };
            parts.push(DiskPart { file: file_of, content: Box::new(file) });
        }
        Ok(parts)
    }

    /// Creates the same files elsewhere, with empty disks of the same sizes, to be sent to another
    /// host. The console's log is not needed there.
    pub(super) fn copy_empty(&self, empty: &Self) -> Result<Vec<DiskPart>, Fault> {
        let fault = |path: &std::path::Path, error: io::Error| {
            Fault::transient(format!("{}: {error}", path.display()))
        };
        for (from, to) in self.locked().into_iter().zip(empty.locked()).filter(|(from, _)| from.exists()) {
            if from == self.config_drive() {
                fs::copy(&from, &to).map_err(|error| fault(&from, error))?;
            } else {
                images::create_empty(&to, images::virtual_size(&from)?)?;
            }
        }
        let mut parts = empty.export()?;
        if let Some(root) = parts.iter_mut().find(|part| part.file.name == ROOT) {
            root.file.image_sha256 = images::digest_below(&self.root())?;
        }
        Ok(parts)
    }

    /// Writes what another host sends. Returns the digest of the image below the root disk; empty
    /// if there is none.
    pub(super) fn receive(&self, mut parts: Parts) -> Result<String, Fault> {
        let mut writing: Option<(File, v1::DiskFile, u64)> = None;
        let mut digest = String::new();
        while let Some(part) = parts.blocking_recv() {
            match part? {
                IncomingPart::Data(data) => {
                    let Some((file, of, written)) = &mut writing else {
                        return Err(damaged("data without a file"));
                    };
                    file.write_all(&data)
                        .map_err(|error| Fault::transient(format!("{}: {error}", of.name)))?;
                    *written += data.len() as u64;
                }
                IncomingPart::File(file) => {
                    complete(writing.take())?;
                    if file.name == ROOT {
                        digest.clone_from(&file.image_sha256);
                    }
                    writing = Some((self.create(&file.name)?, file, 0));
                }
                IncomingPart::End => return complete(writing.take()).map(|()| digest),
            }
        }
        Err(Fault::transient("the disks are incomplete"))
    }

    fn create(&self, name: &str) -> Result<File, Fault> {
        if !NAMES.contains(&name) {
            return Err(damaged(&format!("{name:?} is no file of a guest")));
        }
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        options.open(self.directory.join(name)).map_err(|error| Fault::transient(format!("{name}: {error}")))
    }
}

/// Checks that a file has arrived as a whole, and is on disk.
fn complete(written: Option<(File, v1::DiskFile, u64)>) -> Result<(), Fault> {
    let Some((file, of, bytes)) = written else { return Ok(()) };
    if bytes != of.bytes {
        return Err(damaged(&format!("{} has {bytes} bytes, not {}", of.name, of.bytes)));
    }
    file.sync_data().map_err(|error| Fault::transient(format!("{}: {error}", of.name)))
}

fn damaged(why: &str) -> Fault {
    Fault::transient(format!("the disks that were received are damaged: {why}"))
}

/// Removes a file that may not exist.
pub(super) fn remove_file(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn receive(parts: Vec<IncomingPart>) -> (tempfile::TempDir, Result<String, Fault>) {
        let directory = tempfile::tempdir().expect("a directory");
        let (sender, receiver) = mpsc::channel(parts.len().max(1));
        parts.into_iter().for_each(|part| sender.try_send(Ok(part)).expect("it has capacity"));
        drop(sender);
        let received = Files { directory: directory.path().to_owned() }.receive(receiver);
        (directory, received)
    }

    fn file(name: &str, bytes: u64) -> IncomingPart {
        IncomingPart::File(v1::DiskFile { name: name.to_owned(), bytes, image_sha256: "d".to_owned() })
    }

    fn data(text: &'static str) -> IncomingPart {
        IncomingPart::Data(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn what_is_sent_is_received() {
        let there = tempfile::tempdir().expect("a directory");
        fs::write(there.path().join("console.log"), "TICK").expect("written");
        fs::write(there.path().join("config.img"), "").expect("written");
        fs::write(there.path().join("other"), "not a disk").expect("written");
        let sent = Files { directory: there.path().to_owned() }.export().expect("readable");
        let names: Vec<_> = sent.iter().map(|part| (part.file.name.as_str(), part.file.bytes)).collect();
        assert_eq!(names, [("config.img", 0), ("console.log", 4)]);

        let parts =
            vec![file("config.img", 0), file("console.log", 4), data("TI"), data("CK"), IncomingPart::End];
        let (here, received) = receive(parts);
        assert_eq!(received, Ok(String::new()));
        assert_eq!(fs::read_to_string(here.path().join("console.log")).expect("there"), "TICK");
        let (_here, received) = receive(vec![file(ROOT, 1), data("x"), IncomingPart::End]);
        assert_eq!(received, Ok("d".to_owned()));
    }

    #[test]
    fn the_end_of_the_console_output_is_read() {
        let there = tempfile::tempdir().expect("a directory");
        let files = Files { directory: there.path().to_owned() };
        assert_eq!(files.console_tail(4), Ok(Vec::new()));
        fs::write(files.console(), "boot\nlogin: ").expect("written");
        assert_eq!(files.console_tail(7), Ok(b"login: ".to_vec()));
        assert_eq!(files.console_tail(99), Ok(b"boot\nlogin: ".to_vec()));
        fs::remove_file(files.console()).expect("there");
        std::os::unix::fs::symlink("/etc/passwd", files.console()).expect("made");
        assert!(files.console_tail(4).is_err(), "a link is not followed");
    }

    #[test]
    fn what_is_incomplete_or_foreign_is_refused() {
        for (parts, why) in [
            (vec![], "incomplete"),
            (vec![file(ROOT, 2), data("xy")], "incomplete"),
            (vec![file(ROOT, 2), data("x"), IncomingPart::End], "disk.qcow2 has 1 bytes, not 2"),
            (vec![file(ROOT, 0), data("x"), file("config.img", 0), IncomingPart::End], "has 1 bytes, not 0"),
            (vec![data("x"), IncomingPart::End], "data without a file"),
            (vec![file("../../etc/passwd", 1), data("x"), IncomingPart::End], "is no file of a guest"),
            (vec![file(ROOT, 0), file(ROOT, 0), IncomingPart::End], "disk.qcow2"),
        ] {
            let (_directory, received) = receive(parts);
            let error = received.expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
