//! What an operator reads of a run: one HTML page with charts, and the same numbers as JSON.
//!
//! Both are functions of the [`Outcome`] and the [`Heading`] alone, so that the same run gives the same bytes. The page
//! is one file without scripts or links to anything outside it; `series` says what is drawn, `chart` draws it, and
//! `page` puts it together.

mod axis;
mod chart;
mod format;
mod ink;
mod json;
mod page;
mod series;
mod summary;
#[cfg(test)]
mod tests;

use std::error::Error;

use crate::outcome::Outcome;

/// What the report says about the run besides its outcome. Any text will do: the page escapes it.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The title of the page.
    pub title: &'a str,
    /// Which trace was replayed.
    pub trace: &'a str,
    /// Which hosts it was replayed on.
    pub fleet: &'a str,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A chart could not be drawn.
    #[error("the chart \"{chart}\" cannot be drawn")]
    Chart {
        /// The title of the chart.
        chart: &'static str,
        /// What the drawing library found.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The report as one self-contained HTML page.
///
/// # Errors
/// A chart cannot be drawn.
///
/// # Panics
/// The outcome has no samples, which a run never returns.
pub fn html(outcome: &Outcome, heading: &Heading<'_>) -> Result<String, ReportError> {
    page::page(outcome, heading)
}

/// The report as JSON: `summary` has totals and ratios, `samples` the fleet over time.
///
/// A ratio is between 0 and 1, or `null` where there is nothing to divide by.
///
/// # Panics
/// The outcome has no samples, which a run never returns.
#[must_use]
pub fn json(outcome: &Outcome) -> String {
    json::json(outcome)
}
