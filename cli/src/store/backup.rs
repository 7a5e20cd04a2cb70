//! `berth store backup`, `dump` and `restore`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write, stdout};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_placement::Index;
use berth_server::{Contents, DataDir, StateReader, backup_online};
use berth_store::{DataError, Digest, Summary};

use super::place::{Place, load};
use crate::{Ending, output};

pub(super) fn dump(state: &Place, file: Option<&Path>) -> Result<Ending> {
    let contents = state.load()?;
    match file {
        Some(file) => {
            output::print(&output::counts(&write_whole(file, |out| write_contents(out, &contents))?))?;
        }
        None => {
            write_contents(&mut BufWriter::new(stdout().lock()), &contents)
                .context("cannot write to standard output")?;
        }
    }
    Ok(Ending::Complete)
}

pub(super) fn backup(state: &Place, file: &Path) -> Result<Ending> {
    let digest = match state {
        Place::Directory(directory) => backup_directory(directory, file)?,
        Place::Etcd(_) => {
            let contents = state.load()?;
            write_whole(file, |out| write_contents(out, &contents))?
        }
    };
    output::print(&output::counts(&digest))?;
    Ok(Ending::Complete)
}

fn backup_directory(directory: &Path, file: &Path) -> Result<(Summary, String)> {
    match DataDir::open_to_read(directory) {
        Ok(data) => {
            let contents = load(&data)?;
            drop(data); // a service may start meanwhile
            write_whole(file, |out| write_contents(out, &contents))
        }
        Err(DataError::InUse { .. }) => write_whole(file, |out| {
            backup_online(directory, out).context("the process that uses this directory cannot be reached")
        }),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn restore(file: &Path, state: &Place, replace: bool) -> Result<Ending> {
    let named = || file.display().to_string();
    let input = BufReader::with_capacity(1 << 20, File::open(file).with_context(named)?);
    let mut expected = Digest::default();
    let mut reader = StateReader::new(input);
    let records = reader.by_ref().inspect(|record| {
        if let Ok(record) = record {
            expected.add(record);
        }
    });
    let index = Index::restore(records).with_context(named)?;
    let contents = Contents { index, fleet: reader.into_fleet() };
    expected.add_fleet(&contents.fleet);
    let expected = expected.finish();
    if contents.digest() != expected {
        bail!("{}: the index is not what the file says", file.display());
    }
    let aside = state.create(&contents, replace)?;
    output::print(&(output::counts(&expected) + &aside))?;
    Ok(Ending::Complete)
}

fn write_contents(out: &mut impl Write, contents: &Contents) -> Result<()> {
    contents.write(out)?;
    Ok(())
}

/// Writes a state file under another name, down to the disk, reads it back, and then gives it its
/// name; returns what it holds.
fn write_whole(
    file: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<(Summary, String)> {
    let unfinished = beside(file)?;
    let written = write_and_read(&unfinished, write).and_then(|digest| {
        fs::rename(&unfinished, file).with_context(|| file.display().to_string())?;
        let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all())?;
        Ok(digest)
    });
    if written.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    written.with_context(|| format!("{} was not written", file.display()))
}

fn beside(file: &Path) -> Result<PathBuf> {
    let name = file.file_name().with_context(|| format!("{} is not the name of a file", file.display()))?;
    let mut unfinished = name.to_owned();
    unfinished.push(".unfinished");
    Ok(file.with_file_name(unfinished))
}

fn write_and_read(
    file: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<(Summary, String)> {
    let named = || file.display().to_string();
    // What a backup that was killed has left; never through a link that somebody else made there.
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(named),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file).with_context(named)?;
    let mut out = BufWriter::with_capacity(1 << 16, opened);
    write(&mut out)?;
    let written = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(named)?;
    written.sync_all().with_context(named)?;
    let mut digest = Digest::default();
    let input = BufReader::with_capacity(1 << 16, File::open(file).with_context(named)?);
    let mut reader = StateReader::new(input);
    for record in reader.by_ref() {
        digest.add(&record.with_context(named)?);
    }
    digest.add_fleet(&reader.into_fleet());
    Ok(digest.finish())
}
