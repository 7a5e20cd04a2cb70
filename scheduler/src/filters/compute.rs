//! ComputeFilter

use super::{Filter, PASS, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;

/// Passes hosts whose service is neither disabled nor down: it reported within `service_down_time` (a clock ahead
/// of ours counts like one behind).
pub(crate) struct ComputeFilter<'a> {
    scene: &'a Scene<'a>,
    /// Seconds.
    limit: i64,
}

const SECOND: i64 = 1_000_000;

impl<'a> ComputeFilter<'a> {
    pub(crate) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, limit: scene.options.general.down_time() }
    }
}

/// The first and the last time at which the row's service counts as up or down as it does now. No other filter looks at the clock.
pub(crate) fn steady(scene: &Scene<'_>, row: HostRow) -> (i64, i64) {
    let (seen, limit) =
        (scene.hosts.service(row).last_seen, scene.options.general.down_time().saturating_mul(SECOND));
    if limit < 0 {
        return (i64::MIN, i64::MAX);
    }
    let (first, last) = (seen.saturating_sub(limit), seen.saturating_add(limit));
    match scene.now {
        now if now < first => (i64::MIN, first - 1),
        now if now > last => (last + 1, i64::MAX),
        _ => (first, last),
    }
}

impl Filter for ComputeFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let service = self.scene.hosts.service(row);
        if service.disabled {
            return Ok(Err(Reason::Disabled { reason: service.disabled_reason.clone() }));
        }
        if service.forced_down {
            return Ok(Err(Reason::ForcedDown));
        }
        let elapsed = self.scene.now.abs_diff(service.last_seen);
        let allowed = u64::try_from(self.limit.saturating_mul(SECOND));
        if allowed.is_ok_and(|allowed| elapsed <= allowed) {
            return PASS;
        }
        let seconds = self.scene.now.saturating_sub(service.last_seen) / SECOND;
        pass_if(false, || Reason::Silent { seconds, limit: self.limit })
    }
}
