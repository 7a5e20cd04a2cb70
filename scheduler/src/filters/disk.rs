//! DiskFilter and AggregateDiskFilter, of older releases

use super::{Filter, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::python::float;

/// Passes hosts whose disk times `disk_allocation_ratio`, less what is used, suffices for root
/// disk, ephemeral disks and swap. No instance may be larger than the host's disk, whatever the
/// ratio. Nova had this filter up to release 18; since then placement looks after disk.
pub(super) struct DiskFilter<'a> {
    scene: &'a Scene<'a>,
    by_aggregate: bool,
}

impl<'a> DiskFilter<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, by_aggregate: false }
    }

    /// AggregateDiskFilter: the least `disk_allocation_ratio` of the host's aggregates goes before
    /// the host's.
    pub(super) const fn by_aggregate(scene: &'a Scene<'a>) -> Self {
        Self { scene, by_aggregate: true }
    }
}

impl Filter for DiskFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let hosts = self.scene.hosts;
        let Some(report) = hosts.report(row) else { return Ok(Err(Reason::NotReported)) };
        let aggregates = &hosts.class(row).aggregates;
        let override_ratio =
            self.by_aggregate.then(|| aggregates.least("disk_allocation_ratio", float)).flatten();
        let ratio = override_ratio.unwrap_or_else(|| report.ratios.disk.get());
        let total = report.total_usable_disk_gb.saturating_mul(1024);
        let used = total.saturating_sub(hosts.usage().free_disk_mb[row.0 as usize]);
        let flavor = &self.scene.request.flavor;
        let asked = flavor.disk_mb().saturating_add(flavor.swap);
        let free = (total as f64 * ratio - used as f64).min(total as f64);
        pass_if(free >= asked as f64, || Reason::TooLittleDisk { asked, free })
    }
}
