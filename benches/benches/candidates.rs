//! Benchmarks of allocation candidates: whole queries.

#![allow(missing_docs, reason = "criterion's macros write public functions")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::time::Duration;

use berth_benches::candidates::{NamedQuery, flat, nested, wide};
use berth_benches::fleet::{FilledFleet, FilledFleetSpec};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn ask(criterion: &mut Criterion, fleet: &str, questions: Vec<NamedQuery>) {
    for question in questions {
        let mut group = criterion.benchmark_group(question.name);
        group.bench_function(BenchmarkId::from_parameter(fleet), |bencher| bencher.iter(|| question.ask()));
    }
}

fn candidates(criterion: &mut Criterion) {
    for size in [1_000, 10_000, 100_000] {
        let spec = FilledFleetSpec { hosts: size, fill: 80, seed: 1 };
        let fleet = FilledFleet::build(spec).expect("an index holds that many hosts");
        ask(criterion, &format!("{size} hosts"), flat(&fleet));
        let questions = nested(size).expect("an index holds that many providers");
        ask(criterion, &format!("{size} providers in trees"), questions);
    }
    ask(criterion, "one tree", wide().expect("an index holds one tree"));
}

fn short() -> Criterion {
    let times = Criterion::default().warm_up_time(Duration::from_millis(200));
    times.measurement_time(Duration::from_millis(500)).sample_size(20).configure_from_args()
}

criterion_group!(name = benches; config = short(); targets = candidates);
criterion_main!(benches);
