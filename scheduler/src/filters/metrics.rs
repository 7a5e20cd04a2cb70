//! MetricsFilter

use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Verdict};
use crate::hosts::HostRow;
use crate::options::settings;

/// Passes hosts that report every metric named in `[metrics] weight_setting`.
pub(super) struct MetricsFilter<'a> {
    scene: &'a Scene<'a>,
    names: Vec<String>,
}

impl<'a> MetricsFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let names =
            settings(&scene.options.metrics.weight_setting).into_iter().map(|(name, _)| name).collect();
        Self { scene, names }
    }
}

impl MetricsFilter<'_> {
    /// A host that has never reported has no metrics. Nova stumbles over it.
    fn judge_unreported(&self, row: HostRow) -> Verdict {
        if self.scene.options.keep_nova_faults {
            let host = self.scene.hosts.host(row).to_owned();
            return Err(FilterError::NotReported { host, what: "metrics" });
        }
        Ok(self.names.first().map_or(Ok(()), |name| Err(Reason::NoMetric { name: name.clone() })))
    }
}

impl Filter for MetricsFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let hosts = self.scene.hosts;
        let Some(metrics) = hosts.metrics(row) else { return self.judge_unreported(row) };
        match self.names.iter().find(|name| !metrics.contains_key(*name)) {
            Some(name) => Ok(Err(Reason::NoMetric { name: name.clone() })),
            None => PASS,
        }
    }
}
