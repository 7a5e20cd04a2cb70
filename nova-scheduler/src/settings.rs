//! The addresses of bus and databases.

use std::time::Duration;

use berth_nova_database::{DatabaseUrl, Intervals};
use berth_nova_rpc::transport::BusOptions;
use berth_scheduler::Options;

use crate::remote::RemotePlacementSettings;
use crate::shadow::ShadowSettings;

/// The options that the service reads from nova-scheduler's `nova.conf`.
#[derive(Debug, Clone)]
pub struct NovaSettings {
    /// The options of filters and weighers.
    pub options: Options,
    /// The bus.
    pub bus: BusOptions,
    /// `[api_database] connection`
    pub api_database: DatabaseUrl,
    /// `[database] connection`: the service record, and what templates of cells refer to.
    pub database: Option<(String, DatabaseUrl)>,
    /// After how long without an answer a cell counts as down.
    pub cell_timeout: Duration,
    /// How often everything is read again.
    pub intervals: Intervals,
    /// `[scheduler] discover_hosts_in_cells_interval`: how often new hosts are mapped to their
    /// cells; none for never.
    pub discover_hosts: Option<Duration>,
    /// `[DEFAULT] report_interval`
    pub report_interval: Duration,
    /// How long work that has begun may take when the service stops.
    pub grace: Duration,
    /// Another Placement service to claim in; none for the one in this process.
    pub placement: Option<RemotePlacementSettings>,
    /// Whether nova-scheduler decides and Berth only records what it would have decided.
    pub shadow: Option<ShadowSettings>,
    /// Seeds the choice among hosts that are equally good.
    pub seed: u64,
}
