//! CPUWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// Free vCPUs: instances spread.
pub(super) struct CpuWeigher<'a>(pub(super) &'a Scene<'a>);

impl Weigher for CpuWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        let hosts = self.0.hosts;
        match hosts.report(row) {
            Some(report) => {
                let total = report.vcpus_total as f64 * report.ratios.cpu.get();
                Ok(total - hosts.usage().vcpus_used[row.0 as usize] as f64)
            }
            // Nova stumbles over a host that has never reported.
            None if self.0.options.keep_nova_faults => {
                Err(WeighError::NotReported { host: hosts.host(row).to_owned() })
            }
            None => Ok(0.0),
        }
    }

    fn least(&self) -> Option<f64> {
        Some(0.0)
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new("cpu_weight_multiplier", self.0.options.filter_scheduler.cpu_weight_multiplier)
    }
}
