//! Means with intervals, quantiles, paired differences.

use serde::Serialize;

/// A mean, and the interval that contains the true one with 95 % confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Student's t at 97.5 % for 1, 2, … degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// The limit for many.
const T_OF_MANY: f64 = 1.960;

/// The mean of independent values, with its interval by Student's t. One value has no width.
#[must_use]
#[allow(clippy::cast_precision_loss)] // counts of runs
pub fn mean_interval(values: &[f64]) -> Interval {
    let count = values.len() as f64;
    if values.is_empty() {
        return Interval::default();
    }
    let mean = values.iter().sum::<f64>() / count;
    if values.len() == 1 {
        return Interval { mean, low: mean, high: mean };
    }
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (count - 1.0);
    let t = T.get(values.len() - 2).copied().unwrap_or(T_OF_MANY);
    let half = t * (variance / count).sqrt();
    Interval { mean, low: mean - half, high: mean + half }
}

/// The mean difference of runs with the same random numbers, which is far more certain than the
/// difference of the means.
#[must_use]
pub fn paired_difference(a: &[f64], b: &[f64]) -> Interval {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    mean_interval(&differences)
}

/// The smallest value that a share of the values does not exceed; 0 of none.
#[must_use]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a position
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil().max(1.0) as usize;
    sorted.get(at.min(sorted.len()).wrapping_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_known_values() {
        let of = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((of.mean - 3.0).abs() < 1e-12 && (of.high - 4.963).abs() < 1e-3, "{of:?}");
        assert_eq!(mean_interval(&[7.0]), Interval { mean: 7.0, low: 7.0, high: 7.0 });
        let of = paired_difference(&[10.0, 20.0, 30.0], &[11.0, 21.0, 31.0]);
        assert_eq!(of, Interval { mean: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.0);
        assert_eq!((quantile(&[], 0.5), quantile(&[3.0], 0.99)), (0.0, 3.0));
    }
}
