//! Where else an instance could go, should its first build fail.

use berth_placement::Row;

use super::{AllocationCandidate, Selection};
use crate::nova::filters::{RequestState, Scene};

/// A host that was chosen, and what was claimed there.
pub(super) type Chosen = (Row, Option<AllocationCandidate>);

/// For each chosen host the host itself and up to `alternates` of the sorted hosts: in the same cell, not chosen for
/// any instance, and with an allocation candidate left where placement is asked (`with_placement`). Instances share
/// alternates: builds seldom fail.
pub(super) fn with_alternates(
    scene: &Scene<'_>,
    state: &RequestState,
    chosen: &[Chosen],
    sorted: &[Row],
    alternates: usize,
    with_placement: bool,
) -> Vec<Vec<Selection>> {
    let is_chosen = |row: &Row| chosen.iter().any(|(other, _)| other == row);
    let cell = |row: &Row| &scene.hosts.class(*row).cell_uuid;
    let eligible = |row: &&Row| !is_chosen(row) && (!with_placement || state.first(**row).is_some());
    let selection = |row: &Row| {
        let candidate = if with_placement { state.first(*row).cloned() } else { None };
        Selection::new(scene, state, *row, candidate)
    };
    let of_one = |(row, claimed): &Chosen| {
        let first = Selection::new(scene, state, *row, claimed.clone());
        let others = sorted.iter().filter(|other| cell(other) == cell(row)).filter(eligible);
        std::iter::once(first).chain(others.take(alternates).map(selection)).collect()
    };
    chosen.iter().map(of_one).collect()
}
