//! The search compared with the naive one, on small fleets of every shape.

use std::collections::BTreeSet;

use berth_placement::SHARES_VIA_AGGREGATE;
use berth_placement::candidates::{SearchOptions, Strategy as Order, UnknownName};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::naive::{self, Unknown};
use crate::world::{Answer, Asked, AskedGroup, Provider, Stock, World};

const CLASSES: [&str; 3] = ["VCPU", "DISK_GB", "CUSTOM_VF"];
const TRAITS: [&str; 4] = [SHARES_VIA_AGGREGATE, "CUSTOM_A", "CUSTOM_B", "CUSTOM_C"];

fn stock() -> impl Strategy<Value = Stock> {
    let units = prop_oneof![6 => Just((1, 100, 1)), 1 => (1..3_u32, 2..5_u32, 1..3_u32)];
    let ratio = prop_oneof![4 => Just(1.0), 1 => Just(1.5), 1 => Just(0.5)];
    (1..9_u32, 0..2_u32, units, ratio, prop_oneof![3 => Just(0), 1 => 0..4_u32]).prop_map(
        |(total, reserved, (min_unit, max_unit, step_size), ratio, used)| {
            (total, reserved.min(total), min_unit, max_unit, step_size, ratio, used)
        },
    )
}

fn provider(number: usize) -> impl Strategy<Value = Provider> {
    let parent =
        if number == 0 { Just(None).boxed() } else { proptest::option::weighted(0.6, 0..number).boxed() };
    let class = select(&CLASSES[..]).prop_map(str::to_owned);
    let traits = btree_set(select(&TRAITS[..]).prop_map(str::to_owned), 0..3);
    (parent, proptest::collection::btree_map(class, stock(), 0..5), traits, btree_set(0..3_u8, 0..3))
        .prop_map(|(parent, inventories, traits, aggregates)| Provider {
            parent,
            inventories,
            traits,
            aggregates,
        })
}

fn world() -> impl Strategy<Value = World> {
    let providers = (2..9_usize).prop_flat_map(|count| (0..count).map(provider).collect::<Vec<_>>());
    let flat = prop_oneof![4 => Just(false), 1 => Just(true)];
    let lonely = prop_oneof![1 => Just(false), 1 => Just(true)];
    (providers, flat, lonely).prop_map(|(mut providers, flat, lonely)| {
        for provider in &mut providers {
            provider.parent = provider.parent.filter(|_| !flat);
            provider.traits.retain(|name| !(lonely && name == SHARES_VIA_AGGREGATE));
        }
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        World { classes: names(&CLASSES), traits: names(&TRAITS), providers }
    })
}

fn trait_name() -> impl Strategy<Value = String> {
    prop_oneof![80 => select(&TRAITS[..]), 1 => Just("CUSTOM_UNKNOWN")].prop_map(str::to_owned)
}

fn group(suffix: &'static str, vague: bool) -> impl Strategy<Value = AskedGroup> {
    let class = prop_oneof![200 => select(&CLASSES[..]), 1 => Just("CUSTOM_NOTHING")].prop_map(str::to_owned);
    let amount = prop_oneof![30 => Just(1), 20 => 2..4_u64, 1 => Just(1 << 40)];
    let resources =
        proptest::collection::btree_map(class, amount, usize::from(!vague)..=2 - usize::from(vague));
    let none = |strategy: BoxedStrategy<Vec<Vec<u8>>>| prop_oneof![8 => Just(Vec::new()), 1 => strategy];
    (
        resources,
        prop_oneof![4 => Just(Vec::new()), 1 => vec(vec(trait_name(), 1..4), 1..3)],
        prop_oneof![8 => Just(Vec::new()), 1 => vec(trait_name(), 1..2)],
        none(vec(vec(0..4_u8, 1..3), 1..3).boxed()),
        prop_oneof![10 => Just(Vec::new()), 1 => vec(0..4_u8, 1..2)],
        proptest::option::weighted(0.06, 0..8_usize),
    )
        .prop_map(move |(resources, mut required, forbidden, member_of, not_member_of, in_tree)| {
            if resources.is_empty() && required.is_empty() && forbidden.is_empty() {
                required.push(TRAITS[1..].iter().map(|&name| name.to_owned()).collect());
            }
            AskedGroup {
                suffix: suffix.to_owned(),
                resources: resources.into_iter().collect(),
                required,
                forbidden,
                member_of,
                not_member_of,
                in_tree,
            }
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    let loose = proptest::option::weighted(0.7, group("", false));
    let granular = (group("1", false), group("2", true), group("3", true));
    let subtrees = prop_oneof![2 => Just(vec![]), 1 => Just(vec![vec!["1", "2"]]), 1 => Just(vec![vec!["1", "2", "3"]]), 1 => Just(vec![vec!["1", "3"], vec!["2", "3"]])];
    let roots = || prop_oneof![12 => Just(Vec::new()), 1 => vec(trait_name(), 1..3)];
    let version = prop_oneof![4 => Just(39_u32), 1 => Just(28_u32)];
    (loose, granular, 0..4_usize, any::<bool>(), subtrees, (roots(), roots()), version).prop_map(
        |(loose, (one, two, three), count, isolate, subtrees, (root_required, root_forbidden), version)| {
            let granular = [one, two, three].into_iter().take(count);
            let groups: Vec<AskedGroup> = loose.into_iter().chain(granular).collect();
            let known = |suffix: &&str| groups.iter().any(|group| group.suffix == **suffix);
            let subtree =
                |suffixes: Vec<&str>| suffixes.iter().filter(|s| known(s)).map(|s| s.to_string()).collect();
            let subtrees = subtrees.into_iter().map(subtree).filter(|s: &Vec<String>| !s.is_empty());
            let same_subtrees = subtrees.collect();
            Asked { groups, isolate, same_subtrees, root_required, root_forbidden, limit: None, version }
        },
    )
}

/// The index's answers, in its order.
fn found(asked: &Asked, world: &World, options: &SearchOptions) -> Result<Vec<Answer>, UnknownName> {
    let index = world.index();
    let mut candidates = index.candidates(&asked.query(), options)?;
    let mut found = Vec::new();
    while let Some(candidate) = candidates.next() {
        found.push(asked.answer(&candidates, &candidate.unwrap()));
    }
    Ok(found)
}

fn kind(unknown: &UnknownName) -> Unknown {
    match unknown {
        UnknownName::Class(_) => Unknown::Class,
        UnknownName::Trait(_) => Unknown::Trait,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_candidates_that_trying_everything_finds(world in world(), asked in asked(), seed in any::<u64>()) {
        let expected = match naive::candidates(&world, &asked) {
            Ok(expected) if !asked.groups.is_empty() => expected,
            Ok(_) => BTreeSet::new(),
            Err(unknown) => {
                prop_assert_eq!(found(&asked, &world, &SearchOptions::default()).map_err(|error| kind(&error)), Err(unknown));
                return Ok(());
            }
        };
        let orders = [
            SearchOptions::default(),
            SearchOptions { strategy: Order::DepthFirst, ..SearchOptions::default() },
            SearchOptions { seed: Some(seed), ..SearchOptions::default() },
        ];
        for options in orders {
            let found = found(&asked, &world, &options).unwrap();
            let set: BTreeSet<Answer> = found.iter().cloned().collect();
            prop_assert_eq!(found.len(), set.len(), "a candidate is repeated");
            prop_assert_eq!(&set, &expected);
        }
        limited(&world, &asked, &expected)?;
    }
}

/// Checks that a limit returns the first candidates, and that the summaries match them.
fn limited(world: &World, asked: &Asked, all: &BTreeSet<Answer>) -> Result<(), TestCaseError> {
    let index = world.index();
    for limit in [1, 2, all.len().max(1)] {
        let limited = Asked { limit: Some(limit), ..asked.clone() };
        let mut candidates = index.candidates(&limited.query(), &SearchOptions::default()).unwrap();
        let mut given = BTreeSet::new();
        while let Some(candidate) = candidates.next() {
            given.insert(asked.answer(&candidates, &candidate.unwrap()));
        }
        prop_assert_eq!(given.len(), limit.min(all.len()));
        prop_assert!(given.is_subset(all));
        let summarised: BTreeSet<usize> =
            candidates.summaries().unwrap().map(|summary| summary.row.index()).collect();
        let roots: BTreeSet<usize> =
            given.iter().flat_map(|answer| answer.0.keys()).map(|place| world.root(place.0)).collect();
        let expected =
            naive::summarised(world, asked, all).into_iter().filter(|&p| roots.contains(&world.root(p)));
        prop_assert_eq!(summarised, expected.collect::<BTreeSet<usize>>(), "limit {}", limit);
    }
    Ok(())
}
