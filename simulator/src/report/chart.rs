//! Draws a chart as SVG.
//!
//! Title, legend and caption are HTML: they wrap on a small screen and never cover a line.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;
use super::axis::Axis;
use super::ink::Ink;
use super::series::{Chart, Point, Shape, Timeline};

/// Plotters rounds to whole units; several units per pixel keep slopes smooth.
const SCALE: i32 = 4;
pub(crate) const WIDTH: i32 = 600 * SCALE;
pub(crate) const HEIGHT: i32 = 290 * SCALE;
/// Margins for the unit of the values, the labels of both axes, and half of the last label of the
/// other axis.
const TOP: i32 = 40 * SCALE;
pub(crate) const LEFT: i32 = 58 * SCALE;
const BOTTOM: i32 = 54 * SCALE;
pub(crate) const RIGHT: i32 = 20 * SCALE;
const LINE: i32 = 2 * SCALE;
const FONT: i32 = 14 * SCALE;
/// The opacity of an area.
const TINT: f64 = 0.16;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
/// The points of each line, in the units of a drawing.
pub(crate) type Places = Vec<Vec<(i32, i32)>>;
type DrawingError = DrawingAreaErrorKind<std::io::Error>;

/// The chart as an SVG element; `None` if no two adjacent points have values.
pub(super) fn svg(chart: &Chart, timeline: &Timeline<'_>) -> Result<Option<String>, ReportError> {
    let lines = chart.series.iter().flat_map(|series| runs(&series.points));
    if timeline.end <= 0.0 || lines.flatten().next().is_none() {
        return Ok(None);
    }
    let drawing = Drawing {
        across: Axis::time(timeline.unit, timeline.end),
        up: Axis::value(chart.measure, largest(chart)),
        units: (chart.unit, &format!("{} since the start of the trace", timeline.unit.name())),
        lines: chart.series.iter().map(|series| (series.ink, series.shape, &*series.points)).collect(),
    };
    Ok(Some(drawing.svg(chart.title)?.0))
}

/// Lines between two axes.
pub(crate) struct Drawing<'a> {
    pub(crate) across: Axis,
    pub(crate) up: Axis,
    /// The unit of the values, and that of the axis below.
    pub(crate) units: (&'a str, &'a str),
    pub(crate) lines: Vec<(Ink, Shape, &'a [Point])>,
}

impl Drawing<'_> {
    /// The drawing as an SVG element, and where the points of each line are in it.
    pub(crate) fn svg(&self, title: &'static str) -> Result<(String, Places), ReportError> {
        let mut svg = String::new();
        let places = self
            .draw(&mut svg)
            .map_err(|source| ReportError::Chart { chart: title, source: source.into() })?;
        Ok((svg, places))
    }

    fn draw(&self, svg: &mut String) -> Result<Places, DrawingError> {
        let canvas =
            SVGBackend::with_string(svg, (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs())).into_drawing_area();
        let mut plot = ChartBuilder::on(&canvas)
            .margin_top(TOP)
            .margin_right(RIGHT)
            .x_label_area_size(BOTTOM)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(self.across.clone(), self.up.clone())?;
        draw_axes(&mut plot)?;
        write_units(&canvas, self.units)?;
        for line in &self.lines {
            draw_line(&mut plot, *line)?;
        }
        canvas.present()?;
        let place = |&(at, value): &Point| Some(plot.backend_coord(&(at, value?)));
        Ok(self.lines.iter().map(|(_, _, points)| points.iter().filter_map(place).collect()).collect())
    }
}

fn draw_axes(plot: &mut Plot<'_, '_>) -> Result<(), DrawingError> {
    plot.configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(Ink::Grid.color().stroke_width(SCALE.unsigned_abs()))
        .axis_style(Ink::Axis.color().stroke_width(SCALE.unsigned_abs()))
        .set_all_tick_mark_size(4 * SCALE)
        .label_style(font())
        .draw()
}

/// Writes the unit of the values above their axis, horizontally, and the other unit below its axis.
fn write_units(canvas: &Canvas<'_>, (values, across): (&str, &str)) -> Result<(), DrawingError> {
    let above = font().pos(Pos::new(HPos::Left, VPos::Top));
    canvas.draw_text(values, &above, (2 * SCALE, 4 * SCALE))?;
    let below = font().pos(Pos::new(HPos::Center, VPos::Bottom));
    let middle = (LEFT + WIDTH - RIGHT) / 2;
    canvas.draw_text(across, &below, (middle, HEIGHT - 2 * SCALE))
}

fn draw_line(
    plot: &mut Plot<'_, '_>,
    (ink, shape, points): (Ink, Shape, &[Point]),
) -> Result<(), DrawingError> {
    let color = ink.color();
    let line = color.stroke_width(LINE.unsigned_abs());
    for run in runs(points) {
        match shape {
            Shape::Line => plot.draw_series(LineSeries::new(run, line))?,
            Shape::Area => plot.draw_series(AreaSeries::new(run, 0.0, color.mix(TINT)).border_style(line))?,
        };
    }
    Ok(())
}

fn font() -> TextStyle<'static> {
    // The SVG backend divides the size by this factor.
    ("sans-serif", f64::from(FONT) * 1.24).into_font().color(&Ink::Text.color())
}

fn largest(chart: &Chart) -> f64 {
    chart.series.iter().flat_map(|series| &series.points).filter_map(|point| point.1).fold(0.0, f64::max)
}

/// The runs of at least two consecutive points with values.
fn runs(points: &[Point]) -> impl Iterator<Item = Vec<(f64, f64)>> {
    points
        .split(|point| point.1.is_none())
        .filter(|run| run.len() > 1)
        .map(|run| run.iter().filter_map(|&(at, value)| Some((at, value?))).collect())
}
