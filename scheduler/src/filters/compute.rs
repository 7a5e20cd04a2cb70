//! ComputeFilter

use super::{Filter, PASS, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;

/// Passes hosts whose service is neither disabled nor down: it reported within `service_down_time`
/// (a clock ahead of ours counts like one behind), unless
/// [`LivenessSource`](crate::options::LivenessSource) leaves that to the record.
pub(crate) struct ComputeFilter<'a> {
    scene: &'a Scene<'a>,
    /// Seconds.
    limit: Option<i64>,
}

const SECOND: i64 = 1_000_000;

impl<'a> ComputeFilter<'a> {
    pub(crate) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, limit: scene.options.report_limit() }
    }
}

/// The first and the last time at which the row's service counts as up or down as it does now. No
/// other filter looks at the clock.
pub(crate) fn steady(scene: &Scene<'_>, row: HostRow) -> (i64, i64) {
    let limit = scene.options.report_limit().filter(|limit| *limit >= 0);
    let Some(limit) = limit.map(|limit| limit.saturating_mul(SECOND)) else { return (i64::MIN, i64::MAX) };
    let seen = scene.hosts.service(row).last_seen;
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
        let Some(limit) = self.limit else { return PASS };
        let elapsed = self.scene.now.abs_diff(service.last_seen);
        let allowed = u64::try_from(limit.saturating_mul(SECOND));
        if allowed.is_ok_and(|allowed| elapsed <= allowed) {
            return PASS;
        }
        let seconds = self.scene.now.saturating_sub(service.last_seen) / SECOND;
        pass_if(false, || Reason::Silent { seconds, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{Case, CaseRecord};
    use crate::options::LivenessSource;

    /// The verdict on a host that reported an hour ago.
    fn verdict(liveness: LivenessSource, forced_down: bool) -> Result<(), Reason> {
        let service = serde_json::json!({"last_seen_up": "2026-06-01T00:00:00", "forced_down": forced_down});
        let host = serde_json::json!({
            "host": "h1", "node": "h1", "uuid": "10000000-0000-4000-8000-000000000001", "service": service,
        });
        let mut record: CaseRecord = serde_json::from_value(
            serde_json::json!({"now": "2026-06-01T01:00:00", "hosts": [host], "request": {}}),
        )
        .expect("a case");
        record.config.liveness = liveness;
        let case = Case::load(record, false).expect("a case");
        let scene = case.question().scene;
        assert_eq!(liveness == LivenessSource::Record, steady(&scene, HostRow(0)) == (i64::MIN, i64::MAX));
        ComputeFilter::new(&scene).judge(HostRow(0), &mut RequestState::default()).expect("a verdict")
    }

    #[test]
    fn reports_count_unless_the_record_alone_does() {
        assert_eq!(verdict(LivenessSource::Reports, false), Err(Reason::Silent { seconds: 3600, limit: 60 }));
        assert_eq!(verdict(LivenessSource::Record, false), Ok(()));
        assert_eq!(verdict(LivenessSource::Record, true), Err(Reason::ForcedDown));
    }
}
