//! Sizes, fills and times that the criterion benches share.

use std::time::{Duration, Instant};

use berth_benches::bed::Bed;
use criterion::Criterion;

/// Fills in percent.
const FILLS: [u32; 3] = [30, 80, 98];

/// Short times: the whole set has to stay below ten minutes.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args()
}

/// A million hosts only when `BERTH_BENCH_MILLION` is set.
fn sizes() -> Vec<u32> {
    let mut sizes = vec![1_000, 10_000, 100_000];
    if std::env::var_os("BERTH_BENCH_MILLION").is_some() {
        sizes.push(1_000_000);
    }
    sizes
}

/// Calls `bench` with a bed of every size and fill, and its name.
pub(crate) fn on_every_bed(mut bench: impl FnMut(&mut Bed, &str)) {
    for hosts in sizes() {
        for fill in FILLS {
            bench(&mut Bed::nova(hosts, fill), &format!("{hosts} hosts, {fill}% full"));
        }
    }
}

/// The time of `work` alone, so many times, with something done before each.
pub(crate) fn timed<T>(iterations: u64, mut work: impl FnMut() -> (Duration, T)) -> Duration {
    (0..iterations).map(|_| work().0).sum()
}

/// How long `work` takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = std::hint::black_box(work());
    (started.elapsed(), result)
}
