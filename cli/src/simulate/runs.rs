//! The runs of all scenarios, on all cores, kept one by one so that an interrupted grid goes on.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use berth_simulator::scenario::{
    Environment, EpisodeResult, RunResult, ScenarioError, Variant, episodes as run_episodes, host_events,
    in_order, run,
};
use berth_traces::Resources;
use sha2::{Digest, Sha256};

use super::inputs::{Inputs, hex};
use crate::interrupt::Interrupt;
use crate::output;
use crate::progress::Runs;

/// The runs of each scenario.
pub(crate) struct Done {
    pub(crate) results: Vec<Vec<RunResult>>,
    pub(crate) is_complete: bool,
}

/// Finished runs on disk.
pub(crate) struct Store {
    directory: PathBuf,
    may_read: bool,
}

impl Store {
    /// The runs of the scenario with these inputs. Those of others are not read.
    pub(crate) fn open(out: &Path, scenario: &str, inputs: &Inputs, resume: bool) -> Result<Self> {
        let mut digest = Sha256::new();
        digest.update(env!("CARGO_PKG_VERSION"));
        digest.update(scenario);
        for (path, of_file) in &inputs.digests {
            digest.update(path.to_string_lossy().as_bytes());
            digest.update(of_file);
        }
        let name = hex(&digest.finalize())[..16].to_owned();
        let directory = out.join("runs").join(name);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self { directory, may_read: resume })
    }

    fn path(&self, scenario: usize, draw: usize) -> PathBuf {
        self.directory.join(format!("{scenario}-{draw}.json"))
    }

    /// A finished run.
    fn read(&self, scenario: usize, draw: usize) -> Option<RunResult> {
        if !self.may_read {
            return None;
        }
        let text = std::fs::read(self.path(scenario, draw)).ok()?;
        // A file that was being written when the command ended is not whole.
        serde_json::from_slice(&text).ok()
    }

    fn write(&self, scenario: usize, draw: usize, result: &RunResult) -> Result<()> {
        let text = serde_json::to_string(result).context("cannot write JSON")?;
        output::write_file(&self.path(scenario, draw), &text)
    }
}

/// Runs everything that the store does not have.
pub(crate) fn all(
    variants: &[Variant],
    inputs: &Inputs,
    store: &Store,
    jobs: usize,
    interrupt: &Interrupt,
) -> Result<Done> {
    let tasks: Vec<(usize, usize)> = variants
        .iter()
        .enumerate()
        .flat_map(|(number, variant)| {
            (0..variant.scenario.workload.resamples.max(1) as usize).map(move |draw| (number, draw))
        })
        .collect();
    let bar = Runs::new(tasks.len() as u64);
    let done = AtomicU64::new(0);
    let failed: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let results = in_order(jobs, tasks.len(), |task| {
        let (scenario, draw) = tasks[task];
        if interrupt.requested() || failed.lock().expect("no thread panics with the lock").is_some() {
            return None;
        }
        let result = match store.read(scenario, draw) {
            Some(result) => Ok(result),
            None => one(&variants[scenario], inputs, scenario, draw, interrupt).and_then(|result| {
                if result.is_complete {
                    store.write(scenario, draw, &result)?;
                }
                Ok(result)
            }),
        };
        bar.show(done.fetch_add(1, Ordering::Relaxed) + 1);
        match result {
            Ok(result) => result.is_complete.then_some(result),
            Err(error) => {
                failed.lock().expect("no thread panics with the lock").get_or_insert(error);
                None
            }
        }
    });
    bar.finish();
    if let Some(error) = failed.into_inner().expect("no thread panics with the lock") {
        return Err(error);
    }
    let is_complete = results.iter().all(Option::is_some);
    let mut of_scenario: Vec<Vec<RunResult>> = variants.iter().map(|_| Vec::new()).collect();
    for ((scenario, _), result) in tasks.into_iter().zip(results) {
        of_scenario[scenario].extend(result);
    }
    Ok(Done { results: of_scenario, is_complete })
}

fn one(
    variant: &Variant,
    inputs: &Inputs,
    number: usize,
    draw: usize,
    interrupt: &Interrupt,
) -> Result<RunResult> {
    let scenario = &variant.scenario;
    let (set, own) = (inputs.set(number), inputs.scenario(number));
    let seed = scenario.workload.seed.unwrap_or(1);
    let draw = u32::try_from(draw).context("too many resamples")?;
    let drawn = match scenario.workload.fill {
        Some(share) if !(0.0..=100.0).contains(&share) => {
            anyhow::bail!("workload.fill {share}: it is a share of the fleet from 0 to 100")
        }
        Some(share) => set.fill(&own.fleet.hosts, share, draw, seed),
        None => set.draw(scenario.workload.resamples, draw, seed),
    };
    let times = drawn
        .first()
        .zip(drawn.last())
        .map(|(first, last)| (first.arrival, last.arrival))
        .unwrap_or_default();
    let events = host_events(&scenario.events, &own.fleet.hosts, times, seed.wrapping_add(u64::from(draw)))?;
    let probes: Vec<Resources> = scenario.probes.iter().map(probe).collect();
    let env = Environment {
        set,
        hosts: &own.fleet.hosts,
        deciding: &own.deciding,
        predictions: &own.predictions,
        events: &events,
        waits: waits(variant)?,
        probes: &probes,
        warm_up: scenario.workload.warm_up.0,
        seed,
        stop_above: None,
    };
    Ok(run(&env, &drawn, &|| !interrupt.requested())?)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
fn probe(spec: &berth_simulator::scenario::ProbeSpec) -> Resources {
    Resources {
        vcpus: spec.vcpus,
        memory_mb: (spec.memory_gib * 1024.0).ceil() as u32,
        disk_gb: spec.disk_gb,
    }
}

/// Whether VMs wait, and for how long.
pub(crate) fn waits(variant: &Variant) -> Result<Option<Option<berth_traces::Micros>>> {
    let queueing = &variant.scenario.queueing;
    match queueing.mode.as_deref() {
        None | Some("reject") if queueing.limit.is_some() => {
            anyhow::bail!("queueing.limit: only with mode = \"fifo\"")
        }
        None | Some("reject") => Ok(None),
        Some("fifo") => Ok(Some(queueing.limit.map(|limit| limit.0))),
        Some(mode) => anyhow::bail!("queueing.mode {mode:?}: it is reject or fifo"),
    }
}

/// The episodes of a scenario; `None` when Ctrl-C ended them.
pub(crate) fn episodes(
    number: usize,
    variant: &Variant,
    inputs: &Inputs,
    jobs: usize,
    interrupt: &Interrupt,
) -> Result<Option<EpisodeResult>> {
    let Some(settings) = &variant.scenario.workload.episodes else {
        anyhow::bail!("{}: some scenarios of the file have episodes and this has none", variant.label());
    };
    let own = inputs.scenario(number);
    let env = Environment {
        set: inputs.set(number),
        hosts: &own.fleet.hosts,
        deciding: &own.deciding,
        predictions: &own.predictions,
        events: &[],
        waits: waits(variant)?,
        probes: &[],
        warm_up: berth_traces::Micros(0),
        seed: variant.scenario.workload.seed.unwrap_or(1),
        stop_above: None,
    };
    let result =
        run_episodes(&env, &own.starts, settings.beyond, settings.trim, jobs, &|| !interrupt.requested());
    if interrupt.requested() {
        return Ok(None);
    }
    result.map(Some).map_err(|error: ScenarioError| error.into())
}
