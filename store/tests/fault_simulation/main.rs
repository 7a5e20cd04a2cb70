//! The store, the index and their clients on a machine that fails, all of it from one seed.
//!
//! `cargo xtask fault-simulation` runs many seeds; docs/reliability.md says what is checked and
//! what it has found.

mod clients;
mod cuts;
mod disk;
mod followers;
mod history;
mod kept;
mod machine;
mod rng;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use berth_test_support::setting::number;

use crate::machine::Machine;
use crate::rng::SeededRng;

/// Seeds unless more are requested.
const FEW: u64 = 300;

#[test]
fn no_acknowledged_change_is_lost_whatever_fails() {
    let from = number("BERTH_SIMULATION_FROM").unwrap_or(0);
    let seeds = number("BERTH_SIMULATION_SEEDS").unwrap_or(FEW);
    let trace = number("BERTH_SIMULATION_TRACE") == Some(1);
    let (next, has_failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !has_failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    if seed % 1000 == 999 {
                        eprintln!("{} of {seeds} seeds", seed + 1 - from);
                    }
                    if catch_unwind(AssertUnwindSafe(|| live(seed, trace))).is_err() {
                        has_failed.store(true, Ordering::Relaxed);
                        eprintln!("seed {seed} fails; again, with all that happens:");
                        eprintln!("cargo xtask fault-simulation --seeds 1 --from {seed} --trace");
                    }
                }
            });
        }
    });
    assert!(!has_failed.into_inner(), "a seed fails");
}

/// One history from its beginning to its end.
fn live(seed: u64, trace: bool) {
    let events = 5 + SeededRng::new(seed, 2).below(60);
    let machine = Machine::new(seed, true, trace);
    (0..events).for_each(|_| machine.happen());
    machine.settle();
}
