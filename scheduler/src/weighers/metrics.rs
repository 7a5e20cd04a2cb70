//! MetricsWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;
use crate::options::settings;

/// The sum of metrics, each times its ratio in `[metrics] weight_setting`. A host that lacks one
/// fails the request if `required` says so, and weighs `weight_of_unavailable` otherwise.
pub(super) struct MetricsWeigher<'a> {
    scene: &'a Scene<'a>,
    settings: Vec<(String, f64)>,
}

impl<'a> MetricsWeigher<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, settings: settings(&scene.options.metrics.weight_setting) }
    }

    fn missing(&self, row: HostRow, name: &str) -> WeighError {
        let hosts = self.scene.hosts;
        WeighError::NoMetric {
            host: hosts.host(row).to_owned(),
            node: hosts.node(row).to_owned(),
            name: name.to_owned(),
        }
    }
}

impl Weigher for MetricsWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        let options = &self.scene.options.metrics;
        let metrics = self.scene.hosts.metrics(row);
        let mut sum = 0.0;
        for (name, ratio) in &self.settings {
            match metrics.and_then(|metrics| *metrics.get(name)?) {
                Some(value) => sum += value as f64 * ratio,
                None if options.required => return Err(self.missing(row, name)),
                None if ratio * self.multiplier().of(&self.scene.hosts.class(row).aggregates) != 0.0 => {
                    return Ok(options.weight_of_unavailable);
                }
                None => {}
            }
        }
        Ok(sum)
    }

    fn multiplier(&self) -> Multiplier {
        Multiplier::new("metrics_weight_multiplier", self.scene.options.metrics.weight_multiplier)
    }
}
