//! Pseudo-random orders determined by a seed, computed without a list of the ordered items.

/// A permutation of the numbers below `len`: a Feistel network over the next power of four, with
/// cycle walking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permutation {
    seed: u64,
    len: usize,
    half_bits: u32,
}

impl Permutation {
    pub(super) fn new(seed: u64, len: usize) -> Self {
        let bits = usize::BITS - len.saturating_sub(1).leading_zeros();
        Self { seed, len, half_bits: bits.div_ceil(2).max(1) }
    }

    /// The number at this position; `None` beyond the end.
    pub(super) fn at(&self, place: usize) -> Option<usize> {
        if place >= self.len {
            return None;
        }
        // The network permutes a superset at most four times as large, so the walk returns to the
        // range.
        let mut number = place;
        loop {
            number = self.network(number);
            if number < self.len {
                return Some(number);
            }
        }
    }

    fn network(&self, number: usize) -> usize {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits & mask, number & mask);
        for round in 0..4 {
            #[expect(clippy::cast_possible_truncation, reason = "only the low bits are needed")]
            let noise = mix(self.seed ^ round << 56, right as u64) as usize & mask;
            (left, right) = (right, left ^ noise);
        }
        left << self.half_bits | right
    }
}

/// A pseudo-random number determined by both arguments (the finaliser of SplitMix64).
pub(super) const fn mix(seed: u64, number: u64) -> u64 {
    let mut z = (seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_place() {
        for len in [0, 1, 2, 3, 64, 65, 1_000] {
            let order = Permutation::new(7, len);
            let mut numbers: Vec<usize> = (0..).map_while(|place| order.at(place)).collect();
            let shuffled = !numbers.is_sorted();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..len).collect::<Vec<_>>());
            assert!(shuffled || len < 64, "{len} numbers in their own order");
        }
        let first = |seed| Permutation::new(seed, 1_000).at(0);
        assert!((0..20).any(|seed| first(seed) != first(0)), "the seed does not matter");
    }
}
