//! Placements of instances, in rows and amounts.

use berth_placement::{Allocations, ConsumerId, Index, Row};

use crate::select::{Selection, allocations};

/// The placement of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The instance.
    pub instance: ConsumerId,
    /// Its host.
    pub place: Place,
    /// Alternate hosts, best first.
    pub alternates: Vec<Place>,
}

/// A host, and the allocations of an instance there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host's root provider in the index.
    pub provider: Row,
    /// The allocations, on the host's providers and those that share with it.
    pub allocations: Allocations,
}

/// Converts the selections of each instance to placements. A request without resources has no
/// place.
pub(super) fn placements(
    index: &Index,
    instances: &[ConsumerId],
    selections: &[Vec<Selection>],
    alternates: usize,
) -> Vec<Placement> {
    let of_one = |(&instance, selections): (&ConsumerId, &Vec<Selection>)| {
        let mut places = selections.iter().filter_map(|selection| place(index, selection));
        let place = places.next()?;
        Some(Placement { instance, place, alternates: places.take(alternates).collect() })
    };
    instances.iter().zip(selections).filter_map(of_one).collect()
}

fn place(index: &Index, selection: &Selection) -> Option<Place> {
    let allocations = allocations(index, selection.allocation_request.as_ref()?).ok()?;
    let provider = index.topology().host_of(&allocations)?;
    Some(Place { provider, allocations })
}
