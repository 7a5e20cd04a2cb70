//! How many questions Keystone is asked at a time.
//!
//! A slow answer does not say whether Keystone has too much to do, or is far away: a second
//! question at the same time distinguishes the two. So the number of questions grows while others
//! wait and answers take about as long as the fastest ones, and shrinks when they take twice as
//! long, because then as many questions wait at Keystone as it works on. This is how TCP Vegas
//! finds the window of a connection (Brakmo, O'Malley and Peterson, 1994).

use std::time::Duration;

/// The bounds of the number of questions.
const LEAST: usize = 16;
const MOST: usize = 128;

/// An answer is slow if it takes more than so many times as long as the fastest ones.
const SLOW: u32 = 2;

/// After so many answers, the number of questions and the time of the fastest ones are found again:
/// Keystone may have become slower.
const FOUND_FOR: u32 = 1_000;

/// The number of questions at a time.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: usize,
    /// The time of the fastest answers.
    fastest: Duration,
    /// The number of answers since these were found.
    answers: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { at_once: LEAST, fastest: Duration::MAX, answers: 0 }
    }
}

impl Pace {
    pub(super) const fn at_once(&self) -> usize {
        self.at_once
    }

    /// The number of questions about tokens from one address: others have a quarter.
    pub(super) const fn of_one(&self) -> usize {
        self.at_once - self.at_once / 4
    }

    /// Notes how long an answer took, and whether more questions wait.
    pub(super) fn note(&mut self, took: Duration, has_waiting: bool) {
        if self.answers == FOUND_FOR {
            *self = Self::default();
        }
        self.answers += 1;
        self.fastest = self.fastest.min(took);
        if took > self.fastest.saturating_mul(SLOW) {
            self.at_once = (self.at_once - 1).max(LEAST);
        } else if has_waiting {
            self.at_once = (self.at_once + 1).min(MOST);
        }
    }

    /// Notes that Keystone has not answered.
    pub(super) fn note_failure(&mut self) {
        self.at_once = LEAST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Keystone with so many workers, each of which takes a second for an answer.
    fn answers(pace: &mut Pace, workers: usize, count: usize) {
        for _ in 0..count {
            let rounds = pace.at_once().div_ceil(workers).max(1);
            pace.note(Duration::from_secs(rounds as u64), true);
        }
    }

    #[test]
    fn one_that_is_far_away_is_asked_more_at_a_time() {
        let mut pace = Pace::default();
        assert_eq!((pace.at_once(), pace.of_one()), (16, 12));
        answers(&mut pace, 1_000, 300);
        assert_eq!((pace.at_once(), pace.of_one()), (128, 96));
        pace.note_failure();
        assert_eq!(pace.at_once(), 16);
        pace.note(Duration::from_secs(1), false);
        assert_eq!(pace.at_once(), 16, "nothing waits");
    }

    #[test]
    fn one_that_has_too_much_to_do_is_asked_less() {
        let mut pace = Pace::default();
        answers(&mut pace, 24, 900);
        assert!((24..=2 * 24 + 1).contains(&pace.at_once()), "{}", pace.at_once());
        for _ in 0..5_000 {
            answers(&mut pace, 24, 1);
            assert!(pace.at_once() <= 2 * 24 + 1, "{}", pace.at_once());
        }
        // It has become faster, or slower.
        answers(&mut pace, 1_000, 1_900);
        assert_eq!(pace.at_once(), 128);
        answers(&mut pace, 2, 1_900);
        assert!(pace.at_once() <= 2 * 18 + 1, "{}: 16 are always asked", pace.at_once());
    }
}
