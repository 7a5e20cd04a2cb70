//! RamFilter and AggregateRamFilter, of older releases

use super::{Filter, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::python::float;

/// Passes hosts whose memory times `ram_allocation_ratio`, less what is used, suffices. No instance
/// may be larger than the host's memory, whatever the ratio. Nova had this filter up to release 18;
/// since then placement looks after memory.
pub(super) struct RamFilter<'a> {
    scene: &'a Scene<'a>,
    by_aggregate: bool,
}

impl<'a> RamFilter<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, by_aggregate: false }
    }

    /// AggregateRamFilter: the least `ram_allocation_ratio` of the host's aggregates goes before
    /// the host's.
    pub(super) const fn by_aggregate(scene: &'a Scene<'a>) -> Self {
        Self { scene, by_aggregate: true }
    }
}

impl Filter for RamFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let hosts = self.scene.hosts;
        let Some(report) = hosts.report(row) else { return Ok(Err(Reason::NotReported)) };
        let aggregates = &hosts.class(row).aggregates;
        let override_ratio =
            self.by_aggregate.then(|| aggregates.least("ram_allocation_ratio", float)).flatten();
        let ratio = override_ratio.unwrap_or_else(|| report.ratios.ram.get());
        let total = report.total_usable_ram_mb;
        let used = total.saturating_sub(hosts.usage().free_ram_mb[row.0 as usize]);
        let asked = self.scene.request.flavor.memory_mb;
        let free = (total as f64 * ratio - used as f64).min(total as f64);
        pass_if(free >= asked as f64, || Reason::TooLittleMemory { asked, free })
    }
}
