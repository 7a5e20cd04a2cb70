//! One of Placement's constraints as a filter.

use std::collections::BTreeSet;

use berth_placement::Row;

use super::offer::Offer;
use super::providers::{DISABLED, Provider, Providers};
use super::{PlacementConstraint, listed};
use crate::nova::filters::{Filter, Reason, RequestState, Scene, Verdict};

pub(super) struct Demand<'a> {
    pub(super) constraint: &'a PlacementConstraint,
    pub(super) scene: &'a Scene<'a>,
    pub(super) providers: &'a Providers,
}

impl Filter for Demand<'_> {
    fn judge(&self, row: Row, _: &mut RequestState) -> Verdict {
        Ok(self.providers.get(row).map_or(Err(Reason::NotReported), |provider| self.look(row, provider)))
    }
}

impl Demand<'_> {
    fn look(&self, row: Row, provider: &Provider) -> Result<(), Reason> {
        match self.constraint {
            PlacementConstraint::RequiredTrait(name) => {
                require(self.has_trait(row, provider, name), || Reason::NoTrait { name: name.clone() })
            }
            PlacementConstraint::ForbiddenTrait(name) => {
                require(!self.has_trait(row, provider, name), || self.forbidden(row, name))
            }
            PlacementConstraint::Zone { name, aggregates } => {
                require(!provider.aggregates.is_disjoint(aggregates), || self.other_zone(row, name))
            }
            PlacementConstraint::Aggregates(ids) => {
                let asked = || Reason::OutsideAggregates { asked: listed(ids) };
                require(!provider.aggregates.is_disjoint(ids), asked)
            }
            PlacementConstraint::ForbiddenAggregates(ids) => stay_out(provider, ids),
            PlacementConstraint::Provider(uuid) => {
                require(provider.uuid == *uuid, || Reason::OtherProvider { asked: uuid.to_string() })
            }
            PlacementConstraint::Resource { class, amount } => {
                self.offer(row, provider, class)?.allow(class, *amount)
            }
        }
    }

    fn has_trait(&self, row: Row, provider: &Provider, name: &str) -> bool {
        provider.traits.contains(name) || (name == DISABLED && self.scene.hosts.service(row).disabled)
    }

    fn forbidden(&self, row: Row, name: &str) -> Reason {
        let service = self.scene.hosts.service(row);
        if name == DISABLED && service.disabled {
            return Reason::Disabled { reason: service.disabled_reason.clone() };
        }
        Reason::ForbiddenTrait { name: name.to_owned() }
    }

    fn other_zone(&self, row: Row, asked: &str) -> Reason {
        let default = &self.scene.options.general.default_availability_zone;
        let found = self.scene.hosts.class(row).aggregates.zone().unwrap_or(default).to_owned();
        Reason::OtherZone { asked: asked.to_owned(), found }
    }

    fn offer(&self, row: Row, provider: &Provider, class: &str) -> Result<Offer, Reason> {
        let Some(offers) = &provider.offers else { return Offer::of_host(self.scene.hosts, row, class) };
        offers.get(class).copied().ok_or_else(|| Reason::NoInventory { class: class.to_owned() })
    }
}

fn stay_out(provider: &Provider, ids: &BTreeSet<String>) -> Result<(), Reason> {
    let found = provider.aggregates.intersection(ids).next().cloned();
    found.map_or(Ok(()), |found| Err(Reason::ForbiddenAggregate { found }))
}

fn require(holds: bool, refusal: impl FnOnce() -> Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(refusal()) }
}
