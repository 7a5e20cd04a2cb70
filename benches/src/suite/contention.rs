//! Runs several deciders on one fleet concurrently: with plenty of capacity, and on the last free
//! hosts. After every lap, a checker compares their grants with the index.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use berth_placement::{ConsumerId, Row};
use berth_scheduler::{AmountEngine, PlaceError, Prepared, Request, Search};
use berth_traces::rng::stream;
use hdrhistogram::Histogram;

use super::checker::{Checker, Grant};
use super::fleets::build;
use super::{Case, ObjectiveName, SuiteFailure, SuiteOptions};
use crate::fleet::{FilledFleet, FilledFleetSpec};
use crate::report::{self, RowUnit};
use crate::requests::{self, FlavorAmounts, SMALLEST, Weighted};
use crate::series::{Series, histogram, parameters, record};

/// The number of hosts that are left to contend for.
const LAST: u32 = 16;
/// The number of VMs that a decider keeps before its oldest leaves, with plenty of capacity.
const STAY: usize = 32;
/// One in this many claims is for a consumer that another decider tries to place as well.
const SHARED_EVERY: u32 = 16;
/// Spreading deciders choose among this many best hosts while they lose many claims.
const SPREAD: usize = 64;
/// The number of laps per round on the last hosts.
const LAPS: u32 = 4;
/// The flavor that is placed on the last hosts.
const LAST_VM: FlavorAmounts = SMALLEST;

/// A fleet with plenty of capacity, one with only the last hosts free, and deciders for each.
pub(super) struct Contention {
    label: String,
    cycles: u32,
    plenty: Arena,
    last: Arena,
}

struct Arena {
    fleet: Rc<FilledFleet>,
    checker: Checker,
    deciders: Vec<Decider>,
    place: Series,
    rate: Series,
    /// The number of consumers so far that two deciders try to place.
    shared: AtomicU64,
}

/// A decider on its thread.
struct Decider {
    number: u128,
    scheduler: AmountEngine,
    prepared: Vec<Prepared>,
    order: Vec<usize>,
    made: u128,
    held: VecDeque<Grant>,
    /// Grants of shared consumers, which stay until the lap is checked.
    kept: Vec<Grant>,
    took: Histogram<u64>,
    no_host: u64,
}

/// The mode of the deciders.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) threads: u32,
    pub(super) goal: ObjectiveName,
    pub(super) spread: bool,
}

impl Contention {
    /// Deciders on a fleet with plenty of capacity, and on one with only the last hosts free.
    pub(super) fn new(
        plenty: &Rc<FilledFleet>,
        last: &Rc<FilledFleet>,
        manner: Manner,
        options: &SuiteOptions,
    ) -> Self {
        let Manner { threads, goal, spread } = manner;
        let word = if spread { "spreading" } else { "best host only" };
        let arena = |name, fleet, mix| Arena::new(name, fleet, &mix, manner, options.seed);
        Self {
            label: format!("{threads} deciders on {} hosts by {goal}, {word}", plenty.spec.hosts),
            cycles: options.effort.samples,
            plenty: arena("claims/contended", plenty, requests::recurrent()),
            last: arena("claims/last-hosts", last, requests::only(LAST_VM)),
        }
    }
}

/// A fleet with few free hosts, each in its own block.
pub(super) fn full_but_for_the_last(hosts: u32, seed: u64) -> Result<FilledFleet, SuiteFailure> {
    let fleet = build(FilledFleetSpec { hosts, fill: 100, seed })?;
    let step = (hosts / LAST).max(1);
    (0..LAST.min(hosts)).for_each(|host| fleet.empty_host(Row(host * step)));
    Ok(fleet)
}

impl Case for Contention {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        let cycles = self.cycles;
        self.plenty.lap(|decider, fleet, shared| decider.come_and_go(fleet, shared, cycles))?;
        for _ in 0..LAPS {
            self.last.lap(|decider, _, _| decider.fill_up())?;
        }
        for arena in [&mut self.plenty, &mut self.last] {
            arena.place.end_round();
            arena.rate.end_round();
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<report::ReportRow> {
        let arenas = [self.plenty, self.last].into_iter();
        arenas.flat_map(|arena| [arena.place, arena.rate]).filter_map(Series::finish).collect()
    }
}

impl Arena {
    fn new(name: &str, fleet: &Rc<FilledFleet>, mix: &Weighted<Request>, manner: Manner, seed: u64) -> Self {
        let Manner { threads, goal, spread } = manner;
        let spec = fleet.spec;
        let named = parameters([
            ("hosts", spec.hosts.into()),
            ("fill", spec.fill.into()),
            ("threads", threads.into()),
            ("objective", goal.to_string().as_str().into()),
            ("spread", if spread { SPREAD as u64 } else { 1 }.into()),
        ]);
        Self {
            deciders: (0..threads).map(|number| Decider::new(number, fleet, mix, manner, seed)).collect(),
            checker: Checker::new(&fleet.index, spec.hosts),
            place: Series::new(&format!("{name}/place"), &named, RowUnit::Ns),
            rate: Series::new(name, &named, RowUnit::PerSecond),
            shared: AtomicU64::new(0),
            fleet: Rc::clone(fleet),
        }
    }

    /// Runs all deciders concurrently, checks their grants, and releases them.
    fn lap(
        &mut self,
        work: impl Fn(&mut Decider, &FilledFleet, &AtomicU64) + Sync,
    ) -> Result<(), SuiteFailure> {
        let before = self.conflicts();
        let barrier = Barrier::new(self.deciders.len());
        let (fleet, shared, work, barrier) = (&*self.fleet, &self.shared, &work, &barrier);
        let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
            let start = |decider| {
                scope.spawn(move || {
                    let decider: &mut Decider = decider;
                    decider.catch_up();
                    barrier.wait();
                    let started = Instant::now();
                    work(decider, fleet, shared);
                    (started, Instant::now())
                })
            };
            let threads: Vec<_> = self.deciders.iter_mut().map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("a decider does not panic")).collect()
        });
        self.check()?;
        let conflicts = self.conflicts() - before;
        self.gather(elapsed(&spans), conflicts);
        Ok(())
    }

    fn check(&self) -> Result<(), SuiteFailure> {
        let held = self.deciders.iter().flat_map(|decider| decider.held.iter().chain(&decider.kept));
        let held: Vec<Grant> = held.cloned().collect();
        let wrong = |found| SuiteFailure::Wrong { name: "contended claims", found };
        self.checker.check(&self.fleet.index, &held).map_err(|fault| wrong(fault.to_string()))?;
        self.fleet.index.check().map_err(|found| wrong(found.to_string()))
    }

    fn conflicts(&self) -> u64 {
        self.deciders.iter().map(|decider| decider.scheduler.statistics().conflicts).sum()
    }

    fn gather(&mut self, took: Duration, conflicts: u64) {
        let mut grants = 0;
        for decider in &mut self.deciders {
            grants += decider.took.len();
            self.place.merge(&decider.took);
            self.rate.count("no_host", decider.no_host);
            decider.took.reset();
            decider.no_host = 0;
            let held = decider.held.drain(..).chain(decider.kept.drain(..));
            held.for_each(|grant| {
                self.fleet.index.release(grant.consumer).expect("the checker found it in the index");
            });
        }
        self.rate.rate(grants, took);
        self.rate.count("grants", grants);
        self.rate.count("conflicts", conflicts);
    }
}

/// The time from the first start to the last end.
fn elapsed(spans: &[(Instant, Instant)]) -> Duration {
    let first = spans.iter().map(|span| span.0).min();
    let last = spans.iter().map(|span| span.1).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
}

impl Decider {
    fn new(number: u32, fleet: &FilledFleet, mix: &Weighted<Request>, manner: Manner, seed: u64) -> Self {
        let scheduler = AmountEngine::new(Arc::clone(&fleet.index), manner.goal.objective(), Search::Ranked);
        let mut scheduler = if manner.spread { scheduler.spreading(SPREAD) } else { scheduler };
        // All deciders draw the same requests in the same order, so they race for the same hosts.
        let mut random = stream(seed, "contention");
        Self {
            number: u128::from(number),
            prepared: mix.items().iter().map(|request| scheduler.prepare(request.clone())).collect(),
            order: (0..4096).map(|_| mix.draw(&mut random)).collect(),
            scheduler,
            made: 0,
            held: VecDeque::new(),
            kept: Vec::new(),
            took: histogram(),
            no_host: 0,
        }
    }

    /// Applies the changes since the last lap.
    fn catch_up(&mut self) {
        let _ = self.scheduler.decide(&mut self.prepared[0]);
    }

    /// Places and removes VMs, with plenty of capacity.
    fn come_and_go(&mut self, fleet: &FilledFleet, shared: &AtomicU64, cycles: u32) {
        for cycle in 0..cycles {
            let is_shared = cycle % SHARED_EVERY == 0;
            let consumer = if is_shared {
                // Every number has two contenders.
                ConsumerId(1 << 110 | u128::from(shared.fetch_add(1, Ordering::Relaxed) / 2))
            } else {
                self.next_consumer()
            };
            let Ok(grant) = self.place(consumer) else { continue };
            if is_shared {
                self.kept.push(grant);
            } else {
                self.held.push_back(grant);
            }
            if self.held.len() > STAY
                && let Some(oldest) = self.held.pop_front()
            {
                fleet
                    .index
                    .release(oldest.consumer)
                    .expect("it was granted and only this decider releases it");
            }
        }
    }

    /// Places VMs until none fits.
    fn fill_up(&mut self) {
        loop {
            let consumer = self.next_consumer();
            match self.place(consumer) {
                Ok(grant) => self.held.push_back(grant),
                Err(PlaceError::NoValidHost(_)) => return,
                Err(_) => {}
            }
        }
    }

    fn next_consumer(&mut self) -> ConsumerId {
        self.made += 1;
        ConsumerId(1 << 102 | self.number << 64 | self.made)
    }

    fn place(&mut self, consumer: ConsumerId) -> Result<Grant, PlaceError> {
        #[allow(clippy::cast_possible_truncation)] // the mask leaves 12 bits
        let request = self.order[self.made as usize & 4095];
        let prepared = &mut self.prepared[request];
        let started = Instant::now();
        let placed = self.scheduler.place(consumer, prepared);
        let took = started.elapsed();
        match placed {
            Ok(row) => {
                record(&mut self.took, took);
                Ok(Grant { consumer, allocations: prepared.allocations(row) })
            }
            Err(error) => {
                self.no_host += u64::from(matches!(error, PlaceError::NoValidHost(_)));
                Err(error)
            }
        }
    }
}
