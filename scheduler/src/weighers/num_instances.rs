//! NumInstancesWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// Instances; the multiplier is 0 unless configured.
pub(super) struct NumInstancesWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for NumInstancesWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        Ok(self.0.hosts.usage().num_instances[row.0 as usize] as f64)
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new(
            "num_instances_weight_multiplier",
            self.0.options.filter_scheduler.num_instances_weight_multiplier,
        )
    }
}
