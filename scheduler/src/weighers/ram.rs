//! RAMWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// Free memory: instances spread.
pub(super) struct RamWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for RamWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        Ok(self.0.hosts.usage().free_ram_mb[row.0 as usize] as f64)
    }

    fn least(&self) -> Option<f64> {
        Some(0.0)
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new("ram_weight_multiplier", self.0.options.filter_scheduler.ram_weight_multiplier)
    }
}
