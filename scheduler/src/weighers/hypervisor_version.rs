//! HypervisorVersionWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// Version of the hypervisor: newer hosts are better.
pub(super) struct HypervisorVersionWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for HypervisorVersionWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        Ok(self.0.hosts.report(row).map_or(0.0, |report| report.hypervisor_version as f64))
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new(
            "hypervisor_version_weight_multiplier",
            self.0.options.filter_scheduler.hypervisor_version_weight_multiplier,
        )
    }
}
