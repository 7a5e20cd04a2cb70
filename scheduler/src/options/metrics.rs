//! `[metrics]`

use serde::{Deserialize, Serialize};

use super::{InvalidOption, require};

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsOptions {
    /// How much metrics count against other weights.
    pub weight_multiplier: f64,
    /// `name=ratio` for each metric that counts.
    pub weight_setting: Vec<String>,
    /// Whether a host without one of them fails the request.
    pub required: bool,
    /// The weight of such a host otherwise.
    pub weight_of_unavailable: f64,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            weight_multiplier: 1.0,
            weight_setting: Vec::new(),
            required: true,
            weight_of_unavailable: -10_000.0,
        }
    }
}

impl MetricsOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidOption> {
        require(self.weight_multiplier.is_finite(), "[metrics] weight_multiplier", "is not finite")?;
        require(self.weight_of_unavailable.is_finite(), "[metrics] weight_of_unavailable", "is not finite")
    }
}
