//! What Placement demands of hosts before the scheduler sees them.
//!
//! The constraints are read off the very query with which the scheduler asks for allocation candidates, in the order in
//! which Placement applies them: what the root provider has to be, traits, aggregates, the tree, and amounts. They are
//! judged for hosts that are one provider each.

mod demand;
mod offer;
mod providers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

use crate::nova::filters::{Filter, Scene};
use crate::nova::placement_query::{QueryError, ResourceRequest, placement_query};
use demand::Demand;

pub use offer::Offer;
pub use providers::{InvalidProvider, Provider, Providers};

/// A constraint that Placement applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementConstraint {
    /// A trait that the provider must have.
    RequiredTrait(String),
    /// A trait that it must not have.
    ForbiddenTrait(String),
    /// The availability zone, which is one of its aggregates.
    Zone {
        /// The zone's name.
        name: String,
        /// Ids of its aggregates.
        aggregates: BTreeSet<String>,
    },
    /// Ids of aggregates of which one must hold the provider.
    Aggregates(BTreeSet<String>),
    /// Ids of aggregates that must not hold it.
    ForbiddenAggregates(BTreeSet<String>),
    /// The one provider that is asked for.
    Provider(Uuid),
    /// An amount of a resource class.
    Resource {
        /// The class.
        class: String,
        /// How much.
        amount: u64,
    },
}

/// What Placement is asked.
#[derive(Debug, Default)]
pub(super) struct Demands {
    /// What is asked of the host itself, in order.
    pub(super) constraints: Vec<PlacementConstraint>,
    /// What is asked besides, about which nothing is known.
    pub(super) not_judged: Vec<String>,
}

impl Demands {
    /// What Placement is asked for the request. For a rebuild it is not asked.
    ///
    /// # Errors
    ///
    /// Whatever makes Nova refuse the request before it asks.
    pub(super) fn of(scene: &Scene<'_>, providers: &Providers) -> Result<Self, QueryError> {
        if scene.request.is_rebuild() {
            return Ok(Self::default());
        }
        let mut request = scene.request.clone();
        let query = placement_query(&mut request, scene.options, &providers.known())?;
        // The second query is for hosts that do not report dedicated CPUs yet.
        let asked = match query.fallback {
            Some(fallback) if !providers.some_offer("PCPU") => fallback,
            _ => query.request,
        };
        let mut constraints = constraints(&asked);
        constraints
            .iter_mut()
            .for_each(|one| one.name_zone(scene.request.availability_zone.as_ref(), providers));
        let mut not_judged: Vec<String> = Vec::new();
        constraints.retain(|constraint| match constraint {
            PlacementConstraint::Resource { class, amount } if !providers.is_known(class) => {
                not_judged.push(format!("{amount} {class}"));
                false
            }
            _ => true,
        });
        not_judged.extend(asked.suffixed.iter().map(|(suffix, group)| {
            let amounts = group.resources.iter().map(|(class, amount)| format!("{amount} {class}"));
            format!("group {suffix}: {}", amounts.collect::<Vec<_>>().join(", "))
        }));
        Ok(Self { constraints, not_judged })
    }

    /// How much is asked of each resource class of the host itself.
    pub(super) fn amounts(&self) -> BTreeMap<String, u64> {
        let amounts = self.constraints.iter().filter_map(|constraint| match constraint {
            PlacementConstraint::Resource { class, amount } => Some((class.clone(), *amount)),
            _ => None,
        });
        amounts.collect()
    }
}

/// What is asked of the host itself, in Placement's order.
fn constraints(asked: &ResourceRequest) -> Vec<PlacementConstraint> {
    use PlacementConstraint as P;
    let group = &asked.unsuffixed;
    let required = |names: &BTreeSet<String>| names.iter().cloned().map(P::RequiredTrait).collect::<Vec<_>>();
    let forbidden =
        |names: &BTreeSet<String>| names.iter().cloned().map(P::ForbiddenTrait).collect::<Vec<_>>();
    let mut all = required(&asked.root_required);
    all.extend(forbidden(&asked.root_forbidden));
    all.extend(required(&group.required_traits));
    all.extend(group.member_of.iter().cloned().map(P::Aggregates));
    let kept_out = Some(&group.forbidden_aggregates).filter(|ids| !ids.is_empty());
    all.extend(kept_out.cloned().map(P::ForbiddenAggregates));
    all.extend(forbidden(&group.forbidden_traits));
    all.extend(group.in_tree.map(P::Provider));
    let resource = |(class, amount): (&String, &u64)| P::Resource { class: class.clone(), amount: *amount };
    all.extend(group.resources.iter().map(resource));
    let mut distinct: Vec<P> = Vec::with_capacity(all.len());
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

impl PlacementConstraint {
    /// Aggregates that are the asked zone's become the zone.
    fn name_zone(&mut self, zone: Option<&String>, providers: &Providers) {
        let (Self::Aggregates(ids), Some(zone)) = (&mut *self, zone) else { return };
        if *ids == providers.aggregates_of_zone(zone) {
            *self = Self::Zone { name: zone.clone(), aggregates: std::mem::take(ids) };
        }
    }

    pub(super) fn prepare<'a>(
        &'a self,
        scene: &'a Scene<'a>,
        providers: &'a Providers,
    ) -> Box<dyn Filter + 'a> {
        Box::new(Demand { constraint: self, scene, providers })
    }
}

impl fmt::Display for PlacementConstraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequiredTrait(name) => write!(out, "trait {name}"),
            Self::ForbiddenTrait(name) => write!(out, "no trait {name}"),
            Self::Zone { name, .. } => write!(out, "zone {name}"),
            Self::Aggregates(ids) => write!(out, "aggregate {}", listed(ids)),
            Self::ForbiddenAggregates(ids) => write!(out, "no aggregate {}", listed(ids)),
            Self::Provider(uuid) => write!(out, "provider {uuid}"),
            Self::Resource { class, amount } => write!(out, "{class} {amount}"),
        }
    }
}

fn listed(ids: &BTreeSet<String>) -> String {
    ids.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
