//! The stages of a decision: mask build, capacity pass, weigh and select, and the whole decision.

#![allow(missing_docs, reason = "criterion's macros write public functions")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod common;

use std::hint::black_box;
use std::sync::Arc;

use berth_benches::bed::{Bed, request};
use berth_placement::kernel::{Term, range, reach, scores};
use berth_scheduler::{
    AmountEngine, Capacity, Eligible, HostMask, MaskFilter, Policy, Prepared, Search, Weights,
};
use common::{criterion, on_every_bed, time, timed};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Builds a mask of hosts from traits, zone, status and unit rules: the cost of the first decision
/// for a request.
fn mask_build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask build");
    on_every_bed(|bed, name| {
        let view = bed.scheduler.view();
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| Prepared::new(request(), view));
        });
    });
}

/// Narrows the mask by the columns of free amounts.
fn capacity_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("capacity pass");
    on_every_bed(|bed, name| {
        let (prepared, view) = (&bed.prepared, bed.scheduler.view());
        let all = HostMask::from_words(view.hosts().to_vec());
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_batched_ref(
                || all.clone(),
                |mask| Capacity { prepared, view }.narrow(mask),
                criterion::BatchSize::LargeInput,
            );
        });
    });
}

/// Computes the ranges of the free amounts, the first of the two passes of weighing.
fn extremes_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("extremes pass");
    on_every_bed(|bed, name| {
        let view = bed.scheduler.view();
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                view.blocks().iter().zip(view.hosts()).fold([i32::MIN; 3], |high, (block, &mask)| {
                    [0, 1, 2].map(|column| high[column].max(range(black_box(&block[column]), mask).1))
                })
            });
        });
    });
}

/// Scores every host and collects the hosts with the highest score, the second pass.
fn weigh_and_select(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("weigh and select");
    on_every_bed(|bed, name| {
        let view = bed.scheduler.view();
        let term = Term { multiplier: 1.0, low: 0.0, range: 1_000_000.0 };
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut column = [0.0; 64];
                view.blocks().iter().zip(view.hosts()).fold(f64::MIN, |best, (block, &mask)| {
                    scores(black_box(block), &[term; 3], &mut column);
                    match mask & reach(&column, best) {
                        0 => best,
                        _ => column.iter().copied().fold(best, f64::max),
                    }
                })
            });
        });
    });
}

/// Runs every filter and weigher over every host, and selects the best one.
fn exhaustive_decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exhaustive decide");
    on_every_bed(|bed, name| {
        let index = Arc::clone(&bed.fleet.index);
        let mut scheduler = AmountEngine::new(index, Weights::default(), Search::Exhaustive);
        let mut prepared = scheduler.prepare(request());
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    bed.change();
                    time(|| scheduler.decide(&mut prepared))
                })
            });
        });
    });
}

/// Finds the best host by branch and bound, after a change of one host.
fn ranked_decide(criterion: &mut Criterion) {
    for (name, objective) in [("nova", None), ("bestfit", Some(Policy::BestFit))] {
        let mut group = criterion.benchmark_group(format!("ranked decide, {name}"));
        on_every_bed(|bed, name| {
            let index = Arc::clone(&bed.fleet.index);
            let mut scheduler = match objective {
                None => AmountEngine::new(index, Weights::default(), Search::Ranked),
                Some(policy) => AmountEngine::new(index, policy, Search::Ranked),
            };
            let mut prepared = scheduler.prepare(request());
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    timed(iterations, || {
                        bed.change();
                        time(|| scheduler.decide(&mut prepared))
                    })
                });
            });
        });
    }
}

/// Finds the eight best hosts, as for alternates.
fn eight_best(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("eight best hosts");
    on_every_bed(|bed, name| {
        let Bed { scheduler, prepared, .. } = bed;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| scheduler.best(prepared, 8));
        });
    });
}

/// Runs only the filters that read the mask of the request.
fn eligible_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("eligible pass");
    on_every_bed(|bed, name| {
        let all = HostMask::from_words(bed.scheduler.view().hosts().to_vec());
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_batched_ref(
                || all.clone(),
                |mask| Eligible(&bed.prepared).narrow(mask),
                criterion::BatchSize::LargeInput,
            );
        });
    });
}

criterion_group!(
    name = passes;
    config = criterion();
    targets = mask_build, eligible_pass, capacity_pass, extremes_pass, weigh_and_select, exhaustive_decide, ranked_decide, eight_best
);
criterion_main!(passes);
