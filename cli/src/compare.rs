//! `berth compare`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_simulator::scenario::{mean_interval, paired_difference};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use crate::table::Grid;
use crate::{Ending, output};

/// Compare results of simulations.
#[derive(Args)]
#[command(after_help = "\
Every directory is one that berth simulate or berth plan wrote. Scenarios are compared with the first of the first
directory; with as many runs, by the differences of run and run, which see the same resampled traces.

Example:
  berth compare before after")]
pub(crate) struct Compare {
    /// Directories of results
    #[arg(value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Document {
    complete: bool,
    answer: String,
    #[serde(default)]
    plan: Option<PlanPart>,
    #[serde(default)]
    scenarios: Vec<ScenarioPart>,
}

#[derive(Deserialize)]
struct PlanPart {
    hosts: u32,
    least: u32,
    most: u32,
    peak_bound: u32,
}

#[derive(Deserialize)]
struct ScenarioPart {
    label: String,
    values: Values,
}

/// A figure of each run.
#[derive(Deserialize)]
struct Values {
    rejected_vcpu_hours: Vec<f64>,
    mean_hosts: Vec<f64>,
}

impl Compare {
    pub(crate) fn run(self) -> Result<Ending> {
        let documents =
            self.directories.iter().map(|directory| read(directory)).collect::<Result<Vec<_>>>()?;
        let names: Vec<String> =
            self.directories.iter().map(|directory| directory.display().to_string()).collect();
        let rows: Vec<(&String, &ScenarioPart)> = names
            .iter()
            .zip(&documents)
            .flat_map(|(name, document)| document.scenarios.iter().map(move |part| (name, part)))
            .collect();
        let plans: Vec<(&String, &PlanPart)> = names
            .iter()
            .zip(&documents)
            .filter_map(|(name, document)| Some((name, document.plan.as_ref()?)))
            .collect();
        let first = rows.first().map(|(_, part)| *part);
        let difference = |part: &ScenarioPart| {
            let first =
                first.filter(|first| first.values.mean_hosts.len() == part.values.mean_hosts.len())?;
            Some((
                paired_difference(&first.values.rejected_vcpu_hours, &part.values.rejected_vcpu_hours),
                paired_difference(&first.values.mean_hosts, &part.values.mean_hosts),
            ))
        };
        if self.json {
            output::print_json(&json!({
                "scenarios": rows.iter().map(|(name, part)| json!({
                    "directory": name,
                    "label": part.label,
                    "rejected_vcpu_hours": mean_interval(&part.values.rejected_vcpu_hours),
                    "mean_hosts": mean_interval(&part.values.mean_hosts),
                    "difference": difference(part).map(|(rejected, hosts)| json!({"rejected_vcpu_hours": rejected, "mean_hosts": hosts})),
                })).collect::<Vec<_>>(),
                "plans": plans.iter().map(|(name, plan)| json!({"directory": name, "hosts": plan.hosts})).collect::<Vec<_>>(),
            }))?;
            return Ok(Ending::Complete);
        }
        for (name, document) in names.iter().zip(&documents) {
            let partial = if document.complete { "" } else { " (partial)" };
            output::print(&format!("{name}{partial}: {}\n", document.answer))?;
        }
        if !plans.is_empty() {
            let mut grid = Grid::new(["plan", "hosts", "of resamples", "peak bound"]);
            for (name, plan) in &plans {
                let each = format!("{} – {}", plan.least, plan.most);
                grid.row([(*name).clone(), plan.hosts.to_string(), each, plan.peak_bound.to_string()]);
            }
            grid.align_right(1..4);
            output::print(&format!("\n{}", grid.text()))?;
        }
        if !rows.is_empty() {
            let mut grid = Grid::new([
                "directory",
                "scenario",
                "rejected vCPU-h",
                "against the first",
                "mean hosts",
                "against the first",
            ]);
            for (name, part) in &rows {
                let (rejected, hosts) =
                    (mean_interval(&part.values.rejected_vcpu_hours), mean_interval(&part.values.mean_hosts));
                let difference = difference(part);
                let shown = |of: Option<berth_simulator::scenario::Interval>,
                             factor: f64,
                             digits: usize,
                             unit: &str| {
                    of.map_or_else(
                        || "–".to_owned(),
                        |of| {
                            format!(
                                "{:+.digits$}{unit} ({:+.digits$} to {:+.digits$})",
                                factor * of.mean,
                                factor * of.low,
                                factor * of.high
                            )
                        },
                    )
                };
                grid.row([
                    (*name).clone(),
                    part.label.clone(),
                    format!("{:.4} %", 100.0 * rejected.mean),
                    shown(difference.map(|(rejected, _)| rejected), 100.0, 4, " %"),
                    format!("{:.1}", hosts.mean),
                    shown(difference.map(|(_, hosts)| hosts), 1.0, 1, ""),
                ]);
            }
            grid.align_right(2..6);
            output::print(&format!("\n{}", grid.text()))?;
        }
        Ok(Ending::Complete)
    }
}

fn read(directory: &Path) -> Result<Document> {
    let path = directory.join("answer.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    match serde_json::from_str(&text) {
        Ok(document) => Ok(document),
        Err(error) => bail!("{}: not a result of berth simulate or berth plan: {error}", path.display()),
    }
}
