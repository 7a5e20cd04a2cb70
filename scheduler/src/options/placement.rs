//! `[scheduler]`

use serde::{Deserialize, Serialize};

use super::{InvalidOption, require};

/// How hosts are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// Filters, then weighers.
    #[default]
    FilterScheduler,
    /// The same on host states that are kept between requests.
    CachingScheduler,
    /// Any host that is up.
    ChanceScheduler,
}

/// `[scheduler]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerOptions {
    /// How hosts are chosen. Recent releases of Nova have no choice left.
    pub driver: Driver,
    /// How often building an instance is tried: one host, the others alternates.
    pub max_attempts: u32,
    /// The most allocation candidates that are asked for.
    pub max_placement_results: u32,
    /// Worker processes; none for one for each CPU.
    pub workers: Option<u32>,
    /// Seconds between searches for new hosts; -1 for never.
    pub discover_hosts_in_cells_interval: i64,
    /// Whether a project's aggregates limit where its instances go.
    pub limit_tenants_to_placement_aggregate: bool,
    /// Whether a project without aggregates may go nowhere then.
    pub placement_aggregate_required_for_tenants: bool,
    /// Whether hosts have to support the image's disk format.
    pub query_placement_for_image_type_support: bool,
    /// Whether aggregates keep out what does not ask for their traits.
    pub enable_isolated_aggregate_filtering: bool,
    /// Whether image properties become required traits.
    pub image_metadata_prefilter: bool,
    /// Whether the segments of routed networks limit where instances go.
    pub query_placement_for_routed_network_aggregates: bool,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            driver: Driver::FilterScheduler,
            max_attempts: 3,
            max_placement_results: 1000,
            workers: None,
            discover_hosts_in_cells_interval: -1,
            limit_tenants_to_placement_aggregate: false,
            placement_aggregate_required_for_tenants: false,
            query_placement_for_image_type_support: false,
            enable_isolated_aggregate_filtering: false,
            image_metadata_prefilter: false,
            query_placement_for_routed_network_aggregates: false,
        }
    }
}

impl SchedulerOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidOption> {
        require(self.max_attempts >= 1, "[scheduler] max_attempts", "is less than 1")?;
        require(self.max_placement_results >= 1, "[scheduler] max_placement_results", "is less than 1")?;
        let interval = self.discover_hosts_in_cells_interval;
        require(interval >= -1, "[scheduler] discover_hosts_in_cells_interval", "is less than -1")
    }
}
