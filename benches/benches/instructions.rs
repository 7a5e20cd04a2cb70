//! Instruction counts under callgrind: equal on every run, so CI can compare them. See README.md.

#![allow(missing_docs, reason = "gungraun's macros write public items")]
#![allow(unused_qualifications, reason = "gungraun writes qualified names")]

use std::hint::black_box;

use berth_benches::bed::Bed;
use berth_placement::{ConsumerId, Row, View};
use gungraun::prelude::*;

/// A bed with changes that the decider has not applied yet: one VM arrived, one left.
fn changed(hosts: u32) -> Bed {
    let mut bed = Bed::nova(hosts, 80);
    (0..10).for_each(|_| {
        bed.change();
    });
    bed
}

/// A bed, a host with free capacity, and a consumer.
fn with_host(hosts: u32) -> (Bed, Row, ConsumerId) {
    let mut bed = changed(hosts);
    let (row, consumer) = (bed.change(), bed.consumer());
    (bed, row, consumer)
}

#[library_benchmark]
#[bench::hosts_10k(args = (10_000), setup = changed)]
#[bench::hosts_100k(args = (100_000), setup = changed)]
fn ranked_decide(mut bed: Bed) -> Bed {
    let _ = black_box(bed.scheduler.decide(&mut bed.prepared));
    bed // dropped outside the count
}

#[library_benchmark]
#[bench::hosts_10k(args = (10_000), setup = with_host)]
#[bench::hosts_100k(args = (100_000), setup = with_host)]
fn claim_and_release((bed, row, consumer): (Bed, Row, ConsumerId)) -> Bed {
    let allocations = bed.prepared.allocations(row);
    let _ = black_box(bed.fleet.index.claim(consumer, &allocations));
    let _ = black_box(bed.fleet.index.release(consumer));
    bed
}

/// A view that is one claim behind.
fn one_behind(hosts: u32) -> (Bed, View) {
    let mut bed = Bed::nova(hosts, 80);
    let view = View::new(&bed.fleet.index);
    bed.change();
    (bed, view)
}

#[library_benchmark]
#[bench::hosts_10k(args = (10_000), setup = one_behind)]
#[bench::hosts_100k(args = (100_000), setup = one_behind)]
fn refresh_after_one_claim((bed, mut view): (Bed, View)) -> (Bed, View) {
    black_box(&mut view).refresh(&bed.fleet.index, |_, change| {
        black_box(change);
    });
    (bed, view)
}

library_benchmark_group!(
    name = core,
    benchmarks = [ranked_decide, claim_and_release, refresh_after_one_claim]
);
main!(library_benchmark_groups = core);
