//! The smallest fleet of one shape, or of shapes in fixed proportions, that meets the service
//! levels.
//!
//! Whether a fleet is large enough is not monotone in its size: one more host changes every later
//! choice. So a size counts only if it and all sizes up to 2 % above it pass, each in 95 % of the
//! resampled traces. All sizes see the same resampled traces (common random numbers), so a
//! difference between two sizes is not one between two draws.
//!
//! A policy that packs takes an empty host only when it has to, and then the first one. So a run
//! that leaves hosts at the end of the fleet unused is the run of every fleet that is larger, and
//! of every smaller one that has the used hosts: one run answers for all these sizes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use berth_traces::inspect::{Load, load};
use berth_traces::scale::{Drawn, as_vms};
use berth_traces::{HostShapes, Micros, Resources, TraceHost, Vm};
use serde::Serialize;

use crate::scenario::ScenarioError;
use crate::scenario::config::ServiceLevels;
use crate::scenario::engine::Deciding;
use crate::scenario::lifetimes::Predictions;
use crate::scenario::parallel::in_order;
use crate::scenario::run::{Environment, run};
use crate::scenario::statistics::{Interval, mean_interval};
use crate::scenario::workload::VmSet;

/// How far above a size all others have to pass.
const MARGIN: f64 = 0.02;
/// The share of resampled traces in which a size has to pass.
const SURE: f64 = 0.95;

/// The draws that are searched first, without a guess.
const PILOTS: usize = 2;

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct Planner<'a> {
    /// The trace.
    pub set: &'a VmSet,
    /// What a host of each shape offers, and in what proportion the shapes are mixed: `[(a, 3), (b,
    /// 1)]` has three of `a` for each of `b`. The first hosts of a fleet are mixed alike.
    pub shapes: &'a [(Resources, u32)],
    /// What decides.
    pub deciding: &'a Deciding,
    /// What it is informed of: how long VMs will live.
    pub predictions: &'a Predictions,
    /// What counts as good enough.
    pub levels: &'a ServiceLevels,
    /// Whether VMs wait, and for how long.
    pub waits: Option<Option<Micros>>,
    /// The time that is not measured.
    pub warm_up: Micros,
    /// The number of resampled traces.
    pub resamples: u32,
    /// The seed of the draws.
    pub seed: u64,
    /// The number of threads.
    pub jobs: usize,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The fewest hosts.
    pub hosts: u32,
    /// The fewest hosts of each resampled trace: mean, with 95 % confidence; and the fewest and the
    /// most.
    pub of_resamples: Interval,
    /// See `of_resamples`.
    pub least: u32,
    /// See `of_resamples`.
    pub most: u32,
    /// Hosts whose amounts equal the peak demand of the trace, in the resource that needs most:
    /// fewer cannot hold it at once, under any scheduler.
    pub peak_bound: u32,
    /// Hosts that would hold the mean demand.
    pub mean_bound: f64,
    /// How far the answer is above the peak bound.
    pub gap: f64,
    /// Mean hosts in use with that many, of each resampled trace: mean and interval.
    pub mean_hosts: Interval,
    /// The number of runs that the answer took.
    pub runs: u64,
    /// Every size that was tried.
    pub steps: Vec<PlanStep>,
}

/// A size that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanStep {
    /// The number of hosts.
    pub hosts: u32,
    /// The number of resampled traces whose outcome is known, and in how many the fleet met the
    /// levels.
    pub runs: u32,
    /// See `runs`.
    pub passed: u32,
    /// Their shares of rejected vCPU-hours, on average, as far as runs came to their end.
    pub rejected_vcpu_hours: f64,
    /// Mean hosts in use.
    pub mean_hosts: f64,
}

/// The outcome of one run.
#[derive(Debug, Clone, Copy)]
struct Tried {
    passed: bool,
    is_complete: bool,
    rejected: f64,
    mean_hosts: f64,
}

impl Planner<'_> {
    /// Finds the fewest hosts. `proceed` gets the number of runs so far, and says whether to go on;
    /// `None` if it did not.
    ///
    /// # Errors
    /// The trace has no VM, no host of the shape can hold one of its VMs, or a run fails.
    pub fn plan(&self, proceed: &(dyn Fn(u64) -> bool + Sync)) -> Result<Option<Plan>, ScenarioError> {
        let vms = &self.set.vms;
        if vms.is_empty() {
            return Err(ScenarioError::new("the trace has no VM"));
        }
        self.check_sizes()?;
        let draws: Vec<Vec<Drawn>> = in_order(self.jobs, self.resamples.max(1) as usize, |number| {
            self.set.draw(self.resamples, u32::try_from(number).unwrap_or(0), self.seed)
        });
        let bounds: Vec<u32> = in_order(self.jobs, draws.len(), |number| {
            let drawn = as_vms(vms, &draws[number]);
            self.hosts_for(load(&drawn).peak)
        });
        let own = load(vms);
        let enough = draws.iter().map(|_| OnceLock::new()).collect();
        let search = Search {
            planner: self,
            draws,
            tried: Mutex::default(),
            enough,
            runs: AtomicU64::new(0),
            proceed,
        };
        let Some(plan) = search.plan(&bounds)? else { return Ok(None) };
        Ok(Some(self.answer(plan, &own, &search)))
    }

    /// Checks that VMs which fit no shape do not break the service level by themselves: the search
    /// would try ever larger fleets.
    #[allow(clippy::cast_precision_loss)] // a share
    fn check_sizes(&self) -> Result<(), ScenarioError> {
        let end = self.set.vms.last().map_or(Micros(0), |last| last.arrival);
        let vcpu_us = |vm: &Vm| {
            let until = vm.departure.unwrap_or(end).min(end);
            u128::from(until.0.saturating_sub(vm.arrival.0)) * u128::from(vm.resources.vcpus)
        };
        let fits = |vm: &Vm| {
            let asked = vm.resources;
            self.shapes.iter().any(|(shape, _)| {
                asked.vcpus <= shape.vcpus
                    && asked.memory_mb <= shape.memory_mb
                    && asked.disk_gb <= shape.disk_gb
            })
        };
        let all: u128 = self.set.vms.iter().map(vcpu_us).sum();
        let unfit: u128 = self.set.vms.iter().filter(|vm| !fits(vm)).map(vcpu_us).sum();
        let share = unfit as f64 / all.max(1) as f64;
        if share <= self.levels.rejected_vcpu_hours.unwrap_or(ServiceLevels::DEFAULT_REJECTED) {
            return Ok(());
        }
        Err(ScenarioError::new(&format!(
            "no number of hosts meets the service levels: VMs with {:.2} % of the vCPU-hours fit no host; \
             berth trace check names them",
            100.0 * share
        )))
    }

    /// Hosts whose amounts equal these, in the resource that needs most.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
    fn hosts_for(&self, [_, vcpus, memory_mb, disk_gb]: [u64; 4]) -> u32 {
        #[allow(clippy::cast_precision_loss)] // a ratio
        let hosts = self.ratio([vcpus as f64, memory_mb as f64, disk_gb as f64]);
        // An exact ratio is not rounded up for its last bits.
        ((hosts - 1e-9).ceil() as u32).max(1)
    }

    /// The amounts as a number of hosts of the mix, in the resource that needs most.
    fn ratio(&self, amounts: [f64; 3]) -> f64 {
        let weights: f64 = self.shapes.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let mean = |of: fn(&Resources) -> u32| {
            let sum: f64 =
                self.shapes.iter().map(|(shape, weight)| f64::from(of(shape)) * f64::from(*weight)).sum();
            sum / weights.max(1.0)
        };
        let each = [mean(|shape| shape.vcpus), mean(|shape| shape.memory_mb), mean(|shape| shape.disk_gb)];
        let ratios = amounts.into_iter().zip(each).filter(|(_, each)| *each > 0.0);
        ratios.map(|(amount, each)| amount / each).fold(0.0, f64::max)
    }

    /// A fleet of so many hosts: each is of the shape that is farthest behind its proportion.
    fn fleet(&self, hosts: u32) -> Vec<TraceHost> {
        let mut counts = vec![0_u32; self.shapes.len()];
        let next = |number: u32| {
            let behind = (0..self.shapes.len()).min_by(|&a, &b| {
                let share =
                    |shape: usize| f64::from(counts[shape] + 1) / f64::from(self.shapes[shape].1.max(1));
                share(a).total_cmp(&share(b))
            });
            let shape = behind.expect("a plan has a shape");
            counts[shape] += 1;
            TraceHost::new(number.to_string(), self.shapes[shape].0)
        };
        (0..hosts).map(next).collect()
    }

    /// The hosts of each shape in a fleet of so many.
    #[must_use]
    pub fn counts(&self, hosts: u32) -> Vec<u32> {
        let fleet = self.fleet(hosts);
        let of = |(shape, _): &(Resources, u32)| fleet.iter().filter(|host| host.capacity == *shape).count();
        self.shapes.iter().map(|shape| u32::try_from(of(shape)).unwrap_or(u32::MAX)).collect()
    }

    /// Whether hosts at the end of a fleet that are never used make no difference: all are alike,
    /// and empty ones are taken last.
    fn has_spare_hosts(&self) -> bool {
        self.shapes.len() == 1 && self.deciding.packs()
    }

    fn answer(&self, (hosts, each): (u32, Vec<u32>), own: &Load, search: &Search<'_>) -> Plan {
        let peak_bound = self.hosts_for(own.peak);
        let [_, vcpus, memory, disk] = own.mean;
        let mean_bound = self.ratio([vcpus, memory, disk]);
        let tried = search.tried.lock().expect("no thread panics with the lock");
        let at_answer: Vec<f64> = (0..search.draws.len())
            .filter_map(|draw| {
                tried.get(&(hosts, draw)).filter(|tried| tried.is_complete).map(|tried| tried.mean_hosts)
            })
            .collect();
        let values: Vec<f64> = each.iter().map(|&hosts| f64::from(hosts)).collect();
        Plan {
            hosts,
            of_resamples: mean_interval(&values),
            least: each.iter().copied().min().unwrap_or(hosts),
            most: each.iter().copied().max().unwrap_or(hosts),
            peak_bound,
            mean_bound,
            gap: f64::from(hosts) / f64::from(peak_bound) - 1.0,
            mean_hosts: mean_interval(&at_answer),
            runs: search.runs.load(Ordering::Relaxed),
            steps: steps(&tried),
        }
    }
}

fn steps(tried: &BTreeMap<(u32, usize), Tried>) -> Vec<PlanStep> {
    let mut sizes: BTreeMap<u32, Vec<Tried>> = BTreeMap::new();
    tried.iter().for_each(|((hosts, _), tried)| sizes.entry(*hosts).or_default().push(*tried));
    let steps = sizes.into_iter().map(|(hosts, runs)| {
        let complete: Vec<&Tried> = runs.iter().filter(|run| run.is_complete).collect();
        #[allow(clippy::cast_precision_loss)] // counts of runs
        let mean = |of: fn(&Tried) -> f64| {
            // The sum of none is -0.
            0.0 + complete.iter().map(|run| of(run)).sum::<f64>() / (complete.len().max(1)) as f64
        };
        PlanStep {
            hosts,
            runs: u32::try_from(runs.len()).unwrap_or(0),
            passed: u32::try_from(runs.iter().filter(|run| run.passed).count()).unwrap_or(0),
            rejected_vcpu_hours: mean(|run| run.rejected),
            mean_hosts: mean(|run| run.mean_hosts),
        }
    });
    steps.collect()
}

struct Search<'a> {
    planner: &'a Planner<'a>,
    draws: Vec<Vec<Drawn>>,
    tried: Mutex<BTreeMap<(u32, usize), Tried>>,
    /// By draw: a number of hosts, and the outcome of the draw with that many or more.
    enough: Vec<OnceLock<(u32, Tried)>>,
    runs: AtomicU64,
    proceed: &'a (dyn Fn(u64) -> bool + Sync),
}

/// The reason that ends a search early: the caller does not want it to go on.
struct Ended;

type Found<T> = Result<Result<T, Ended>, ScenarioError>;

impl Search<'_> {
    /// The answer, and the fewest hosts of each draw.
    fn plan(&self, bounds: &[u32]) -> Result<Option<(u32, Vec<u32>)>, ScenarioError> {
        // How far the first draws get below the hosts that they use in a large fleet is a good
        // guess for all others. There are always as many, so that threads make no difference.
        let first = PILOTS.min(self.draws.len());
        let pilots = in_order(self.planner.jobs, first, |draw| self.fewest(draw, bounds[draw], 1.0));
        let guess = self.guess(&pilots);
        let others = in_order(self.planner.jobs, self.draws.len() - first, |other| {
            self.fewest(first + other, bounds[first + other], guess)
        });
        let mut fewest = Vec::with_capacity(self.draws.len());
        for found in pilots.into_iter().chain(others) {
            match found? {
                Ok(hosts) => fewest.push(hosts),
                Err(Ended) => return Ok(None),
            }
        }
        let mut sorted = fewest.clone();
        sorted.sort_unstable();
        let mut hosts = sorted[self.enough() - 1];
        loop {
            match self.first_failing(hosts..=hosts + margin(hosts))? {
                Ok(Some(size)) => hosts = size + 1,
                Ok(None) => return Ok(Some((hosts, fewest))),
                Err(Ended) => return Ok(None),
            }
        }
    }

    /// The mean share of the hosts used in a large fleet that the first draws need.
    #[allow(clippy::cast_precision_loss)] // a few draws
    fn guess(&self, pilots: &[Found<u32>]) -> f64 {
        let share = |(found, enough): (&Found<u32>, &OnceLock<(u32, Tried)>)| match (found, enough.get()) {
            (Ok(Ok(fewest)), Some((enough, _))) => f64::from(*fewest) / f64::from(*enough),
            _ => 1.0,
        };
        pilots.iter().zip(&self.enough).map(share).sum::<f64>() / pilots.len().max(1) as f64
    }

    /// The first of the sizes that too few draws pass with.
    fn first_failing(&self, sizes: RangeInclusive<u32>) -> Found<Option<u32>> {
        for size in sizes {
            match self.is_enough(size)? {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(Some(size))),
                Err(Ended) => return Ok(Err(Ended)),
            }
        }
        Ok(Ok(None))
    }

    /// The number of draws that have to pass.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count of runs
    fn enough(&self) -> usize {
        ((self.draws.len() as f64 * SURE - 1e-9).ceil() as usize).clamp(1, self.draws.len())
    }

    /// Whether enough draws pass with so many hosts. Draws after the last that can matter are not
    /// run.
    fn is_enough(&self, hosts: u32) -> Found<bool> {
        let may_fail = self.draws.len() - self.enough();
        let (mut failed, mut draw) = (0, 0);
        while draw < self.draws.len() {
            let together = self.planner.jobs.max(1).min(self.draws.len() - draw);
            for tried in in_order(self.planner.jobs, together, |next| self.try_size(hosts, draw + next)) {
                match tried? {
                    Ok(tried) => failed += usize::from(!tried.passed),
                    Err(Ended) => return Ok(Err(Ended)),
                }
            }
            draw += together;
            if failed > may_fail {
                return Ok(Ok(false));
            }
        }
        Ok(Ok(true))
    }

    /// The fewest hosts of one draw, between a size that passes and the one below it, which fails.
    /// The search begins at the `guess`, a share of a size that passes, and takes steps that double
    /// until it has a size on either side; then it bisects.
    fn fewest(&self, draw: usize, bound: u32, guess: f64) -> Found<u32> {
        let mut passes = match self.passing(draw, bound)? {
            Ok(size) => size,
            Err(Ended) => return Ok(Err(Ended)),
        };
        let (mut fails, mut step) = (0, (passes / 256).max(1));
        let mut size = share_of(passes, guess).min(passes - 1);
        while passes > fails + 1 {
            let has_passed = match self.try_size(size.max(1), draw)? {
                Ok(tried) => tried.passed,
                Err(Ended) => return Ok(Err(Ended)),
            };
            *(if has_passed { &mut passes } else { &mut fails }) = size.max(1);
            let middle = fails.midpoint(passes);
            size = match (fails, has_passed) {
                (0, _) => passes.saturating_sub(step),
                (_, false) => middle.min(fails + step),
                (_, true) => middle.max(passes.saturating_sub(step)),
            };
            step *= 2;
        }
        Ok(Ok(passes))
    }

    /// A number of hosts that the draw passes with, not far above the fewest.
    fn passing(&self, draw: usize, bound: u32) -> Found<u32> {
        let mut size = bound;
        if self.planner.has_spare_hosts() {
            size = size.saturating_mul(2).min(HostShapes::MOST_HOSTS);
        }
        loop {
            match self.try_size(size, draw)? {
                Ok(tried) if tried.passed => break,
                Ok(_) => {}
                Err(Ended) => return Ok(Err(Ended)),
            }
            if size >= HostShapes::MOST_HOSTS || self.enough[draw].get().is_some() {
                return Err(ScenarioError::new(
                    "no number of hosts meets the service levels: berth trace check finds VMs that fit no host",
                ));
            }
            size = size.saturating_add((size / 20).max(1)).min(HostShapes::MOST_HOSTS);
        }
        Ok(Ok(self.enough[draw].get().map_or(size, |(hosts, _)| size.min(*hosts))))
    }

    fn try_size(&self, hosts: u32, draw: usize) -> Found<Tried> {
        let known = self.tried.lock().expect("no thread panics with the lock").get(&(hosts, draw)).copied();
        if let Some(tried) = known {
            return Ok(Ok(tried));
        }
        if let Some((_, tried)) = self.enough[draw].get().filter(|(enough, _)| *enough <= hosts) {
            self.tried.lock().expect("no thread panics with the lock").insert((hosts, draw), *tried);
            return Ok(Ok(*tried));
        }
        let planner = self.planner;
        let runs = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        if !(self.proceed)(runs) {
            return Ok(Err(Ended));
        }
        let fleet = planner.fleet(hosts);
        let levels = planner.levels;
        let vcpu_hours = levels.rejected_vcpu_hours.unwrap_or(ServiceLevels::DEFAULT_REJECTED);
        let only_vcpu_hours = levels.rejected_vms.is_none() && levels.wait_p99.is_none();
        let env = Environment {
            set: planner.set,
            hosts: &fleet,
            deciding: planner.deciding,
            predictions: planner.predictions,
            events: &[],
            waits: planner.waits,
            probes: &[],
            warm_up: planner.warm_up,
            seed: planner.seed,
            stop_above: (only_vcpu_hours || levels.rejected_vcpu_hours.is_some()).then_some(vcpu_hours),
        };
        let result = run(&env, &self.draws[draw], &|| (self.proceed)(runs))?;
        if !result.is_complete && !(self.proceed)(runs) {
            return Ok(Err(Ended));
        }
        let tried = Tried {
            passed: result.meets(levels),
            is_complete: result.is_complete,
            rejected: result.figures.rejected_vcpu_hours,
            mean_hosts: result.figures.mean_hosts,
        };
        // The last host is empty throughout, so one more would be, too, and an unused one may be
        // missing.
        if planner.has_spare_hosts() && result.is_complete && result.first_hosts < hosts {
            let _ = self.enough[draw].set((result.first_hosts.max(1), tried));
        }
        self.tried.lock().expect("no thread panics with the lock").insert((hosts, draw), tried);
        Ok(Ok(tried))
    }
}

/// The share of a size, rounded.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not above the size
fn share_of(size: u32, share: f64) -> u32 {
    (f64::from(size) * share.clamp(0.0, 1.0)).round() as u32
}

/// How many sizes above this one have to pass, too.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small share of a size
fn margin(hosts: u32) -> u32 {
    (f64::from(hosts) * MARGIN).ceil() as u32
}
