//! `berth simulate`: runs the scenarios of a file.

mod inputs;
mod outputs;
mod runs;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use berth_simulator::scenario::{Answer, RecordedDecisions, RunResult, ScenarioRuns, Variant, variants};
use clap::Args;

pub(crate) use inputs::{Inputs, deciding, known_lifetimes, provenance, trace_of, workload_of};
pub(crate) use outputs::write_report;

use crate::interrupt::Interrupt;
use crate::{Ending, output};

/// Run the scenarios of a file: workloads on fleets under schedulers, with failures and waiting.
#[derive(Args)]
#[command(after_help = "\
A scenario is TOML; every part has a default. docs/scenarios.md lists the settings. With a table `vary`, every
combination of its values is a scenario. DIR gets report.html, answer.json, runs.parquet, hosts.parquet,
rejections.parquet and one file for each run below runs/, with which --resume goes on.

Examples:
  echo 'workload.trace = \"vms.parquet\"' > one.toml && berth simulate one.toml --out results
  berth simulate scenario.toml --jobs 2 --out results
  berth simulate scenario.toml --out results --resume")]
pub(crate) struct Simulate {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// The number of threads [default: one for each core]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// The directory to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep the runs that DIR has of the same scenario and the same inputs, and run the others
    #[arg(long)]
    resume: bool,
}

impl Simulate {
    pub(crate) fn run(self) -> Result<Ending> {
        let text = std::fs::read_to_string(&self.scenario)
            .with_context(|| format!("cannot read {}", self.scenario.display()))?;
        let variants =
            variants(&text).map_err(|error| anyhow::anyhow!("{}: {error}", self.scenario.display()))?;
        if variants.is_empty() {
            bail!("{}: vary has a list without a value, so there is no scenario", self.scenario.display());
        }
        let directory = self.scenario.parent().map(PathBuf::from).unwrap_or_default();
        let interrupt = Interrupt::listen()?;
        let inputs = Inputs::read(&directory, &variants)?;
        let jobs = self.jobs.map_or_else(cores, usize::from);
        if variants.iter().any(|variant| variant.scenario.workload.episodes.is_some()) {
            return self.episodes(&variants, &inputs, jobs, &interrupt);
        }
        let store = runs::Store::open(&self.out, &text, &inputs, self.resume)?;
        let done = runs::all(&variants, &inputs, &store, jobs, &interrupt)?;
        let answer = answer(&variants, done, &inputs);
        let provenance = provenance(&inputs, &text, &variants);
        outputs::write(&self.out, &answer, &provenance)?;
        output::print(&outputs::table(&answer))?;
        output::print(&format!("\nThe report is {}\n", self.out.join("report.html").display()))?;
        if answer.is_complete {
            return Ok(Ending::Complete);
        }
        output::note(
            "berth: ended by Ctrl-C; everything shown and written is partial, and --resume goes on\n",
        )?;
        Ok(Ending::Interrupted)
    }

    fn episodes(
        &self,
        variants: &[Variant],
        inputs: &Inputs,
        jobs: usize,
        interrupt: &Interrupt,
    ) -> Result<Ending> {
        let done = AtomicU64::new(0);
        let mut rows = Vec::new();
        for (number, variant) in variants.iter().enumerate() {
            let Some(result) = runs::episodes(number, variant, inputs, jobs, interrupt)? else {
                output::note("berth: ended by Ctrl-C; nothing was written\n")?;
                return Ok(Ending::Interrupted);
            };
            done.fetch_add(1, Ordering::Relaxed);
            rows.push((variant.label(), result));
        }
        outputs::write_episodes(&self.out, &rows)?;
        output::print(&outputs::episode_table(&rows))?;
        Ok(Ending::Complete)
    }
}

/// The number of threads of a command without `--jobs`.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn answer(variants: &[Variant], done: runs::Done, inputs: &Inputs) -> Answer {
    let runs::Done { results, is_complete } = done;
    let scenarios: Vec<ScenarioRuns> = variants
        .iter()
        .zip(results)
        .enumerate()
        .map(|(number, (variant, runs))| {
            let levels = &variant.scenario.service_levels;
            let probes = variant.scenario.probes.iter().map(|probe| {
                if probe.name.is_empty() {
                    format!("{} vCPU, {} GiB", probe.vcpus, probe.memory_gib)
                } else {
                    probe.name.clone()
                }
            });
            ScenarioRuns {
                label: variant.label(),
                scheduler: inputs.scenario(number).deciding.name(),
                probes: probes.collect(),
                passed: runs.iter().filter(|run| run.meets(levels)).count(),
                runs,
            }
        })
        .collect();
    Answer { title: title(variants), sentence: sentence(&scenarios), is_complete, plan: None, scenarios }
}

fn title(variants: &[Variant]) -> String {
    let name = variants.first().map(|variant| variant.scenario.name.clone()).unwrap_or_default();
    if name.is_empty() { "Berth simulation".to_owned() } else { name }
}

/// The answer in words: of one scenario, what it rejected; of several, which was best.
fn sentence(scenarios: &[ScenarioRuns]) -> String {
    let rejected = |scenario: &ScenarioRuns| scenario.interval(|run| run.figures.rejected_vcpu_hours);
    let best = scenarios.iter().min_by(|a, b| {
        let key = |scenario: &ScenarioRuns| {
            (rejected(scenario).mean, scenario.interval(|run| run.figures.mean_hosts).mean)
        };
        key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let Some(best) = best else { return "Nothing ran.".to_owned() };
    let of = rejected(best);
    let hosts = best.interval(|run| run.figures.mean_hosts);
    let runs = if best.runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", best.runs.len()) };
    let figures = format!(
        "{:.4} % of the requested vCPU-hours rejected (95 % interval {:.4} to {:.4} %), {:.1} hosts in use on average, in {runs}; \
         {} of them met the service levels.",
        100.0 * of.mean,
        100.0 * of.low.max(0.0),
        100.0 * of.high,
        hosts.mean,
        best.passed
    );
    if scenarios.len() == 1 {
        figures + &recorded(&best.runs)
    } else {
        format!("Best of {} scenarios: {}: {figures}", scenarios.len(), best.label)
    }
}

/// How the decisions of a run compare with those of a recording, if the trace is one.
fn recorded(runs: &[RunResult]) -> String {
    let [RunResult { recorded: Some(recorded), .. }] = runs else { return String::new() };
    let RecordedDecisions { decisions, same, first_difference, sha256, .. } = recorded;
    match first_difference {
        None => format!(" All {decisions} decisions are those of the recording (SHA-256 {sha256})."),
        Some(first) => format!(
            " {same} of {decisions} decisions are those of the recording; the first other one is that on VM {}: \
             {} in the recording, {} here.",
            first.vm, first.recorded, first.replayed
        ),
    }
}
