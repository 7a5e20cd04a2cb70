//! kill -9 in the middle of commits: no acknowledged batch may be lost, and no batch may be
//! partial.
use crate::fleet::Fleet;
use crate::{Setup, child};
use anyhow::{Result, bail};
use std::time::Duration;

const BATCHES: [usize; 4] = [1, 16, 128, 1024];

/// Kills a writer repeatedly on one store; an error reports what the store lost.
pub fn kills(setup: &Setup, rounds: u64) -> Result<()> {
    setup.clear()?;
    let mut store = setup.open()?;
    Fleet::preload(&mut *store, 1_000, 20_000)?;
    store.close()?;
    let (mut acknowledged, mut unannounced) = (0, 0);
    for round in 0..rounds {
        let batch = BATCHES[round as usize % BATCHES.len()];
        let mut fleet = model(setup, round)?;
        let life = Duration::from_millis(20 + 37 * round % 200);
        let promised = child::write_and_kill(setup, round, batch, life)?;
        for _ in 0..promised {
            fleet.batch(batch);
        }
        let found = child::read_apart(setup)?.digest;
        let kept = fleet.digest();
        fleet.batch(batch);
        match found {
            found if found == kept => {}
            found if found == fleet.digest() => unannounced += 1,
            found => bail!(
                "{}, round {round}: {found:?} is neither {kept:?} nor the next batch",
                setup.store.name()
            ),
        }
        acknowledged += promised;
    }
    println!(
        "| {} | {rounds} kills | {acknowledged} batches acknowledged, none lost | {unannounced} rounds had one more, whole |",
        setup.store.name()
    );
    Ok(())
}

fn model(setup: &Setup, seed: u64) -> Result<Fleet> {
    let store = setup.open()?;
    let fleet = Fleet::load(&*store, seed)?;
    store.close()?;
    Ok(fleet)
}
