//! A bootstrap confidence interval for a ratio of medians.

use berth_traces::rng::{Stream, stream};
use rand::Rng;

/// The number of resamples: enough that the ends of a 99% interval barely depend on the seed.
const RESAMPLES: usize = 10_000;

/// An estimate with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceInterval {
    /// The lower end.
    pub low: f64,
    /// The estimate.
    pub estimate: f64,
    /// The upper end.
    pub high: f64,
}

/// The median of `above` divided by the median of `below`, with a confidence interval from the
/// percentiles over resamples of both. Equal input gives equal output.
///
/// # Panics
/// An empty slice.
#[must_use]
pub fn ratio_interval(above: &[f64], below: &[f64], confidence: f64) -> ConfidenceInterval {
    let mut random = stream(0, "bootstrap");
    let mut scratch = Vec::new();
    let mut resampled = |values: &[f64]| median_of_resample(values, &mut random, &mut scratch);
    let mut ratios: Vec<f64> = (0..RESAMPLES).map(|_| resampled(above) / resampled(below)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // an index into the resamples
    let place = ((tail * RESAMPLES as f64) as usize).min(RESAMPLES / 2 - 1);
    ConfidenceInterval {
        low: ratios[place],
        estimate: median(&mut above.to_vec()) / median(&mut below.to_vec()),
        high: ratios[RESAMPLES - 1 - place],
    }
}

fn median_of_resample(values: &[f64], random: &mut Stream, scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend((0..values.len()).map(|_| values[random.random_range(0..values.len())]));
    median(scratch)
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
