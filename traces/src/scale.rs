//! Other traces from one: fewer or more VMs, other days, growth. Seeded: the same seed gives the
//! same trace.

use compact_str::format_compact;
use rand::Rng;

use crate::rng::{Stream, stream, unit};
use crate::{BatchNumber, Micros, Vm};

/// A day, which a block of a resampled trace lasts.
pub const DAY: u64 = 86_400 * Micros::PER_SECOND;
/// A month of growth: a twelfth of 365 days.
const MONTH: f64 = 365.0 / 12.0 * 86_400e6;
/// How far a copy of a VM may arrive from the VM: half an hour to either side keeps the hour of the
/// day.
const JITTER: u64 = 1800 * Micros::PER_SECOND;

/// A VM of a trace that is made from another: its position there, and its arrival here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// The position in the trace.
    pub vm: u32,
    /// The arrival.
    pub arrival: Micros,
}

impl Drawn {
    /// The departure, after the lifetime that the VM has in its trace.
    #[must_use]
    pub fn departure(&self, vms: &[Vm]) -> Option<Micros> {
        let vm = &vms[self.vm as usize];
        vm.departure.map(|departure| Micros(self.arrival.0.saturating_add(departure.0 - vm.arrival.0)))
    }
}

/// The VMs as they are.
#[must_use]
pub fn unchanged(vms: &[Vm]) -> Vec<Drawn> {
    (0..).zip(vms).map(|(vm, of)| Drawn { vm, arrival: of.arrival }).collect()
}

/// A trace of the same length from days of this one: every day is drawn from all whole days, with
/// replacement, and keeps its hours. VMs keep their lifetimes, so those of one day run on into the
/// next. A trace of less than two days is drawn from fifths of it.
///
/// This is the block bootstrap: two draws differ as two weeks of the same cloud do.
#[must_use]
pub fn resample(vms: &[Vm], seed: u64) -> Vec<Drawn> {
    let (Some(first), Some(last)) = (vms.first(), vms.last()) else { return Vec::new() };
    let span = last.arrival.0 - first.arrival.0;
    let block = if span >= 2 * DAY { DAY } else { (span / 5).max(1) };
    let mut random = stream(seed, "resample");
    let whole = (span / block).max(1);
    let mut drawn = Vec::with_capacity(vms.len());
    for number in 0..=span / block {
        let from = first.arrival.0 + random.random_range(0..whole) * block;
        let to = first.arrival.0 + number * block;
        let begin = vms.partition_point(|vm| vm.arrival.0 < from);
        let end = vms.partition_point(|vm| vm.arrival.0 < from + block);
        let shifted = (begin..end).map(|vm| Drawn {
            vm: u32::try_from(vm).expect("traces have fewer VMs than that"),
            arrival: Micros(vms[vm].arrival.0 - from + to),
        });
        drawn.extend(shifted.take_while(|vm| vm.arrival <= last.arrival));
    }
    drawn
}

/// Thins (a factor below 1) or densifies (above 1): batches are kept or dropped, and copied, as
/// wholes. A copy arrives within half an hour of its original.
#[must_use]
pub fn by_factor(vms: &[Vm], factor: f64, seed: u64) -> Vec<Drawn> {
    by_rate(vms, |_| factor, seed)
}

/// Lets the arrivals grow by a rate per month, compounded from the first arrival on.
#[must_use]
pub fn growing(vms: &[Vm], monthly: f64, seed: u64) -> Vec<Drawn> {
    let start = vms.first().map_or(0, |vm| vm.arrival.0);
    #[allow(clippy::cast_precision_loss)] // a microsecond does not matter
    by_rate(vms, |at| libm::pow(1.0 + monthly, (at.0 - start) as f64 / MONTH), seed)
}

/// The trace again and again until it lasts for `length`, a whole number of days apart, so that the
/// hours of the day stay.
#[must_use]
pub fn repeated(drawn: &[Drawn], length: Micros) -> Vec<Drawn> {
    let (Some(first), Some(last)) = (drawn.first(), drawn.last()) else { return Vec::new() };
    let period = (last.arrival.0 - first.arrival.0).div_ceil(DAY).max(1) * DAY;
    let end = first.arrival.0.saturating_add(length.0);
    let mut repeated: Vec<Drawn> = Vec::new();
    let mut shift = 0;
    while first.arrival.0 + shift <= end {
        let shifted = drawn.iter().map(|vm| Drawn { arrival: Micros(vm.arrival.0 + shift), ..*vm });
        repeated.extend(shifted.take_while(|vm| vm.arrival.0 <= end));
        shift += period;
    }
    repeated
}

/// Keeps each batch as often as `factor` at its time says: its whole part, and once more with the
/// probability of the rest.
fn by_rate(vms: &[Vm], factor: impl Fn(Micros) -> f64, seed: u64) -> Vec<Drawn> {
    let mut random = stream(seed, "scale");
    let mut drawn = Vec::new();
    let mut current: Option<(u64, Vec<i64>)> = None;
    let (start, end) = (vms.first().map_or(0, |vm| vm.arrival.0), vms.last().map_or(0, |vm| vm.arrival.0));
    for (number, vm) in (0_u32..).zip(vms) {
        let batch = vm.batch.map_or(u64::MAX - u64::from(number), BatchNumber::number);
        if current.as_ref().is_none_or(|(of, ..)| *of != batch) {
            current = Some((batch, copies(factor(vm.arrival), &mut random)));
        }
        let Some((_, shifts)) = &current else { continue };
        for &shift in shifts {
            let arrival = vm.arrival.0.saturating_add_signed(shift).clamp(start, end);
            drawn.push(Drawn { vm: number, arrival: Micros(arrival) });
        }
    }
    drawn.sort_by_key(|vm| vm.arrival);
    drawn
}

/// How far from the original each copy arrives; the first is the original itself.
fn copies(factor: f64, random: &mut Stream) -> Vec<i64> {
    let factor = factor.clamp(0.0, 10_000.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped above
    let whole = factor.floor() as u64;
    let count = whole + u64::from(unit(random) < factor.fract());
    let mut shift = |copy: u64| {
        if copy == 0 { 0 } else { random.random_range(0..=2 * JITTER).cast_signed() - JITTER.cast_signed() }
    };
    (0..count).map(&mut shift).collect()
}

/// The drawn VMs as a trace of its own, with identifiers that say which VM each is a copy of.
#[must_use]
pub fn as_vms(vms: &[Vm], drawn: &[Drawn]) -> Vec<Vm> {
    let mut times = vec![0_u32; vms.len()];
    let made = drawn.iter().map(|of| {
        let mut vm = vms[of.vm as usize].clone();
        let copy = &mut times[of.vm as usize];
        if *copy > 0 {
            vm.id = format_compact!("{}+{copy}", vm.id);
            // The copies of a batch are a batch of their own.
            vm.batch = vm
                .batch
                .and_then(|batch| BatchNumber::new(batch.number().wrapping_add(u64::from(*copy) << 40)));
        }
        *copy += 1;
        (vm.arrival, vm.departure) = (of.arrival, of.departure(vms));
        vm
    });
    made.collect()
}
