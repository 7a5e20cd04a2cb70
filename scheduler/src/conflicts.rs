//! How often claims are lost to other deciders, and what to do about it.
//!
//! Deciders that look at the same fleet choose the same best host, and all but one lose it. When that happens often, each
//! takes one of the best few instead, chosen by the consumer's own number: the same request still gets the same host.

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

    /// Among how many of the best hosts to choose now: doubles from 1 with every doubling of the rate above 3 %.
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
