//! The operator's configuration: the options of `nova.conf` that scheduling reads.
//!
//! An option that is not given has Nova's default. Reading an unknown filter, weigher or option is
//! an error that names it; [`Options::validate`] finds values that make no sense.

mod filter_scheduler;
mod general;
mod lifetimes;
mod metrics;
mod placement;
mod setting;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use filter_scheduler::FilterSchedulerOptions;
pub use general::GeneralOptions;
pub use lifetimes::{InvalidLifetime, LifetimeFile};
pub use metrics::MetricsOptions;
pub use placement::{Driver, SchedulerOptions};
pub use setting::settings;

/// Options by group.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `[DEFAULT]`
    #[serde(rename = "DEFAULT")]
    pub general: GeneralOptions,
    /// `[filter_scheduler]`
    pub filter_scheduler: FilterSchedulerOptions,
    /// `[scheduler]`
    pub scheduler: SchedulerOptions,
    /// `[metrics]`
    pub metrics: MetricsOptions,
    /// `[compute]`
    pub compute: ComputeOptions,
    /// `[workarounds]`
    pub workarounds: WorkaroundOptions,
    /// Whether a request fails where Nova fails it by mistake (`docs/nova-differences.md`). Only
    /// comparisons with Nova want that; no file can set it.
    #[serde(skip)]
    pub keep_nova_faults: bool,
    /// The source that decides whether a host is up. The program that knows the hosts sets it; no
    /// file can.
    #[serde(skip)]
    pub liveness: LivenessSource,
    /// The lifetimes that an operator measured, for `LifetimeWeigher`. The program reads the file.
    #[serde(skip)]
    pub lifetimes: Arc<LifetimeFile>,
}

/// The source that decides whether a host is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LivenessSource {
    /// The time of its last report, as in Nova: more than [`GeneralOptions::down_time`] ago, it is
    /// down.
    #[default]
    Reports,
    /// Its record alone (`forced_down`): the source of the records judges the reports.
    Record,
}

/// `[compute]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComputeOptions {
    /// Whether instances go to the fullest NUMA cells of a host first.
    pub packing_host_numa_cells_allocation_strategy: bool,
}

/// `[workarounds]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkaroundOptions {
    /// Whether hosts that offer pinned CPUs as VCPU are left out when CPUs are to be pinned.
    pub disable_fallback_pcpu_query: bool,
}

/// An option whose value makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct InvalidOption {
    /// Group and name.
    pub option: &'static str,
    /// The problem.
    pub problem: &'static str,
}

impl Options {
    /// Looks for values that make no sense.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`], the first that was found.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        self.general.validate()?;
        self.filter_scheduler.validate()?;
        self.scheduler.validate()?;
        self.metrics.validate()
    }

    /// The seconds without a report after which a host is down; `None` if reports do not count.
    pub(crate) const fn report_limit(&self) -> Option<i64> {
        match self.liveness {
            LivenessSource::Reports => Some(self.general.down_time()),
            LivenessSource::Record => None,
        }
    }
}

/// Refuses the option unless the condition holds.
fn require(condition: bool, option: &'static str, problem: &'static str) -> Result<(), InvalidOption> {
    if condition { Ok(()) } else { Err(InvalidOption { option, problem }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_sound() {
        assert_eq!(Options::default().validate(), Ok(()));
        assert_eq!(read("{}"), Ok(Options::default()));
    }

    #[test]
    fn errors_name_the_option() {
        let unknown = read(r#"{"filter_scheduler": {"enabled_filters": ["CoreFilter", "RamFiltre"]}}"#);
        let error = unknown.expect_err("unknown filter");
        assert!(error.contains("filter_scheduler.enabled_filters") && error.contains("RamFiltre"), "{error}");
        let mut options = Options::default();
        options.filter_scheduler.pci_weight_multiplier = -1.0;
        let error = options.validate().expect_err("negative");
        assert_eq!(error.option, "[filter_scheduler] pci_weight_multiplier");
    }

    #[test]
    fn options_survive_writing() {
        let text = serde_json::to_string(&Options::default()).expect("writes");
        assert_eq!(read(&text), Ok(Options::default()));
    }
}
