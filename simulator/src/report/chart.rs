//! Draws a chart as SVG.
//!
//! Title, legend and caption are HTML: they wrap on a small screen and never cover a line.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;
use super::axis::Axis;
use super::ink::Ink;
use super::series::{Chart, Point, Series, Shape, Timeline};

/// Plotters rounds to whole units; several units per pixel keep slopes smooth.
const SCALE: i32 = 4;
const WIDTH: i32 = 600 * SCALE;
const HEIGHT: i32 = 290 * SCALE;
/// Margins for the unit of the values, the labels of both axes, and half of the last label of the
/// time axis.
const TOP: i32 = 40 * SCALE;
const LEFT: i32 = 58 * SCALE;
const BOTTOM: i32 = 54 * SCALE;
const RIGHT: i32 = 20 * SCALE;
const LINE: i32 = 2 * SCALE;
const FONT: i32 = 14 * SCALE;
/// The opacity of an area.
const TINT: f64 = 0.16;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type DrawingError = DrawingAreaErrorKind<std::io::Error>;

/// The chart as an SVG element; `None` if no two adjacent points have values.
pub(super) fn svg(chart: &Chart, timeline: &Timeline<'_>) -> Result<Option<String>, ReportError> {
    let lines = chart.series.iter().flat_map(|series| runs(&series.points));
    if timeline.end <= 0.0 || lines.flatten().next().is_none() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(chart, timeline, &mut svg)
        .map_err(|source| ReportError::Chart { chart: chart.title, source: source.into() })?;
    Ok(Some(svg))
}

fn draw(chart: &Chart, timeline: &Timeline<'_>, svg: &mut String) -> Result<(), DrawingError> {
    let canvas =
        SVGBackend::with_string(svg, (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs())).into_drawing_area();
    let time = Axis::time(timeline.unit, timeline.end);
    let values = Axis::value(chart.measure, largest(&chart.series));
    let mut plot = ChartBuilder::on(&canvas)
        .margin_top(TOP)
        .margin_right(RIGHT)
        .x_label_area_size(BOTTOM)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(time, values)?;
    draw_axes(&mut plot)?;
    write_units(&canvas, chart.unit, timeline.unit.name)?;
    for series in &chart.series {
        draw_series(&mut plot, series)?;
    }
    canvas.present()
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

/// Writes the unit of the values above their axis, horizontally, and the unit of time below its
/// axis.
fn write_units(canvas: &Canvas<'_>, values: &str, time: &str) -> Result<(), DrawingError> {
    let above = font().pos(Pos::new(HPos::Left, VPos::Top));
    canvas.draw_text(values, &above, (2 * SCALE, 4 * SCALE))?;
    let below = font().pos(Pos::new(HPos::Center, VPos::Bottom));
    let middle = (LEFT + WIDTH - RIGHT) / 2;
    canvas.draw_text(&format!("{time} since the start of the trace"), &below, (middle, HEIGHT - 2 * SCALE))
}

fn draw_series(plot: &mut Plot<'_, '_>, series: &Series) -> Result<(), DrawingError> {
    let color = series.ink.color();
    let line = color.stroke_width(LINE.unsigned_abs());
    for run in runs(&series.points) {
        match series.shape {
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

fn largest(series: &[Series]) -> f64 {
    series.iter().flat_map(|series| &series.points).filter_map(|point| point.1).fold(0.0, f64::max)
}

/// The runs of at least two consecutive points with values.
fn runs(points: &[Point]) -> impl Iterator<Item = Vec<(f64, f64)>> {
    points
        .split(|point| point.1.is_none())
        .filter(|run| run.len() > 1)
        .map(|run| run.iter().filter_map(|&(at, value)| Some((at, value?))).collect())
}
