//! Fleets shared by several cases.

use std::rc::Rc;

use super::{SuiteFailure, SuiteOptions};
use crate::fleet::{FilledFleet, FilledFleetSpec};
use crate::report::Parameters;
use crate::series::parameters;

/// Every fleet built so far.
pub(super) struct Fleets {
    seed: u64,
    built: Vec<Rc<FilledFleet>>,
}

impl Fleets {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, built: Vec::new() }
    }

    /// The fleet with this number of hosts and this fill.
    pub(super) fn get(
        &mut self,
        hosts: u32,
        fill: u32,
        go_on: &dyn Fn(&str) -> Result<(), SuiteFailure>,
    ) -> Result<Rc<FilledFleet>, SuiteFailure> {
        let spec = FilledFleetSpec { hosts, fill, seed: self.seed };
        if let Some(known) = self.built.iter().find(|fleet| fleet.spec == spec) {
            return Ok(Rc::clone(known));
        }
        go_on(&format!("filling {hosts} hosts to {fill} %"))?;
        let fleet = Rc::new(build(spec)?);
        self.built.push(Rc::clone(&fleet));
        Ok(fleet)
    }

    /// All fleets of the options, in order of size and fill.
    pub(super) fn all(
        &mut self,
        options: &SuiteOptions,
        go_on: &dyn Fn(&str) -> Result<(), SuiteFailure>,
    ) -> Result<Vec<Rc<FilledFleet>>, SuiteFailure> {
        let sizes = options.hosts.iter();
        let each = sizes.flat_map(|&hosts| options.fills.iter().map(move |&fill| (hosts, fill)));
        each.map(|(hosts, fill)| self.get(hosts, fill, go_on)).collect()
    }
}

pub(super) fn build(spec: FilledFleetSpec) -> Result<FilledFleet, SuiteFailure> {
    FilledFleet::build(spec)
        .map_err(|reason| SuiteFailure::Fleet { hosts: spec.hosts, reason: reason.to_string() })
}

/// The parameters of a fleet.
pub(super) fn parameters_of(spec: FilledFleetSpec) -> Parameters {
    parameters([("hosts", spec.hosts.into()), ("fill", spec.fill.into())])
}
