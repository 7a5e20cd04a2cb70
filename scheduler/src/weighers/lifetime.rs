//! LifetimeWeigher

use super::{Multiplier, WeighError, Weigher};
use crate::filters::Scene;
use crate::hosts::HostRow;
use crate::packing::OutlookCost;

/// The time for which the instance is expected to keep the host in use longer, and a little for how
/// much longer the host stays in use than the instance: instances that end together share hosts, so
/// that hosts become empty. See [`packing`](crate::packing) for the papers.
///
/// Nova has no such weigher. It is off unless `weight_classes` names it, and gives 0 while
/// predictions explain too little of how long instances live: the other weighers decide then. The
/// less predictions explain, the less it counts.
pub(super) struct LifetimeWeigher<'a> {
    scene: &'a Scene<'a>,
    cost: Option<OutlookCost>,
    /// On a host without instances.
    on_empty: f64,
    confidence: f64,
}

impl<'a> LifetimeWeigher<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let known = scene.hosts.lifetimes();
        let cost = known.and_then(|known| known.cost(&scene.request.flavor, &scene.request.project_id));
        let on_empty = cost.as_ref().map_or(0.0, |cost| f64::from(cost.on_empty()));
        let confidence = known.map_or(0.0, |known| known.confidence());
        Self { scene, cost, on_empty, confidence }
    }
}

impl Weigher for LifetimeWeigher<'_> {
    fn raw(&self, row: HostRow) -> Result<f64, WeighError> {
        let Some(cost) = &self.cost else { return Ok(0.0) };
        let hosts = self.scene.hosts;
        let outlook = hosts.lifetimes().and_then(|known| known.outlook(hosts.service_id(row)));
        Ok(-outlook.map_or(self.on_empty, |outlook| f64::from(cost.on(outlook))))
    }

    fn multiplier(&self) -> Multiplier {
        let configured = self.scene.options.filter_scheduler.lifetime_weight_multiplier;
        Multiplier::new("lifetime_weight_multiplier", configured * self.confidence)
    }
}
