//! The conditions of Placement, which hosts meet before the scheduler sees them.
//!
//! The constraints are read off the very query with which the scheduler asks for allocation
//! candidates, in the order in which Placement applies them: what the root provider has to be,
//! traits, aggregates, the tree, amounts, and the groups of ports and devices. Each is judged on
//! the index, provider by provider of a host's tree, and at last the index is asked for a
//! candidate: so what an explanation says of Placement is what Placement answers. The filters that
//! drop candidates get those of the index, too. Another Placement service is asked for parts of the
//! query instead (`reduced.rs`).

mod demand;
mod facts;
mod fleet;
mod reduced;
mod twin;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

use crate::aggregates::{AVAILABILITY_ZONE, AggregateRecord};
use crate::filters::{Filter, RequestState, Scene};
use crate::hosts::HostRow;
use crate::placement_query::{CandidateExtent, QueryError, RequestGroup, ResourceRequest, placement_query};
use demand::{Demand, amounts};

pub use facts::PlacementFacts;
pub use fleet::InvalidProvider;
pub(super) use fleet::RecordedFleet;
pub(super) use reduced::Answered;
pub use reduced::{PlacementAnswer, ReducedQuery, reduced_queries};

/// The trait of a disabled service's provider.
const DISABLED: &str = "COMPUTE_STATUS_DISABLED";

/// A constraint that Placement applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementConstraint {
    /// A trait that the root of the tree must have.
    RootTrait(String),
    /// A trait that the root must not have.
    ForbiddenRootTrait(String),
    /// A trait that a provider of the tree must have.
    RequiredTrait(String),
    /// A trait that no serving provider may have.
    ForbiddenTrait(String),
    /// The availability zone, which is one of its aggregates.
    Zone {
        /// The zone's name.
        name: String,
        /// Ids of its aggregates.
        aggregates: BTreeSet<Uuid>,
    },
    /// Ids of aggregates of which one must hold the provider.
    Aggregates(BTreeSet<Uuid>),
    /// Ids of aggregates that must not hold it.
    ForbiddenAggregates(BTreeSet<Uuid>),
    /// The one provider that is asked for.
    Provider(Uuid),
    /// An amount of a resource class.
    Resource {
        /// The class.
        class: String,
        /// How much.
        amount: u64,
    },
    /// A group of a port, a device or a flavor, which one provider serves.
    Group {
        /// Its suffix.
        suffix: String,
        /// Its requirements.
        group: RequestGroup,
    },
    /// All of it together, where a host has several providers or groups: each part may find its
    /// provider, and yet no choice of providers suits all.
    Together,
}

/// The query to Placement.
#[derive(Debug, Default)]
pub(super) struct Demands {
    /// The conditions of a host, in order.
    pub(super) constraints: Vec<PlacementConstraint>,
    /// Other conditions, about which nothing is known.
    pub(super) not_judged: Vec<String>,
    /// All of it, without what is not judged and the state of the service.
    asked: ResourceRequest,
    /// A second request: a host that serves it passes.
    alternative: Option<ResourceRequest>,
}

impl Demands {
    /// The query to Placement for the request. A rebuild has none.
    ///
    /// # Errors
    ///
    /// Whatever makes Nova refuse the request before it asks.
    pub(super) fn of(scene: &Scene<'_>, facts: &PlacementFacts) -> Result<Self, QueryError> {
        if scene.request.is_rebuild() {
            return Ok(Self::default());
        }
        let mut request = scene.request.clone();
        let query = placement_query(&mut request, scene.options, &facts.known())?;
        // The second query is for hosts that do not report dedicated CPUs yet.
        let (mut asked, mut alternative) = match query.fallback {
            Some(fallback) if !facts.some_offer("PCPU") => (fallback, None),
            fallback => (query.request, fallback),
        };
        let mut not_judged = leave_out_unknown(&mut asked, facts);
        alternative.iter_mut().for_each(|request| drop(leave_out_unknown(request, facts)));
        not_judged.dedup();
        let mut constraints = constraints(&asked);
        if !asked.suffixed.is_empty() || !facts.is_flat() {
            constraints.push(PlacementConstraint::Together);
        }
        let zone = scene.request.availability_zone.as_ref();
        constraints.iter_mut().for_each(|one| one.name_zone(zone, |zone| facts.aggregates_of_zone(zone)));
        // The service itself says whether it is disabled.
        [Some(&mut asked), alternative.as_mut()].into_iter().flatten().for_each(|request| {
            request.root_forbidden.remove(DISABLED);
        });
        Ok(Self { constraints, not_judged, asked, alternative })
    }

    /// The classes that the unsuffixed group asks for.
    fn unsuffixed_classes(&self) -> impl Iterator<Item = &str> {
        self.asked.unsuffixed.resources.keys().map(String::as_str)
    }

    /// Gives these hosts the candidates that a decision has of them, if a filter drops candidates
    /// and the index knows all of them: which devices serve a group depends on the candidate.
    ///
    /// A decision stops at the limit of the query for all hosts together, here each host has its
    /// own.
    pub(super) fn offer(
        &self,
        scene: &Scene<'_>,
        facts: &PlacementFacts,
        rows: &[HostRow],
        state: &mut RequestState,
    ) {
        let filters_look = CandidateExtent::of(scene.request, scene.options) == CandidateExtent::All;
        if !filters_look || !facts.is_complete() || scene.request.is_rebuild() {
            return;
        }
        let limit = self.asked.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        for &row in rows {
            let requests = std::iter::once(&self.asked).chain(&self.alternative);
            let candidates = requests.flat_map(|request| demand::candidates(facts, row, request));
            state.give(row, candidates.take(limit).collect());
        }
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

/// Takes out what nothing is known of; returns it in words.
fn leave_out_unknown(request: &mut ResourceRequest, facts: &PlacementFacts) -> Vec<String> {
    let mut left_out = Vec::new();
    request.unsuffixed.resources.retain(|class, amount| {
        let is_known = facts.is_known(class);
        if !is_known {
            left_out.push(format!("{amount} {class}"));
        }
        is_known
    });
    request.suffixed.retain(|suffix, group| {
        let is_known = group.resources.keys().all(|class| facts.is_known(class));
        if !is_known {
            left_out.push(format!("group {suffix}: {}", amounts(group)));
        }
        is_known
    });
    let suffixed = &request.suffixed;
    request.same_subtree.retain(|group| group.iter().all(|suffix| suffixed.contains_key(suffix)));
    left_out
}

/// The conditions of a host, in Placement's order.
fn constraints(asked: &ResourceRequest) -> Vec<PlacementConstraint> {
    use PlacementConstraint as P;
    let group = &asked.unsuffixed;
    let mut all: Vec<P> = asked.root_required.iter().cloned().map(P::RootTrait).collect();
    all.extend(asked.root_forbidden.iter().cloned().map(P::ForbiddenRootTrait));
    let of_group = group.required_traits.iter().filter(|name| !asked.root_required.contains(*name));
    all.extend(of_group.cloned().map(P::RequiredTrait));
    all.extend(group.member_of.iter().cloned().map(P::Aggregates));
    let kept_out = Some(&group.forbidden_aggregates).filter(|ids| !ids.is_empty());
    all.extend(kept_out.cloned().map(P::ForbiddenAggregates));
    all.extend(group.forbidden_traits.iter().cloned().map(P::ForbiddenTrait));
    all.extend(group.in_tree.map(P::Provider));
    let resource = |(class, amount): (&String, &u64)| P::Resource { class: class.clone(), amount: *amount };
    all.extend(group.resources.iter().map(resource));
    let suffixed = asked.suffixed.iter();
    all.extend(suffixed.map(|(suffix, group)| P::Group { suffix: suffix.clone(), group: group.clone() }));
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
    fn name_zone(&mut self, zone: Option<&String>, aggregates_of: impl Fn(&str) -> BTreeSet<Uuid>) {
        let (Self::Aggregates(ids), Some(zone)) = (&mut *self, zone) else { return };
        if *ids == aggregates_of(zone) {
            *self = Self::Zone { name: zone.clone(), aggregates: std::mem::take(ids) };
        }
    }

    pub(super) fn prepare<'a>(
        &'a self,
        scene: &'a Scene<'a>,
        facts: &'a PlacementFacts,
        demands: &'a Demands,
    ) -> Box<dyn Filter + 'a> {
        Box::new(Demand { constraint: self, scene, facts, demands })
    }
}

impl fmt::Display for PlacementConstraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RootTrait(name) | Self::RequiredTrait(name) => write!(out, "trait {name}"),
            Self::ForbiddenRootTrait(name) | Self::ForbiddenTrait(name) => write!(out, "no trait {name}"),
            Self::Zone { name, .. } => write!(out, "zone {name}"),
            Self::Aggregates(ids) => write!(out, "aggregate {}", listed(ids)),
            Self::ForbiddenAggregates(ids) => write!(out, "no aggregate {}", listed(ids)),
            Self::Provider(uuid) => write!(out, "provider {uuid}"),
            Self::Resource { class, amount } => write!(out, "{class} {amount}"),
            Self::Group { suffix, group } => write!(out, "group {suffix}: {}", amounts(group)),
            Self::Together => out.write_str("together"),
        }
    }
}

/// Ids of the aggregates that make a zone.
fn aggregates_of_zone(aggregates: &[AggregateRecord], zone: &str) -> BTreeSet<Uuid> {
    let names = |aggregate: &&AggregateRecord| {
        aggregate.metadata.get(AVAILABILITY_ZONE).is_some_and(|name| name == zone)
    };
    aggregates.iter().filter(names).filter_map(|aggregate| aggregate.uuid).collect()
}

fn listed(ids: &BTreeSet<Uuid>) -> String {
    ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
}
