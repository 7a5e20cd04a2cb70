//! One run: arrivals, departures, events of hosts, waiting.
//!
//! Order at equal times: departures, then events of hosts, then VMs that wait, then arrivals. So a
//! departure frees capacity for everything that happens at its time.

use std::borrow::Cow;
use std::collections::VecDeque;

use berth_traces::scale::Drawn;
use berth_traces::{Micros, Resources, TraceHost, Vm};
use sha2::{Digest, Sha256};

use crate::departures::{Departure, Departures};
use crate::scenario::ScenarioError;
use crate::scenario::config::Action;
use crate::scenario::engine::{Deciding, Engine, Leaving, engine};
use crate::scenario::events::HostEvent;
use crate::scenario::gauge::Gauge;
use crate::scenario::lifetimes::{Predicted, Predictions};
use crate::scenario::recorded::RecordedComparison;
use crate::scenario::residents::DISABLED;
use crate::scenario::result::{Rejections, RunResult, Waits};
use crate::scenario::workload::VmSet;
use crate::simulation::{SimulationError, Starting};

/// VMs between two looks at whether the run goes on.
const VMS_BETWEEN_PAUSES: u32 = 4096;
/// Displaced VMs look for a host again at most so often.
const RETRY: u64 = 60 * Micros::PER_SECOND;
/// A job that is on no host.
const NOWHERE: u32 = u32::MAX;

/// What a run needs besides its VMs.
#[derive(Debug, Clone)]
pub struct Environment<'a> {
    /// The trace that the VMs are drawn from.
    pub set: &'a VmSet,
    /// The hosts.
    pub hosts: &'a [TraceHost],
    /// What decides.
    pub deciding: &'a Deciding,
    /// What it is informed of: how long VMs will live.
    pub predictions: &'a Predictions,
    /// What happens to hosts, in order.
    pub events: &'a [HostEvent],
    /// Whether a VM that fits no host waits, and for how long at most.
    pub waits: Option<Option<Micros>>,
    /// Sizes of which free slots are counted.
    pub probes: &'a [Resources],
    /// The time after the first arrival from which on the run is measured.
    pub warm_up: Micros,
    /// The seed of the scheduler's own choices.
    pub seed: u64,
    /// The run ends early when more than this share of the requested vCPU-hours has been rejected.
    pub stop_above: Option<f64>,
}

/// Runs the drawn VMs. `proceed` is asked now and then; the result is marked partial when it says
/// no.
///
/// # Errors
/// The scheduler cannot evaluate a VM, or what it knows is wrong afterwards.
pub fn run(
    env: &Environment<'_>,
    drawn: &[Drawn],
    proceed: &dyn Fn() -> bool,
) -> Result<RunResult, ScenarioError> {
    let (Some(first), Some(last)) = (drawn.first(), drawn.last()) else {
        // A resample may draw no VM at all.
        return Ok(RunResult { is_complete: true, ..RunResult::default() });
    };
    let (start, end) = (first.arrival, last.arrival);
    let residents: Vec<usize> = env.set.residents().map(|(_, host)| host as usize).collect();
    let mut drawn = Cow::Borrowed(drawn);
    if !residents.is_empty() {
        drawn = Cow::Owned([&env.set.drawn_residents(start)[..], &drawn].concat());
    }
    let drawn = &*drawn;
    let from = Micros(start.0.saturating_add(env.warm_up.0)).min(end);
    let sizes: Vec<Resources> = env.set.flavors.flavors.iter().map(|(_, size)| *size).collect();
    let gauge = Gauge::new(env.hosts, &sizes, env.probes, (start, from, end));
    let fits = sizes.iter().map(|size| env.hosts.iter().any(|host| can_fit(size, &host.capacity))).collect();
    let mut run = Run {
        engine: engine(env, env.deciding)?,
        predicted: Predicted::new(env.predictions, &env.set.vms, env.seed),
        env,
        drawn,
        departures: Departures::default(),
        gauge,
        hosts: vec![NOWHERE; drawn.len()],
        arrived: 0,
        next_event: 0,
        queue: VecDeque::new(),
        displaced: Vec::new(),
        retried: start,
        fits,
        from,
        end,
        result: RunResult::default(),
        rejections: Rejections::default(),
        waits: Waits::default(),
        digest: Sha256::new(),
        recorded: RecordedComparison::new(env.hosts),
        rejected_us: 0,
        asked_us: 0,
    };
    run.prepare(&residents, start)?;
    let stop = env.stop_above.map(|share| run.most_rejected(share));
    let mut is_complete = true;
    for (job, of) in (0_u32..).zip(drawn).skip(residents.len()) {
        if job.is_multiple_of(VMS_BETWEEN_PAUSES) && !proceed() {
            is_complete = false;
            break;
        }
        run.until(of.arrival)?;
        run.arrive(job, of.arrival)?;
        if stop.is_some_and(|stop| run.rejected_us > stop) {
            is_complete = false;
            break;
        }
    }
    run.finish(is_complete)
}

fn can_fit(asked: &Resources, host: &Resources) -> bool {
    asked.vcpus <= host.vcpus && asked.memory_mb <= host.memory_mb && asked.disk_gb <= host.disk_gb
}

struct Run<'a> {
    engine: Box<dyn Engine>,
    predicted: Predicted<'a>,
    env: &'a Environment<'a>,
    drawn: &'a [Drawn],
    departures: Departures,
    gauge: Gauge,
    /// The host of each job.
    hosts: Vec<u32>,
    arrived: usize,
    next_event: usize,
    /// Jobs that wait for a host, in order of arrival.
    queue: VecDeque<u32>,
    /// Jobs that lost their host, and when.
    displaced: Vec<(u32, Micros)>,
    retried: Micros,
    /// Whether VMs of each flavor fit any empty host.
    fits: Vec<bool>,
    from: Micros,
    end: Micros,
    result: RunResult,
    rejections: Rejections,
    waits: Waits,
    digest: Sha256,
    recorded: RecordedComparison<'a>,
    /// vCPU-microseconds, of VMs that arrived after the warm-up.
    rejected_us: u128,
    asked_us: u128,
}

impl<'a> Run<'a> {
    fn vm(&self, job: u32) -> &'a Vm {
        &self.env.set.vms[self.drawn[job as usize].vm as usize]
    }

    /// The residents are on their hosts, hosts that are added later do not exist yet, and disabled
    /// ones take no VMs.
    fn prepare(&mut self, residents: &[usize], now: Micros) -> Result<(), SimulationError> {
        for (job, &host) in (0_u32..).zip(residents) {
            let lifetime_s = self.predicted.remaining_s(&self.drawn[job as usize], now);
            self.engine.adopt(job, self.vm(job), host, Starting { now, lifetime_s });
            self.settled(job, host);
            self.plan_departure(job, now);
        }
        self.arrived = residents.len();
        let disabled = |host: &TraceHost| host.traits.iter().any(|name| name == DISABLED);
        for host in (0..self.env.hosts.len()).filter(|&host| disabled(&self.env.hosts[host])) {
            self.block(host);
        }
        for event in self.env.events.iter().filter(|event| event.action == Action::Add) {
            for &host in &event.hosts {
                self.block(host);
            }
        }
        Ok(())
    }

    /// The vCPU-microseconds that the VM asks for, up to the end of the run.
    fn vcpu_us(&self, job: u32) -> u128 {
        let of = &self.drawn[job as usize];
        let until = of.departure(&self.env.set.vms).unwrap_or(self.end).min(self.end);
        u128::from(until.0.saturating_sub(of.arrival.0)) * u128::from(self.vm(job).resources.vcpus)
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a limit
    fn most_rejected(&self, share: f64) -> u128 {
        let first = u32::try_from(self.arrived).unwrap_or(u32::MAX); // after the residents
        let jobs = first..u32::try_from(self.drawn.len()).unwrap_or(u32::MAX);
        let measured = jobs.filter(|&job| self.drawn[job as usize].arrival >= self.from);
        let asked: u128 = measured.map(|job| self.vcpu_us(job)).sum();
        (asked as f64 * share) as u128
    }

    /// Processes everything that is due by `now`, before an arrival.
    fn until(&mut self, now: Micros) -> Result<(), SimulationError> {
        loop {
            let event = self.env.events.get(self.next_event).map(|event| event.at).filter(|&at| at <= now);
            let expiry = self.expiry().filter(|&at| at <= now);
            let bound = [event, expiry].into_iter().flatten().min().unwrap_or(now);
            while let Some(departure) = self.departures.next_until(bound) {
                let at = departure.at;
                self.depart(departure);
                if !self.queue.is_empty() || !self.displaced.is_empty() {
                    while let Some(departure) = self.departures.next_until(at) {
                        self.depart(departure);
                    }
                    self.serve(at)?;
                }
            }
            match (event, expiry) {
                (Some(at), expiry) if expiry.is_none_or(|expiry| at <= expiry) => self.happen(at)?,
                (_, Some(at)) => self.serve(at)?,
                _ => return Ok(()),
            }
        }
    }

    /// When the VM that waits first gives up.
    fn expiry(&self) -> Option<Micros> {
        let limit = self.env.waits.flatten()?;
        let first = self.queue.front()?;
        Some(Micros(self.drawn[*first as usize].arrival.0.saturating_add(limit.0)))
    }

    fn depart(&mut self, Departure { at, sequence, .. }: Departure) {
        let job = u32::try_from(sequence).expect("it was a job");
        self.gauge.advance(at.min(self.end));
        let host = std::mem::replace(&mut self.hosts[job as usize], NOWHERE);
        if host != NOWHERE {
            self.leave(job, host as usize, Leaving { now: at, has_ended: true });
        } else if let Some(place) = self.displaced.iter().position(|(of, _)| *of == job) {
            // Its time has come while it had no host.
            self.displaced.remove(place);
            self.result.lost += 1;
        }
    }

    /// Takes the VM off the host.
    fn leave(&mut self, job: u32, host: usize, leave: Leaving) {
        let vm = self.vm(job);
        self.engine.remove(job, vm, host, leave);
        self.gauge.removed(host, &vm.resources);
        if self.gauge.is_blocked(host) {
            self.engine.block(host);
        }
    }

    fn arrive(&mut self, job: u32, now: Micros) -> Result<(), SimulationError> {
        self.gauge.advance(now);
        self.arrived = job as usize + 1;
        let is_measured = now >= self.from;
        self.result.vms += u64::from(is_measured);
        if is_measured {
            self.asked_us += self.vcpu_us(job);
        }
        let flavor = self.env.set.flavors.of_vm[self.drawn[job as usize].vm as usize];
        let can_wait = self.env.waits.is_some()
            && (self.fits[flavor as usize] || matches!(self.env.deciding, Deciding::Cells(..)));
        if can_wait && !self.queue.is_empty() {
            self.queue.push_back(job);
            self.gauge.waiting += 1;
            return Ok(());
        }
        if self.start(job, now)? {
            if self.env.waits.is_some() {
                self.waits.add(Micros(0));
            }
        } else if can_wait {
            self.queue.push_back(job);
            self.gauge.waiting += 1;
        } else {
            self.reject(job, now);
        }
        Ok(())
    }

    /// Places the VM and plans its departure, after its whole lifetime from now on.
    fn start(&mut self, job: u32, now: Micros) -> Result<bool, SimulationError> {
        if !self.place(job, now)? {
            return Ok(false);
        }
        self.recorded.add(self.vm(job), Some(self.hosts[job as usize] as usize));
        self.result.placed += u64::from(self.drawn[job as usize].arrival >= self.from);
        self.plan_departure(job, now);
        Ok(true)
    }

    fn plan_departure(&mut self, job: u32, now: Micros) {
        let of = &self.drawn[job as usize];
        if let Some(departure) = of.departure(&self.env.set.vms) {
            let at = Micros(now.0.saturating_add(departure.0 - of.arrival.0));
            self.departures.plan(Departure { at, sequence: job.into(), host: 0 });
        }
    }

    fn place(&mut self, job: u32, now: Micros) -> Result<bool, SimulationError> {
        let vm = self.vm(job);
        let lifetime_s = self.predicted.remaining_s(&self.drawn[job as usize], now);
        let host = self.engine.place(job, vm, Starting { now, lifetime_s })?;
        match host {
            Some(host) => self.settled(job, host),
            None => self.note(job, NOWHERE),
        }
        Ok(host.is_some())
    }

    /// Records that the VM is on the host.
    fn settled(&mut self, job: u32, host: usize) {
        let row = u32::try_from(host).expect("a fleet has fewer hosts");
        self.note(job, row);
        let amounts = self.vm(job).resources;
        self.gauge.placed(host, &amounts);
        self.result.first_hosts = self.result.first_hosts.max(row + 1);
    }

    fn note(&mut self, job: u32, row: u32) {
        self.digest.update(job.to_le_bytes());
        self.digest.update(row.to_le_bytes());
        self.hosts[job as usize] = row;
    }

    fn reject(&mut self, job: u32, now: Micros) {
        self.gauge.rejected += 1;
        self.recorded.add(self.vm(job), None);
        if self.drawn[job as usize].arrival < self.from {
            return;
        }
        let vm = self.vm(job);
        let short = self.gauge.short_of(&vm.resources);
        let vcpu_us = self.vcpu_us(job);
        self.rejected_us += vcpu_us;
        self.result.rejected += 1;
        let flavor = self.env.set.flavors.of_vm[self.drawn[job as usize].vm as usize];
        let project = vm.demands.as_deref().map(|demands| demands.project.clone()).unwrap_or_default();
        self.rejections.add(flavor, project, short, vcpu_us, now);
    }

    /// Starts the VMs that wait, in order, until one does not fit; and those that lost their host.
    fn serve(&mut self, now: Micros) -> Result<(), SimulationError> {
        self.gauge.advance(now.min(self.end));
        if !self.displaced.is_empty() && now.0 >= self.retried.0 + RETRY {
            self.retry(now)?;
        }
        while let Some(&job) = self.queue.front() {
            let arrival = self.drawn[job as usize].arrival;
            let is_over = self.env.waits.flatten().is_some_and(|limit| now.0 - arrival.0 >= limit.0);
            if self.start(job, now)? {
                self.waits.add(Micros(now.0 - arrival.0));
            } else if is_over {
                self.reject(job, now);
            } else {
                break;
            }
            self.queue.pop_front();
            self.gauge.waiting -= 1;
        }
        Ok(())
    }

    /// Looks for hosts for the VMs that lost theirs.
    fn retry(&mut self, now: Micros) -> Result<(), SimulationError> {
        self.retried = now;
        let mut without = Vec::new();
        for (job, since) in std::mem::take(&mut self.displaced) {
            if self.place(job, now)? {
                self.result.recovered += 1;
                self.result.displaced_us.push(now.0 - since.0);
            } else {
                without.push((job, since));
            }
        }
        self.displaced = without;
        Ok(())
    }

    fn block(&mut self, host: usize) {
        self.gauge.block(host, true);
        self.engine.block(host);
    }

    /// The next event of hosts.
    fn happen(&mut self, now: Micros) -> Result<(), SimulationError> {
        self.gauge.advance(now);
        let event = &self.env.events[self.next_event];
        self.next_event += 1;
        match event.action {
            Action::Repair | Action::Add => {
                for &host in &event.hosts {
                    self.gauge.block(host, false);
                    self.engine.unblock(host);
                }
            }
            Action::Drain => event.hosts.iter().for_each(|&host| self.block(host)),
            Action::Fail => {
                for &host in &event.hosts {
                    let jobs = self.jobs_on(host);
                    for &job in &jobs {
                        self.hosts[job as usize] = NOWHERE;
                        self.leave(job, host, Leaving { now, has_ended: false });
                    }
                    self.result.displaced += jobs.len() as u64;
                    self.displaced.extend(jobs.into_iter().map(|job| (job, now)));
                    self.block(host);
                }
            }
            // A replacement is an addition and a retirement.
            Action::Evacuate | Action::Retire | Action::Replace => {
                event.hosts.iter().for_each(|&host| self.block(host));
                for &host in &event.hosts {
                    self.evacuate(host, now)?;
                }
            }
        }
        self.retry(now)?;
        self.serve(now)
    }

    /// Moves the VMs of a blocked host, as far as they fit elsewhere.
    fn evacuate(&mut self, host: usize, now: Micros) -> Result<(), SimulationError> {
        for job in self.jobs_on(host) {
            self.leave(job, host, Leaving { now, has_ended: false });
            if self.place(job, now)? {
                self.result.moved += 1;
                continue;
            }
            // No other host has the capacity, so with this one unblocked it goes back there.
            self.engine.unblock(host);
            let is_back = self.place(job, now)?;
            self.engine.block(host);
            if is_back {
                self.result.stuck += 1;
            } else {
                self.result.displaced += 1;
                self.displaced.push((job, now));
            }
        }
        Ok(())
    }

    fn jobs_on(&self, host: usize) -> Vec<u32> {
        let row = u32::try_from(host).expect("a fleet has fewer hosts");
        let jobs = (0..).zip(&self.hosts[..self.arrived]).filter(|(_, on)| **on == row);
        jobs.map(|(job, _)| job).collect()
    }

    fn finish(mut self, is_complete: bool) -> Result<RunResult, ScenarioError> {
        if is_complete {
            // VMs that wait still get their hosts; nothing else is measured after the last arrival.
            while !self.queue.is_empty() {
                let Some(departure) = self.departures.next_until(Micros(u64::MAX)) else { break };
                let at = departure.at;
                self.depart(departure);
                while let Some(departure) = self.departures.next_until(at) {
                    self.depart(departure);
                }
                self.serve(at)?;
            }
        }
        for job in std::mem::take(&mut self.queue) {
            self.reject(job, self.end);
        }
        self.result.without_host = self.displaced.len() as u64;
        self.engine.check()?;
        if let Some([used, all]) = self.engine.gpus() {
            self.result.gpus_used = Some(used as f64 / all.max(1) as f64);
        }
        let hosts = self.env.hosts.len() as u64;
        let digest = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.result.is_complete = is_complete;
        self.result.recorded = self.recorded.finish();
        self.result.complete(
            hosts,
            self.gauge.finish(),
            &self.waits,
            digest,
            (self.asked_us, self.rejected_us),
        );
        self.result.rejections = self.rejections.finish(&self.env.set.flavors, self.drawn[0].arrival);
        Ok(self.result)
    }
}
