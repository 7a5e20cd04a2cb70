//! Measures select, claim and release: a VM arrives, the oldest leaves. On one thread here, on many
//! in [`contention`](super::contention).

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use berth_placement::ConsumerId;
use berth_scheduler::{AmountEngine, Prepared, Search};
use berth_traces::rng::{Stream, stream};

use super::contention::{Contention, Manner, full_but_for_the_last};
use super::fleets::{Fleets, parameters_of};
use super::groups::Groups;
use super::{Case, Effort, ObjectiveName, SuiteFailure, SuiteOptions};
use crate::fleet::FilledFleet;
use crate::report::{ReportRow, RowUnit};
use crate::requests;
use crate::series::Series;

/// The number of VMs that stay before the oldest leaves.
const STAY: usize = 64;
/// The number of cycles between two clock reads, where a rate is measured.
const BATCH: u32 = 500;
/// The numbers of deciders that contend.
const THREADS: [u32; 4] = [1, 2, 4, 8];
/// The size limit of fleets with contention. Only the last free hosts matter; more hosts would only
/// take longer.
const MOST_CONTENDED_HOSTS: u32 = 100_000;
/// The percentage of used vCPUs where deciders contend and capacity is plentiful.
const PLENTY: u32 = 80;

pub(super) fn cases(
    options: &SuiteOptions,
    fleets: &mut Fleets,
    go_on: &dyn Fn(&str) -> Result<(), SuiteFailure>,
) -> Result<Vec<Box<dyn Case>>, SuiteFailure> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for (number, fleet) in fleets.all(options, go_on)?.into_iter().enumerate() {
        cases.extend(Groups::on(&fleet, number, options.effort)?);
        for &goal in &options.goals {
            cases.push(Box::new(Cycles::new(Rc::clone(&fleet), goal, options)));
        }
    }
    let contended = options.hosts.iter().filter(|&&hosts| hosts <= MOST_CONTENDED_HOSTS).max();
    let Some(&hosts) = contended.or(options.hosts.first()) else { return Ok(cases) };
    let plenty = fleets.get(hosts, PLENTY, go_on)?;
    go_on(&format!("filling all but the last of {hosts} hosts"))?;
    let last = Rc::new(full_but_for_the_last(hosts, options.seed)?);
    for threads in THREADS {
        for &goal in &options.goals {
            for spread in [false, true] {
                let manner = Manner { threads, goal, spread };
                go_on(&format!("{threads} deciders on {hosts} hosts by {goal}"))?;
                cases.push(Box::new(Contention::new(&plenty, &last, manner, options)));
            }
        }
    }
    Ok(cases)
}

struct Cycles {
    label: String,
    effort: Effort,
    fleet: Rc<FilledFleet>,
    scheduler: AmountEngine,
    prepared: Vec<Prepared>,
    order: Vec<usize>,
    staying: VecDeque<ConsumerId>,
    number: u128,
    latency: Series,
    rate: Series,
}

impl Cycles {
    fn new(fleet: Rc<FilledFleet>, goal: ObjectiveName, options: &SuiteOptions) -> Self {
        let mut parameters = parameters_of(fleet.spec);
        parameters.insert("objective".to_owned(), goal.to_string().as_str().into());
        let mut scheduler = AmountEngine::new(Arc::clone(&fleet.index), goal.objective(), Search::Ranked);
        let requests = requests::recurrent();
        let mut random: Stream = stream(options.seed, "cycles");
        Self {
            label: format!("claims, {} hosts, {} % full, {goal}", fleet.spec.hosts, fleet.spec.fill),
            effort: options.effort,
            prepared: requests.items().iter().map(|request| scheduler.prepare(request.clone())).collect(),
            // Drawn ahead, so that the draw is not part of the cycle.
            order: (0..4096).map(|_| requests.draw(&mut random)).collect(),
            fleet,
            scheduler,
            staying: VecDeque::with_capacity(STAY + 1),
            number: 0,
            latency: Series::new("claims/cycle", &parameters, RowUnit::Ns),
            rate: Series::new("claims/cycles", &parameters, RowUnit::PerSecond),
        }
    }

    /// Places a VM and removes the oldest; returns `false` when no host fits.
    #[inline]
    fn cycle(&mut self) -> bool {
        self.number += 1;
        let consumer = ConsumerId(1 << 101 | self.number);
        #[allow(clippy::cast_possible_truncation)] // the mask leaves 12 bits
        let request = self.order[self.number as usize & 4095];
        let placed = self.scheduler.place(consumer, &mut self.prepared[request]).is_ok();
        if placed {
            self.staying.push_back(consumer);
        }
        if self.staying.len() > STAY || !placed {
            self.leave();
        }
        placed
    }

    fn leave(&mut self) {
        if let Some(consumer) = self.staying.pop_front() {
            self.fleet.index.release(consumer).expect("it was placed and only this decider releases it");
        }
    }

    fn measure_latency(&mut self) {
        for _ in 0..self.effort.samples {
            let started = Instant::now();
            let placed = self.cycle();
            let took = started.elapsed();
            if placed {
                self.latency.took(took);
            } else {
                self.latency.count("no_host", 1);
            }
        }
    }

    fn measure_rate(&mut self) {
        for _ in 0..(self.effort.samples / BATCH).max(1) * 4 {
            let started = Instant::now();
            let placed = (0..BATCH).filter(|_| self.cycle()).count() as u64;
            self.rate.rate(placed, started.elapsed());
        }
    }
}

impl Case for Cycles {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        // Other cases changed the fleet since this decider's last round, and the ring of VMs fills
        // first.
        (0..2 * STAY).for_each(|_| {
            self.cycle();
        });
        self.measure_latency();
        self.measure_rate();
        while !self.staying.is_empty() {
            self.leave();
        }
        self.latency.end_round();
        self.rate.end_round();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        [self.latency, self.rate].into_iter().filter_map(Series::finish).collect()
    }
}
