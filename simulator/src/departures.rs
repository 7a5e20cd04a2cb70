//! The queue of departing VMs, in order of (time, sequence): a radix heap.
//!
//! Time only moves forward, so a planned departure can wait in a bucket chosen by the highest bit
//! in which its time differs from that of the last departure. Only the lowest bucket is searched,
//! and distributed to the buckets below it. Every step reads and writes memory in order, while a
//! binary heap of a million VMs misses the cache at every level.

use berth_traces::Micros;

/// One bucket for each possible highest differing bit, and one for the current time.
const BUCKETS: usize = 65;

/// A planned departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Departure {
    /// The time.
    pub(crate) at: Micros,
    /// The VM's position in the trace.
    pub(crate) sequence: u64,
    /// The host it leaves.
    pub(crate) host: u32,
}

/// The queue of departures. VMs that leave together leave in order of arrival.
#[derive(Debug)]
pub(crate) struct Departures {
    /// The time of the last distributed bucket: no departure is planned before it.
    last: Micros,
    /// Bucket 0 holds the departures at `last`, in descending sequence.
    buckets: [Vec<Departure>; BUCKETS],
}

impl Default for Departures {
    fn default() -> Self {
        Self { last: Micros(0), buckets: [const { Vec::new() }; BUCKETS] }
    }
}

impl Departures {
    /// Plans a departure. It must not be before the departures taken so far.
    #[inline]
    pub(crate) fn plan(&mut self, departure: Departure) {
        debug_assert!(departure.at >= self.last, "time moves forward");
        let bucket = self.bucket_of(departure.at);
        self.buckets[bucket].push(departure);
        if bucket == 0 {
            self.order_present();
        }
    }

    /// The next departure no later than `now`.
    #[inline]
    pub(crate) fn next_until(&mut self, now: Micros) -> Option<Departure> {
        while self.buckets[0].is_empty() {
            let lowest = self.buckets.iter().position(|bucket| !bucket.is_empty())?;
            // Bucket `b` starts where bit `b - 1` of the last time becomes 1. When that is after
            // `now`, it need not be searched.
            let begins = (self.last.0 | 1 << (lowest - 1)) >> (lowest - 1) << (lowest - 1);
            if begins > now.0 {
                return None;
            }
            // Distributes the bucket even if none of it is due yet: nothing is planned before
            // `now`, so it is searched only once.
            let earliest = self.buckets[lowest].iter().map(|departure| departure.at).min()?;
            self.distribute(lowest, earliest.min(now));
        }
        if self.last <= now { self.buckets[0].pop() } else { None }
    }

    /// Advances the current time to `present` and distributes a bucket's departures to the buckets
    /// below it.
    fn distribute(&mut self, bucket: usize, present: Micros) {
        self.last = present;
        let mut departures = std::mem::take(&mut self.buckets[bucket]);
        for departure in departures.drain(..) {
            let lower = self.bucket_of(departure.at);
            self.buckets[lower].push(departure);
        }
        self.buckets[bucket] = departures; // keeps its allocation
        self.order_present();
    }

    fn bucket_of(&self, at: Micros) -> usize {
        (u64::BITS - (at.0 ^ self.last.0).leading_zeros()) as usize
    }

    fn order_present(&mut self) {
        if self.buckets[0].len() > 1 {
            self.buckets[0].sort_unstable_by_key(|departure| std::cmp::Reverse(departure.sequence));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compares with a binary heap under random plans and takes.
        #[test]
        fn leaves_like_a_binary_heap(steps in proptest::collection::vec((0..40_u64, 0..60_u64), 1..400)) {
            let (mut departures, mut model, mut now) = (Departures::default(), BinaryHeap::new(), 0);
            for (sequence, (passes, stays)) in (0..).zip(steps) {
                now += passes;
                loop {
                    let next = model.peek().map(|&Reverse(next): &Reverse<Departure>| next);
                    let expected = next.filter(|next| next.at <= Micros(now));
                    prop_assert_eq!(departures.next_until(Micros(now)), expected);
                    if expected.is_none() {
                        break;
                    }
                    model.pop();
                }
                let departure = Departure { at: Micros(now + stays), sequence, host: 0 };
                departures.plan(departure);
                model.push(Reverse(departure));
            }
        }
    }
}
