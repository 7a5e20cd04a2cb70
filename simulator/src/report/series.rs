//! The data of the charts: the samples of a run as lines, with titles and captions.

use super::axis::{Measure, TimeUnit};
use super::format::{duration, number, percent, percent_or_none};
use super::ink::Ink;
use super::summary::{Summary, packing_density, share};
use crate::outcome::{Sample, Share, SimulationOutcome};

/// The largest number of intervals in the chart of the rejection rate: fewer are too coarse, more
/// too noisy.
const BARS: usize = 60;

/// The classes of a host, in the order of [`Share::amounts`].
pub(super) const CLASSES: [(&str, Ink); 3] =
    [("vCPU", Ink::First), ("Memory", Ink::Second), ("Disk", Ink::Third)];

/// A value at a time in units of the time axis; `None` where it is undefined.
pub(crate) type Point = (f64, Option<f64>);

/// The drawing style of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Line,
    /// A line with the area below it.
    Area,
}

/// One line of a chart.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// Its value at the end, or another note for the legend.
    pub(super) note: String,
    pub(super) ink: Ink,
    pub(super) shape: Shape,
    pub(super) points: Vec<Point>,
}

/// A chart with its texts.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// The unit of the value axis.
    pub(super) unit: &'static str,
    pub(super) measure: Measure,
    pub(super) series: Vec<Series>,
    /// A sentence that defines the quantity.
    pub(super) caption: String,
    /// The reason to show when the chart is empty.
    pub(super) nothing: &'static str,
}

/// The samples of a run in the unit of the time axis.
pub(super) struct Timeline<'a> {
    pub(super) outcome: &'a SimulationOutcome,
    pub(super) unit: TimeUnit,
    /// The length of the run in that unit.
    pub(super) end: f64,
}

impl<'a> Timeline<'a> {
    pub(super) fn of(outcome: &'a SimulationOutcome) -> Self {
        let span_us = Summary::of(outcome).span_us;
        let unit = TimeUnit::for_span(span_us);
        Self { outcome, unit, end: unit.of(span_us) }
    }

    fn at(&self, sample: &Sample) -> f64 {
        self.unit.of(sample.at_us.saturating_sub(self.outcome.started_us))
    }

    fn points(&self, value: impl Fn(&Sample) -> Option<f64>) -> Vec<Point> {
        self.outcome.samples.iter().map(|sample| (self.at(sample), value(sample))).collect()
    }

    fn count(&self, value: impl Fn(&Sample) -> u64) -> Vec<Point> {
        self.points(|sample| Some(value(sample) as f64))
    }

    fn percent(&self, value: impl Fn(&Sample) -> Option<f64>) -> Vec<Point> {
        self.points(|sample| value(sample).map(|ratio| ratio * 100.0))
    }

    /// One line for each class that the fleet has.
    fn classes(&self, classes: &[usize], amounts: impl Fn(&Sample) -> Share) -> Vec<Series> {
        let line = |&class: &usize| {
            let capacity = self.outcome.capacity.amounts()[class];
            let part = |sample: &Sample| share(amounts(sample).amounts()[class], capacity);
            let last = part(self.outcome.end())?;
            let (name, ink) = CLASSES[class];
            Some(Series {
                name,
                note: at_end(&percent(last)),
                ink,
                shape: Shape::Line,
                points: self.percent(part),
            })
        };
        classes.iter().filter_map(line).collect()
    }

    pub(super) fn utilisation(&self) -> Chart {
        Chart {
            title: "Utilisation",
            unit: "% of capacity",
            measure: Measure::Percent,
            series: self.classes(&[0, 1, 2], |sample| sample.used),
            caption:
                "Utilisation: what running VMs hold, as a share of the capacity of all hosts of the fleet."
                    .to_owned(),
            nothing: "the fleet has no capacity",
        }
    }

    pub(super) fn hosts(&self) -> Chart {
        let SimulationOutcome { hosts, .. } = *self.outcome;
        let end = self.outcome.end().busy_hosts;
        let in_use = Series {
            name: "Hosts in use",
            note: at_end(&number(end)),
            ink: Ink::First,
            shape: Shape::Area,
            points: self.count(|sample| sample.busy_hosts),
        };
        let all = Series {
            name: "All hosts",
            note: number(hosts),
            ink: Ink::Reference,
            shape: Shape::Line,
            points: vec![(0.0, Some(hosts as f64)), (self.end, Some(hosts as f64))],
        };
        Chart {
            title: "Hosts in use",
            unit: "hosts",
            measure: Measure::Count,
            series: if hosts > 0 { vec![in_use, all] } else { Vec::new() },
            caption: "In use: the host has at least one VM. The others are empty and could be switched off."
                .to_owned(),
            nothing: "the fleet has no hosts",
        }
    }

    pub(super) fn running_vms(&self) -> Chart {
        let running = Series {
            name: "Running VMs",
            note: at_end(&number(self.outcome.end().running_vms)),
            ink: Ink::First,
            shape: Shape::Area,
            points: self.count(|sample| sample.running_vms),
        };
        Chart {
            title: "Running VMs",
            unit: "VMs",
            measure: Measure::Count,
            series: if self.outcome.totals.placed > 0 { vec![running] } else { Vec::new() },
            caption: "Running: the VM got a host and has not left it yet.".to_owned(),
            nothing: "no VM was placed",
        }
    }

    pub(super) fn density(&self) -> Chart {
        let density = Series {
            name: "Packing density",
            note: at_end(&percent_or_none(packing_density(self.outcome.end()))),
            ink: Ink::First,
            shape: Shape::Line,
            points: self.percent(packing_density),
        };
        Chart {
            title: "Packing density",
            unit: "% of the vCPUs of hosts in use",
            measure: Measure::Percent,
            series: vec![density],
            caption: "Packing density: used vCPUs as a share of the vCPUs of the hosts in use; \
                      at 100 % no host in use has a vCPU to spare."
                .to_owned(),
            nothing: "no host was in use",
        }
    }

    pub(super) fn stranded(&self) -> Chart {
        Chart {
            title: "Stranded",
            unit: "% of capacity",
            measure: Measure::Percent,
            series: self.classes(&[0, 1, 2], |sample| sample.stranded),
            caption: "Stranded: free, but unusable for any VM seen so far, because another class of the host is exhausted."
                .to_owned(),
            nothing: "the fleet has no capacity",
        }
    }

    pub(super) fn rejection_rate(&self) -> Chart {
        let later = self.outcome.samples.get(1..).unwrap_or_default();
        let samples = later.len().div_ceil(BARS).max(1);
        let rate = Series {
            name: "Rejection rate",
            note: format!("{} overall", percent_or_none(Summary::of(self.outcome).rejection_rate)),
            ink: Ink::Fourth,
            shape: Shape::Area,
            points: self.rates(later.chunks(samples)),
        };
        let interval =
            later.get(samples - 1).map_or(0, |end| end.at_us.saturating_sub(self.outcome.started_us));
        Chart {
            title: "Rejection rate",
            unit: "% of arrivals",
            measure: Measure::Percent,
            series: self.if_rejected(rate),
            caption: format!(
                "Rejection rate: the share of the VMs that arrived within each {} and found no host.",
                if interval > 0 {
                    format!("interval of {}", duration(interval))
                } else {
                    "interval".to_owned()
                }
            ),
            nothing: "no VM was rejected",
        }
    }

    pub(super) fn rejected_vms(&self) -> Chart {
        let rejected = Series {
            name: "Rejected VMs",
            note: at_end(&number(self.outcome.totals.rejected)),
            ink: Ink::Fourth,
            shape: Shape::Line,
            points: self.count(|sample| sample.rejected),
        };
        Chart {
            title: "Rejected VMs",
            unit: "VMs since the start",
            measure: Measure::Count,
            series: self.if_rejected(rejected),
            caption: "Rejected: no host had enough free capacity when the VM arrived. It does not retry."
                .to_owned(),
            nothing: "no VM was rejected",
        }
    }

    fn if_rejected(&self, series: Series) -> Vec<Series> {
        if self.outcome.totals.rejected > 0 { vec![series] } else { Vec::new() }
    }

    /// A flat line for each interval, up to the interval's last sample.
    fn rates<'s>(&self, intervals: impl Iterator<Item = &'s [Sample]>) -> Vec<Point> {
        let (mut start, mut placed, mut rejected) = (0.0, 0, 0);
        let mut points = Vec::new();
        for end in intervals.filter_map(<[Sample]>::last) {
            let more = end.rejected.saturating_sub(rejected);
            let arrived = more + end.placed.saturating_sub(placed);
            let rate = share(more, arrived).map(|ratio| ratio * 100.0);
            points.extend([(start, rate), (self.at(end), rate)]);
            (start, placed, rejected) = (self.at(end), end.placed, end.rejected);
        }
        points
    }
}

fn at_end(value: &str) -> String {
    format!("{value} at the end")
}
