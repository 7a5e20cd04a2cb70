//! CoreFilter and AggregateCoreFilter, of older releases

use super::{Filter, PASS, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::python::float;

/// Passes hosts whose CPUs times `cpu_allocation_ratio`, less what is used, suffice. No instance
/// may have more vCPUs than the host has CPUs, whatever the ratio; a host that reports no CPUs
/// passes. Nova had this filter up to release 18; since then placement looks after CPUs.
pub(super) struct CoreFilter<'a> {
    scene: &'a Scene<'a>,
    by_aggregate: bool,
}

impl<'a> CoreFilter<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, by_aggregate: false }
    }

    /// AggregateCoreFilter: the least `cpu_allocation_ratio` of the host's aggregates goes before
    /// the host's.
    pub(super) const fn by_aggregate(scene: &'a Scene<'a>) -> Self {
        Self { scene, by_aggregate: true }
    }
}

impl Filter for CoreFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let hosts = self.scene.hosts;
        let Some(report) = hosts.report(row) else { return Ok(Err(Reason::NotReported)) };
        let total = report.vcpus_total;
        if total == 0 {
            return PASS;
        }
        let aggregates = &hosts.class(row).aggregates;
        let override_ratio =
            self.by_aggregate.then(|| aggregates.least("cpu_allocation_ratio", float)).flatten();
        let ratio = override_ratio.unwrap_or_else(|| report.ratios.cpu.get());
        let asked = self.scene.request.flavor.vcpus;
        let used = hosts.usage().vcpus_used[row.0 as usize];
        let free = (total as f64 * ratio - used as f64).min(total as f64);
        pass_if(free >= asked as f64, || Reason::TooFewCpus { asked, free })
    }
}
