//! BuildFailureWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// Builds that failed recently; they count against a host.
pub(super) struct BuildFailureWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for BuildFailureWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        Ok(self.0.hosts.usage().failed_builds[row.0 as usize] as f64)
    }

    fn multiplier(&self) -> Multiplier {
        let key = "build_failure_weight_multiplier";
        let configured = self.0.options.filter_scheduler.build_failure_weight_multiplier;
        Multiplier { negated: true, ..Multiplier::new(key, configured) }
    }
}
