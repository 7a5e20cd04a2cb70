//! Pauses between attempts to reach the service.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(15);

/// Exponential backoff with jitter, so agents that lost the service at the same moment do not
/// reconnect at the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    random: ChaCha8Rng,
    pause: Duration,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), pause: FIRST }
    }

    /// The next pause, between 50% and 100% of the current interval.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.pause;
        self.pause = (whole * 2).min(LONGEST);
        whole.mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// Starts over after a successful connection.
    pub(super) fn reset(&mut self) {
        self.pause = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ_between_agents() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..12).map(|_| backoff.pause()).collect::<Vec<_>>()
        };
        let (one, other) = (pauses(1), pauses(2));
        assert_ne!(one, other);
        assert!(one[0] >= FIRST / 2 && one[0] <= FIRST);
        assert!(one[11] >= LONGEST / 2 && one[11] <= LONGEST);
    }
}
