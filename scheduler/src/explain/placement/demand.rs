//! One of Placement's constraints as a filter over the index.

use std::collections::BTreeSet;

use berth_placement::candidates::{Candidate, SearchOptions, TreeQuery};
use berth_placement::{Inventory, Row, Units};
use uuid::Uuid;

use super::facts::{PlacementFacts, Tree};
use super::{DISABLED, Demands, PlacementConstraint, listed};
use crate::filters::{Filter, Reason, RequestState, Scene, Verdict};
use crate::hosts::HostRow;
use crate::placement_query::{RequestGroup, ResourceRequest, taken};
use crate::select::AllocationCandidate;

pub(super) struct Demand<'a> {
    pub(super) constraint: &'a PlacementConstraint,
    pub(super) scene: &'a Scene<'a>,
    pub(super) facts: &'a PlacementFacts,
    pub(super) demands: &'a Demands,
}

impl Filter for Demand<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        if self.demands.alternative.as_ref().is_some_and(|request| self.is_served(row, request)) {
            return Ok(Ok(()));
        }
        let tree = self.facts.tree(row).filter(|_| self.scene.hosts.report(row).is_some());
        Ok(tree.map_or(Err(Reason::NotReported), |tree| self.look(row, &tree)))
    }
}

impl Demand<'_> {
    fn look(&self, row: HostRow, tree: &Tree<'_>) -> Result<(), Reason> {
        use PlacementConstraint as P;
        match self.constraint {
            P::RootTrait(name) => {
                require(tree.has_trait(tree.root, name), || Reason::NoTrait { name: name.clone() })
            }
            P::ForbiddenRootTrait(name) if name == DISABLED => self.enabled(row),
            P::ForbiddenRootTrait(name) => {
                require(!tree.has_trait(tree.root, name), || Reason::ForbiddenTrait { name: name.clone() })
            }
            P::RequiredTrait(name) => {
                let found = tree.providers().into_iter().any(|provider| tree.has_trait(provider, name));
                require(found, || Reason::NoTrait { name: name.clone() })
            }
            P::ForbiddenTrait(name) => {
                require(self.leaves_providers(tree), || Reason::ForbiddenTrait { name: name.clone() })
            }
            P::Zone { name, .. } => require(self.leaves_providers(tree), || self.other_zone(row, name)),
            P::Aggregates(ids) => {
                require(self.leaves_providers(tree), || Reason::OutsideAggregates { asked: listed(ids) })
            }
            P::ForbiddenAggregates(ids) => require(self.leaves_providers(tree), || {
                let found = tree.aggregate_in(tree.root, ids);
                Reason::ForbiddenAggregate { found: found.map_or_else(|| listed(ids), |id| id.to_string()) }
            }),
            P::Provider(uuid) => {
                let named = tree.index.find(*uuid).and_then(|named| tree.topology.provider(named));
                let is_here = named.is_some_and(|named| named.root == tree.root);
                require(is_here, || Reason::OtherProvider { asked: uuid.to_string() })
            }
            P::Resource { class, amount } => self.allow(tree, class, *amount),
            P::Group { suffix, group } => self.group(row, suffix, group),
            P::Together => require(self.is_served(row, &self.demands.asked), || Reason::NoCombination),
        }
    }

    /// The trait of a disabled service, which may have been left behind.
    fn enabled(&self, row: HostRow) -> Result<(), Reason> {
        let service = self.scene.hosts.service(row);
        if service.disabled {
            return Err(Reason::Disabled { reason: service.disabled_reason.clone() });
        }
        require(!self.facts.is_stale(row), || Reason::ForbiddenTrait { name: DISABLED.to_owned() })
    }

    fn other_zone(&self, row: HostRow, asked: &str) -> Reason {
        let default = &self.scene.options.general.default_availability_zone;
        let found = self.scene.hosts.class(row).aggregates.zone().unwrap_or(default).to_owned();
        Reason::OtherZone { asked: asked.to_owned(), found }
    }

    /// The constraints up to this one, which narrow the providers that may serve the unsuffixed
    /// group.
    fn so_far(&self) -> impl Iterator<Item = &PlacementConstraint> {
        let at = self.demands.constraints.iter().position(|one| one == self.constraint);
        self.demands.constraints.iter().take(at.map_or(usize::MAX, |at| at + 1))
    }

    /// Whether a provider may serve a part of the unsuffixed group, as far as the constraints up to
    /// this one say.
    fn may_serve(&self, tree: &Tree<'_>, row: Row) -> bool {
        use PlacementConstraint as P;
        let is_own = tree.topology.tree(tree.root).contains(&row);
        // An aggregate of the root spans its tree.
        let is_in = |ids: &BTreeSet<Uuid>| tree.is_in(row, ids) || is_own && tree.is_in(tree.root, ids);
        self.so_far().all(|constraint| match constraint {
            P::ForbiddenTrait(name) => !tree.has_trait(row, name),
            P::Zone { aggregates, .. } => is_in(aggregates),
            P::Aggregates(ids) => is_in(ids),
            P::ForbiddenAggregates(ids) => !tree.is_in(row, ids) && !tree.is_in(tree.root, ids),
            P::Provider(_) => is_own,
            _ => true,
        })
    }

    /// Whether each class that the tree offers at all still has a provider.
    fn leaves_providers(&self, tree: &Tree<'_>) -> bool {
        let providers = tree.providers();
        let mut classes = self.demands.unsuffixed_classes().filter_map(|class| tree.topology.class(class));
        classes.all(|class| {
            let mut having = providers.iter().filter(|row| tree.has_class(**row, class)).peekable();
            having.peek().is_none() || having.any(|row| self.may_serve(tree, *row))
        })
    }

    /// Whether some provider has so much of the class, and gives it in one allocation.
    fn allow(&self, tree: &Tree<'_>, class: &str, asked: u64) -> Result<(), Reason> {
        let missing = || Reason::NoInventory { class: class.to_owned() };
        let id = tree.topology.class(class).ok_or_else(missing)?;
        let mut rows = tree.providers();
        rows.retain(|row| tree.has_class(*row, id) && self.may_serve(tree, *row));
        let free = |row: &Row| tree.index.free(*row, id).unwrap_or(0);
        let most = rows.iter().map(free).max().ok_or_else(missing)?;
        let has_enough = |row: &Row| i64::try_from(asked).is_ok_and(|asked| asked <= free(row));
        let units = |row: &Row| tree.index.inventory(*row, id).map(|inventory: Inventory| inventory.units);
        let mut roomy = rows.iter().filter(|row| has_enough(row)).filter_map(units).peekable();
        let Some(&first) = roomy.peek() else {
            return Err(Reason::TooLittle { class: class.to_owned(), asked, free: most });
        };
        if u32::try_from(asked).is_ok_and(|asked| roomy.any(|units| units.allow(asked))) {
            return Ok(());
        }
        let Units { min_unit, max_unit, step_size } = first;
        Err(Reason::UnitRules { class: class.to_owned(), asked, min_unit, max_unit, step_size })
    }

    /// Whether one provider serves the whole group.
    fn group(&self, row: HostRow, suffix: &str, group: &RequestGroup) -> Result<(), Reason> {
        let alone = ResourceRequest {
            suffixed: [(suffix.to_owned(), group.clone())].into(),
            ..ResourceRequest::default()
        };
        let asked = || Reason::NoProviderForGroup { group: suffix.to_owned(), asked: amounts(group) };
        require(self.is_served(row, &alone), asked)
    }

    /// Whether the index has a candidate for the request in the host's tree.
    fn is_served(&self, row: HostRow, request: &ResourceRequest) -> bool {
        let Some(tree) = self.facts.tree(row) else { return false };
        let query = tree_query(&tree, request);
        query.is_some_and(|query| {
            query.candidates(tree.index, tree.root).next().is_some_and(|one| one.is_ok())
        })
    }
}

/// The candidates of a request in the host's tree that take from the host itself: the others cannot
/// be claimed. A search that exceeds its budget ends the list.
pub(super) fn candidates(
    facts: &PlacementFacts,
    row: HostRow,
    request: &ResourceRequest,
) -> Vec<AllocationCandidate> {
    let Some(tree) = facts.tree(row) else { return Vec::new() };
    let Ok(query) = request.to_index_query(&tree.topology) else { return Vec::new() };
    let Ok(of_tree) = tree.index.tree_query(&query, &SearchOptions::default()) else { return Vec::new() };
    let takes_from_host =
        |candidate: &Candidate| candidate.allocations.iter().any(|allocation| allocation.row == tree.root);
    let found = of_tree.candidates(tree.index, tree.root).map_while(Result::ok).filter(takes_from_host);
    found.filter_map(|candidate| taken(&candidate, &query, of_tree.topology(), true)).collect()
}

/// The request as a query for trees; none if nothing can serve it.
fn tree_query(tree: &Tree<'_>, request: &ResourceRequest) -> Option<TreeQuery> {
    let query = request.to_index_query(&tree.topology).ok()?;
    tree.index.tree_query(&query, &SearchOptions::default()).ok()
}

pub(super) fn amounts(group: &RequestGroup) -> String {
    let amounts = group.resources.iter().map(|(class, amount)| format!("{amount} {class}"));
    amounts.collect::<Vec<_>>().join(", ")
}

fn require(holds: bool, refusal: impl FnOnce() -> Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(refusal()) }
}
