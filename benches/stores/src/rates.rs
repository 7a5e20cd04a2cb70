//! Measures rates, sizes and restarts on a large fleet.
use crate::fleet::Fleet;
use crate::load::{Lap, Until, lap};
use crate::{Setup, child, machine};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

const BATCHES: [usize; 5] = [1, 8, 64, 512, 4096];
const CYCLE_BATCH: usize = 512;
const PAUSE: Duration = Duration::from_secs(4);
/// The number of processors that other processes may use. It includes the kernel's writeback for
/// the store.
const QUIET: f64 = 0.3;
const KILLED_AFTER: Duration = Duration::from_secs(3);

/// Measures group commits of every batch size on a store with this many providers and consumers.
pub fn commits(setup: &Setup, providers: u32, consumers: u32, seconds: f64, attempts: u32) -> Result<()> {
    fresh(setup, providers, consumers)?;
    println!("{}", Lap::HEADER);
    let mut store = setup.open()?;
    let mut fleet = Fleet::load(&*store, 2)?;
    for batch in BATCHES {
        let until = Until::Elapsed(Duration::from_secs_f64(seconds));
        let (fsync, mut lap) =
            quietest(setup, attempts, &mut || lap(&mut *store, &mut fleet, batch, &until))?;
        println!("{}", lap.row(&setup.store.name(), consumers, batch, fsync));
    }
    store.close()
}

/// The first undisturbed lap, or else the least disturbed one, independent of its speed, with the
/// raw fsync time measured just before.
fn quietest(setup: &Setup, attempts: u32, lap: &mut dyn FnMut() -> Result<Lap>) -> Result<(Duration, Lap)> {
    let mut best: Option<(Duration, Lap)> = None;
    for tries in 0..attempts.max(1) {
        let mut fsyncs = machine::fsyncs(&setup.directory, Duration::from_millis(300))?;
        let attempt = (machine::percentile(&mut fsyncs, 0.5), lap()?);
        let quiet = attempt.1.others < QUIET;
        if best.as_ref().is_none_or(|best| attempt.1.others < best.1.others) {
            best = Some(attempt);
        }
        if quiet || tries + 1 == attempts {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    best.context("no attempt")
}

/// Measures the size after the preload, after cycles of claims and releases, and after compaction,
/// with restarts between.
pub fn restarts(setup: &Setup, providers: u32, consumers: u32, cycles: usize) -> Result<()> {
    println!(
        "| store | step | seconds | MB on disk | of that opening | CPU s | MB of memory | records |\n|---|---|--:|--:|--:|--:|--:|--:|"
    );
    let start = Instant::now();
    fresh(setup, providers, consumers)?;
    step(setup, "preload", start.elapsed())?;
    restart(setup, "restart after preload")?;

    let mut store = setup.open()?;
    let mut fleet = Fleet::load(&*store, 2)?;
    let lap = lap(&mut *store, &mut fleet, CYCLE_BATCH, &Until::Operations(2 * cycles))?;
    step(setup, &format!("{cycles} claims and as many releases"), Duration::from_secs_f64(lap.seconds))?;
    store.close()?;
    restart(setup, "restart after a clean close")?;
    for round in 0..3 {
        child::write_and_kill(setup, 3 + round, 64, KILLED_AFTER)?;
        restart(setup, "restart after kill -9")?;
    }

    let mut store = setup.open()?;
    let start = Instant::now();
    store.compact()?;
    let seconds = start.elapsed();
    store.close()?;
    step(setup, "compact", seconds)?;
    restart(setup, "restart after compaction")
}

fn fresh(setup: &Setup, providers: u32, consumers: u32) -> Result<()> {
    setup.clear()?;
    let mut store = setup.open()?;
    Fleet::preload(&mut *store, providers, consumers)?;
    store.close()
}

fn step(setup: &Setup, name: &str, time: Duration) -> Result<()> {
    let megabytes = machine::size(&setup.directory)? as f64 / 1e6;
    println!("| {} | {name} | {:.2} | {megabytes:.0} | | | | |", setup.store.name(), time.as_secs_f64());
    Ok(())
}

fn restart(setup: &Setup, name: &str) -> Result<()> {
    let cache = if machine::drop_caches() { "cold" } else { "warm" };
    let megabytes = machine::size(&setup.directory)? as f64 / 1e6;
    let read = child::read_apart(setup)?;
    println!(
        "| {} | {name}, {cache} | {:.2} | {megabytes:.0} | {:.2} | {:.2} | {:.0} | {} |",
        setup.store.name(),
        read.total.as_secs_f64(),
        read.open.as_secs_f64(),
        read.processor,
        read.memory as f64 / 1e6,
        read.digest.records,
    );
    Ok(())
}
