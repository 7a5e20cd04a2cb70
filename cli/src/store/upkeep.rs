//! `berth store verify`, `repair` and `compact`.

use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use berth_server::{DataDir, FleetState};
use berth_store::{Damage, DataError, EtcdReader, EtcdStoreOptions, Inspection, Loaded};

use super::advice;
use super::place::Place;
use crate::{Ending, output};

pub(super) fn verify(state: &Place) -> Result<Ending> {
    match state {
        Place::Directory(directory) => verify_directory(directory),
        Place::Etcd(options) => verify_etcd(options),
    }
}

fn verify_etcd(options: &EtcdStoreOptions) -> Result<Ending> {
    let loaded: Option<Loaded<FleetState>> = EtcdReader::open(options)?.loaded()?;
    let Loaded { contents, revision, .. } =
        loaded.with_context(|| format!("{}: there is no state below this prefix", options.prefix))?;
    let (summary, digest) = contents.digest();
    let revision = format!("{:20} {:>10}\n", "revision", revision.0);
    output::print(&format!("{revision}{summary}digest               {digest}\nThe store is whole.\n"))?;
    Ok(Ending::Complete)
}

fn verify_directory(directory: &Path) -> Result<Ending> {
    quietly();
    let data = DataDir::open_to_read(directory)?;
    let inspection = match data.inspect() {
        Ok(inspection) => inspection,
        Err(error) => return Err(explained(&data, error)),
    };
    let Inspection { format, revision, bytes, summary, digest } = inspection;
    let mut text = format!("{:20} {format:>10}\n{:20} {:>10}\n", "format", "revision", revision.0);
    writeln!(text, "{:20} {bytes:>10}", "bytes")?;
    output::print(&format!("{text}{summary}digest               {digest}\nThe store is whole.\n"))?;
    Ok(Ending::Complete)
}

/// What is damaged in a store, where, and what to do.
fn explained(data: &DataDir, error: DataError) -> anyhow::Error {
    if !error.is_damage() {
        return error.into();
    }
    let damages = data.damages().unwrap_or_default();
    let advice = advice(data.path());
    anyhow!("{error}{}\n{advice}", damage_lines(&damages))
}

fn damage_lines(damages: &[Damage]) -> String {
    damages.iter().map(|damage| format!("\n  damaged: {damage}")).collect()
}

pub(super) fn repair(directory: &Path, write: bool) -> Result<Ending> {
    quietly();
    let data = DataDir::open_existing(directory)?;
    match data.inspect() {
        Ok(inspection) => {
            let whole = "The store is whole, there is nothing to repair.";
            output::print(&format!("{whole}\ndigest {}\n", inspection.digest))?;
            return Ok(Ending::Complete);
        }
        // A store that cannot be read for the moment is not damaged.
        Err(error) if !error.is_damage() => return Err(error.into()),
        Err(_) => {}
    }
    let repair = data.repair()?;
    let mut text = String::new();
    for damage in &repair.damages {
        writeln!(text, "damaged: {damage}")?;
    }
    for note in &repair.notes {
        writeln!(text, "{note}")?;
    }
    writeln!(text, "What is left:\n{}digest               {}", repair.summary, repair.digest)?;
    if repair.summary.providers == 0 && repair.summary.fleet_records == 0 {
        output::print(&text)?;
        bail!("{}: nothing can be saved; only a backup helps", directory.display());
    }
    if write {
        let aside = data.write_repair(&repair, &time()?)?;
        writeln!(text, "Written. The damaged store is now {}", aside.display())?;
        writeln!(
            text,
            "Compare it with what runs: berth audit --data {} --instances FILE",
            directory.display()
        )?;
    } else {
        writeln!(text, "Nothing was written: --write puts this in the place of the damaged store.")?;
    }
    output::print(&text)?;
    Ok(Ending::Complete)
}

pub(super) fn compact(directory: &Path) -> Result<Ending> {
    let data = DataDir::open_existing(directory)?;
    let (before, after) = match data.compact() {
        Ok(sizes) => sizes,
        Err(error) => return Err(explained(&data, error)),
    };
    output::print(&format!("{before} bytes before, {after} bytes after\n"))?;
    Ok(Ending::Complete)
}

/// A panic while reading a damaged store is caught and reported as damage: its own message would
/// only confuse.
fn quietly() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Now, as part of a file's name: seconds since 1970.
pub(crate) fn time() -> Result<String> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string())
}
