//! `berth plan`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use berth_simulator::scenario::{
    Answer, Plan, Planner, Predictions, Provenance, SchedulerSpec, ServiceLevels, VmSet, Workload,
};
use berth_traces::{HostShape, Micros, Resources};
use clap::Args;
use indicatif::HumanCount;

use crate::interrupt::Interrupt;
use crate::progress::Runs;
use crate::simulate::{cores, deciding, known_lifetimes, trace_of, workload_of, write_report};
use crate::table::Grid;
use crate::{Ending, invocation, output};

/// Find the fewest hosts of a shape that serve a workload.
#[derive(Args)]
#[command(after_help = "\
The answer is the smallest number of hosts at which it and all sizes up to 2 % above it meet the service level, each in
95 % of the resampled traces: weeks drawn from the days of the trace. With several shapes, the cheapest answer wins,
or the one with the fewest hosts if prices are missing. --mix also tries each pair of shapes as 3:1, 1:1 and 1:3.

Examples:
  berth plan --trace vms.parquet --shape 64x256
  berth plan --trace vms.parquet --shape 64x256@900 --shape 96x768@1600 --rejected 0.0005 --out plan
  berth plan --trace vms.parquet --shape 64x256@900 --shape 96x192@1000 --mix
  berth plan --trace vms.parquet --shape 64x256 --policy lifetime --lifetime-error 0.5
  berth plan --trace vms.parquet --shape 256x240 --policy worstfit --warm-up 1d --json")]
pub(crate) struct PlanCommand {
    /// The trace of VMs; without one, a synthetic cloud
    #[arg(long, value_name = "TRACE")]
    trace: Option<String>,
    /// What a host offers, as vCPUs x GiB [x GB of disk] [@ price]; again for further shapes
    #[arg(long, value_name = "SHAPE", required = true, value_parser = priced)]
    shape: Vec<Priced>,
    /// Also try mixes of every two shapes
    #[arg(long)]
    mix: bool,
    /// The placement policy
    #[arg(long, value_name = "P", default_value = "bestfit")]
    policy: String,
    /// Decide by Nova's filters and weighers, with the options of this nova.conf
    #[arg(long, value_name = "FILE")]
    nova_conf: Option<String>,
    /// With --policy lifetime: a CSV file of lifetimes by flavor and project
    #[arg(long, value_name = "FILE", conflicts_with = "lifetime_error")]
    lifetimes: Option<PathBuf>,
    /// With --policy lifetime: lifetimes are known up to a log-normal error of this deviation
    #[arg(long, value_name = "X", value_parser = deviation)]
    lifetime_error: Option<f64>,
    /// The share of requested vCPU-hours that may be rejected
    #[arg(long, value_name = "X", default_value_t = ServiceLevels::DEFAULT_REJECTED, value_parser = share)]
    rejected: f64,
    /// The growth of arrivals each month, 0.03 for 3 %
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    growth: f64,
    /// Copies or leaves out VMs: 1.2 plans for a fifth more
    #[arg(long, value_name = "X")]
    scale: Option<f64>,
    /// The time after which measuring begins, such as 1d
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "0")]
    warm_up: Micros,
    /// The length that the trace is repeated for, such as 90d
    #[arg(long, value_name = "TIME", value_parser = span)]
    horizon: Option<Micros>,
    /// The number of resampled traces
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    resamples: u32,
    /// The seed of the draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The number of threads [default: one for each core]; the answer does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Write report.html and answer.json to this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<Micros, String> {
    berth_simulator::scenario::Span::parse(text)
        .map(|span| span.0)
        .ok_or_else(|| "a length of time such as 12h, 30d, or seconds".to_owned())
}

fn deviation(text: &str) -> Result<f64, String> {
    let deviation = text.parse().ok().filter(|deviation| (0.0..=10.0).contains(deviation));
    deviation.ok_or_else(|| "a number from 0 to 10".to_owned())
}

/// A shape and its price.
#[derive(Debug, Clone, PartialEq)]
struct Priced {
    text: String,
    capacity: Resources,
    price: Option<f64>,
}

fn priced(text: &str) -> Result<Priced, String> {
    let (shape, price) = match text.split_once('@') {
        Some((shape, price)) => (shape, Some(price)),
        None => (text, None),
    };
    let price = price.map(|price| match price.parse::<f64>() {
        Ok(price) if price.is_finite() && price > 0.0 => Ok(price),
        _ => Err(format!("the price {price:?} is not a number above 0")),
    });
    if shape.contains([':', ',']) {
        return Err(
            "one shape without a number of hosts, such as 64x256: the number is the answer".to_owned()
        );
    }
    let capacity = HostShape::capacity_of(shape).map_err(|error| error.to_string())?;
    Ok(Priced { text: shape.to_owned(), capacity, price: price.transpose()? })
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to 1".to_owned())
}

/// Shapes in their proportions: one alone, or two.
#[derive(Debug, Clone, PartialEq)]
struct Mix(Vec<(Priced, u32)>);

/// The proportions in which two shapes are mixed.
const PROPORTIONS: [(u32, u32); 3] = [(3, 1), (1, 1), (1, 3)];

impl Mix {
    /// Every shape alone and, if wanted, every two of them in each proportion.
    fn all(shapes: &[Priced], is_mixed: bool) -> Vec<Self> {
        let mut all: Vec<Self> = shapes.iter().map(|shape| Self(vec![(shape.clone(), 1)])).collect();
        let pairs = shapes
            .iter()
            .enumerate()
            .flat_map(|(number, a)| shapes[number + 1..].iter().map(move |b| (a, b)));
        for (a, b) in pairs.filter(|_| is_mixed) {
            all.extend(PROPORTIONS.map(|(of_a, of_b)| Self(vec![(a.clone(), of_a), (b.clone(), of_b)])));
        }
        all
    }

    fn text(&self) -> String {
        match &self.0[..] {
            [(shape, _)] => shape.text.clone(),
            shapes => {
                let parts: Vec<_> =
                    shapes.iter().map(|(shape, weight)| format!("{weight} × {}", shape.text)).collect();
                parts.join(" + ")
            }
        }
    }
}

/// The plan of a mix.
#[derive(Debug, Clone)]
struct Planned {
    mix: Mix,
    /// The hosts of each shape.
    counts: Vec<u32>,
    plan: Plan,
}

impl Planned {
    fn cost(&self) -> Option<f64> {
        let of = |((shape, _), count): (&(Priced, u32), &u32)| Some(shape.price? * f64::from(*count));
        self.mix.0.iter().zip(&self.counts).map(of).sum()
    }

    /// What to buy.
    fn fleet(&self) -> String {
        match &self.counts[..] {
            [count] => format!("{} hosts of {}", HumanCount((*count).into()), self.mix.text()),
            counts => {
                let shapes = self.mix.0.iter().zip(counts);
                let parts: Vec<_> = shapes
                    .map(|((shape, _), count)| {
                        format!("{} hosts of {}", HumanCount((*count).into()), shape.text)
                    })
                    .collect();
                parts.join(" and ")
            }
        }
    }
}

impl PlanCommand {
    pub(crate) fn run(self) -> Result<Ending> {
        let interrupt = Interrupt::listen()?;
        let workload = Workload {
            trace: self.trace.clone(),
            warm_up: berth_simulator::scenario::Span(self.warm_up),
            horizon: self.horizon.map(berth_simulator::scenario::Span),
            scale: self.scale,
            growth_per_month: self.growth,
            seed: Some(self.seed),
            ..Workload::default()
        };
        workload.check()?;
        let mut digests = BTreeMap::new();
        let (vms, _) = trace_of(Path::new(""), &workload, &mut digests)?;
        let set = VmSet::new(vms, &workload);
        set.check_warm_up(self.warm_up)?;
        let scheduler = SchedulerSpec {
            policy: Some(self.policy.clone()),
            nova_conf: self.nova_conf.clone(),
            ..SchedulerSpec::default()
        };
        let scheduler = if self.nova_conf.is_some() && self.policy == "bestfit" {
            SchedulerSpec { policy: None, ..scheduler }
        } else {
            scheduler
        };
        let deciding = deciding(Path::new(""), &scheduler, false, self.seed)?;
        let predictions = self.predictions()?;
        let levels = ServiceLevels { rejected_vcpu_hours: Some(self.rejected), ..ServiceLevels::default() };
        let mut plans = Vec::new();
        for mix in Mix::all(&self.shape, self.mix) {
            let capacities: Vec<_> = mix.0.iter().map(|(shape, weight)| (shape.capacity, *weight)).collect();
            let planner = Planner {
                set: &set,
                shapes: &capacities,
                deciding: &deciding,
                predictions: &predictions,
                levels: &levels,
                waits: None,
                warm_up: self.warm_up,
                resamples: self.resamples,
                seed: self.seed,
                jobs: self.jobs.map_or_else(cores, usize::from),
            };
            let bar = Runs::new(0);
            let plan = planner.plan(&|runs| {
                bar.show(runs);
                !interrupt.requested()
            });
            bar.finish();
            let Some(plan) = plan? else {
                output::note("berth: ended by Ctrl-C; nothing was written\n")?;
                return Ok(Ending::Interrupted);
            };
            plans.push(Planned { counts: planner.counts(plan.hosts), mix, plan });
        }
        let best = &plans[best(&plans)];
        let sentence = sentence(best, self.rejected, self.resamples);
        let answer = Answer {
            title: "Berth plan".to_owned(),
            sentence: sentence.clone(),
            is_complete: true,
            plan: Some(best.plan.clone()),
            scenarios: Vec::new(),
        };
        let provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: invocation::shown(std::env::args()),
            seed: self.seed,
            trace: workload_of(&workload),
            trace_sha256: digests.values().next().cloned(),
            fleet: best.fleet(),
            scenario_sha256: None,
        };
        if let Some(out) = &self.out {
            write_report(out, &answer, &provenance)?;
        }
        if self.json {
            output::print_json(&serde_json::json!({
                "version": 1,
                "answer": sentence,
                "shape": best.mix.text(),
                "plan": answer.plan,
                "shapes": plans.iter().map(|planned| serde_json::json!({
                    "shape": planned.mix.text(), "hosts": planned.plan.hosts, "cost": planned.cost(),
                    "of_each": planned.mix.0.iter().zip(&planned.counts).map(|((shape, _), count)| serde_json::json!({
                        "shape": shape.text, "price": shape.price, "hosts": count,
                    })).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
                "provenance": provenance,
            }))?;
        } else {
            output::print(&format!("{sentence}\n\n{}", table(&plans)))?;
            if let Some(out) = &self.out {
                output::print(&format!("\nThe report is {}\n", out.join("report.html").display()))?;
            }
        }
        Ok(Ending::Complete)
    }
}

impl PlanCommand {
    fn predictions(&self) -> Result<Predictions> {
        let is_given = self.lifetimes.is_some() || self.lifetime_error.is_some();
        if is_given && self.policy != "lifetime" && self.nova_conf.is_none() {
            bail!("--lifetimes and --lifetime-error: the policy {} does not use them", self.policy);
        }
        match (&self.lifetimes, self.lifetime_error) {
            (Some(file), _) => known_lifetimes(file, &mut BTreeMap::new()),
            (None, Some(error)) => Ok(Predictions::Oracle(error)),
            (None, None) => Ok(Predictions::None),
        }
    }
}

/// The cheapest plan if every shape has a price, else the one of the fewest hosts.
fn best(plans: &[Planned]) -> usize {
    let is_priced = plans.iter().all(|planned| planned.cost().is_some());
    let key = |planned: &Planned| match planned.cost() {
        Some(cost) if is_priced => cost,
        _ => f64::from(planned.plan.hosts),
    };
    let of = plans.iter().enumerate().min_by(|a, b| key(a.1).total_cmp(&key(b.1)));
    of.map_or(0, |(number, _)| number)
}

fn sentence(best: &Planned, rejected: f64, resamples: u32) -> String {
    let price = best.cost().map(|cost| format!(" for {cost:.0}")).unwrap_or_default();
    let plan = &best.plan;
    format!(
        "{}{price} serve this load with at most {} % of the requested vCPU-hours rejected, in 95 % of {resamples} resampled traces (each \
         needs {} to {} hosts, {:.1} on average, 95 % interval {:.1} to {:.1}). The peak demand alone fills {} hosts, so the answer is \
         {:.1} % above that.",
        best.fleet(),
        100.0 * rejected,
        plan.least,
        plan.most,
        plan.of_resamples.mean,
        plan.of_resamples.low,
        plan.of_resamples.high,
        HumanCount(plan.peak_bound.into()),
        100.0 * plan.gap
    )
}

fn table(plans: &[Planned]) -> String {
    let mut grid = Grid::new([
        "shape",
        "hosts",
        "cost",
        "of resamples",
        "peak bound",
        "gap",
        "mean bound",
        "mean hosts in use",
        "runs",
    ]);
    for planned in plans {
        let plan = &planned.plan;
        grid.row([
            planned.mix.text(),
            plan.hosts.to_string(),
            planned.cost().map_or_else(|| "–".to_owned(), |cost| format!("{cost:.0}")),
            format!("{} – {}", plan.least, plan.most),
            plan.peak_bound.to_string(),
            format!("{:+.1} %", 100.0 * plan.gap),
            format!("{:.1}", plan.mean_bound),
            format!("{:.1}", plan.mean_hosts.mean),
            plan.runs.to_string(),
        ]);
    }
    grid.align_right(1..9);
    grid.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shapes_are_tried_alone_and_in_three_proportions() {
        let shapes = ["64x256@900", "96x192@1000"].map(|text| priced(text).unwrap());
        let texts = |is_mixed| Mix::all(&shapes, is_mixed).iter().map(Mix::text).collect::<Vec<_>>();
        assert_eq!(texts(false), ["64x256", "96x192"]);
        assert_eq!(
            texts(true)[2..],
            ["3 × 64x256 + 1 × 96x192", "1 × 64x256 + 1 × 96x192", "1 × 64x256 + 3 × 96x192"]
        );
    }

    #[test]
    fn shapes_may_have_prices() {
        let of = priced("64x256@900").unwrap();
        assert_eq!((of.text.as_str(), of.price, of.capacity.vcpus), ("64x256", Some(900.0), 64));
        assert_eq!(priced("64x256x3840").unwrap().price, None);
        for (text, words) in [
            ("64x256:10", "the number is the answer"),
            ("64x256@free", "is not a number above 0"),
            ("64", "is not of the form"),
        ] {
            let error = priced(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
