//! Scenarios: a workload on a fleet under a scheduler, with what happens to the hosts, run many
//! times.
//!
//! | file | content |
//! |---|---|
//! | `config.rs` | what a scenario file says, and its variants |
//! | `fleet.rs` | the hosts of a scenario |
//! | `workload.rs` | the VMs of a scenario; resampled, scaled, growing |
//! | `events.rs` | what happens to hosts, and when |
//! | `engine.rs` | places VMs on hosts: the decider on an index, or cells |
//! | `cells.rs` | hosts of NUMA cells, by the policies of a published baseline |
//! | `packing.rs` | packing by lifetimes or shapes |
//! | `lifetimes.rs` | predictions of how long VMs live |
//! | `gpus.rs` | hosts whose GPUs are shared |
//! | `recorded.rs` | comparison with the decisions of a live service |
//! | `residents.rs` | VMs that are on hosts when a run begins |
//! | `run.rs` | one run: arrivals, departures, events, waiting |
//! | `gauge.rs` | what a run measures |
//! | `result.rs` | the figures of a run, and service levels |
//! | `episodes.rs` | many short runs |
//! | `statistics.rs` | means, intervals, percentiles |
//! | `parallel.rs` | work on several cores, with results in order |
//! | `plan.rs` | the smallest fleet that meets the service levels |
//! | `report.rs` | results as a page |

mod cells;
mod config;
mod engine;
mod episodes;
mod events;
mod fleet;
mod gauge;
mod gpus;
mod lifetimes;
mod packing;
mod parallel;
mod plan;
mod recorded;
mod report;
mod residents;
mod result;
mod run;
mod statistics;
mod workload;

use berth_traces::{Micros, TraceHost};
use strsim::levenshtein;

use crate::SimulationError;

pub use cells::CellPolicy;
pub use config::{
    Action, EventSpec, LifetimeSpec, ProbeSpec, Scenario, SchedulerSpec, ServiceLevels, ShapeSpec, Span,
    Variant, Workload, fleet_file, variants,
};
pub use engine::Deciding;
pub use episodes::{EpisodeResult, episodes};
pub use events::HostEvent;
pub use fleet::{FleetBuilt, FleetFile, build as build_fleet};
pub use gauge::Point;
pub use lifetimes::Predictions;
pub use parallel::in_order;
pub use plan::{Plan, PlanStep, Planner};
pub use recorded::{DecisionDifference, RecordedDecisions};
pub use report::{Answer, Provenance, ScenarioRuns, html};
pub use residents::{Resident, residents};
pub use result::{Figures, RejectedFlavor, RunResult};
pub use run::{Environment, run};
pub use statistics::{Interval, mean_interval, paired_difference, quantile};
pub use workload::{Flavors, VmSet};

/// Why a scenario cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// What it says is wrong.
    #[error("{0}")]
    Setting(String),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] SimulationError),
}

impl ScenarioError {
    /// The error of a setting. After an unknown key comes the nearest one that exists.
    pub(crate) fn new(message: &str) -> Self {
        let message = message.trim_end();
        Self::Setting(match suggestion(message) {
            Some(name) => format!("{message}\ndid you mean `{name}`?"),
            None => message.to_owned(),
        })
    }
}

/// What happens to the hosts between the times, in order, as the settings say.
///
/// # Errors
/// An event names no host, or contradicts itself.
pub fn host_events(
    specs: &[EventSpec],
    hosts: &[TraceHost],
    times: (Micros, Micros),
    seed: u64,
) -> Result<Vec<HostEvent>, ScenarioError> {
    events::events(specs, hosts, times, seed)
}

/// The expected name that is nearest to the unknown one, of serde's message "unknown field `a`,
/// expected one of `b`, `c`".
fn suggestion(message: &str) -> Option<String> {
    let rest = message.split_once("unknown field `").or_else(|| message.split_once("unknown variant `"))?.1;
    let (unknown, rest) = rest.split_once('`')?;
    let expected = rest.split_once("expected")?.1.split('`').skip(1).step_by(2);
    let nearest = expected.min_by_key(|name| levenshtein(unknown, name))?;
    (levenshtein(unknown, nearest) <= unknown.len().max(nearest.len()) / 2).then(|| nearest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let message = "unknown field `polcy`, expected one of `kind`, `policy`, `nova_conf`";
        assert_eq!(suggestion(message).as_deref(), Some("policy"));
        assert_eq!(suggestion("unknown field `zzzzzzz`, expected one of `kind`, `policy`"), None);
        assert_eq!(suggestion("unknown variant `fial`, expected `fail` or `add`").as_deref(), Some("fail"));
    }
}
