//! Measures multi-creates: instances claimed together, with and without a server group.

use std::rc::Rc;
use std::time::Instant;

use super::fleets::parameters_of;
use super::{Case, Effort, SuiteFailure};
use crate::fleet::FilledFleet;
use crate::group::GroupClaim;
use crate::report::{ReportRow, RowUnit};
use crate::series::Series;

/// The numbers of instances per request.
const INSTANCES: [usize; 4] = [1, 4, 16, 64];

/// One size of request on one fleet.
pub(super) struct Groups {
    label: String,
    effort: Effort,
    fleet: Rc<FilledFleet>,
    claim: GroupClaim,
    grouped: Series,
    alone: Series,
}

impl Groups {
    /// Every size for which the fleet has enough free hosts. `number` distinguishes fleets.
    pub(super) fn on(
        fleet: &Rc<FilledFleet>,
        number: usize,
        effort: Effort,
    ) -> Result<Vec<Box<dyn Case>>, SuiteFailure> {
        let mut cases: Vec<Box<dyn Case>> = Vec::new();
        for instances in INSTANCES {
            let id = (number * INSTANCES.len() * 64 + instances) as u64;
            let claim = GroupClaim::new(&fleet.index, id, instances).map_err(|error| {
                SuiteFailure::Fleet { hosts: fleet.spec.hosts, reason: error.to_string() }
            })?;
            cases.extend(
                claim.map(|claim| Box::new(Self::new(fleet, instances, claim, effort)) as Box<dyn Case>),
            );
        }
        Ok(cases)
    }

    fn new(fleet: &Rc<FilledFleet>, instances: usize, claim: GroupClaim, effort: Effort) -> Self {
        let series = |policy: &str| {
            let mut parameters = parameters_of(fleet.spec);
            parameters.insert("instances".to_owned(), u32::try_from(instances).unwrap_or(u32::MAX).into());
            parameters.insert("policy".to_owned(), policy.into());
            Series::new("claims/group", &parameters, RowUnit::Ns)
        };
        let (hosts, fill) = (fleet.spec.hosts, fleet.spec.fill);
        Self {
            label: format!("groups of {instances}, {hosts} hosts, {fill} % full"),
            effort,
            fleet: Rc::clone(fleet),
            claim,
            grouped: series("anti-affinity"),
            alone: series("none"),
        }
    }
}

impl Case for Groups {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        let index = &self.fleet.index;
        // Alternates the two, so that drift of the machine affects both.
        for _ in 0..self.effort.samples / 4 {
            for (series, grouped) in [(&mut self.grouped, true), (&mut self.alone, false)] {
                let started = Instant::now();
                let claimed = if grouped { self.claim.claim(index) } else { self.claim.claim_alone(index) };
                let took = started.elapsed();
                if claimed.is_ok() {
                    series.took(took);
                    self.claim.release(index);
                } else {
                    series.count("refused", 1);
                }
            }
        }
        self.grouped.end_round();
        self.alone.end_round();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        [self.grouped, self.alone].into_iter().filter_map(Series::finish).collect()
    }
}
