//! Claims and releases on the index, and whole placements.

#![allow(missing_docs, reason = "criterion's macros write public functions")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod common;

use berth_benches::bed::Bed;
use berth_benches::group::GroupClaim;
use berth_placement::ConsumerId;
use common::{criterion, on_every_bed, time, timed};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// The number of VMs in a group.
const GROUP: u32 = 16;

/// Claims capacity on one host: compare-and-swap on three classes.
fn claim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("claim");
    on_every_bed(|bed, name| {
        let row = bed.change();
        let allocations = bed.prepared.allocations(row);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    let consumer = bed.consumer();
                    let claimed = time(|| bed.fleet.index.claim(consumer, &allocations));
                    bed.fleet.index.release(consumer).expect("claimed just now");
                    claimed
                })
            });
        });
    });
}

/// Releases it.
fn release(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("release");
    on_every_bed(|bed, name| {
        let row = bed.change();
        let allocations = bed.prepared.allocations(row);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    let consumer = bed.consumer();
                    bed.fleet.index.claim(consumer, &allocations).expect("the capacity was free before");
                    time(|| bed.fleet.index.release(consumer))
                })
            });
        });
    });
}

/// Selects a host, claims and releases.
fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select, claim and release");
    on_every_bed(|bed, name| {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| bencher.iter(|| bed.change()));
    });
}

/// Places sixteen VMs of one request one after the other, and releases them.
fn group_of_claims(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group of 16 claims");
    on_every_bed(|bed, name| {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    let consumers: Vec<ConsumerId> = (0..GROUP).map(|_| bed.consumer()).collect();
                    let placed = time(|| {
                        for &consumer in &consumers {
                            bed.scheduler.place(consumer, &mut bed.prepared).expect("small VMs find hosts");
                        }
                    });
                    for consumer in consumers {
                        bed.fleet.index.release(consumer).expect("placed just now");
                    }
                    placed
                })
            });
        });
    });
}

/// Claims capacity for the instances of one server group, each on its own host, as one change.
fn group_claim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group claim");
    for hosts in [1_000, 100_000] {
        let bed = Bed::nova(hosts, 80);
        let index = &bed.fleet.index;
        for instances in [1, 4, 16, 64] {
            let made = GroupClaim::new(index, instances as u64, instances).expect("a group of its own");
            let claim = made.expect("a fleet that is not full has hosts with free capacity");
            let name = format!("{instances} members, {hosts} hosts");
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    timed(iterations, || {
                        let claimed = time(|| claim.claim(index));
                        claim.release(index);
                        claimed
                    })
                });
            });
        }
    }
}

criterion_group!(name = claims; config = criterion(); targets = claim, release, cycle, group_of_claims, group_claim);
criterion_main!(claims);
