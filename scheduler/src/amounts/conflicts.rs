//! How often claims are lost to other deciders, and what to do about it.
//!
//! Deciders that look at the same fleet choose the same best host, and all but one lose it. When
//! that happens often, each takes one of the best few instead, chosen by the consumer's own number:
//! the same request still gets the same host.

use berth_placement::ConsumerId;

/// One whole, in the fixed-point numbers of a rate.
const ONE: u32 = 1 << 16;
/// A rate follows its last 32 events or so.
const MEMORY: u32 = 32;

/// The recent rate of lost claims, and how many of the best hosts to choose among.
#[derive(Debug, Clone)]
pub(crate) struct Conflicts {
    rate: u32,
    widest: usize,
}

impl Conflicts {
    /// Chooses among at most `widest` hosts; 1 always takes the best.
    pub(crate) const fn new(widest: usize) -> Self {
        Self { rate: 0, widest }
    }

    /// Counts a claim that was granted or lost.
    #[inline]
    pub(crate) const fn count(&mut self, lost: bool) {
        self.rate = self.rate - self.rate / MEMORY + if lost { ONE / MEMORY } else { 0 };
    }

    /// Among how many of the best hosts to choose now: doubles from 1 with every doubling of the
    /// rate above 3 %.
    #[inline]
    pub(crate) fn width(&self) -> usize {
        let doublings = (self.rate / (ONE / 32)).checked_ilog2().map_or(0, |log| log + 1);
        (1 << doublings).min(self.widest)
    }

    /// Which of `hosts` the consumer takes.
    #[allow(clippy::cast_possible_truncation)] // the remainder is below `hosts`
    pub(crate) fn choose(consumer: ConsumerId, hosts: usize) -> usize {
        let mixed = (consumer.0 ^ consumer.0 >> 64) as u64;
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed >> 32) % hosts as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(conflicts: &mut Conflicts, claims: impl IntoIterator<Item = bool>) -> usize {
        claims.into_iter().for_each(|lost| conflicts.count(lost));
        conflicts.width()
    }

    #[test]
    fn without_lost_claims_only_the_best_host_is_taken() {
        assert_eq!(after(&mut Conflicts::new(64), [false; 1000]), 1);
    }

    #[test]
    fn the_width_grows_with_the_rate_up_to_the_limit_and_shrinks_again() {
        let mut conflicts = Conflicts::new(64);
        assert_eq!(after(&mut conflicts, [true]), 2);
        assert_eq!(after(&mut conflicts, [false]), 1);
        let widths: Vec<usize> = (0..400).map(|_| after(&mut conflicts, [true])).collect();
        assert!(widths.is_sorted());
        assert_eq!(widths.last(), Some(&64));
        let widths: Vec<usize> = (0..400).map(|_| after(&mut conflicts, [false])).collect();
        assert!(widths.iter().rev().is_sorted());
        assert_eq!(widths.last(), Some(&1));
        for widest in [1, 3, 5] {
            assert_eq!(after(&mut Conflicts::new(widest), [true; 500]), widest);
        }
    }

    #[test]
    fn a_consumer_always_takes_the_same_host_and_consumers_spread_evenly() {
        for hosts in [1, 2, 3, 7, 64] {
            let mut taken = vec![0_u32; hosts];
            for consumer in (0..64_000).map(ConsumerId) {
                let chosen = Conflicts::choose(consumer, hosts);
                assert_eq!(chosen, Conflicts::choose(consumer, hosts));
                taken[chosen] += 1;
            }
            let fair = 64_000.0 / hosts as f64;
            assert!(taken.iter().all(|&n| (f64::from(n) / fair - 1.0).abs() < 0.1), "{hosts}: {taken:?}");
        }
        assert_ne!(
            (1..9).map(|n| Conflicts::choose(ConsumerId(n << 64), 64)).collect::<Vec<_>>(),
            vec![Conflicts::choose(ConsumerId(0), 64); 8]
        );
    }
}
