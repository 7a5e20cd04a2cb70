//! PCIWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;
use crate::pci::Pools;

/// Few free passthrough devices are better, whether the instance wants some or not: hosts with many
/// are kept for those that need many.
pub(super) struct PciWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for PciWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        const MOST: u64 = 100;
        let free = self.0.hosts.pools(row).map_or(0, Pools::free_devices);
        Ok((MOST - free.min(MOST - 1)) as f64)
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new("pci_weight_multiplier", self.0.options.filter_scheduler.pci_weight_multiplier)
    }
}
