//! `[DEFAULT]`

use serde::{Deserialize, Serialize};

use super::{InvalidOption, require};

/// `[DEFAULT]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneralOptions {
    /// Seconds without a report after which a host counts as down.
    pub service_down_time: i64,
    /// Seconds between two reports of a host.
    pub report_interval: i64,
    /// vCPUs for each CPU of hosts with agents, whatever they report; `None` and 0 leave it to the
    /// host.
    pub cpu_allocation_ratio: Option<f64>,
    /// Overcommitment of memory, likewise.
    pub ram_allocation_ratio: Option<f64>,
    /// Overcommitment of disk, likewise.
    pub disk_allocation_ratio: Option<f64>,
    /// vCPUs for each CPU of a new host that reports no ratio.
    pub initial_cpu_allocation_ratio: f64,
    /// Overcommitment of memory of a new host that reports no ratio.
    pub initial_ram_allocation_ratio: f64,
    /// Overcommitment of disk of a new host that reports no ratio.
    pub initial_disk_allocation_ratio: f64,
    /// Whether a resize may leave an instance on its host.
    pub allow_resize_to_same_host: bool,
    /// Seconds after which a resize or cold migration confirms itself; 0 for never.
    pub resize_confirm_window: u64,
    /// Live migrations that a host sends at a time; 0 for no limit.
    pub max_concurrent_live_migrations: u32,
    /// The zone of hosts that are in none.
    pub default_availability_zone: String,
    /// Seconds that a whole scheduling call may take.
    pub long_rpc_timeout: u64,
    /// Seconds within which a call has to show signs of life.
    pub rpc_response_timeout: u64,
}

impl Default for GeneralOptions {
    fn default() -> Self {
        Self {
            service_down_time: 60,
            report_interval: 10,
            cpu_allocation_ratio: None,
            ram_allocation_ratio: None,
            disk_allocation_ratio: None,
            initial_cpu_allocation_ratio: 4.0,
            initial_ram_allocation_ratio: 1.0,
            initial_disk_allocation_ratio: 1.0,
            allow_resize_to_same_host: false,
            resize_confirm_window: 0,
            max_concurrent_live_migrations: 1,
            default_availability_zone: "nova".to_owned(),
            long_rpc_timeout: 1800,
            rpc_response_timeout: 60,
        }
    }
}

impl GeneralOptions {
    /// Seconds after which a host counts as down: at least two and a half reports.
    #[must_use]
    pub const fn down_time(&self) -> i64 {
        if self.service_down_time <= self.report_interval {
            self.report_interval.saturating_mul(5) / 2
        } else {
            self.service_down_time
        }
    }

    pub(super) fn validate(&self) -> Result<(), InvalidOption> {
        let forced = [
            ("[DEFAULT] cpu_allocation_ratio", self.cpu_allocation_ratio),
            ("[DEFAULT] ram_allocation_ratio", self.ram_allocation_ratio),
            ("[DEFAULT] disk_allocation_ratio", self.disk_allocation_ratio),
        ];
        let is_ratio = |ratio: f64| ratio.is_finite() && ratio >= 0.0;
        forced.into_iter().try_for_each(|(option, ratio)| {
            require(ratio.is_none_or(is_ratio), option, "is not a number of 0 or more")
        })?;
        let initial = [
            ("[DEFAULT] initial_cpu_allocation_ratio", self.initial_cpu_allocation_ratio),
            ("[DEFAULT] initial_ram_allocation_ratio", self.initial_ram_allocation_ratio),
            ("[DEFAULT] initial_disk_allocation_ratio", self.initial_disk_allocation_ratio),
        ];
        // An inventory has a ratio above 0.
        initial.into_iter().try_for_each(|(option, ratio)| {
            require(is_ratio(ratio) && ratio > 0.0, option, "is not a number above 0")
        })
    }
}
