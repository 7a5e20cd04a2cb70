//! Finds allocation candidates by trying every combination.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::SHARES_VIA_AGGREGATE;

use crate::world::{Answer, Asked, AskedGroup, World};

/// What one group may take: amounts by (provider, class), and the providers that serve it.
type Part = (BTreeMap<(usize, String), u64>, BTreeSet<usize>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unknown {
    Class,
    Trait,
}

/// Every candidate.
pub(crate) fn candidates(world: &World, asked: &Asked) -> Result<BTreeSet<Answer>, Unknown> {
    known_traits(world, asked.root_required.iter().chain(&asked.root_forbidden))?;
    let anchors: Vec<usize> =
        (0..world.providers.len()).filter(|&root| is_anchor(world, asked, root)).collect();
    if anchors.is_empty() {
        return Ok(BTreeSet::new());
    }
    for group in &asked.groups {
        if group.resources.iter().any(|(class, _)| !world.classes.contains(class)) {
            return Err(Unknown::Class);
        }
        if !(0..world.providers.len()).any(|provider| is_member(world, group, provider)) {
            return Ok(BTreeSet::new());
        }
        known_traits(world, group.required.iter().flatten().chain(&group.forbidden))?;
        if group.in_tree.is_some_and(|provider| provider >= world.providers.len())
            || anchors.iter().all(|&anchor| parts(world, group, anchor).is_empty())
        {
            return Ok(BTreeSet::new());
        }
    }
    Ok(anchors.into_iter().flat_map(|anchor| of_tree(world, asked, anchor)).collect())
}

fn known_traits<'a>(world: &World, mut names: impl Iterator<Item = &'a String>) -> Result<(), Unknown> {
    if names.all(|name| world.traits.contains(name)) { Ok(()) } else { Err(Unknown::Trait) }
}

fn is_anchor(world: &World, asked: &Asked, root: usize) -> bool {
    let has = |name: &String| world.providers[root].traits.contains(name);
    world.providers[root].parent.is_none()
        && asked.root_required.iter().all(has)
        && !asked.root_forbidden.iter().any(has)
}

fn of_tree(world: &World, asked: &Asked, anchor: usize) -> Vec<Answer> {
    let parts: Vec<Vec<Part>> = asked.groups.iter().map(|group| parts(world, group, anchor)).collect();
    let choices: Vec<Vec<&Part>> = product(&parts);
    choices.into_iter().filter_map(|chosen| together(world, asked, &chosen)).collect()
}

/// Every way to choose one item of each list.
fn product<'a, T>(lists: &'a [Vec<T>]) -> Vec<Vec<&'a T>> {
    lists.iter().fold(vec![Vec::new()], |chosen, list| {
        let with = |one: &[&'a T], more: &'a T| one.iter().copied().chain([more]).collect::<Vec<_>>();
        chosen.iter().flat_map(|one| list.iter().map(move |more| with(one, more))).collect()
    })
}

/// The candidate that combines the groups' parts, unless they contradict each other.
fn together(world: &World, asked: &Asked, chosen: &[&Part]) -> Option<Answer> {
    let granular = || asked.groups.iter().zip(chosen).filter(|(group, _)| !group.suffix.is_empty());
    let distinct: BTreeSet<&BTreeSet<usize>> = granular().map(|(_, part)| &part.1).collect();
    if asked.isolate && distinct.len() < granular().count() {
        return None;
    }
    for suffixes in &asked.same_subtrees {
        let members = asked.groups.iter().zip(chosen).filter(|(group, _)| suffixes.contains(&group.suffix));
        let providers: BTreeSet<usize> = members.flat_map(|(_, part)| part.1.iter().copied()).collect();
        if !providers.iter().any(|&top| providers.iter().all(|&other| is_below(world, other, top))) {
            return None;
        }
    }
    let mut sums: BTreeMap<(usize, String), u64> = BTreeMap::new();
    for (place, amount) in chosen.iter().flat_map(|part| &part.0) {
        *sums.entry(place.clone()).or_default() += amount;
    }
    let nested = world.providers.iter().any(|provider| provider.parent.is_some());
    if asked.version < 29 && nested {
        let taken: BTreeSet<usize> = sums.keys().map(|(provider, _)| *provider).collect();
        let roots: BTreeSet<usize> = taken.iter().map(|&provider| world.root(provider)).collect();
        if roots.len() < taken.len() {
            return None;
        }
    }
    for ((provider, class), &amount) in &sums {
        let (total, reserved, _, max_unit, _, ratio, used) = world.providers[*provider].inventories[class];
        let capacity = (f64::from(total - reserved) * ratio).floor() as u64;
        if u64::from(used) + amount > capacity || amount > max_unit.into() {
            return None;
        }
    }
    let mappings =
        asked.groups.iter().zip(chosen).map(|(group, part)| (group.suffix.clone(), part.1.clone()));
    Some((sums, mappings.collect()))
}

fn is_below(world: &World, provider: usize, top: usize) -> bool {
    provider == top || world.providers[provider].parent.is_some_and(|parent| is_below(world, parent, top))
}

/// The ways in which the group by itself fits the tree.
fn parts(world: &World, group: &AskedGroup, anchor: usize) -> Vec<Part> {
    if group.suffix.is_empty() {
        loose_parts(world, group, anchor)
    } else {
        granular_parts(world, group, anchor)
    }
}

fn granular_parts(world: &World, group: &AskedGroup, anchor: usize) -> Vec<Part> {
    let vague = group.resources.is_empty() && group.required.is_empty() && group.member_of.is_empty();
    let serves = |&provider: &usize| {
        let has = |name: &String| world.providers[provider].traits.contains(name);
        (world.root(provider) == anchor || is_shared_with(world, provider, anchor))
            && !vague
            && group.required.iter().all(|any| any.iter().any(has))
            && !group.forbidden.iter().any(has)
            && is_member(world, group, provider)
            && !is_outcast(world, group, provider)
            && group.resources.iter().all(|(class, amount)| fits(world, group, provider, class, *amount))
    };
    let part = |provider: usize| {
        let taken = group.resources.iter().map(|(class, amount)| ((provider, class.clone()), *amount));
        (taken.collect(), BTreeSet::from([provider]))
    };
    (0..world.providers.len()).filter(serves).map(part).collect()
}

fn loose_parts(world: &World, group: &AskedGroup, anchor: usize) -> Vec<Part> {
    let serves = |provider: usize, class: &String, amount: u64| {
        let own = world.root(provider) == anchor;
        let shared = is_shared_with(world, provider, anchor)
            && group.in_tree.is_none()
            && is_member(world, group, provider);
        (own || shared)
            && fits(world, group, provider, class, amount)
            && (is_member(world, group, provider) || is_member(world, group, anchor))
            && !is_outcast(world, group, provider)
            && !is_outcast(world, group, anchor)
    };
    let of_class = |(class, amount): &(String, u64)| -> Vec<(usize, String, u64)> {
        let providers = (0..world.providers.len()).filter(|&provider| serves(provider, class, *amount));
        providers.map(|provider| (provider, class.clone(), *amount)).collect()
    };
    let by_class: Vec<_> = group.resources.iter().map(of_class).collect();
    let part = |chosen: Vec<&(usize, String, u64)>| -> Option<Part> {
        let providers: BTreeSet<usize> = chosen.iter().map(|one| one.0).collect();
        let traits: BTreeSet<&String> =
            providers.iter().flat_map(|&provider| &world.providers[provider].traits).collect();
        let right = group.required.iter().all(|any| any.iter().any(|name| traits.contains(name)))
            && !group.forbidden.iter().any(|name| traits.contains(name));
        let taken = chosen.into_iter().map(|(provider, class, amount)| ((*provider, class.clone()), *amount));
        right.then(|| (taken.collect(), providers))
    };
    product(&by_class).into_iter().filter(|chosen| !chosen.is_empty()).filter_map(part).collect()
}

/// Whether `provider` shares with the tree: it has an aggregate in common with some provider of it.
fn is_shared_with(world: &World, provider: usize, anchor: usize) -> bool {
    let sharing = &world.providers[provider];
    let meets = |other: usize| !world.providers[other].aggregates.is_disjoint(&sharing.aggregates);
    sharing.traits.contains(SHARES_VIA_AGGREGATE)
        && (0..world.providers.len()).any(|other| world.root(other) == anchor && meets(other))
}

fn is_member(world: &World, group: &AskedGroup, provider: usize) -> bool {
    let is_in = |id: &u8| world.providers[provider].aggregates.contains(id);
    group.member_of.iter().all(|any| any.iter().any(is_in))
}

fn is_outcast(world: &World, group: &AskedGroup, provider: usize) -> bool {
    group.not_member_of.iter().any(|id| world.providers[provider].aggregates.contains(id))
}

/// Whether the provider by itself has the amount, in the tree that the group names.
fn fits(world: &World, group: &AskedGroup, provider: usize, class: &str, amount: u64) -> bool {
    let in_tree = group.in_tree.is_none_or(|wanted| world.root(wanted) == world.root(provider));
    let Some(&(total, reserved, min_unit, max_unit, step_size, ratio, used)) =
        world.providers[provider].inventories.get(class)
    else {
        return false;
    };
    in_tree
        && (u64::from(used) + amount) as f64 <= f64::from(total - reserved) * ratio
        && (u64::from(min_unit)..=u64::from(max_unit)).contains(&amount)
        && amount.is_multiple_of(step_size.into())
}

/// The providers to summarise when all of these candidates are returned.
pub(crate) fn summarised(world: &World, asked: &Asked, answers: &BTreeSet<Answer>) -> BTreeSet<usize> {
    let taken: BTreeSet<usize> =
        answers.iter().flat_map(|answer| answer.0.keys()).map(|place| place.0).collect();
    if asked.version < 29 && world.providers.iter().any(|provider| provider.parent.is_some()) {
        return taken;
    }
    let roots: BTreeSet<usize> = taken.iter().map(|&provider| world.root(provider)).collect();
    (0..world.providers.len()).filter(|&provider| roots.contains(&world.root(provider))).collect()
}
