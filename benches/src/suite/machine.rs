//! Measures how fast this machine reads plain memory, in order and at random: the upper bound for
//! decisions.

use std::hint::black_box;
use std::time::Instant;

use berth_placement::kernel::{Lanes, largest};
use berth_traces::rng::stream;
use rand::seq::SliceRandom;

use super::{Case, SuiteFailure, SuiteOptions};
use crate::report::{ReportRow, RowUnit};
use crate::series::{Series, parameters};

/// Sizes that fit the first, second and last cache, and none.
const SIZES: [u32; 4] = [16 << 10, 256 << 10, 8 << 20, 256 << 20];
/// The smallest number of bytes read between two clock reads.
const READ: usize = 64 << 20;
/// The number of loads between two clock reads.
const STEPS: u32 = 100_000;

pub(super) fn cases(options: &SuiteOptions) -> impl Iterator<Item = Box<dyn Case>> {
    let seed = options.seed;
    SIZES.into_iter().map(move |bytes| -> Box<dyn Case> { Box::new(Memory::new(bytes, seed)) })
}

struct Memory {
    bytes: u32,
    lanes: Vec<Lanes>,
    /// The next line to load, on every cache line: one cycle through all lines.
    next: Vec<[u32; 16]>,
    read: Series,
    chase: Series,
}

impl Memory {
    fn new(bytes: u32, seed: u64) -> Self {
        let named = parameters([("bytes", bytes.into())]);
        let mut order: Vec<u32> = (0..bytes / 64).collect();
        order.shuffle(&mut stream(seed, "chase"));
        let mut next = vec![[0; 16]; order.len()];
        for (&from, &to) in order.iter().zip(order.iter().cycle().skip(1)) {
            next[from as usize][0] = to;
        }
        Self {
            bytes,
            lanes: vec![Lanes::splat(1); bytes as usize / size_of::<Lanes>()],
            next,
            read: Series::new("machine/read", &named, RowUnit::PerSecond),
            chase: Series::new("machine/load", &named, RowUnit::Ns),
        }
    }

    /// Measures bytes per second in order, through the kernel that searches use.
    fn read(&mut self) {
        let times = (READ / self.bytes as usize).max(1);
        let started = Instant::now();
        for _ in 0..times {
            black_box(black_box(&self.lanes).iter().map(largest).max());
        }
        self.read.rate(times as u64 * u64::from(self.bytes), started.elapsed());
    }

    /// Measures the nanoseconds of a load whose address depends on the previous load.
    fn chase(&mut self) {
        let started = Instant::now();
        let end = (0..STEPS).fold(0, |at: u32, _| self.next[at as usize][0]);
        black_box(end);
        self.chase.took(started.elapsed() / STEPS);
    }
}

impl Case for Memory {
    fn label(&self) -> String {
        format!("reading {} KiB", self.bytes >> 10)
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        for _ in 0..5 {
            self.read();
            self.chase();
        }
        self.read.end_round();
        self.chase.end_round();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        [self.read, self.chase].into_iter().filter_map(Series::finish).collect()
    }
}
