//! Measures group commits.
use crate::fleet::Fleet;
use crate::machine;
use crate::stores::{Change, Store};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The cost of a lap of commits.
pub struct Lap {
    pub operations: usize,
    pub seconds: f64,
    pub times: Vec<Duration>,
    pub processor_seconds: f64,
    pub written: u64,
    pub changed: u64,
    /// The number of processors that other processes kept busy. While builds run, an fsync waits
    /// for the scheduler's next tick (4 ms at 250 Hz), independently of the disk and the store:
    /// such a lap is not meaningful.
    pub others: f64,
}

/// The end of a lap.
pub enum Until {
    Elapsed(Duration),
    Operations(usize),
}

/// Commits batches of this many claims and releases. Only the commits are measured, not their
/// generation.
pub fn lap(store: &mut dyn Store, fleet: &mut Fleet, batch: usize, until: &Until) -> Result<Lap> {
    let written = machine::bytes_written()?;
    let mut lap = Lap {
        operations: 0,
        seconds: 0.0,
        times: Vec::new(),
        processor_seconds: 0.0,
        written: 0,
        changed: 0,
        others: 0.0,
    };
    let (processor, busy, start) = (machine::processor_seconds()?, machine::busy_seconds()?, Instant::now());
    while !until.reached(&lap) {
        let changes = fleet.batch(batch);
        let start = Instant::now();
        store.commit(&changes)?;
        lap.times.push(start.elapsed());
        lap.seconds += start.elapsed().as_secs_f64();
        lap.operations += batch;
        lap.changed += changes.iter().map(Change::len).sum::<usize>() as u64;
    }
    lap.processor_seconds = machine::processor_seconds()? - processor;
    lap.others = (machine::busy_seconds()? - busy - lap.processor_seconds) / start.elapsed().as_secs_f64();
    lap.written = machine::bytes_written()? - written;
    Ok(lap)
}

impl Until {
    fn reached(&self, lap: &Lap) -> bool {
        match self {
            Until::Elapsed(limit) => lap.seconds >= limit.as_secs_f64(),
            Until::Operations(limit) => lap.operations >= *limit,
        }
    }
}

impl Lap {
    pub const HEADER: &str = "| store | consumers | batch | claims/s | p50 ms | p99 ms | max ms | CPU s per 1,000 | written per byte | raw fsync p50 ms | others' CPUs |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

    pub fn row(&mut self, store: &str, consumers: u32, batch: usize, fsync: Duration) -> String {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        format!(
            "| {store} | {consumers} | {batch} | {:.0} | {:.2} | {:.2} | {:.1} | {:.4} | {:.1} | {:.2} | {:.2} |",
            self.operations as f64 / self.seconds,
            milliseconds(machine::percentile(&mut self.times, 0.5)),
            milliseconds(machine::percentile(&mut self.times, 0.99)),
            milliseconds(machine::percentile(&mut self.times, 1.0)),
            self.processor_seconds * 1e3 / self.operations as f64,
            self.written as f64 / self.changed as f64,
            milliseconds(fsync),
            self.others,
        )
    }
}
