//! IoOpsWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// I/O operations; the multiplier is negative, so that quiet hosts are better.
pub(super) struct IoOpsWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for IoOpsWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        Ok(self.0.hosts.usage().num_io_ops[row.0 as usize] as f64)
    }

    fn least(&self) -> Option<f64> {
        Some(0.0)
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new("io_ops_weight_multiplier", self.0.options.filter_scheduler.io_ops_weight_multiplier)
    }
}
