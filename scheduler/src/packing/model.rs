//! How long instances live, and how far predictions are off, as observed.

use rustc_hash::FxHashMap;

use crate::packing::lifetime::Lifetime;

/// Errors count as so large (in deviations of the logarithm) until enough have been observed ...
const UNKNOWN_ERROR: f64 = 2.0;
/// ... for which so many observations count.
const CAUTION: f64 = 500.0;
/// The lifetime of an instance before any was observed: an hour, within a factor of e² either way.
const UNKNOWN_LIFETIME: (f64, f64) = (8.19, 2.0);
/// The observations for which that counts.
const PRIOR: f64 = 1_000.0;
/// After so many observations, older ones count half.
const MEMORY: f64 = 20_000.0;
/// The lifetime of a kind of instances is learned from so many of them.
const LEARNED_FROM: f64 = 30.0;
/// The smallest error that is assumed: no prediction is exact.
const LEAST_ERROR: f64 = 0.2;
/// The smallest spread of lifetimes that is assumed.
const LEAST_SPREAD: f64 = 0.5;
/// The share of the spread that predictions have to explain before they count ...
const USELESS: f64 = 0.65;
/// ... and from which they count in full.
const GOOD: f64 = 0.85;

/// Sums of recent observations.
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn of(count: f64, mean: f64, deviation: f64) -> Self {
        Self { count, sum: count * mean, squares: count * (mean * mean + deviation * deviation) }
    }

    fn add(&mut self, value: f64) {
        if self.count > MEMORY {
            *self = Self { count: self.count / 2.0, sum: self.sum / 2.0, squares: self.squares / 2.0 };
        }
        *self =
            Self { count: self.count + 1.0, sum: self.sum + value, squares: self.squares + value * value };
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn variance(&self) -> f64 {
        (self.squares / self.count - self.mean() * self.mean()).max(0.0)
    }
}

/// What has been observed of instances that ended.
#[derive(Debug, Clone)]
pub(crate) struct LifetimeModel {
    /// Logarithms of lifetimes in seconds.
    lifetimes: Moments,
    /// Logarithms of the lifetime over its prediction.
    errors: Moments,
    /// Logarithms of lifetimes by kind of instance.
    kinds: FxHashMap<u32, Moments>,
}

impl Default for LifetimeModel {
    fn default() -> Self {
        let (mean, deviation) = UNKNOWN_LIFETIME;
        Self {
            lifetimes: Moments::of(PRIOR, mean, deviation),
            errors: Moments::of(CAUTION, 0.0, UNKNOWN_ERROR),
            kinds: FxHashMap::default(),
        }
    }
}

impl LifetimeModel {
    /// Adds an instance of a kind that ended after `seconds`.
    pub(crate) fn observe(&mut self, seconds: f64, predicted: Option<f64>, kind: Option<u32>) {
        let log = libm::log(seconds.max(1.0));
        self.lifetimes.add(log);
        if let Some(kind) = kind {
            self.kinds.entry(kind).or_insert_with(|| Moments::of(0.0, 0.0, 0.0)).add(log);
        }
        if let Some(predicted) = predicted {
            self.errors.add(log - libm::log(predicted.max(1.0)));
        }
    }

    /// How many seconds instances of a kind have lived, by the geometric mean; `None` until enough
    /// have ended.
    pub(crate) fn learned(&self, kind: u32) -> Option<f64> {
        let observed = self.kinds.get(&kind).filter(|observed| observed.count >= LEARNED_FROM)?;
        Some(libm::exp(observed.mean()))
    }

    /// The distribution of an instance's lifetime: the prediction and what all instances live, each
    /// by its certainty.
    pub(crate) fn lifetime(&self, predicted: Option<f64>) -> Lifetime {
        let (mean, spread) = (self.lifetimes.mean(), self.spread());
        let Some(predicted) = predicted else {
            return Lifetime { log_mean: mean, log_deviation: spread.sqrt() };
        };
        let error = self.error();
        let variance = 1.0 / (1.0 / spread + 1.0 / error);
        let log_mean = (mean / spread + libm::log(predicted.max(1.0)) / error) * variance;
        Lifetime { log_mean, log_deviation: variance.sqrt() }
    }

    /// How much predictions count, from 0 to 1: by the share of the spread of lifetimes that they
    /// explain.
    pub(crate) fn confidence(&self) -> f64 {
        let explained = self.spread() / (self.spread() + self.error());
        ((explained - USELESS) / (GOOD - USELESS)).clamp(0.0, 1.0)
    }

    fn spread(&self) -> f64 {
        self.lifetimes.variance().max(LEAST_SPREAD * LEAST_SPREAD)
    }

    /// The mean square error: a constant bias counts as an error, too.
    fn error(&self) -> f64 {
        (self.errors.squares / self.errors.count).max(LEAST_ERROR * LEAST_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lifetimes from minutes to days, with predictions that are off by a factor, up or down.
    fn observed(factor: f64) -> LifetimeModel {
        let mut model = LifetimeModel::default();
        for number in 0..40_000_u32 {
            let seconds = 60.0 * libm::exp(f64::from(number % 80) / 10.0);
            let off = if number / 80 % 2 == 0 { factor } else { 1.0 / factor };
            model.observe(seconds, Some(seconds * off), None);
        }
        model
    }

    #[test]
    fn predictions_count_as_far_as_they_have_been_right() {
        assert_eq!(LifetimeModel::default().confidence(), 0.0, "nothing is known yet");
        assert_eq!(observed(1.6).confidence(), 1.0);
        assert_eq!(observed(7.4).confidence(), 0.0, "off by a factor of e²");
        let between = observed(3.0).confidence();
        assert!(between > 0.2 && between < 1.0, "{between}");
    }

    /// Two kinds, of an hour and of a day, within a factor of 1.5: what was learned of them
    /// explains nearly all of the spread.
    #[test]
    fn kinds_are_learned() {
        let mut model = LifetimeModel::default();
        for number in 0..40_000_u32 {
            let kind = number % 2;
            let seconds = [3_600.0, 86_400.0][kind as usize] * [1.5, 1.0 / 1.5][(number / 2 % 2) as usize];
            let predicted = model.learned(kind);
            assert_eq!(predicted.is_some(), number >= 60, "from thirty of each kind on");
            model.observe(seconds, predicted, Some(kind));
        }
        assert!((model.learned(1).unwrap() / 86_400.0 - 1.0).abs() < 0.01);
        assert_eq!((model.confidence(), model.learned(2)), (1.0, None));
    }

    #[test]
    fn a_bad_prediction_is_drawn_to_the_mean_and_a_good_one_stands() {
        let day = 86_400.0;
        let (good, bad) = (observed(1.1).lifetime(Some(day)), observed(20.0).lifetime(Some(day)));
        let all = observed(1.1).lifetime(None);
        assert!((good.log_mean - libm::log(day)).abs() < 0.2, "{good:?}");
        assert!(bad.log_mean < good.log_mean - 1.0 && bad.log_mean > all.log_mean, "{bad:?} {all:?}");
        assert!(bad.log_deviation > 3.0 * good.log_deviation);
    }
}
