//! Decisions by free amounts alone, for a request of several instances.

use berth_placement::ConsumerId;

use super::placement::{Place, Placement};
use super::{DecideError, DecisionRequest, NoHost};
use crate::amounts::engine::{AmountEngine, PlaceError};
use crate::amounts::prepare::Prepared;
use crate::amounts::request::Request;
use crate::request_spec::RequestedFlavor;
use crate::select::SelectError;

/// The amounts of a flavor.
pub(super) fn request_of(flavor: &RequestedFlavor) -> Request {
    let amount = |amount: i64| u32::try_from(amount.max(0)).unwrap_or(u32::MAX);
    // Swap is in MiB, disk in GiB.
    let swap_gb = amount(flavor.swap).div_ceil(1024);
    let disk_gb = amount(flavor.root_gb.saturating_add(flavor.ephemeral_gb)).saturating_add(swap_gb);
    Request::of(amount(flavor.vcpus), amount(flavor.memory_mb), disk_gb)
}

/// Claims a host for one instance after the other. If one finds none, all claims are released. A
/// dry run decides for each instance independently.
pub(super) fn decide(
    engine: &mut AmountEngine,
    request: &DecisionRequest<'_>,
) -> Result<Vec<Placement>, DecideError> {
    let mut prepared = engine.prepare(request_of(&request.spec.flavor));
    let mut placements = Vec::with_capacity(request.instances.len());
    for &instance in request.instances {
        match place(engine, &mut prepared, instance, request) {
            Ok(placement) => placements.push(placement),
            Err(error) => {
                if !request.is_dry_run {
                    placements.iter().for_each(|placed: &Placement| engine.release(placed.instance));
                }
                return Err(refusal(error, (placements.len(), request.instances.len()), engine));
            }
        }
    }
    Ok(placements)
}

fn place(
    engine: &mut AmountEngine,
    prepared: &mut Prepared,
    instance: ConsumerId,
    request: &DecisionRequest<'_>,
) -> Result<Placement, PlaceError> {
    let mut best = Vec::new();
    if request.alternates > 0 {
        best = engine.best(prepared, request.alternates + 1);
    }
    let provider =
        if request.is_dry_run { engine.decide(prepared)? } else { engine.place(instance, prepared)? };
    let place = |provider| Place { provider, allocations: prepared.allocations(provider) };
    let others = best.into_iter().filter(|row| *row != provider).take(request.alternates);
    Ok(Placement { instance, place: place(provider), alternates: others.map(place).collect() })
}

fn refusal(error: PlaceError, (placed, wanted): (usize, usize), engine: &AmountEngine) -> DecideError {
    match error {
        PlaceError::NoValidHost(_) => DecideError::NoHost(Box::new(NoHost {
            error: SelectError::NoValidHost { placed, wanted },
            removed: Vec::new(),
            hosts: engine.view().iter().count(),
        })),
        other => DecideError::Place(other),
    }
}
