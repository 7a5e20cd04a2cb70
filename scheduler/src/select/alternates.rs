//! Alternate hosts, in case the build on the chosen host fails.

use super::{AllocationCandidate, Selection};
use crate::filters::{RequestState, Scene};
use crate::hosts::HostRow;

/// A chosen host and its claimed candidate.
pub(super) type Chosen = (HostRow, Option<AllocationCandidate>);

/// The hosts that alternates are chosen from.
pub(super) struct Pool<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) state: &'a RequestState,
    pub(super) chosen: &'a [Chosen],
    pub(super) sorted: &'a [HostRow],
    /// Whether Placement is used: then an alternate needs an allocation candidate.
    pub(super) with_placement: bool,
}

impl<'a> Pool<'a> {
    /// The sorted hosts that can replace a chosen one: in the same cell, and not chosen for any
    /// instance. Instances share alternates, because builds seldom fail.
    fn alternates(&self, chosen: HostRow) -> impl Iterator<Item = HostRow> {
        let cell = |row: HostRow| &self.scene.hosts.class(row).cell_uuid;
        let is_chosen = |row: HostRow| self.chosen.iter().any(|(other, _)| *other == row);
        let can_be_had = |row: HostRow| !self.with_placement || self.state.first(row).is_some();
        let rows = self.sorted.iter().copied();
        rows.filter(move |&row| cell(row) == cell(chosen) && !is_chosen(row) && can_be_had(row))
    }

    /// Whether each instance has this many alternates.
    pub(super) fn has(&self, alternates: usize) -> bool {
        self.chosen.iter().all(|(row, _)| self.alternates(*row).take(alternates).count() == alternates)
    }

    /// For each chosen host, the host itself and up to `alternates` alternates.
    pub(super) fn selections(&self, alternates: usize) -> Vec<Vec<Selection>> {
        let selection = |row: HostRow, candidate| Selection::new(&self.scene, self.state, row, candidate);
        let alternate = |row: HostRow| {
            let candidate = if self.with_placement { self.state.first(row).cloned() } else { None };
            selection(row, candidate)
        };
        let of_one = |(row, claimed): &Chosen| {
            let others = self.alternates(*row).take(alternates).map(alternate);
            std::iter::once(selection(*row, claimed.clone())).chain(others).collect()
        };
        self.chosen.iter().map(of_one).collect()
    }
}
