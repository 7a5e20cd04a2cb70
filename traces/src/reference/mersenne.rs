//! The parts of Python's `random.Random` that the workloads use.

use rand_mt::Mt;

/// MT19937 with the seeding and output of `random.Random(seed)`.
pub(super) struct Mersenne(Mt);

impl Mersenne {
    pub(super) fn new(seed: u64) -> Self {
        // The key is the seed in 32-bit words, lowest first, without leading zeros.
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        Self(if high == 0 { Mt::new_with_key([low]) } else { Mt::new_with_key([low, high]) })
    }

    /// A number in [0, 1): 53 bits from two draws.
    pub(super) fn unit(&mut self) -> f64 {
        let high = f64::from(self.0.next_u32() >> 5);
        let low = f64::from(self.0.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::Mersenne;

    #[test]
    fn draws_what_python_draws() {
        for (seed, draws) in [
            (0, [0.8444218515250481, 0.7579544029403025]),
            (1, [0.13436424411240122, 0.8474337369372327]),
            (4294967295, [0.6353574441341173, 0.20319993954407756]),
            (4294967296, [0.11299430095636409, 0.41782886486292836]),
            (18446744073709551615, [0.021825695401270107, 0.3380953268613758]),
        ] {
            let mut mersenne = Mersenne::new(seed);
            assert_eq!([mersenne.unit(), mersenne.unit()], draws, "seed {seed}");
        }
    }
}
