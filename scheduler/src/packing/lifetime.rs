//! The distribution of one instance's end.

/// The standard normal distribution's upper tail, by table: an outlook asks for millions of values.
#[derive(Debug, Clone)]
pub(crate) struct NormalTail {
    values: Vec<f64>,
}

/// The table reaches from -REACH to REACH standard deviations ...
const REACH: f64 = 8.0;
/// ... in steps of which one deviation has so many.
const STEPS: f64 = 64.0;

impl NormalTail {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small positive number
    pub(crate) fn new() -> Self {
        let count = (2.0 * REACH * STEPS) as u32 + 1;
        let tail = |step: u32| 0.5 * libm::erfc((f64::from(step) / STEPS - REACH) / std::f64::consts::SQRT_2);
        Self { values: (0..=count).map(tail).collect() }
    }

    /// The probability of a value above `deviations`, by linear interpolation.
    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the table
    fn above(&self, deviations: f64) -> f64 {
        let position = (deviations.clamp(-REACH, REACH) + REACH) * STEPS;
        let step = position as usize;
        let share = position - step as f64;
        self.values[step] + share * (self.values[step + 1] - self.values[step])
    }
}

/// How long an instance lives, from its start: a log-normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lifetime {
    /// The mean of the logarithm of its seconds.
    pub(crate) log_mean: f64,
    /// The standard deviation of that.
    pub(crate) log_deviation: f64,
}

/// From so many deviations on, the tail is too small for the table.
const FAR: f64 = 6.0;

impl Lifetime {
    /// The probability that an instance which has run for `age` seconds is still running after
    /// `ahead` more.
    #[inline]
    pub(crate) fn survival(&self, tail: &NormalTail, age: f64, ahead: f64) -> f64 {
        let deviations = |seconds: f64| (libm::log(seconds) - self.log_mean) / self.log_deviation;
        let then = deviations(age + ahead);
        if age < 1.0 {
            return tail.above(then);
        }
        let now = deviations(age);
        if now > FAR {
            // Mills' ratio: the tail at x is close to the density at x, divided by x.
            return libm::exp((now * now - then * then) / 2.0) * now / then;
        }
        (tail.above(then) / tail.above(now)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survival_is_that_of_a_log_normal_distribution() {
        let tail = NormalTail::new();
        let hour = Lifetime { log_mean: libm::log(3600.0), log_deviation: 0.5 };
        assert!((hour.survival(&tail, 0.0, 3600.0) - 0.5).abs() < 1e-6, "the median");
        let at = 3600.0 * libm::exp(0.5);
        assert!((hour.survival(&tail, 0.0, at) - 0.158_655).abs() < 1e-5, "one deviation above");
        // P(T > 2 h | T > 1 h) = P(T > 2 h) / 0.5.
        let both = hour.survival(&tail, 3600.0, 3600.0);
        assert!((both - 2.0 * hour.survival(&tail, 0.0, 7200.0)).abs() < 1e-6);
    }

    /// An instance that outlives its estimate by far is expected to go on, for longer the longer it
    /// has run.
    #[test]
    fn an_estimate_that_was_outlived_is_corrected() {
        let tail = NormalTail::new();
        let minute = Lifetime { log_mean: libm::log(60.0), log_deviation: 0.5 };
        let after = |age: f64| minute.survival(&tail, age, 600.0);
        let chances = [600.0, 6_000.0, 60_000.0, 600_000.0].map(after);
        assert!(chances.is_sorted() && chances[0] < 0.05 && chances[3] > 0.9, "{chances:?}");
        // Where the table ends, both ways of computing the tail agree.
        let near = 60.0 * libm::exp(0.5 * FAR);
        let [below, above] = [near * 0.999, near * 1.001].map(|age| minute.survival(&tail, age, near / 8.0));
        assert!((below - above).abs() < 0.02, "{below} {above}");
    }
}
