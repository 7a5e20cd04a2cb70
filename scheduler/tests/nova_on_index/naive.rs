//! Every way in which a request fits a small fleet, by trying all of them.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::Index;
use berth_placement::candidates::RequestGroupPolicy;
use berth_scheduler::placement_query::{RequestGroup, ResourceRequest};
use uuid::Uuid;

use crate::fleet::{Fleet, Provider, SHARES};

/// Something that one provider has to be chosen for.
struct Part<'a> {
    is_suffixed: bool,
    group: &'a RequestGroup,
    takes: Vec<(&'a str, u64)>,
}

/// A tree, and the providers that share with it.
struct Tree<'a> {
    fleet: &'a Fleet,
    index: &'a Index,
    root: usize,
    own: Vec<usize>,
    visible: Vec<usize>,
}

/// The hosts that candidates take anything from, by position.
pub(crate) fn hosts(fleet: &Fleet, index: &Index, request: &ResourceRequest) -> BTreeSet<usize> {
    let parts = parts(request);
    let mut found = BTreeSet::new();
    for root in (0..fleet.providers.len()).filter(|&one| fleet.providers[one].parent.is_none()) {
        let tree = Tree::new(fleet, index, root);
        if tree.root_suits(request) {
            tree.choose(request, &parts, &mut Vec::new(), &mut found);
        }
    }
    let is_found = |(number, (provider, _)): &(usize, &(usize, _))| {
        fleet.tree(*provider).iter().any(|one| found.contains(one)).then_some(*number).is_some()
    };
    fleet.hosts.iter().enumerate().filter(is_found).map(|(number, _)| number).collect()
}

fn parts(request: &ResourceRequest) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for (suffix, group) in request.groups() {
        let takes = group.resources.iter().map(|(class, amount)| (class.as_str(), *amount));
        if suffix.is_empty() {
            parts.extend(takes.map(|take| Part { is_suffixed: false, group, takes: vec![take] }));
        } else {
            parts.push(Part { is_suffixed: true, group, takes: takes.collect() });
        }
    }
    parts
}

impl<'a> Tree<'a> {
    fn new(fleet: &'a Fleet, index: &'a Index, root: usize) -> Self {
        let own = fleet.tree(root);
        let provider = |one: &usize| &fleet.providers[*one];
        let aggregates: BTreeSet<Uuid> =
            own.iter().flat_map(|one| &provider(one).aggregates).copied().collect();
        let shares = |one: &usize| {
            let other = provider(one);
            !own.contains(one)
                && other.traits.contains(&SHARES)
                && other.aggregates.iter().any(|id| aggregates.contains(id))
        };
        let sharing = (0..fleet.providers.len()).filter(shares);
        let visible = own.iter().copied().chain(sharing).collect();
        Self { fleet, index, root, own, visible }
    }

    fn provider(&self, number: usize) -> &'a Provider {
        &self.fleet.providers[number]
    }

    fn root_suits(&self, request: &ResourceRequest) -> bool {
        let has = |name: &String| self.provider(self.root).traits.contains(&name.as_str());
        request.root_required.iter().all(has) && !request.root_forbidden.iter().any(has)
    }

    fn choose(
        &self,
        request: &ResourceRequest,
        parts: &[Part<'_>],
        chosen: &mut Vec<usize>,
        found: &mut BTreeSet<usize>,
    ) {
        if chosen.len() == parts.len() {
            if self.fits(request, parts, chosen) {
                found.extend(chosen.iter());
            }
            return;
        }
        let part = &parts[chosen.len()];
        for &one in &self.visible {
            if self.suits(part, one) && part.takes.iter().all(|take| self.allows(one, *take)) {
                chosen.push(one);
                self.choose(request, parts, chosen, found);
                chosen.pop();
            }
        }
    }

    /// What one provider is asked to be.
    fn suits(&self, part: &Part<'_>, one: usize) -> bool {
        let (provider, root, own) = (self.provider(one), self.provider(self.root), self.own.contains(&one));
        let group = part.group;
        let has = |name: &String| provider.traits.contains(&name.as_str());
        let is_in =
            |provider: &Provider, set: &BTreeSet<Uuid>| provider.aggregates.iter().any(|id| set.contains(id));
        let spans =
            |set: &BTreeSet<Uuid>| is_in(provider, set) || !part.is_suffixed && own && is_in(root, set);
        let is_out = is_in(provider, &group.forbidden_aggregates)
            || !part.is_suffixed && is_in(root, &group.forbidden_aggregates);
        let tree_of = |one: usize| self.provider(one).parent.unwrap_or(one);
        let in_tree = |wanted: Uuid| {
            let wanted = self.fleet.providers.iter().position(|provider| provider.uuid == wanted);
            wanted.is_some_and(|wanted| tree_of(wanted) == tree_of(one) && (part.is_suffixed || own))
        };
        !group.forbidden_traits.iter().any(has)
            && (!part.is_suffixed || group.required_traits.iter().all(has))
            && group.member_of.iter().all(spans)
            && !is_out
            && group.in_tree.is_none_or(in_tree)
    }

    fn allows(&self, one: usize, (class, amount): (&str, u64)) -> bool {
        let inventory = self.provider(one).inventories.iter().find(|(name, _)| *name == class);
        inventory.is_some_and(|(_, inventory)| inventory.units.allow(u32::try_from(amount).unwrap()))
    }

    /// What all choices together are asked to be.
    fn fits(&self, request: &ResourceRequest, parts: &[Part<'_>], chosen: &[usize]) -> bool {
        let mut totals: BTreeMap<(usize, &str), u64> = BTreeMap::new();
        for (part, &one) in parts.iter().zip(chosen) {
            part.takes.iter().for_each(|(class, amount)| *totals.entry((one, class)).or_default() += amount);
        }
        let has_capacity = |((one, class), total): (&(usize, &str), &u64)| {
            let row = self.index.find(self.provider(*one).uuid).unwrap();
            let class = self.index.topology().class(class).unwrap();
            let largest = self.index.inventory(row, class).unwrap().units.max_unit;
            let free = self.index.free(row, class).unwrap();
            i64::try_from(*total).unwrap() <= free.min(largest.into())
        };
        let unsuffixed = || parts.iter().zip(chosen).filter(|(part, _)| !part.is_suffixed);
        let is_covered =
            |name: &String| unsuffixed().any(|(_, &one)| self.provider(one).traits.contains(&name.as_str()));
        let suffixed: Vec<_> =
            parts.iter().zip(chosen).filter(|(part, _)| part.is_suffixed).map(|(_, one)| one).collect();
        let distinct: BTreeSet<_> = suffixed.iter().collect();
        totals.iter().all(has_capacity)
            && request.unsuffixed.required_traits.iter().all(is_covered)
            && (request.group_policy != Some(RequestGroupPolicy::Isolate) || distinct.len() == suffixed.len())
    }
}
