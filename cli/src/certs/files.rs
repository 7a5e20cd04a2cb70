//! Certificates and keys as files.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_process::bounded_file;

use crate::output;

/// A certificate and its key, in PEM.
pub(super) struct Certified {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// The two files of a name.
pub(super) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    pub(super) fn in_directory(directory: &Path, name: &str) -> Self {
        Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}-key.pem")),
        }
    }

    pub(super) fn read(&self) -> Result<Certified> {
        let read = |file: &Path| {
            bounded_file::read_to_string(file, bounded_file::SETTINGS).with_context(|| {
                format!("cannot read {}; `berth certs init` makes an authority", file.display())
            })
        };
        Ok(Certified { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// Writes both files if neither exists, and prints their names.
    pub(super) fn write(&self, certified: &Certified) -> Result<()> {
        let files = [(&self.key, &certified.key, 0o600), (&self.certificate, &certified.certificate, 0o644)];
        if let Some((there, ..)) = files.iter().find(|(file, ..)| file.exists()) {
            bail!("{} exists already; it is not overwritten", there.display());
        }
        for (file, text, mode) in files {
            let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
            made.and_then(|mut made| made.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        output::print(&format!("made {} and {}\n", self.certificate.display(), self.key.display()))
    }
}

/// Replaces a public file as a whole: a reader sees the old content or the new one.
pub(super) fn replace(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("pem.new");
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new);
    written
        .and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()))
        .and_then(|()| std::fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Creates the directory if it is missing, for its owner only.
pub(super) fn create_directory(directory: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| format!("cannot make {}", directory.display()))
}
