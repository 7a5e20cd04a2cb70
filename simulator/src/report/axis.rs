//! The ranges and tick labels of the axes.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// The largest number of steps between ticks on the time axis.
const TIME_STEPS: f64 = 8.0;
/// The largest number of steps between ticks on the value axis.
const VALUE_STEPS: f64 = 5.0;
/// A percentage axis ends at 100 % unless all values are below this, which would squeeze the lines
/// at the bottom.
const SQUEEZED: f64 = 40.0;

/// The unit of the time axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TimeUnit {
    name: &'static str,
    microseconds: f64,
    /// Usual distances between ticks; above them, powers of ten.
    steps: &'static [f64],
}

const SECOND: f64 = 1_000_000.0;
const SECONDS: TimeUnit =
    TimeUnit { name: "seconds", microseconds: SECOND, steps: &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0] };
const MINUTES: TimeUnit =
    TimeUnit { name: "minutes", microseconds: 60.0 * SECOND, steps: &[1.0, 2.0, 5.0, 10.0, 15.0] };
const HOURS: TimeUnit =
    TimeUnit { name: "hours", microseconds: 3_600.0 * SECOND, steps: &[1.0, 2.0, 3.0, 6.0, 12.0] };
const DAYS: TimeUnit =
    TimeUnit { name: "days", microseconds: 86_400.0 * SECOND, steps: &[1.0, 2.0, 7.0, 14.0, 28.0] };

impl TimeUnit {
    /// The unit for a run of this length.
    pub(crate) fn for_span(span_us: u64) -> Self {
        match span_us / 1_000_000 {
            0..=120 => SECONDS,
            121..=7_200 => MINUTES,
            7_201..=259_200 => HOURS,
            _ => DAYS,
        }
    }

    /// Its name, in the plural.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// A time since the start in this unit.
    pub(crate) fn of(self, microseconds: u64) -> f64 {
        microseconds as f64 / self.microseconds
    }
}

/// The quantity of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Percent,
    Count,
}

/// An axis from its start, mostly 0, to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    start: f64,
    end: f64,
    step: f64,
}

impl Axis {
    /// An axis that ends with the run.
    pub(crate) fn time(unit: TimeUnit, end: f64) -> Self {
        let expected = unit.steps.iter().copied().find(|step| end <= step * TIME_STEPS);
        Self { start: 0.0, end, step: expected.unwrap_or_else(|| round_step(end, 10.0, TIME_STEPS)) }
    }

    /// An axis that ends with the first tick at or above the largest value.
    pub(crate) fn value(measure: Measure, largest: f64) -> Self {
        let (least, largest) = match measure {
            Measure::Percent if largest > SQUEEZED && largest <= 100.0 => {
                return Self { start: 0.0, end: 100.0, step: 20.0 };
            }
            Measure::Percent => (0.001, largest),
            Measure::Count => (1.0, largest),
        };
        let step = round_step(largest, least, VALUE_STEPS);
        Self { start: 0.0, end: (largest / step).ceil().max(1.0) * step, step }
    }

    /// An axis of whole numbers around values that may all be far from 0.
    pub(crate) fn around(low: f64, high: f64) -> Self {
        let step = round_step(high - low, 1.0, TIME_STEPS);
        let start = (low / step).floor() * step;
        Self { start, end: ((high / step).ceil() * step).max(start + step), step }
    }

    fn ticks(&self) -> Vec<f64> {
        // Half a thousandth of a step compensates for the rounding of the division.
        let steps = ((self.end - self.start) / self.step + 0.000_5).floor() as u32;
        (0..=steps).map(|number| self.start + f64::from(number) * self.step).collect()
    }

    /// A tick's label, with only the digits that this axis needs.
    fn label(&self, value: f64) -> String {
        let (divisor, suffix) = match self.step {
            step if step >= 1e9 => (1e9, "G"),
            step if step >= 1e6 => (1e6, "M"),
            step if step >= 1e3 => (1e3, "k"),
            _ => (1.0, ""),
        };
        if value == 0.0 {
            return "0".to_owned();
        }
        let digits = match self.step {
            step if step >= 1.0 => 0,
            step if step >= 0.1 => 1,
            step if step >= 0.01 => 2,
            _ => 3,
        };
        format!("{:.digits$}{suffix}", value / divisor)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.start) / (self.end - self.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.start..self.end
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// The smallest of 1, 2, 5, 10, … times `least` that needs at most `steps` to reach `end`.
fn round_step(end: f64, least: f64, steps: f64) -> f64 {
    let mut decade = least;
    loop {
        for step in [decade, 2.0 * decade, 5.0 * decade] {
            if end <= step * steps {
                return step;
            }
        }
        decade *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000_000;

    #[test]
    fn the_span_chooses_the_unit_of_time() {
        let unit = |span| TimeUnit::for_span(span).name();
        assert_eq!(
            [0, DAY / 48, DAY / 2, 3 * DAY, 4 * DAY, u64::MAX].map(unit),
            ["seconds", "minutes", "hours", "hours", "days", "days"]
        );
    }

    #[test]
    fn time_ticks_are_those_of_clock_and_calendar() {
        let step = |span| {
            let unit = TimeUnit::for_span(span);
            Axis::time(unit, unit.of(span)).step
        };
        assert_eq!(
            [DAY / 8, DAY, 3 * DAY, 14 * DAY, 30 * DAY, 365 * DAY].map(step),
            [1.0, 3.0, 12.0, 2.0, 7.0, 50.0]
        );
    }

    #[test]
    fn values_end_at_a_tick_and_percentages_at_a_hundred() {
        assert_eq!(Axis::value(Measure::Percent, 63.0).ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(Axis::value(Measure::Percent, 3.2).ticks(), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(Axis::value(Measure::Count, 0.0).ticks(), [0.0, 1.0]);
        assert_eq!(Axis::value(Measure::Count, 1000.0).ticks().last(), Some(&1000.0));
    }

    #[test]
    fn an_axis_of_hosts_begins_near_the_first() {
        assert_eq!(Axis::around(1_180.0, 1_367.0).ticks(), [1150.0, 1200.0, 1250.0, 1300.0, 1350.0, 1400.0]);
        assert_eq!(Axis::around(3.0, 3.0).ticks(), [3.0, 4.0]);
        assert_eq!(Axis::around(900.0, 1_250.0).map(&1_075.0, (0, 700)), 350);
    }

    #[test]
    fn labels_are_short_and_exact() {
        let labels = |measure, largest| {
            let axis = Axis::value(measure, largest);
            axis.ticks().iter().map(|&tick| axis.label(tick)).collect::<Vec<_>>()
        };
        assert_eq!(labels(Measure::Count, 7_000_000.0), ["0", "2M", "4M", "6M", "8M"]);
        assert_eq!(labels(Measure::Count, 2_300.0), ["0", "500", "1000", "1500", "2000", "2500"]);
        assert_eq!(labels(Measure::Percent, 0.03), ["0", "0.01", "0.02", "0.03"]);
    }
}
