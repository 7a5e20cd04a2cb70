//! The pipeline: what an operator insists on, then the enabled filters, one after the other.

use super::destination::Restriction;
use super::survivors::objection;
use super::{Filter, FilterError, FilterName, Reason, RequestState, Scene, Survivors};
use crate::hosts::HostRow;

/// One constraint of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A host, node or destination was named in the request.
    Restriction(Restriction),
    /// An enabled filter.
    Filter(FilterName),
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Restriction(restriction) => restriction.fmt(out),
            Self::Filter(name) => name.fmt(out),
        }
    }
}

/// The outcome of the pipeline.
#[derive(Debug, Clone)]
pub struct FilterOutcome {
    /// The hosts that are left.
    pub survivors: Survivors,
    /// How many hosts each constraint removed, in order. It ends early when none is left.
    pub removed: Vec<(Step, usize)>,
}

/// A filter that could not judge the request. Nova fails the whole request then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{step}: {error}")]
pub struct FilterFailure {
    /// The constraint.
    pub step: Step,
    /// Why it could not judge.
    pub error: FilterError,
}

/// The constraints that the `index`-th instance of the request has to pass, in order.
///
/// Hosts that are forced skip the filters, unless a service of the control plane asks for a check.
#[must_use]
pub fn steps(scene: &Scene<'_>, index: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Restriction::of(scene.request).map(Step::Restriction).collect();
    if !filters_are_skipped(scene) {
        let runs = |name: &FilterName| index == 0 || !name.runs_once();
        let enabled = scene.options.filter_scheduler.enabled_filters.iter().copied();
        steps.extend(enabled.filter(runs).map(Step::Filter));
    }
    steps
}

/// Whether the request forces hosts past the filters.
#[must_use]
pub fn filters_are_skipped(scene: &Scene<'_>) -> bool {
    let request = scene.request;
    let is_forced = !request.force_hosts.is_empty() || !request.force_nodes.is_empty();
    is_forced && !request.has_check_type()
}

impl Step {
    /// The constraint as a filter for one request.
    #[must_use]
    pub fn prepare<'a>(self, scene: &'a Scene<'a>) -> Box<dyn Filter + 'a> {
        match self {
            Self::Restriction(restriction) => restriction.prepare(scene),
            Self::Filter(name) => name.prepare(scene),
        }
    }
}

/// Narrows the hosts by every constraint that holds for the `index`-th instance.
///
/// # Errors
///
/// [`FilterFailure`] of the first filter that cannot judge the request.
pub fn run(
    scene: &Scene<'_>,
    mut survivors: Survivors,
    index: usize,
    state: &mut RequestState,
) -> Result<FilterOutcome, FilterFailure> {
    let mut removed = Vec::new();
    for step in steps(scene, index) {
        if survivors.is_empty() {
            break;
        }
        let before = survivors.len();
        let filter = step.prepare(scene);
        survivors.narrow(&*filter, scene.hosts, state).map_err(|error| FilterFailure { step, error })?;
        removed.push((step, before - survivors.len()));
    }
    Ok(FilterOutcome { survivors, removed })
}

/// The first constraint that refuses the host, and why; none if it passes them all.
///
/// # Errors
///
/// [`FilterFailure`] of the first filter that cannot judge the request.
pub fn explain(
    scene: &Scene<'_>,
    row: HostRow,
    index: usize,
    state: &mut RequestState,
) -> Result<Option<(Step, Reason)>, FilterFailure> {
    for step in steps(scene, index) {
        let refused =
            objection(&*step.prepare(scene), row, state).map_err(|error| FilterFailure { step, error })?;
        if let Some(reason) = refused {
            return Ok(Some((step, reason)));
        }
    }
    Ok(None)
}
