//! Measures the search for the best host. Nothing is claimed for the result, but one VM arrives and
//! one leaves, unmeasured, between two decisions: a decision has changes to apply, and no cached
//! result answers it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use berth_placement::ConsumerId;
use berth_scheduler::{AmountEngine, NoValidHost, Prepared, Request, Search, Statistics};
use berth_traces::rng::{Stream, stream};

use super::fleets::{Fleets, parameters_of};
use super::{Case, Effort, ObjectiveName, SuiteFailure, SuiteOptions};
use crate::fleet::FilledFleet;
use crate::report::{ReportRow, RowUnit};
use crate::requests::{self, Weighted};
use crate::series::Series;

pub(super) fn cases(
    options: &SuiteOptions,
    fleets: &mut Fleets,
    go_on: &dyn Fn(&str) -> Result<(), SuiteFailure>,
) -> Result<Vec<Box<dyn Case>>, SuiteFailure> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for fleet in fleets.all(options, go_on)? {
        for &goal in &options.goals {
            go_on(&format!("ranking {} hosts by {goal}", fleet.spec.hosts))?;
            cases.push(Box::new(Decisions::new(Rc::clone(&fleet), goal, options)));
        }
    }
    Ok(cases)
}

/// The number of VMs that stay before the oldest leaves.
const STAY: usize = 64;
/// The number of unmeasured decisions at the start of a round, because other cases have changed the
/// fleet.
const WARM_UP: u32 = 50;

struct Decisions {
    label: String,
    effort: Effort,
    scheduler: AmountEngine,
    churn: Churn,
    recurrent: Weighted<Request>,
    types: Weighted<Request>,
    /// The number of cold requests so far.
    unique: u32,
    random: Stream,
    rows: Rows,
}

struct Rows {
    recurrent: Series,
    types: Series,
    cold: Series,
    /// One entry for each kind of request that no host satisfies.
    unschedulable: Vec<(Request, Series)>,
}

impl Decisions {
    fn new(fleet: Rc<FilledFleet>, goal: ObjectiveName, options: &SuiteOptions) -> Self {
        let mut parameters = parameters_of(fleet.spec);
        parameters.insert("objective".to_owned(), goal.to_string().as_str().into());
        let row = |name| Series::new(name, &parameters, RowUnit::Ns);
        let mut scheduler = AmountEngine::new(Arc::clone(&fleet.index), goal.objective(), Search::Ranked);
        let recurrent = requests::recurrent();
        let prepared = recurrent.items().iter().map(|request| scheduler.prepare(request.clone())).collect();
        let mut hopeless = requests::hopeless();
        hopeless.retain(|(_, request)| scheduler.decide_request(request).is_err());
        let row_of = |(reason, request): (&'static str, Request)| {
            let mut parameters = parameters.clone();
            parameters.insert("reason".to_owned(), reason.into());
            (request, Series::new("decisions/unschedulable", &parameters, RowUnit::Ns))
        };
        Self {
            label: format!("decisions, {} hosts, {} % full, {goal}", fleet.spec.hosts, fleet.spec.fill),
            effort: options.effort,
            scheduler,
            churn: Churn { fleet, prepared, staying: VecDeque::new(), number: 0 },
            recurrent,
            types: requests::types(options.seed),
            unique: 0,
            random: stream(options.seed, "decisions"),
            rows: Rows {
                recurrent: row("decisions/recurrent"),
                types: row("decisions/types"),
                cold: row("decisions/cold"),
                unschedulable: hopeless.into_iter().map(row_of).collect(),
            },
        }
    }

    /// Measures decisions on requests drawn by `draw`, each after a change of the fleet.
    fn measure(
        &mut self,
        which: impl Fn(&mut Rows) -> &mut Series,
        expected: Result<(), NoValidHost>,
        draw: impl Fn(&mut Self) -> Request,
    ) {
        let until = Instant::now() + self.effort.time;
        for sample in 0..self.effort.samples + WARM_UP {
            self.churn.step(&mut self.scheduler, self.recurrent.draw(&mut self.random));
            let request = draw(self);
            let started = Instant::now();
            let decided = self.scheduler.decide_request(&request);
            let ended = Instant::now();
            let series = which(&mut self.rows);
            if decided.is_err() != expected.is_err() {
                // Decisions of the other outcome are another quantity.
                series.count(if decided.is_err() { "no_host" } else { "some_host" }, 1);
            } else if sample >= WARM_UP {
                series.took(ended - started);
            }
            if ended >= until && sample >= WARM_UP {
                break;
            }
        }
    }

    /// Counts what weighted searches examined, including those for the churn VMs, which have the
    /// same requests.
    fn count_searches(&mut self, before: Statistics) {
        let Statistics { searches, leaves_opened, bytes_looked_at, .. } = self.scheduler.statistics();
        if searches > before.searches {
            self.rows.recurrent.count("searches", searches - before.searches);
            self.rows.recurrent.count("leaves", leaves_opened - before.leaves_opened);
            self.rows.recurrent.count("bytes", bytes_looked_at - before.bytes_looked_at);
        }
    }

    fn unique(&mut self) -> Request {
        self.unique += 1;
        requests::unique(self.unique)
    }
}

impl Case for Decisions {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        let before = self.scheduler.statistics();
        let recurrent = |case: &mut Self| case.recurrent.pick(&mut case.random).clone();
        self.measure(|rows| &mut rows.recurrent, Ok(()), recurrent);
        self.count_searches(before);
        let before = self.scheduler.statistics();
        let of_type = |case: &mut Self| case.types.pick(&mut case.random).clone();
        self.measure(|rows| &mut rows.types, Ok(()), of_type);
        let Statistics { class_hits, class_misses, .. } = self.scheduler.statistics();
        self.rows.types.count("class_hits", class_hits - before.class_hits);
        self.rows.types.count("class_misses", class_misses - before.class_misses);
        self.measure(|rows| &mut rows.cold, Ok(()), Self::unique);
        for kind in 0..self.rows.unschedulable.len() {
            let request = |case: &mut Self| case.rows.unschedulable[kind].0.clone();
            self.measure(|rows| &mut rows.unschedulable[kind].1, Err(NoValidHost), request);
        }
        self.churn.clear();
        self.rows.each().for_each(Series::end_round);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        let Rows { recurrent, types, cold, unschedulable } = self.rows;
        let served = [recurrent, types, cold].into_iter();
        served.chain(unschedulable.into_iter().map(|(_, row)| row)).filter_map(Series::finish).collect()
    }
}

impl Rows {
    fn each(&mut self) -> impl Iterator<Item = &mut Series> {
        let served = [&mut self.recurrent, &mut self.types, &mut self.cold].into_iter();
        served.chain(self.unschedulable.iter_mut().map(|(_, row)| row))
    }
}

/// The VMs that arrive and leave between decisions.
struct Churn {
    fleet: Rc<FilledFleet>,
    /// The recurrent requests, separate from the decider's request classes.
    prepared: Vec<Prepared>,
    staying: VecDeque<ConsumerId>,
    number: u128,
}

impl Churn {
    /// Places one VM and removes the oldest.
    fn step(&mut self, scheduler: &mut AmountEngine, request: usize) {
        self.number += 1;
        let consumer = ConsumerId(1 << 100 | self.number);
        if scheduler.place(consumer, &mut self.prepared[request]).is_ok() {
            self.staying.push_back(consumer);
        }
        if self.staying.len() > STAY {
            self.leave();
        }
    }

    fn leave(&mut self) {
        if let Some(consumer) = self.staying.pop_front() {
            self.fleet.index.release(consumer).expect("it was placed and nobody else releases it");
        }
    }

    /// Restores the initial fleet.
    fn clear(&mut self) {
        while !self.staying.is_empty() {
            self.leave();
        }
    }
}
