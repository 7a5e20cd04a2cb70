//! `berth trace describe`.

use std::time::Duration;

use anyhow::{Result, bail};
use berth_traces::inspect::{Description, QUANTILES, describe};
use clap::Args;
use indicatif::{HumanCount, HumanDuration};
use serde_json::{Value, json};

use super::Input;
use crate::table::Grid;
use crate::{Ending, output};

/// The number of shapes shown.
const SHAPES: usize = 12;
/// The columns of a drawing.
const WIDTH: usize = 60;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Show rates, lifetimes, shapes and peaks.
#[derive(Args)]
pub(crate) struct DescribeTrace {
    #[command(flatten)]
    input: Input,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl DescribeTrace {
    pub(crate) fn run(self) -> Result<Ending> {
        let vms = self.input.read()?;
        let Some(description) = describe(&vms) else {
            bail!("{}: the trace has no VM", self.input.trace.display())
        };
        if self.json {
            output::print_json(&document(&description))?;
        } else {
            output::print(&text(&description))?;
        }
        Ok(Ending::Complete)
    }
}

fn document(d: &Description) -> Value {
    let quantiles = |values: &[f64]| -> Value {
        QUANTILES.iter().zip(values).map(|(q, value)| (format!("p{q}"), json!(value))).collect()
    };
    let amounts = |[vms, vcpus, memory_mb, disk_gb]: [u64; 4]| json!({"vms": vms, "vcpus": vcpus, "memory_mb": memory_mb, "disk_gb": disk_gb});
    let [vms, vcpus, memory_mb, disk_gb] = d.load.mean;
    json!({
        "vms": d.vms,
        "first_arrival_us": d.span.0.0,
        "last_arrival_us": d.span.1.0,
        "arrivals_per_hour": {"mean": d.arrivals_per_hour.0, "peak": d.arrivals_per_hour.1},
        "lifetimes_s": d.lifetimes.as_ref().map(|lifetimes| quantiles(lifetimes)),
        "open_ended": d.open_ended,
        "vcpu_hours": d.vcpu_hours,
        "batches": {"count": d.batches.0, "largest": d.batches.1},
        "projects": d.projects,
        "groups": d.groups,
        "gpus": d.gpu_milli as f64 / 1000.0,
        "peak": amounts(d.load.peak),
        "peak_vcpus_at_us": d.load.peak_at.0,
        "mean": {"vms": vms, "vcpus": vcpus, "memory_mb": memory_mb, "disk_gb": disk_gb},
        "shapes": d.shapes.iter().map(|shape| json!({
            "flavor": shape.flavor.as_str(),
            "vcpus": shape.resources.vcpus,
            "memory_mb": shape.resources.memory_mb,
            "disk_gb": shape.resources.disk_gb,
            "vms": shape.vms,
            "vcpu_hours": shape.vcpu_hours,
        })).collect::<Vec<_>>(),
        "load": {
            "start_us": d.load.start.0,
            "interval_us": d.load.interval.0,
            "points": d.load.points.iter().map(|&point| amounts(point)).collect::<Vec<_>>(),
        },
        "hourly_arrivals": d.hourly,
    })
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // for people
fn text(d: &Description) -> String {
    let span = Duration::from_micros(d.span.1.0 - d.span.0.0);
    let mut facts = Grid::indented::<&str>([]);
    let [_, vcpus, memory, disk] = d.load.peak;
    let [mean_vms, mean_vcpus, mean_memory, _] = d.load.mean;
    let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
    fact("VMs", HumanCount(d.vms).to_string());
    fact("span", format!("{:.2} days", span.as_secs_f64() / 86_400.0));
    fact(
        "arrivals",
        format!("{:.0} an hour, {} in the busiest", d.arrivals_per_hour.0, HumanCount(d.arrivals_per_hour.1)),
    );
    if d.batches.0 > 0 {
        let mean = d.vms as f64 / d.batches.0 as f64;
        fact("batches", format!("{} of {mean:.1} VMs, {} at most", HumanCount(d.batches.0), d.batches.1));
    }
    if d.projects > 0 {
        fact("projects", HumanCount(d.projects).to_string());
    }
    if d.groups > 0 {
        fact("server groups", HumanCount(d.groups).to_string());
    }
    if d.gpu_milli > 0 {
        fact("GPUs requested", format!("{:.2}", d.gpu_milli as f64 / 1000.0));
    }
    if let Some(lifetimes) = &d.lifetimes {
        let shown = QUANTILES
            .iter()
            .zip(lifetimes)
            .map(|(q, seconds)| format!("p{q} {}", HumanDuration(Duration::from_secs_f64(*seconds))));
        fact("lifetimes", shown.collect::<Vec<_>>().join(", "));
    }
    fact("without departure", HumanCount(d.open_ended).to_string());
    fact("vCPU-hours", HumanCount(d.vcpu_hours as u64).to_string());
    fact(
        "peak",
        format!(
            "{} VMs, {} vCPU, {} GiB, {} GB of disk",
            HumanCount(d.load.peak[0]),
            HumanCount(vcpus),
            HumanCount(memory.div_ceil(1024)),
            HumanCount(disk)
        ),
    );
    fact("mean", format!("{mean_vms:.0} VMs, {mean_vcpus:.0} vCPU, {:.0} GiB", mean_memory / 1024.0));
    let mut shapes = Grid::indented(["flavor", "vCPU", "GiB", "disk GB", "VMs", "of VMs", "of vCPU-hours"]);
    for shape in d.shapes.iter().take(SHAPES) {
        let r = shape.resources;
        let of = |part: f64, whole: f64| format!("{:.2} %", 100.0 * part / whole.max(f64::MIN_POSITIVE));
        shapes.row([
            shape.flavor.to_string(),
            r.vcpus.to_string(),
            format!("{:.2}", f64::from(r.memory_mb) / 1024.0),
            r.disk_gb.to_string(),
            HumanCount(shape.vms).to_string(),
            of(shape.vms as f64, d.vms as f64),
            of(shape.vcpu_hours, d.vcpu_hours),
        ]);
    }
    shapes.align_right(1..7);
    let more = d.shapes.len().saturating_sub(SHAPES);
    let more = if more > 0 { format!("and {more} more shapes\n") } else { String::new() };
    let running: Vec<u64> = d.load.points.iter().map(|point| point[1]).collect();
    format!(
        "{}\n{}{more}\nvCPUs running, from 0 to {}\n{}\narrivals an hour, from 0 to {}\n{}",
        facts.text(),
        shapes.text(),
        HumanCount(d.load.peak[1]),
        drawing(&running),
        HumanCount(d.arrivals_per_hour.1),
        drawing(&d.hourly),
    )
}

/// Bars of the largest values within equal parts of the time, four lines high.
fn drawing(values: &[u64]) -> String {
    const HEIGHT: usize = 4;
    let width = values.len().min(WIDTH);
    let largest = values.iter().copied().max().unwrap_or(0).max(1);
    let parts: Vec<usize> = (0..width)
        .map(|part| {
            let (from, to) = (part * values.len() / width, (part + 1) * values.len() / width);
            let most = values[from..to.max(from + 1)].iter().copied().max().unwrap_or(0);
            usize::try_from(u128::from(most) * 8 * HEIGHT as u128 / u128::from(largest)).unwrap_or(0)
        })
        .collect();
    let line = |row: usize| -> String {
        let bars = parts.iter().map(|part| BARS[part.saturating_sub(row * 8).min(8)]);
        format!(" {}", bars.collect::<String>()).trim_end().to_owned() + "\n"
    };
    (0..HEIGHT).rev().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn bars_show_the_largest_values() {
        assert_eq!(super::drawing(&[0, 8, 16, 32]), "    █\n    █\n   ██\n  ███\n");
        assert_eq!(super::drawing(&[]), "\n\n\n\n");
    }
}
