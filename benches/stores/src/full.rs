//! Fills a disk, and shows the commit's error and the records afterwards.
use crate::Setup;
use crate::fleet::Fleet;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;

const DISK: &str = "size=128m";
const BALLAST_BYTES: usize = 48 << 20;
const BATCH: usize = 512;

/// Fills a small separate disk with claims until a commit fails, frees space, and continues.
pub fn full(setup: &Setup) -> Result<()> {
    setup.clear()?;
    fs::create_dir_all(&setup.directory)?;
    mount(setup)?;
    let outcome = fill(setup);
    let unmounted = Command::new("umount").arg(&setup.directory).status()?;
    ensure!(unmounted.success(), "{} is still mounted", setup.directory.display());
    outcome
}

fn mount(setup: &Setup) -> Result<()> {
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&setup.directory).status()?;
    ensure!(mounted.success(), "mounting a tmpfs is not allowed here");
    Ok(())
}

fn fill(setup: &Setup) -> Result<()> {
    let ballast = setup.directory.join("ballast");
    fs::write(&ballast, vec![1; BALLAST_BYTES])?;
    let mut store = setup.open()?;
    Fleet::preload(&mut *store, 1_000, 20_000)?;
    let mut fleet = Fleet::load(&*store, 7)?;
    let (before, changes, error) = loop {
        let before = fleet.digest();
        let changes = fleet.growth(BATCH);
        if let Err(error) = store.commit(&changes) {
            break (before, changes, error);
        }
    };
    let say = |what: &str, answer: String| println!("| {} | {what} | {answer} |", setup.store.name());
    let verdict = |found| match found {
        found if found == before => "every acknowledged batch, not the failed one",
        found if found == fleet.digest() => "every acknowledged batch and the failed one",
        _ => "WRONG",
    };
    say("commit on a full disk", format!("{error:#}"));
    let reading = Fleet::load(&*store, 7).map(|fleet| verdict(fleet.digest()));
    say("reading then", reading.map_or_else(|error| format!("{error:#}"), str::to_owned));
    fs::remove_file(&ballast).context("ballast")?;
    let again = store.commit(&changes);
    say(
        "commit after space was freed",
        again.as_ref().map_or_else(|error| format!("{error:#}"), |()| "done".to_owned()),
    );
    let closing = store.close();
    say("close", closing.map_or_else(|error| format!("{error:#}"), |()| "done".to_owned()));

    let mut store = setup.open().context("reopening")?;
    say("reopened", verdict(Fleet::load(&*store, 7)?.digest()).to_owned());
    store.commit(&changes)?;
    say("commit then", verdict(Fleet::load(&*store, 7)?.digest()).to_owned());
    store.close()
}
