//! Logarithmic axes with conventional ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::Over;
use crate::report::RowUnit;
use crate::table::amount;

/// The quantity on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Hosts.
    Hosts,
    /// Percentages, scaled by what remains to 100, because the last few percent are the hard ones.
    Left,
    /// A measured quantity.
    Measured(RowUnit),
}

/// An axis whose positions are logarithms.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis with a tick at every value.
    pub(crate) fn of_values(over: Over, mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        let scale = if over == Over::Hosts { Scale::Hosts } else { Scale::Left };
        Self { scale, from: values[0], to: values[values.len() - 1], ticks: values }
    }

    /// An axis with ticks at 1, 2, 5, 10, … around the measured values.
    pub(crate) fn around(unit: RowUnit, values: impl Iterator<Item = f64> + Clone) -> Self {
        let least = values.clone().fold(f64::MAX, f64::min).max(1e-3);
        let most = values.fold(least, f64::max);
        let steps = (-3..16).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let below = steps.clone().take_while(|&step| step <= least).last().unwrap_or(least);
        let above = steps.clone().find(|&step| step >= most && step > below).unwrap_or(most);
        let ticks = steps.filter(|step| (below..=above).contains(step)).collect();
        Self { scale: Scale::Measured(unit), from: below, to: above, ticks }
    }

    fn position(&self, value: f64) -> f64 {
        if self.scale == Scale::Left {
            -libm::log((100.0 - value).max(0.1))
        } else {
            libm::log(value.max(1e-3))
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let (from, to) = (self.position(self.from), self.position(self.to));
        let share = (self.position(*value) - from) / (to - from);
        #[allow(clippy::cast_possible_truncation)] // within the picture
        let pixels = (share * f64::from(high - low)).round() as i32;
        low + pixels
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        match self.scale {
            Scale::Hosts => short(*value),
            Scale::Left => format!("{value}"),
            Scale::Measured(unit) => amount(unit, *value).replace(".00 ", " "),
        }
    }
}

/// A large number in a short form.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equally_far_apart() {
        let axis = Axis::of_values(Over::Hosts, vec![1_000.0, 100_000.0, 10_000.0]);
        assert_eq!([1e3, 1e4, 1e5].map(|hosts| axis.map(&hosts, (0, 200))), [0, 100, 200]);
        let fill = Axis::of_values(Over::Fill, vec![0.0, 90.0, 99.0]);
        assert_eq!([0.0, 90.0, 99.0].map(|fill_| fill.map(&fill_, (0, 200))), [0, 100, 200]);
    }

    #[test]
    fn ticks_surround_what_was_measured() {
        let axis = Axis::around(RowUnit::Ns, [430.0, 16_000.0].into_iter());
        let labels: Vec<String> = axis.ticks.iter().map(|tick| axis.format_ext(tick)).collect();
        assert_eq!(labels, ["200 ns", "500 ns", "1 µs", "2 µs", "5 µs", "10 µs", "20 µs"]);
        assert_eq!([1_000.0, 2_500_000.0, 64.0].map(short), ["1k", "2.5M", "64"]);
    }
}
