//! Compares the generator with the published statistics of the trace that it imitates.

use std::iter;

use berth_traces::{Extent, Generator, Micros, Vm};

use crate::{drain, vm};

const HOUR: u64 = 3_600 * Micros::PER_SECOND;

fn vms(generator: Generator) -> Vec<Vm> {
    drain(Ok(generator.trace())).0
}

/// Batches of hundreds share flavor and lifetime, so averages converge only over many VMs: eight
/// clouds of as many days as the trace has.
fn clouds() -> Vec<Vec<Vm>> {
    let window = Extent::Duration(Micros(137 * HOUR));
    (0..8).map(|seed| vms(Generator::azure_like(seed, window).scaled(4.0))).collect()
}

fn quantile(sorted: &[u64], share: f64) -> f64 {
    sorted[(sorted.len() as f64 * share) as usize] as f64
}

#[track_caller]
fn assert_near(what: &str, found: f64, published: f64, tolerance: f64) {
    let off = (found / published - 1.0).abs();
    assert!(off <= tolerance, "{what}: {found} is {off:.3} off the published {published}");
}

#[test]
fn statistics_are_those_published() {
    let clouds = clouds();
    let all = || clouds.iter().flatten();
    let count = all().count() as f64;

    let mut lifetimes: Vec<u64> = all().map(|vm| vm.departure.unwrap().0 - vm.arrival.0).collect();
    lifetimes.sort_unstable();
    for (share, seconds) in [(0.5, 25.0 * 60.0), (0.9, 10.5 * 3600.0), (0.99, 36.0 * 3600.0)] {
        let found = quantile(&lifetimes, share) / Micros::PER_SECOND as f64;
        assert_near(&format!("lifetime p{share}"), found, seconds, 0.08);
    }

    let vcpus: u64 = all().map(|vm| u64::from(vm.resources.vcpus)).sum();
    assert_near("vCPU", vcpus as f64 / count, 2.44, 0.03);
    let memory: u64 = all().map(|vm| u64::from(vm.resources.memory_mb)).sum();
    assert_near("GiB", memory as f64 / count / 1024.0, 5.8, 0.03);
    assert_near("arrivals an hour", count / (8.0 * 137.0 * 4.0), 3_006.0, 0.05);
    for (flavor, share) in [("1x1.75", 0.545), ("2x3.5", 0.202), ("4x7", 0.102), ("8x14", 0.097)] {
        let found = all().filter(|vm| vm.flavor == flavor).count() as f64 / count;
        assert_near(flavor, found, share, 0.06);
    }

    let mut batches: Vec<u64> = clouds
        .iter()
        .flat_map(|vms| vms.chunk_by(|a, b| a.batch == b.batch).map(|batch| batch.len() as u64))
        .collect();
    batches.sort_unstable();
    assert_near("VMs a batch", count / batches.len() as f64, 4.95, 0.03);
    assert_near("batch p50", quantile(&batches, 0.5), 1.0, 0.0);
    assert_near("batch p90", quantile(&batches, 0.9), 7.0, 0.0);
    assert_near("batch p99", quantile(&batches, 0.99), 62.0, 0.05);
    assert!(*batches.last().unwrap() <= 1_404);
}

#[test]
fn the_busiest_hour_is_about_twice_the_mean() {
    // Published: 5,968 VMs. One batch more or less moves it by hundreds, so the range is wide.
    for seed in 0..8 {
        let vms = vms(Generator::azure_like(seed, Extent::Duration(Micros(136 * HOUR))));
        let hours = vms.chunk_by(|a, b| a.arrival.0 / HOUR == b.arrival.0 / HOUR);
        let peak = hours.map(<[Vm]>::len).max().unwrap();
        assert!((4_800..=7_500).contains(&peak), "seed {seed}: {peak}");
    }
}

#[test]
fn a_seed_gives_the_same_vms_and_another_seed_others() {
    let cloud = |seed| Generator::azure_like(seed, Extent::Vms(1000));
    assert_eq!(vms(cloud(1)), vms(cloud(1)));
    assert_ne!(vms(cloud(1)), vms(cloud(2)));
    // A pinned VM: a change of stream or of arithmetic would change every published result.
    let last = vms(cloud(1)).pop().unwrap();
    let span = (1_106_977_000, Some(25_805_895_000));
    assert_eq!(last, vm("999", span, (1, 1792, 32), "1x1.75", Some(196)));
}

#[test]
fn vms_are_well_formed() {
    let vms = vms(Generator::azure_like(3, Extent::Vms(50_000)));
    assert_eq!(vms.len(), 50_000);
    for (vm, id) in iter::zip(&vms, 0..) {
        assert_eq!(vm.id, id.to_string());
        assert!(vm.departure.unwrap() > vm.arrival);
        assert_eq!(vm.resources.disk_gb, 16 + 16 * vm.resources.vcpus);
    }
    assert!(vms.is_sorted_by_key(|vm| (vm.arrival, vm.batch)));
    for batch in vms.chunk_by(|a, b| a.batch == b.batch) {
        assert!(batch.iter().all(|vm| vm.arrival == batch[0].arrival && vm.flavor == batch[0].flavor));
    }
}

#[test]
fn a_longer_run_begins_like_a_shorter_one() {
    let [short, long] = [100, 1000].map(|count| vms(Generator::azure_like(9, Extent::Vms(count))));
    assert_eq!(short, long[..100]);
    assert!(vms(Generator::azure_like(9, Extent::Vms(0))).is_empty());
}
