//! Charts of a page: lines whose points show their values below the pointer, and the same numbers
//! in a table that unfolds.

use std::fmt::Write as _;

use super::table::table;
use crate::report::ReportError;
use crate::report::axis::{Axis, Measure, TimeUnit};
use crate::report::chart::{Drawing, HEIGHT, LEFT, RIGHT, WIDTH};
use crate::report::format::Escaped;
use crate::report::ink::Ink;
use crate::report::series::{Point as Place, Shape};
use crate::scenario::gauge::Point;

/// Rows of a table of numbers, at most.
const ROWS: usize = 50;
const INKS: [Ink; 4] = [Ink::First, Ink::Second, Ink::Third, Ink::Fourth];

/// A chart.
pub(super) struct Figure<'a> {
    pub(super) title: &'static str,
    /// The unit of the values.
    pub(super) unit: &'static str,
    pub(super) measure: Measure,
    pub(super) across: Across,
    pub(super) lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

/// What the values of a chart depend on.
#[derive(Clone, Copy)]
pub(super) enum Across {
    /// The time since the first arrival, in this unit.
    Time(TimeUnit),
    /// A number of hosts.
    Hosts,
}

impl Across {
    /// The time of these points.
    pub(super) fn time(points: &[Point]) -> Self {
        let end = points.last().map_or(0.0, |point| point.at_s);
        Self::Time(TimeUnit::for_span(microseconds(end)))
    }

    /// Where a time in seconds is.
    pub(super) fn at(self, seconds: f64) -> f64 {
        match self {
            Self::Time(unit) => unit.of(microseconds(seconds)),
            Self::Hosts => seconds,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Time(unit) => format!("{} since the first arrival", unit.name()),
            Self::Hosts => "hosts".to_owned(),
        }
    }

    fn axis(self, (low, high): (f64, f64)) -> Axis {
        match self {
            Self::Time(unit) => Axis::time(unit, high),
            Self::Hosts => Axis::around(low, high),
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // times of a trace
fn microseconds(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

impl Figure<'_> {
    /// The figure; empty if it has no line with two points.
    pub(super) fn html(&self) -> Result<String, ReportError> {
        let all = || self.lines.iter().flat_map(|(_, points)| points);
        let low = all().map(|point| point.0).fold(f64::MAX, f64::min);
        let high = all().map(|point| point.0).fold(f64::MIN, f64::max);
        if low >= high {
            return Ok(String::new());
        }
        let largest = all().map(|point| point.1).fold(0.0, f64::max);
        let places: Vec<Vec<Place>> = self
            .lines
            .iter()
            .map(|(_, points)| points.iter().map(|&(x, y)| (x, Some(y))).collect())
            .collect();
        let lines = places.iter().zip(INKS.iter().cycle());
        let drawing = Drawing {
            across: self.across.axis((low, high)),
            up: Axis::value(self.measure, largest),
            units: (self.unit, &self.across.name()),
            lines: lines.map(|(points, &ink)| (ink, Shape::Line, points.as_slice())).collect(),
        };
        let (mut svg, pixels) = drawing.svg(self.title)?;
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        svg.insert_str(end, &self.values(&pixels));
        let mut html = format!("<figure>\n<h3>{}</h3>\n{}", Escaped(self.title), self.legend());
        let label = Escaped(self.title);
        let _ = writeln!(html, "<div class=\"plot\" role=\"img\" aria-label=\"{label}\">\n{svg}</div>");
        html.push_str(&self.numbers());
        html.push_str("</figure>\n");
        Ok(html)
    }

    /// Points that appear below the pointer, with their values.
    fn values(&self, pixels: &[Vec<(i32, i32)>]) -> String {
        let mut circles = String::new();
        for (((name, points), pixels), ink) in self.lines.iter().zip(pixels).zip(INKS.iter().cycle()) {
            for ((across, value), (x, y)) in points.iter().zip(pixels) {
                let _ = writeln!(
                    circles,
                    "<circle class=\"point\" fill=\"{}\" cx=\"{x}\" cy=\"{y}\" r=\"16\"><title>{}: {} at {}</title></circle>",
                    ink.hex(),
                    Escaped(name),
                    short(*value),
                    short(*across)
                );
            }
        }
        circles
    }

    fn legend(&self) -> String {
        let items = self.lines.iter().zip(INKS.iter().cycle()).map(|((name, _), ink)| {
            format!("<li><i class=\"swatch {}\"></i>{}</li>", ink.name(), Escaped(name))
        });
        format!("<ul class=\"legend\">{}</ul>\n", items.collect::<String>())
    }

    fn numbers(&self) -> String {
        let across = self.across.name();
        let head: Vec<&str> =
            std::iter::once(across.as_str()).chain(self.lines.iter().map(|(name, _)| *name)).collect();
        let longest = self.lines.iter().map(|(_, points)| points.len()).max().unwrap_or(0);
        let rows = (0..longest).step_by(longest.div_ceil(ROWS).max(1)).map(|row| {
            let points = || self.lines.iter().map(|(_, points)| points.get(row));
            let at = points().flatten().next().map_or(0.0, |point| point.0);
            let values = points().map(|point| point.map_or(String::new(), |point| short(point.1)).into());
            std::iter::once(short(at).into()).chain(values).collect()
        });
        folded("Numbers", &table(&head, rows))
    }
}

/// Content that unfolds.
fn folded(name: &str, content: &str) -> String {
    format!("<details><summary>{name}</summary>\n{content}</details>\n")
}

/// Hosts over time by how full they are: darker where more hosts are. Empty without hosts.
pub(super) fn heat_map(points: &[Point]) -> String {
    let across = Across::time(points);
    let rows = points.iter().map(|point| point.by_fullness.len()).max().unwrap_or(0);
    let hosts = points.iter().map(|point| point.by_fullness.iter().sum::<u64>()).max().unwrap_or(0);
    if rows == 0 || hosts == 0 {
        return String::new();
    }
    let (left, right) = (f64::from(LEFT), f64::from(WIDTH - RIGHT));
    let (width, height) = ((right - left) / as_f64(points.len() as u64), f64::from(HEIGHT) / 20.0);
    let bottom = height * as_f64(rows as u64);
    let mut html = "<figure>\n<h3>Hosts by vCPUs in use</h3>\n<div class=\"plot\" role=\"img\" aria-label=\"Hosts by vCPUs in use\">\n".to_owned();
    let _ = writeln!(html, "<svg viewBox=\"0 0 {WIDTH} {bottom:.0}\">");
    for row in 0..rows {
        let y = bottom - height * as_f64(row as u64 + 1);
        let (x, base) = (left - 24.0, y + height * 0.75);
        let _ = writeln!(
            html,
            "<text x=\"{x:.0}\" y=\"{base:.0}\" text-anchor=\"end\" font-size=\"{:.0}\" fill=\"{}\">{}</text>",
            height * 0.8,
            Ink::Text.hex(),
            fullness(row)
        );
        for (column, point) in points.iter().enumerate() {
            let count = point.by_fullness.get(row).copied().unwrap_or(0);
            if count == 0 {
                continue;
            }
            // The root, so that few hosts can be seen beside many.
            let opacity = (as_f64(count) / as_f64(hosts)).sqrt();
            let _ = writeln!(
                html,
                "<rect fill=\"{}\" fill-opacity=\"{opacity:.2}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height}\"><title>{}: {count} at {}</title></rect>",
                Ink::First.hex(),
                left + width * as_f64(column as u64),
                fullness(row),
                short(across.at(point.at_s))
            );
        }
    }
    html.push_str("</svg></div>\n");
    let heads: Vec<String> = std::iter::once(across.name()).chain((0..rows).map(fullness)).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = points.iter().step_by(points.len().div_ceil(ROWS)).map(|point| {
        let at = short(across.at(point.at_s)).into();
        std::iter::once(at).chain(point.by_fullness.iter().map(|count| count.to_string().into())).collect()
    });
    html.push_str(&folded("Numbers", &table(&heads, rows)));
    html.push_str(
        "<figcaption>Hosts without VMs, and by the share of their vCPUs in use.</figcaption>\n</figure>\n",
    );
    html
}

fn fullness(row: usize) -> String {
    if row == 0 { "empty".to_owned() } else { format!("to {} %", 10 * row) }
}

/// A number with as many digits as matter.
fn short(value: f64) -> String {
    if value == value.trunc() || value.abs() >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[allow(clippy::cast_precision_loss)] // for people
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}
