//! Measures allocation candidates in process: a whole query, from names to the last candidate.

use std::time::Instant;

use super::fleets::{Fleets, parameters_of};
use super::{Case, Effort, SuiteFailure, SuiteOptions};
use crate::candidates::{self, NamedQuery};
use crate::report::{Parameters, ReportRow, RowUnit};
use crate::series::{Series, parameters};

pub(super) fn cases(
    options: &SuiteOptions,
    fleets: &mut Fleets,
    go_on: &dyn Fn(&str) -> Result<(), SuiteFailure>,
) -> Result<Vec<Box<dyn Case>>, SuiteFailure> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    let mut add = |questions: Vec<NamedQuery>, parameters: &Parameters| {
        for question in questions {
            cases.push(Box::new(Asking::new(question, parameters, options.effort)));
        }
    };
    for fleet in fleets.all(options, go_on)? {
        add(candidates::flat(&fleet), &parameters_of(fleet.spec));
    }
    for &hosts in &options.hosts {
        go_on(&format!("building trees of {hosts} providers"))?;
        let failure = |reason: berth_placement::TopologyError| SuiteFailure::Fleet {
            hosts,
            reason: reason.to_string(),
        };
        add(candidates::nested(hosts).map_err(failure)?, &parameters([("providers", hosts.into())]));
    }
    let failure =
        |reason: berth_placement::TopologyError| SuiteFailure::Fleet { hosts: 1, reason: reason.to_string() };
    add(candidates::wide().map_err(failure)?, &Parameters::new());
    Ok(cases)
}

struct Asking {
    question: NamedQuery,
    effort: Effort,
    took: Series,
}

impl Asking {
    fn new(question: NamedQuery, parameters: &Parameters, effort: Effort) -> Self {
        let mut parameters = parameters.clone();
        parameters.insert("query".to_owned(), question.name.into());
        Self { took: Series::new("candidates", &parameters, RowUnit::Ns), question, effort }
    }
}

impl Case for Asking {
    fn label(&self) -> String {
        format!("candidates, {}", self.question.name)
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        let started = Instant::now();
        for sample in 0..self.effort.samples {
            let asked = Instant::now();
            let found = self.question.ask();
            self.took.took(asked.elapsed());
            let found = found
                .map_err(|error| SuiteFailure::Wrong { name: "candidates", found: error.to_string() })?;
            if sample == 0 {
                self.took.count("candidates", found as u64);
            }
            if started.elapsed() > self.effort.time {
                break;
            }
        }
        self.took.end_round();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        self.took.finish().into_iter().collect()
    }
}
