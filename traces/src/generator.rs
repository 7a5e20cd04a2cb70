//! A synthetic cloud calibrated on the published statistics of the Azure trace V1 (2017).
//!
//! | what | published | here |
//! |---|---|---|
//! | lifetime of VMs that left in the window | p50 25 min, p90 10.5 h, p99 36 h | quantiles |
//! | arrivals an hour | 3,006 on average, 5,968 at most | batches: Poisson with a daily wave |
//! | batch (VMs one tenant starts together; measured) | p50 1, p90 7, p99 62, mean 4.95 | quantiles |
//! | VM | 2.4 vCPU and 5.8 GiB on average, 15 shapes | the shapes' frequencies |
//!
//! No lognormal fits the lifetimes (p50 and p90 require a sigma of 2.5, p50 and p99 one of 1.9), so
//! they are drawn from the quantile function itself. The peak hour is not a parameter: it follows
//! from the wave and from batches of hundreds.
//!
//! Assumptions beyond the statistics: VMs of one batch have one flavor, and leave together with the
//! frequency measured in the trace. The trace has no disk; a VM requests 16 GB and 16 GB more per
//! vCPU. As in the trace, the cloud starts empty. The published lifetimes exclude VMs that outlive
//! the trace's window, so the generated cloud stays emptier than the trace's.

use std::f64::consts::TAU;

use compact_str::{CompactString, ToCompactString};

use crate::quantiles::Quantiles;
use crate::rng::{Stream, exponential, stream, unit};
use crate::{BatchNumber, Micros, ReadProgress, Resources, Trace, TraceError, Unit, Vm};

/// Upper bounds, in seconds, of the lifetimes of a share of the VMs: p50, p90 and p99 as published,
/// the others measured on the trace (whose grid hides lifetimes below five minutes).
const LIFETIME: [(f64, f64); 10] = [
    (0.0, 60.0),
    (0.1, 300.0),
    (0.25, 600.0),
    (0.5, 1_500.0),
    (0.75, 5_400.0),
    (0.9, 37_800.0),
    (0.95, 59_400.0),
    (0.99, 129_600.0),
    (0.999, 302_400.0),
    (1.0, 475_200.0),
];

/// Upper bounds of the batch sizes of a share of the batches, measured on the trace.
const BATCH_SIZE: [(f64, f64); 19] = [
    (0.0, 1.0),
    (0.567, 2.0),
    (0.744, 3.0),
    (0.809, 4.0),
    (0.85, 5.0),
    (0.875, 6.0),
    (0.889, 7.0),
    (0.902, 8.0),
    (0.95, 15.5),
    (0.97, 25.5),
    (0.985, 42.5),
    (0.99, 62.5),
    (0.9925, 86.0),
    (0.995, 138.0),
    (0.998, 273.0),
    (0.999, 322.0),
    (0.9998, 382.0),
    (0.9999, 461.0),
    (1.0, 1_404.0),
];

/// 3,006 VMs per hour in batches of 4.99.
const BATCHES_PER_HOUR: f64 = 602.0;

/// The daily wave's amplitude, relative to the mean rate.
const WAVE: f64 = 0.41;

const DAY: f64 = 86_400.0;

/// The share of batches whose VMs all leave together.
const LEAVE_TOGETHER: f64 = 0.45;

/// VMs per 100,000, vCPUs, memory in MiB, name.
const FLAVORS: [(u32, u32, u32, &str); 15] = [
    (54_489, 1, 1_792, "1x1.75"),
    (20_180, 2, 3_584, "2x3.5"),
    (10_198, 4, 7_168, "4x7"),
    (9_748, 8, 14_336, "8x14"),
    (3_660, 8, 57_344, "8x56"),
    (1_606, 1, 768, "1x0.75"),
    (31, 2, 16_384, "2x16"),
    (24, 2, 14_336, "2x14"),
    (22, 1, 2_048, "1x2"),
    (20, 4, 28_672, "4x28"),
    (9, 2, 4_096, "2x4"),
    (7, 8, 16_384, "8x16"),
    (4, 16, 114_688, "16x112"),
    (1, 4, 32_768, "4x32"),
    (1, 4, 8_192, "4x8"),
];

/// The size of a generated trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A number of VMs.
    Vms(u64),
    /// All VMs that arrive before this time.
    Duration(Micros),
}

/// A seeded synthetic cloud: the same seed gives the same VMs on every machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generator {
    seed: u64,
    extent: Extent,
    scale: f64,
}

impl Generator {
    /// A cloud like Azure's of 2017, with the statistics of [this module](self).
    #[must_use]
    pub const fn azure_like(seed: u64, extent: Extent) -> Self {
        Self { seed, extent, scale: 1.0 }
    }

    /// The same cloud with `factor` times the arrivals.
    ///
    /// # Panics
    /// Unless the factor is positive and finite.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        assert!(factor > 0.0 && factor.is_finite(), "a cloud cannot be scaled by {factor}");
        self.scale *= factor;
        self
    }

    /// The VMs, generated on demand. Times are whole milliseconds from 0; identifiers count from 0;
    /// every VM has a departure and a batch.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let progress = match self.extent {
            Extent::Vms(count) => ReadProgress::new(count, Unit::Vms),
            Extent::Duration(duration) => ReadProgress::new(duration.0 / Micros::PER_SECOND, Unit::Seconds),
        };
        let vms = Vms::new(*self, progress.clone());
        Trace::new(format!("azure-like, seed {}", self.seed), progress, vms)
    }
}

/// The VMs of a [`Generator`].
struct Vms {
    extent: Extent,
    progress: ReadProgress,
    made: u64,
    batches: Batches,
    batch: Batch,
    lifetimes: Stream,
    lifetime: Quantiles,
}

impl Vms {
    fn new(generator: Generator, progress: ReadProgress) -> Self {
        let mut batches = Batches::new(generator.seed, generator.scale);
        Self {
            extent: generator.extent,
            progress,
            made: 0,
            batch: batches.next(),
            batches,
            lifetimes: stream(generator.seed, "lifetimes"),
            lifetime: Quantiles::through(&LIFETIME),
        }
    }

    fn next(&mut self) -> Option<Vm> {
        if self.batch.remaining == 0 {
            self.batch = self.batches.next();
        }
        let arrival = self.batch.arrival;
        let ended = match self.extent {
            Extent::Vms(count) => self.made >= count,
            Extent::Duration(duration) => arrival >= duration,
        };
        if ended {
            self.progress.set(self.progress.total());
            return None;
        }
        // Every VM draws, whether it uses the number or not, so no draw depends on another's
        // outcome.
        let own = unit(&mut self.lifetimes);
        let lifetime = self.lifetime.at(self.batch.shared_lifetime.unwrap_or(own));
        let id = self.made.to_compact_string();
        self.batch.remaining -= 1;
        self.made += 1;
        self.progress.set(match self.extent {
            Extent::Vms(_) => self.made,
            Extent::Duration(_) => arrival.0 / Micros::PER_SECOND,
        });
        let (_, vcpus, memory_mb, flavor) = FLAVORS[self.batch.flavor];
        Some(Vm {
            id,
            arrival,
            departure: Some(Micros(arrival.0 + whole_millis(lifetime).0)),
            resources: Resources { vcpus, memory_mb, disk_gb: 16 + 16 * vcpus },
            flavor: CompactString::const_new(flavor),
            batch: BatchNumber::new(self.batch.number),
            demands: None,
        })
    }
}

impl Iterator for Vms {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next().map(Ok)
    }
}

/// VMs that one tenant starts together.
struct Batch {
    number: u64,
    arrival: Micros,
    flavor: usize,
    remaining: u64,
    /// The quantile of the lifetime of all its VMs, if they leave together.
    shared_lifetime: Option<f64>,
}

/// The batches of a [`Generator`], in order of arrival.
struct Batches {
    clock: f64,
    made: u64,
    peak_rate: f64,
    arrivals: Stream,
    sizes: Stream,
    flavors: Stream,
    endings: Stream,
    size: Quantiles,
}

impl Batches {
    fn new(seed: u64, scale: f64) -> Self {
        Self {
            clock: 0.0,
            made: 0,
            peak_rate: scale * BATCHES_PER_HOUR / 3600.0 * (1.0 + WAVE),
            arrivals: stream(seed, "arrivals"),
            sizes: stream(seed, "batch sizes"),
            flavors: stream(seed, "flavors"),
            endings: stream(seed, "endings"),
            size: Quantiles::through(&BATCH_SIZE),
        }
    }

    fn next(&mut self) -> Batch {
        let number = self.made;
        self.made += 1;
        let (together, lifetime) = (unit(&mut self.endings), unit(&mut self.endings));
        Batch {
            number,
            arrival: whole_millis(self.arrival()),
            flavor: flavor(unit(&mut self.flavors)),
            remaining: self.size.at(unit(&mut self.sizes)) as u64,
            shared_lifetime: (together < LEAVE_TOGETHER).then_some(lifetime),
        }
    }

    /// A Poisson process at the peak rate, thinned to the wave.
    fn arrival(&mut self) -> f64 {
        loop {
            self.clock += exponential(&mut self.arrivals) / self.peak_rate;
            let rate = 1.0 + WAVE * libm::sin(TAU * self.clock / DAY);
            if unit(&mut self.arrivals) * (1.0 + WAVE) < rate {
                return self.clock;
            }
        }
    }
}

/// The flavor for a number in [0, 1).
fn flavor(draw: f64) -> usize {
    let mut ticket = (draw * 100_000.0) as u32;
    FLAVORS
        .iter()
        .position(|&(tickets, ..)| {
            let found = ticket < tickets;
            ticket = ticket.saturating_sub(tickets);
            found
        })
        .expect("the frequencies of the flavors sum to 100,000")
}

fn whole_millis(seconds: f64) -> Micros {
    Micros((seconds * 1000.0) as u64 * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_of_flavors_sum_to_a_hundred_thousand() {
        assert_eq!(FLAVORS.iter().map(|flavor| flavor.0).sum::<u32>(), 100_000);
        assert_eq!(flavor(0.0), 0);
        assert_eq!(flavor(0.544_885), 0);
        assert_eq!(flavor(0.544_895), 1);
        assert_eq!(flavor(1.0_f64.next_down()), FLAVORS.len() - 1);
    }

    #[test]
    fn a_stream_is_not_shifted_by_another() {
        // Five times the arrivals: other times, the same batches.
        let batches = |scale| {
            let mut batches = Batches::new(7, scale);
            std::iter::repeat_with(move || batches.next()).map(|b| (b.flavor, b.remaining)).take(1000)
        };
        assert!(batches(1.0).eq(batches(5.0)));
    }
}
