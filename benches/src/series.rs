//! The measurements of one row: a histogram of all, and the median of every round.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::{Parameter, Parameters, ReportRow, RowUnit};

/// The number of significant digits in histograms: values are off by 0.1% at most.
const DIGITS: u8 = 3;

/// A row under construction.
pub struct Series {
    name: String,
    parameters: Parameters,
    unit: RowUnit,
    all: Histogram<u64>,
    round: Histogram<u64>,
    rounds: Vec<f64>,
    counters: BTreeMap<String, u64>,
}

impl Series {
    /// An empty row.
    #[must_use]
    pub fn new(name: &str, parameters: &Parameters, unit: RowUnit) -> Self {
        let (all, round) = (histogram(), histogram());
        let (rounds, counters) = (Vec::new(), BTreeMap::new());
        Self { name: name.to_owned(), parameters: parameters.clone(), unit, all, round, rounds, counters }
    }

    /// Records a duration.
    pub fn took(&mut self, duration: Duration) {
        record(&mut self.round, duration);
    }

    /// Records that `count` operations took `duration` together.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a rate is positive and small
    pub fn rate(&mut self, count: u64, duration: Duration) {
        let rate = (count as f64 / duration.as_secs_f64().max(1e-9)).round() as u64;
        add(&mut self.round, rate);
    }

    /// Records an amount in the row's own unit.
    pub fn is(&mut self, amount: u64) {
        add(&mut self.round, amount);
    }

    /// Adds the measurements of a thread.
    pub fn merge(&mut self, values: &Histogram<u64>) {
        self.round.add(values).expect("the histogram grows as needed");
    }

    /// Adds to a counter.
    pub fn count(&mut self, counter: &str, more: u64) {
        *self.counters.entry(counter.to_owned()).or_default() += more;
    }

    /// Ends the round. A round without measurements has no median.
    #[allow(clippy::cast_precision_loss)] // nanoseconds
    pub fn end_round(&mut self) {
        if !self.round.is_empty() {
            self.rounds.push(self.round.value_at_quantile(0.5) as f64);
            self.all.add(&self.round).expect("the histogram grows as needed");
            self.round.reset();
        }
    }

    /// The row; `None` when nothing was measured.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // nanoseconds
    pub fn finish(mut self) -> Option<ReportRow> {
        self.end_round();
        let at = |quantile| self.all.value_at_quantile(quantile) as f64;
        let row = ReportRow {
            unit: self.unit,
            n: self.all.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.all.max() as f64,
            mean: self.all.mean(),
            name: self.name,
            parameters: self.parameters,
            rounds: self.rounds,
            counters: self.counters,
        };
        (row.n > 0).then_some(row)
    }
}

/// An empty histogram that grows as needed.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("the library supports this precision")
}

/// Records a duration in a histogram.
pub fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    add(histogram, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

/// Records a value. `saturating_record` would never grow the histogram.
fn add(histogram: &mut Histogram<u64>, value: u64) {
    // A ratio to 0 is meaningless; anything longer than a day counts as a day.
    histogram.record(value.clamp(1, 1 << 47)).expect("the histogram grows as needed");
}

/// Parameters from names and values.
#[must_use]
pub fn parameters<const N: usize>(named: [(&str, Parameter); N]) -> Parameters {
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_leaves_its_median_and_all_count() {
        let mut series = Series::new("a", &Parameters::new(), RowUnit::Ns);
        for (round, base) in [100, 200, 300].into_iter().enumerate() {
            (0..=10).for_each(|i| series.took(Duration::from_nanos(base + i)));
            series.count("rounds", round as u64);
            series.end_round();
        }
        series.end_round();
        let row = series.finish().unwrap();
        assert_eq!((row.n, row.rounds, row.p50, row.max), (33, vec![105.0, 205.0, 305.0], 205.0, 310.0));
        assert_eq!(row.counters["rounds"], 3);
    }

    #[test]
    fn large_values_and_rates_keep_their_size() {
        let mut series = Series::new("a", &Parameters::new(), RowUnit::Ns);
        series.took(Duration::from_millis(5));
        series.end_round();
        series.rate(1_000, Duration::from_millis(1));
        series.end_round();
        let row = series.finish().unwrap();
        assert!(
            (row.rounds[0] / 5e6 - 1.0).abs() < 2e-3 && (row.rounds[1] / 1e6 - 1.0).abs() < 2e-3,
            "{row:?}"
        );
    }

    #[test]
    fn an_empty_series_is_no_row() {
        assert_eq!(Series::new("a", &Parameters::new(), RowUnit::Ns).finish(), None);
    }
}
