//! Sizes, fills and times shared by the criterion benches.

use std::time::{Duration, Instant};

use berth_benches::bed::Bed;
use criterion::Criterion;

/// Short measurement times: the whole set has to stay below ten minutes.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args()
}

/// Sizes of the fleets; `BERTH_BENCH_HOSTS=1000,1000000` selects others.
fn sizes() -> Vec<u32> {
    numbers("BERTH_BENCH_HOSTS").unwrap_or_else(|| vec![1_000, 10_000, 100_000])
}

/// Fills in percent; `BERTH_BENCH_FILL=80` selects others.
fn fills() -> Vec<u32> {
    numbers("BERTH_BENCH_FILL").unwrap_or_else(|| vec![30, 80, 98])
}

fn numbers(variable: &str) -> Option<Vec<u32>> {
    let list = std::env::var(variable).ok()?;
    let number =
        |word: &str| word.trim().parse().unwrap_or_else(|_| panic!("{variable}: {word} is no number"));
    Some(list.split(',').map(number).collect())
}

/// Calls `bench` with a bed of every size and fill, and its name.
pub(crate) fn on_every_bed(mut bench: impl FnMut(&mut Bed, &str)) {
    for hosts in sizes() {
        for fill in fills() {
            bench(&mut Bed::nova(hosts, fill), &format!("{hosts} hosts, {fill}% full"));
        }
    }
}

/// Measures `work` alone, `iterations` times; the preparation before each is not measured.
pub(crate) fn timed<T>(iterations: u64, mut work: impl FnMut() -> (Duration, T)) -> Duration {
    (0..iterations).map(|_| work().0).sum()
}

/// How long `work` takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = std::hint::black_box(work());
    (started.elapsed(), result)
}
