//! Many short runs, each from an empty fleet: the protocol of a published baseline.

use berth_traces::scale::Drawn;
use serde::Serialize;

use crate::departures::{Departure, Departures};
use crate::scenario::ScenarioError;
use crate::scenario::cells::CellPolicy;
use crate::scenario::engine::{Deciding, Leaving, engine};
use crate::scenario::parallel::in_order;
use crate::scenario::run::{Environment, run};
use crate::simulation::Starting;

/// The results of episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpisodeResult {
    /// The sum of waits in each episode, in whole seconds.
    pub waits_s: Vec<u64>,
    /// Their mean without the lowest and highest.
    pub trimmed_mean_s: f64,
}

/// Runs an episode from each VM number in `starts`: as many VMs as first fit places from there on
/// before the next does not fit for the first time, and `beyond` more. The result of an episode is
/// the sum of waits; a share of `trim` of the episodes is dropped at either end before the mean is
/// taken.
///
/// # Errors
/// A start is not a VM of the trace, or a run fails.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // sums of seconds
pub fn episodes(
    env: &Environment<'_>,
    starts: &[usize],
    beyond: u64,
    trim: f64,
    jobs: usize,
    proceed: &(dyn Fn() -> bool + Sync),
) -> Result<EpisodeResult, ScenarioError> {
    let count = env.set.vms.len();
    if let Some(start) = starts.iter().find(|start| **start >= count) {
        return Err(ScenarioError::new(&format!(
            "episodes: the trace has {count} VMs, and no number {start}"
        )));
    }
    let all = env.set.draw(0, 0, 0);
    let one = |number: usize| -> Result<u64, ScenarioError> {
        let from = starts[number];
        let placed = first_fit_places(env, &all[from..])?;
        let length = (placed + usize::try_from(beyond).unwrap_or(usize::MAX)).min(all.len() - from);
        let result = run(env, &all[from..from + length], &|| proceed())?;
        Ok(result.figures.wait_total_s.round() as u64)
    };
    let waits_s = in_order(jobs, starts.len(), one).into_iter().collect::<Result<Vec<u64>, _>>()?;
    let mut sorted = waits_s.clone();
    sorted.sort_unstable();
    let drop = (sorted.len() as f64 * trim.clamp(0.0, 0.49)).round() as usize;
    let kept = &sorted[drop..sorted.len() - drop];
    let trimmed_mean_s = kept.iter().sum::<u64>() as f64 / kept.len().max(1) as f64;
    Ok(EpisodeResult { waits_s, trimmed_mean_s })
}

/// How many VMs first fit places on empty hosts before the next one does not fit. As in the
/// published environment, the next VM is looked at as soon as the last has started: departures
/// until its arrival do not count yet.
fn first_fit_places(env: &Environment<'_>, drawn: &[Drawn]) -> Result<usize, ScenarioError> {
    let first_fit = match env.deciding {
        Deciding::Cells(_, split_above_mb) => Deciding::Cells(CellPolicy::First, *split_above_mb),
        _ => Deciding::Policy(berth_scheduler::Policy::FirstFit),
    };
    let mut engine = engine(env, &first_fit)?;
    let mut departures = Departures::default();
    let vm_of = |job: u32| &env.set.vms[drawn[job as usize].vm as usize];
    for (job, of) in (0_u32..).zip(drawn) {
        let start = Starting { now: of.arrival, lifetime_s: None };
        let leave = Leaving { now: of.arrival, has_ended: true };
        let Some(looked_at) = engine.place(job, vm_of(job), start)? else { return Ok(job as usize) };
        engine.remove(job, vm_of(job), looked_at, leave);
        while let Some(Departure { sequence, host, .. }) = departures.next_until(of.arrival) {
            let job = u32::try_from(sequence).expect("it was a job");
            engine.remove(job, vm_of(job), host as usize, leave);
        }
        let host = engine.place(job, vm_of(job), start)?.expect("it fitted before the departures");
        if let Some(at) = of.departure(&env.set.vms) {
            let host = u32::try_from(host).expect("a fleet has fewer hosts");
            departures.plan(Departure { at, sequence: job.into(), host });
        }
    }
    Ok(drawn.len())
}
