//! Size and seed of a test that kills processes.

use std::time::UNIX_EPOCH;

use berth_test_support::setting::number;

/// A run of cycles of load, SIGKILL and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashRun {
    /// Cycles.
    pub cycles: u64,
    /// The seed of everything random.
    pub seed: u64,
}

impl CrashRun {
    /// The run that `cargo xtask crash-test` requests; without a request, `cycles` and a new seed.
    pub fn requested_or(cycles: u64) -> Self {
        let cycles = number("BERTH_CRASH_CYCLES").unwrap_or(cycles);
        eprintln!("{cycles} cycles");
        Self { cycles, seed: Self::requested_seed() }
    }

    /// The requested seed, or a new one. It is printed, so that the run can be repeated.
    pub fn requested_seed() -> u64 {
        let seed = number("BERTH_CRASH_SEED").unwrap_or_else(new_seed);
        eprintln!("seed {seed}");
        seed
    }

    /// Whether full disks and clock jumps are requested.
    pub fn has_faults() -> bool {
        number("BERTH_CRASH_FAULTS") == Some(1)
    }
}

fn new_seed() -> u64 {
    let time = UNIX_EPOCH.elapsed().expect("it is after 1970");
    u64::from(time.subsec_nanos()) ^ time.as_secs()
}
