//! Random number streams by label: drawing more numbers from one never shifts another.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of random numbers, the same on every machine.
pub type Stream = ChaCha8Rng;

/// The stream with this `seed` and `label`. Other labels and other seeds give unrelated streams.
///
/// # Panics
/// The label is longer than 24 bytes: it fills the part of the cipher's key beside the seed.
#[must_use]
pub fn stream(seed: u64, label: &str) -> Stream {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..8 + label.len()].copy_from_slice(label.as_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A number in [0, 1).
pub(crate) fn unit(stream: &mut Stream) -> f64 {
    stream.random()
}

/// A number from the exponential distribution of mean 1.
pub(crate) fn exponential(stream: &mut Stream) -> f64 {
    -libm::log(1.0 - unit(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_seed_and_label_gives_its_own_stream() {
        let first = |seed, label| stream(seed, label).random::<u64>();
        assert_eq!(first(1, "lifetimes"), first(1, "lifetimes"));
        assert_ne!(first(1, "lifetimes"), first(2, "lifetimes"));
        assert_ne!(first(1, "lifetimes"), first(1, "arrivals"));
    }
}
