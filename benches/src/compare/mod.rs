//! Finds the rows of a report that are slower than in another report.
//!
//! The time ratio of a row is the median over the new report's rounds divided by the median over
//! the base's; for rates it is inverted, so that more than 1 is slower. Its confidence interval
//! comes from a seeded bootstrap over the rounds. A verdict requires the whole interval on one side
//! of the threshold, and enough rounds that chance alone cannot explain the difference at the
//! requested confidence.

mod bootstrap;
mod table;

use std::collections::BTreeMap;

use crate::report::{Parameters, Report, ReportRow, RowUnit};

pub use bootstrap::{ConfidenceInterval, ratio_interval};
pub use table::table;

/// The options of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompareOptions {
    /// The largest change that counts as none: 0.05 stands for 5%.
    pub threshold: f64,
    /// The confidence of the interval, between 0 and 1.
    pub confidence: f64,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { threshold: 0.05, confidence: 0.99 }
    }
}

/// The verdict on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowVerdict {
    /// Slower beyond the threshold: a regression.
    Slower,
    /// Faster beyond the threshold.
    Faster,
    /// Not changed by more than the threshold.
    Same,
    /// The interval crosses the threshold, or there are too few rounds.
    Unclear,
}

/// One row of both reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The row of the base.
    pub base: ReportRow,
    /// The row of the new report.
    pub new: ReportRow,
    /// The new time divided by the base time, with its interval.
    pub ratio: ConfidenceInterval,
    /// The verdict.
    pub verdict: RowVerdict,
}

/// The comparison of two reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Rows of both, in the new report's order.
    pub rows: Vec<Compared>,
    /// Rows that cannot be compared, each with the reason: in one report only, or in another unit.
    pub unmatched: Vec<(ReportRow, &'static str)>,
    /// Differences of the machines, which may explain a difference of the times.
    pub warnings: Vec<String>,
    /// The options of the comparison.
    pub options: CompareOptions,
}

impl Comparison {
    /// Whether any row is slower.
    #[must_use]
    pub fn regressed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == RowVerdict::Slower)
    }
}

/// Compares `new` with `base`.
#[must_use]
pub fn compare(base: &Report, new: &Report, options: CompareOptions) -> Comparison {
    let mut left: BTreeMap<(&str, &Parameters), &ReportRow> =
        base.rows.iter().map(|row| (row.key(), row)).collect();
    let mut rows = Vec::new();
    let mut unmatched = Vec::new();
    for row in &new.rows {
        match left.remove(&row.key()) {
            None => unmatched.push((row.clone(), "only in the new report")),
            Some(base) if base.unit != row.unit => unmatched.push((row.clone(), "in another unit")),
            Some(base) => rows.push(compare_rows(base, row, options)),
        }
    }
    let only_in_base = base.rows.iter().filter(|row| left.contains_key(&row.key()));
    unmatched.extend(only_in_base.map(|row| (row.clone(), "only in the base")));
    Comparison { rows, unmatched, warnings: warnings(base, new), options }
}

fn compare_rows(base: &ReportRow, new: &ReportRow, options: CompareOptions) -> Compared {
    let (slow, fast) = match new.unit {
        RowUnit::Ns | RowUnit::Bytes => (&new.rounds, &base.rounds),
        RowUnit::PerSecond => (&base.rounds, &new.rounds),
    };
    let ratio = ratio_interval(slow, fast, options.confidence);
    let verdict = judge(ratio, base.rounds.len(), new.rounds.len(), options);
    Compared { base: base.clone(), new: new.clone(), ratio, verdict }
}

fn judge(ratio: ConfidenceInterval, base: usize, new: usize, options: CompareOptions) -> RowVerdict {
    let (slower, faster) = (1.0 + options.threshold, 1.0 / (1.0 + options.threshold));
    let enough = smallest_chance(base, new) <= (1.0 - options.confidence) / 2.0;
    if ratio.low > slower && enough {
        RowVerdict::Slower
    } else if ratio.high < faster && enough {
        RowVerdict::Faster
    } else if ratio.low >= faster && ratio.high <= slower {
        RowVerdict::Same
    } else {
        RowVerdict::Unclear
    }
}

/// The probability that all rounds of one side exceed all of the other by chance: one of all ways
/// to arrange them. No test can be more certain. Five rounds on each side reach 99%.
#[allow(clippy::cast_precision_loss)] // few rounds
fn smallest_chance(base: usize, new: usize) -> f64 {
    (1..=new).map(|i| i as f64 / (base + i) as f64).product()
}

fn warnings(base: &Report, new: &Report) -> Vec<String> {
    let (a, b) = (&base.machine, &new.machine);
    let facts = [
        ("processors", &a.cpu, &b.cpu),
        ("numbers of cores", &a.cores.to_string(), &b.cores.to_string()),
        ("kernels", &a.kernel, &b.kernel),
    ];
    let differ = facts.into_iter().filter(|(_, a, b)| a != b);
    let mut warnings: Vec<String> =
        differ.map(|(what, a, b)| format!("the {what} differ: {a} and {b}")).collect();
    #[allow(clippy::cast_precision_loss)] // few cores
    let busy = |report: &Report| report.machine.load > report.machine.cores as f64 / 2.0;
    for (which, report) in [("base", base), ("new report", new)] {
        if busy(report) {
            let load = report.machine.load;
            warnings.push(format!("the machine was busy when the {which} was measured: load {load}"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
