//! Draws lines on two axes, each labelled at its end.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Axis, Line, Over, quantities, words};

/// Plotters rounds to whole units; several units per pixel keep slopes smooth.
const SCALE: i32 = 2;
const WIDTH: i32 = 760 * SCALE;
const HEIGHT: i32 = 400 * SCALE;
const TOP: i32 = 44 * SCALE;
/// With the title of the axis beside its labels.
const LEFT: i32 = 84 * SCALE;
const BOTTOM: i32 = 52 * SCALE;
/// The margin for the labels of the lines.
const RIGHT: i32 = 190 * SCALE;
const FONT: i32 = 14 * SCALE;
/// The smallest distance between two labels.
const NAME_HEIGHT: i32 = 18 * SCALE;

/// Okabe and Ito's palette, darkened for white paper: distinguishable under every common form of
/// colour blindness.
const COLORS: [RGBColor; super::MOST_LINES] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x8A, 0x64),
    RGBColor(0xA2, 0x3B, 0x7F),
];
const GRID: RGBColor = RGBColor(0xE3, 0xE7, 0xEC);
const AXIS: RGBColor = RGBColor(0x9A, 0xA5, 0xB1);
const TEXT: RGBColor = RGBColor(0x4A, 0x55, 0x65);

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type DrawingError = DrawingAreaErrorKind<std::io::Error>;

/// One quantity of one line.
struct Curve {
    name: String,
    color: RGBColor,
    main: bool,
    points: Vec<(f64, f64)>,
}

pub(super) fn draw(title: &str, over: Over, lines: &[Line<'_>]) -> Result<String, DrawingError> {
    let unit = lines[0].rows.values().next().map_or(crate::RowUnit::Ns, |row| row.unit);
    let curves: Vec<Curve> =
        lines.iter().zip(COLORS).flat_map(|(line, color)| curves_of(line, color, unit)).collect();
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs());
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        canvas.fill(&WHITE)?;
        let points = curves.iter().flat_map(|curve| &curve.points);
        let across = Axis::of_values(over, points.clone().map(|point| point.0).collect());
        let upwards = Axis::around(unit, points.map(|point| point.1));
        let mut plot = ChartBuilder::on(&canvas)
            .margin_top(TOP)
            .margin_right(RIGHT)
            .x_label_area_size(BOTTOM)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(across, upwards)?;
        draw_axes(&mut plot, unit)?;
        write_titles(&canvas, title, over)?;
        for curve in &curves {
            draw_curve(&mut plot, curve)?;
        }
        name_curves(&canvas, &plot, &curves)?;
        canvas.present()?;
    }
    Ok(scalable(&svg))
}

fn curves_of(line: &Line<'_>, color: RGBColor, unit: crate::RowUnit) -> impl Iterator<Item = Curve> {
    quantities(unit).iter().map(move |&(quantity, of, main)| Curve {
        name: format!("{} {quantity}", words(&line.parameters)).trim().to_owned(),
        color,
        main,
        points: line.points(of),
    })
}

fn draw_axes(plot: &mut Plot<'_, '_>, unit: crate::RowUnit) -> Result<(), DrawingError> {
    plot.configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(SCALE.unsigned_abs()))
        .axis_style(AXIS.stroke_width(SCALE.unsigned_abs()))
        .set_all_tick_mark_size(4 * SCALE)
        .label_style(font(TEXT))
        .y_desc(axis_title(unit))
        .axis_desc_style(font(TEXT))
        .draw()
}

fn write_titles(canvas: &Canvas<'_>, title: &str, over: Over) -> Result<(), DrawingError> {
    let above = font(TEXT).pos(Pos::new(HPos::Left, VPos::Top));
    canvas.draw_text(title, &above, (8 * SCALE, 8 * SCALE))?;
    let across = match over {
        Over::Hosts => "hosts (logarithmic)",
        Over::Fill => "% of the vCPUs held (logarithmic to 100)",
    };
    let below = font(TEXT).pos(Pos::new(HPos::Center, VPos::Bottom));
    canvas.draw_text(across, &below, ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4 * SCALE))
}

/// The measured quantity.
const fn axis_title(unit: crate::RowUnit) -> &'static str {
    match unit {
        crate::RowUnit::Ns => "time (logarithmic)",
        crate::RowUnit::PerSecond => "per second (logarithmic)",
        crate::RowUnit::Bytes => "memory (logarithmic)",
    }
}

fn draw_curve(plot: &mut Plot<'_, '_>, curve: &Curve) -> Result<(), DrawingError> {
    let (width, strength) = if curve.main { (5, 1.0) } else { (3, 0.55) };
    let style = curve.color.mix(strength);
    plot.draw_series(LineSeries::new(curve.points.iter().copied(), style.stroke_width(width)))?;
    let dot = |&at: &(f64, f64)| Circle::new(at, 3 * SCALE, style.filled());
    plot.draw_series(curve.points.iter().map(dot))?;
    Ok(())
}

/// Writes the label of each curve beside its last point, one below the other where they are close.
fn name_curves(canvas: &Canvas<'_>, plot: &Plot<'_, '_>, curves: &[Curve]) -> Result<(), DrawingError> {
    let ends = curves.iter().filter_map(|curve| Some((plot.backend_coord(curve.points.last()?), curve)));
    let mut ends: Vec<((i32, i32), &Curve)> = ends.collect();
    ends.sort_by_key(|((_, y), _)| *y);
    let mut free = i32::MIN;
    for ((x, y), curve) in ends {
        let y = y.max(free);
        free = y + NAME_HEIGHT;
        let style = font(curve.color).pos(Pos::new(HPos::Left, VPos::Center));
        canvas.draw_text(&curve.name, &style, (x + 10 * SCALE, y))?;
    }
    Ok(())
}

fn font(color: RGBColor) -> TextStyle<'static> {
    // The SVG backend divides the size by this factor.
    ("sans-serif", f64::from(FONT) * 1.24).into_font().color(&color)
}

/// Shows the SVG at its own size, or at the width of its page if that is smaller.
fn scalable(svg: &str) -> String {
    let own = format!("width=\"{WIDTH}\" height=\"{HEIGHT}\"");
    let shown = format!("width=\"{}\" height=\"{}\"", WIDTH / SCALE, HEIGHT / SCALE);
    svg.replacen(&own, &shown, 1)
}
