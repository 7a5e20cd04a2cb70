//! The report of a run: one HTML page with charts, and the same numbers as JSON.
//!
//! Both depend on the [`SimulationOutcome`] and the [`Heading`] alone, so the same run gives the
//! same bytes. The page is one file without scripts or external links. `series` defines the charts,
//! `chart` draws them, and `page` assembles the page. Reports of scenarios draw with the same code.

pub(crate) mod axis;
pub(crate) mod chart;
pub(crate) mod format;
pub(crate) mod ink;
mod json;
mod page;
pub(crate) mod series;
mod summary;
#[cfg(test)]
mod tests;

use std::error::Error;

use crate::outcome::SimulationOutcome;

pub use json::ReplayProvenance;

/// The description of the run in the report. Any text is allowed: the page escapes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heading<'a> {
    /// The title of the page.
    pub title: &'a str,
    /// The replayed trace.
    pub trace: &'a str,
    /// The hosts.
    pub fleet: &'a str,
    /// The version of Berth.
    pub version: &'a str,
    /// The command that made the report; empty for none.
    pub command: &'a str,
}

/// Why a report cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A chart could not be drawn.
    #[error("the chart \"{chart}\" cannot be drawn")]
    Chart {
        /// The title of the chart.
        chart: &'static str,
        /// The error of the drawing library.
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
/// The outcome has no samples. A run never returns such an outcome.
pub fn html(outcome: &SimulationOutcome, heading: &Heading<'_>) -> Result<String, ReportError> {
    page::page(outcome, heading)
}

/// The report as JSON: `provenance` has what was replayed, `summary` totals and ratios, `samples`
/// the fleet over time.
///
/// A ratio is between 0 and 1, or `null` where there is nothing to divide by.
///
/// # Panics
/// The outcome has no samples. A run never returns such an outcome.
#[must_use]
pub fn json(outcome: &SimulationOutcome, provenance: &ReplayProvenance<'_>) -> String {
    json::json(outcome, provenance)
}
