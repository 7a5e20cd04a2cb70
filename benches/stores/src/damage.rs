//! Truncates, zeroes or flips parts of files, and shows how a store reacts.
use crate::digest::{Digest, mix};
use crate::fleet::Fleet;
use crate::{Setup, child, machine};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BATCH: usize = 64;
const BLOCK: u64 = 4096;
const SEED: u64 = 5;

/// A damage to a file.
#[derive(Clone, Copy)]
enum Damage {
/// Removes the last bytes.
    Cut(u64),
    /// Zeroes the last bytes.
    Zero(u64),
    /// Flips one byte at this share of the file.
    Flip(f64),
}

/// The store's states after each batch, starting empty, and its files after the last batch.
struct Specimen {
    states: Vec<Digest>,
    directory: PathBuf,
    newest: PathBuf,
    largest: PathBuf,
}

/// Damages copies of a store whose writer was killed, and of one that was closed, and counts the
/// outcomes.
pub fn damage(setup: &Setup, flips: u32) -> Result<()> {
    println!("| store | left by | damage | outcomes |\n|---|---|---|---|");
    for killed in [true, false] {
        let specimen = Specimen::make(setup, killed)?;
        let left_by = if killed { "kill -9" } else { "close" };
        let tail = [1, 100, BLOCK, 4 * BLOCK, 16 * BLOCK];
        let report = |what: &str, damages: &[Damage], newest: bool| -> Result<()> {
            let outcomes = specimen.outcomes(setup, damages, newest)?;
            println!("| {} | {left_by} | {what} | {outcomes} |", setup.store.name());
            Ok(())
        };
        report(
            &format!("none (newest {}, largest {})", specimen.newest.display(), specimen.largest.display()),
            &[Damage::Cut(0)],
            true,
        )?;
        report("newest file cut by 1, 100 B, 1, 4, 16 blocks", &tail.map(Damage::Cut), true)?;
        report("newest file's last 1, 100 B, 1, 4, 16 blocks zero", &tail.map(Damage::Zero), true)?;
        let places: Vec<Damage> =
            (0..flips).map(|flip| Damage::Flip((f64::from(flip) + 0.37) / f64::from(flips))).collect();
        report(&format!("a byte of the newest file flipped, {flips} places"), &places, true)?;
        report(&format!("a byte of the largest file flipped, {flips} places"), &places, false)?;
    }
    Ok(())
}

impl Specimen {
    fn make(setup: &Setup, killed: bool) -> Result<Self> {
        setup.clear()?;
        let mut store = setup.open()?;
        let mut states = Fleet::preload(&mut *store, 2_000, 50_000)?;
        store.close()?;
        let store = setup.open()?;
        let mut fleet = Fleet::load(&*store, SEED)?;
        store.close()?;
        let promised = child::write_and_kill(setup, SEED, BATCH, Duration::from_millis(700))?;
        for _ in 0..=promised {
            fleet.batch(BATCH);
            states.push(fleet.digest());
        }
        if !killed {
            setup.open()?.close()?;
        }
        let relative = |file: PathBuf| file.strip_prefix(&setup.directory).map(Path::to_owned);
        let newest = relative(pick(&setup.directory, |file| Ok(fs::metadata(file)?.modified()?))?)?;
        let largest = relative(pick(&setup.directory, |file| Ok(fs::metadata(file)?.len()))?)?;
        let directory = setup.directory.with_extension("specimen");
        machine::copy(&setup.directory, &directory)?;
        Ok(Self { states, directory, newest, largest })
    }

    fn outcomes(&self, setup: &Setup, damages: &[Damage], newest: bool) -> Result<String> {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for &damage in damages {
            machine::copy(&self.directory, &setup.directory)?;
            let target = if newest { &self.newest } else { &self.largest };
            damage.inflict(&setup.directory.join(target))?;
            *counts.entry(self.judge(setup)).or_default() += 1;
        }
        Ok(counts
            .iter()
            .map(|(outcome, count)| format!("{count} × {outcome}"))
            .collect::<Vec<_>>()
            .join("; "))
    }

    /// The last state may include a batch that was in flight when the writer was killed.
    fn judge(&self, setup: &Setup) -> String {
        let read = match child::read_apart(setup) {
            Err(error) => return without_numbers(&format!("{error:#}")),
            Ok(read) => read.digest,
        };
        let acknowledged = self.states.len() - 2;
        match self.states.iter().rposition(|state| *state == read) {
            Some(state) if state >= acknowledged => "intact".to_owned(),
            Some(state) if acknowledged - state <= 2 => "SILENTLY without the last 1 or 2 batches".to_owned(),
            Some(_) => "SILENTLY without more of the last batches".to_owned(),
            None => "SILENTLY WRONG: a state that never existed".to_owned(),
        }
    }
}

impl Damage {
    fn inflict(self, path: &Path) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = written_length(path)?;
        match self {
            Damage::Cut(0) => {}
            Damage::Cut(bytes) => file.set_len(length.saturating_sub(bytes))?,
            Damage::Zero(bytes) => {
                let bytes = bytes.min(length);
                file.write_all_at(&vec![0; bytes as usize], length - bytes)?;
            }
            Damage::Flip(share) => {
                let place = ((length as f64 * share) as u64 + mix(length) % 97).min(length - 1);
                let mut byte = [0];
                file.read_exact_at(&mut byte, place)?;
                file.write_all_at(&[byte[0] ^ 0x40], place)?;
            }
        }
        Ok(())
    }
}

/// The written length of a file. Files are preallocated; damage to unwritten parts would prove
/// nothing.
fn written_length(path: &Path) -> Result<u64> {
    let bytes = fs::read(path)?;
    Ok(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1))
}

/// Removes numbers, so that messages that differ only in numbers count as one.
fn without_numbers(text: &str) -> String {
    text.replace(|character: char| character.is_ascii_digit(), "").replace("()", "")
}

fn pick<K: Ord>(directory: &Path, key: impl Fn(&Path) -> Result<K>) -> Result<PathBuf> {
    let mut files = Vec::new();
    for file in machine::files(directory)? {
        if fs::metadata(&file)?.len() > 0 && !file.ends_with("lock.mdb") {
            files.push((key(&file)?, file));
        }
    }
    files.into_iter().max().map(|(_, file)| file).context("no file")
}
