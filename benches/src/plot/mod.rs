//! Draws the rows of a report: a quantity over hosts or over fill, one line for each combination of
//! the other parameters.

mod axis;
mod drawing;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::report::{Parameter, Parameters, Report, ReportRow, RowUnit};
use crate::suite::{UnknownChoice, named};

pub(crate) use axis::Axis;

/// The horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The number of hosts.
    Hosts,
    /// The percentage of the vCPUs that is used.
    Fill,
}

impl Over {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hosts, Self::Fill];
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hosts => "hosts",
            Self::Fill => "fill",
        })
    }
}

impl FromStr for Over {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        named("axis", &Self::ALL, name)
    }
}

/// Why a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// No two rows with this name differ in the axis alone.
    #[error("rows: none of {row} have two values of {over} and all else equal")]
    Nothing {
        /// The name of the rows.
        row: String,
        /// The axis.
        over: Over,
    },
    /// More lines than colours.
    #[error("rows: {lines} lines of {row} over {over}; more than {MOST_LINES} cannot be distinguished")]
    TooMany {
        /// The name of the rows.
        row: String,
        /// The axis.
        over: Over,
        /// The number of lines.
        lines: usize,
    },
    /// The drawing library failed.
    #[error("cannot draw")]
    Drawing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The number of distinct colours.
pub const MOST_LINES: usize = 4;

/// Rows that differ in the axis alone.
struct Line<'a> {
    parameters: Parameters,
    /// By the value on the axis.
    rows: BTreeMap<u64, &'a ReportRow>,
}

impl Line<'_> {
    fn points(&self, of: impl Fn(&ReportRow) -> f64) -> Vec<(f64, f64)> {
        #[allow(clippy::cast_precision_loss)] // hosts and percentages
        self.rows.iter().map(|(&at, row)| (at as f64, of(row))).collect()
    }
}

/// Draws the rows named `row` as SVG: medians, and for latencies also the 99th percentile.
///
/// # Errors
/// See [`PlotError`].
pub fn svg(report: &Report, row: &str, over: Over) -> Result<String, PlotError> {
    let mut lines = lines_of(report, row, over);
    if lines.is_empty() {
        return Err(PlotError::Nothing { row: row.to_owned(), over });
    }
    if lines.len() > MOST_LINES {
        return Err(PlotError::TooMany { row: row.to_owned(), over, lines: lines.len() });
    }
    let shared = shared(&lines);
    // Lines have names such as "weighers of Nova": it has to be clear that all are Berth's.
    let title =
        if shared.is_empty() { format!("Berth: {row}") } else { format!("Berth: {row}, {}", words(&shared)) };
    lines.iter_mut().for_each(|line| line.parameters.retain(|name, _| !shared.contains_key(name)));
    drawing::draw(&title, over, &lines).map_err(|error| PlotError::Drawing(error.into()))
}

/// The parameters that all of several lines have in common.
fn shared(lines: &[Line<'_>]) -> Parameters {
    let [first, others @ ..] = lines else { return Parameters::new() };
    let mut shared = first.parameters.clone();
    shared.retain(|name, value| others.iter().all(|line| line.parameters.get(name) == Some(value)));
    shared
}

fn lines_of<'a>(report: &'a Report, name: &str, over: Over) -> Vec<Line<'a>> {
    let mut lines = BTreeMap::<Parameters, BTreeMap<u64, &ReportRow>>::new();
    for row in report.rows.iter().filter(|row| row.name == name) {
        let mut others = row.parameters.clone();
        if let Some(Parameter::Number(at)) = others.remove(&over.to_string()) {
            lines.entry(others).or_default().insert(at, row);
        }
    }
    let several = lines.into_iter().filter(|(_, rows)| rows.len() > 1);
    several.map(|(parameters, rows)| Line { parameters, rows }).collect()
}

/// Parameters in a readable form.
fn words(parameters: &Parameters) -> String {
    let word = |(name, value): (&String, &Parameter)| match name.as_str() {
        "objective" => objective(&value.to_string()).to_owned(),
        "fill" => format!("{value} % full"),
        "hosts" => format!("{} hosts", axis::short(value.to_string().parse().unwrap_or(0.0))),
        _ => format!("{name} {value}"),
    };
    // The objective is last in the map and comes first in the label.
    parameters.iter().rev().map(word).collect::<Vec<_>>().join(", ")
}

/// How Berth chooses, in words: "nova" would read as Nova itself.
fn objective(name: &str) -> &str {
    match name {
        "nova" => "weighers of Nova",
        "bestfit" => "best fit",
        other => other,
    }
}

/// A drawn quantity of a row: a name, an accessor, and whether its line is the main one.
type Quantity = (&'static str, fn(&ReportRow) -> f64, bool);

fn quantities(unit: RowUnit) -> &'static [Quantity] {
    match unit {
        RowUnit::Ns => &[("p50", |row| row.p50, true), ("p99", |row| row.p99, false)],
        RowUnit::PerSecond | RowUnit::Bytes => &[("", |row| row.p50, true)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    fn fleets(rows: &[(u64, &str)]) -> Report {
        let mut report = report(&vec![("decisions/recurrent", &[1.0][..]); rows.len()]);
        for (row, &(hosts, objective)) in report.rows.iter_mut().zip(rows) {
            row.parameters.insert("hosts".to_owned(), hosts.into());
            row.parameters.insert("objective".to_owned(), objective.into());
            (row.p50, row.p99) = (hosts as f64, hosts as f64 * 3.0);
        }
        report
    }

    #[test]
    fn a_line_is_named_by_what_its_rows_share() {
        let report = fleets(&[(1_000, "nova"), (1_000_000, "nova"), (1_000, "bestfit"), (10_000, "bestfit")]);
        let picture = svg(&report, "decisions/recurrent", Over::Hosts).unwrap();
        assert_eq!(words(&Parameters::from([("fill".to_owned(), 80_u32.into())])), "80 % full");
        for word in [
            "Berth: decisions/recurrent",
            "weighers of Nova p50",
            "weighers of Nova p99",
            "best fit p50",
            "1M",
            "10k",
            "hosts (logarithmic)",
            "time (logarithmic)",
        ] {
            assert!(picture.contains(word), "{word}: {picture}");
        }
        assert_eq!(picture.matches("stroke-width=\"5\"").count(), 2, "a thick line for each median");
        assert_eq!(picture.matches("stroke-width=\"3\"").count(), 2, "a thin line for each 99th percentile");
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let report = fleets(&[(1_000, "nova"), (1_000, "bestfit")]);
        let error = svg(&report, "decisions/recurrent", Over::Hosts).unwrap_err().to_string();
        assert_eq!(error, "rows: none of decisions/recurrent have two values of hosts and all else equal");
        let many: Vec<(u64, String)> =
            (0..5).flat_map(|line| [(1, format!("o{line}")), (2, format!("o{line}"))]).collect();
        let many: Vec<(u64, &str)> = many.iter().map(|(hosts, name)| (*hosts, name.as_str())).collect();
        let error = svg(&fleets(&many), "decisions/recurrent", Over::Hosts).unwrap_err().to_string();
        assert!(error.contains("5 lines"), "{error}");
    }
}
