//! A comparison as a text table.

use super::{Compared, Comparison, RowVerdict};
use crate::compare::bootstrap::median;
use crate::report::RowUnit;
use crate::table::{align_numbers, amount, grid};

/// Warnings, the rows with their verdicts (regressions first), the unmatched rows, and a line of
/// totals.
#[must_use]
pub fn table(comparison: &Comparison) -> String {
    let mut text: String =
        comparison.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
    if !comparison.rows.is_empty() {
        let mut table = grid(&["verdict", "what", "parameters", "base", "new", "time", "interval", "rounds"]);
        let mut rows: Vec<&Compared> = comparison.rows.iter().collect();
        rows.sort_by_key(|row| order(row.verdict));
        rows.iter().for_each(|row| {
            table.add_row(cells(row));
        });
        align_numbers(&mut table, 3..8);
        text += &format!("{table}\n");
    }
    for (row, reason) in &comparison.unmatched {
        text += &format!("not compared, {reason}: {} {}\n", row.name, row.parameters_text());
    }
    text + &totals(comparison)
}

fn cells(row: &Compared) -> [String; 8] {
    let side = |rounds: &[f64]| amount(unit(row), median(&mut rounds.to_vec()));
    let ratio = row.ratio;
    [
        word(row.verdict).to_owned(),
        row.new.name.clone(),
        row.new.parameters_text(),
        side(&row.base.rounds),
        side(&row.new.rounds),
        change(ratio.estimate),
        format!("{} to {}", change(ratio.low), change(ratio.high)),
        format!("{}, {}", row.base.rounds.len(), row.new.rounds.len()),
    ]
}

const fn unit(row: &Compared) -> RowUnit {
    row.new.unit
}

fn change(ratio: f64) -> String {
    format!("{:+.1}%", (ratio - 1.0) * 100.0)
}

const fn order(verdict: RowVerdict) -> u8 {
    match verdict {
        RowVerdict::Slower => 0,
        RowVerdict::Unclear => 1,
        RowVerdict::Faster => 2,
        RowVerdict::Same => 3,
    }
}

const fn word(verdict: RowVerdict) -> &'static str {
    match verdict {
        RowVerdict::Slower => "SLOWER",
        RowVerdict::Unclear => "unclear",
        RowVerdict::Faster => "faster",
        RowVerdict::Same => "same",
    }
}

fn totals(comparison: &Comparison) -> String {
    let count = |verdict| comparison.rows.iter().filter(|row| row.verdict == verdict).count();
    let options = comparison.options;
    format!(
        "{} slower, {} faster, {} same, {} unclear, {} not compared; threshold {}%, confidence {}%\n",
        count(RowVerdict::Slower),
        count(RowVerdict::Faster),
        count(RowVerdict::Same),
        count(RowVerdict::Unclear),
        comparison.unmatched.len(),
        percent(options.threshold),
        percent(options.confidence)
    )
}

/// A share as a percentage without the noise of its last bits.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}
