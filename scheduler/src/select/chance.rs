//! The chance scheduler of older releases, which chooses any host that is up.

use super::{Chooser, SelectError, Sorted};
use crate::filters::{FilterName, RequestState, Scene, Step, Survivors, steps};

/// The hosts for one instance: one host is drawn from those that are up and that the request
/// permits. The others follow in their order. Nova had this driver up to release 18.
pub(super) fn any_host(
    scene: &Scene<'_>,
    mut hosts: Survivors,
    index: usize,
    state: &mut RequestState,
    chooser: &mut dyn Chooser,
) -> Result<Sorted, SelectError> {
    let restrictions = steps(scene, index).into_iter().filter(|step| matches!(step, Step::Restriction(_)));
    let mut removed = Vec::new();
    for step in restrictions.chain([Step::Filter(FilterName::ComputeFilter)]) {
        let before = hosts.len();
        let narrowed = hosts.narrow(&*step.prepare(scene), scene.hosts, state);
        narrowed.map_err(|error| crate::filters::FilterFailure { step, error })?;
        removed.push((step, before - hosts.len()));
    }
    let mut rows = hosts.rows();
    if !rows.is_empty() {
        let chosen = chooser.choose(rows.len());
        rows[..=chosen].rotate_right(1);
    }
    Ok(Sorted { rows, removed: Some(removed), complete: true })
}
