//! Chance, all of it drawn from the seed.

use std::sync::{Mutex, PoisonError};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One stream of draws.
#[derive(Debug)]
pub(crate) struct SeededRng(Mutex<ChaCha8Rng>);

impl SeededRng {
    /// The stream of this number among those of a seed: what one draws does not shift what another
    /// does.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(Mutex::new(rng))
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u32) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..end)
    }

    /// A place in a list of this length, which is not empty.
    pub(crate) fn place(&self, length: usize) -> usize {
        self.below(u32::try_from(length).expect("lists are short")) as usize
    }

    /// True once in so many times.
    pub(crate) fn one_in(&self, times: u32) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&self, list: &'a [T]) -> &'a T {
        &list[self.place(list.len())]
    }
}
