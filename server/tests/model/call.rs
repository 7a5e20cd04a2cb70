//! Calls as they are generated, before it is known what there is.

use proptest::prelude::*;

use crate::model::Model;
use crate::request::{AGGREGATES, CONSUMERS, Held, PROVIDERS, Request, Totals, Wanted};

/// Which generation is given: mostly the right one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given {
    Right,
    Wrong,
}

/// A call before it is known what there is.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Create { provider: u8, name: u8, parent: Option<u8> },
    Change { provider: u8, name: u8, parent: Option<u8> },
    Delete { provider: u8 },
    Inventories { provider: u8, given: Given, totals: Totals },
    RemoveInventory { provider: u8, class: usize },
    Traits { provider: u8, given: Given, traits: Vec<usize> },
    Aggregates { provider: u8, given: Given, aggregates: Vec<u8> },
    Allocate { consumers: Vec<(u8, Given, u8, Held)> },
    Release { consumer: u8 },
    Reshape { totals: Vec<(u8, Given, Totals)>, consumers: Vec<(u8, Given, u8, Held)> },
}

pub(crate) const KINDS: &[&str] = &[
    "create",
    "change",
    "delete",
    "inventories",
    "remove inventory",
    "traits",
    "aggregates",
    "allocate",
    "release",
    "reshape",
];

/// Some calls, most often on a fleet that there is already.
pub(crate) fn sequence(calls: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Call>> {
    let fleet = prop_oneof![4 => Just(fleet()), 1 => Just(Vec::new())];
    (fleet, prop::collection::vec(any(), calls)).prop_map(|(fleet, calls)| [fleet, calls].concat())
}

/// Two trees and their inventories.
fn fleet() -> Vec<Call> {
    let provider = |provider: u8| {
        let parent = [None, Some(0), Some(1), None, Some(3)][usize::from(provider)];
        let totals = vec![(0, 10), (1, 10)];
        let create = Call::Create { provider, name: provider, parent };
        [create, Call::Inventories { provider, given: Given::Right, totals }]
    };
    (0..PROVIDERS).flat_map(provider).collect()
}

/// Some call.
fn any() -> impl Strategy<Value = Call> {
    let given = || prop_oneof![12 => Just(Given::Right), 1 => Just(Given::Wrong)];
    let parent = || prop_oneof![1 => Just(None), 1 => (0..PROVIDERS).prop_map(Some)];
    let class = || prop_oneof![20 => 0..2_usize, 1 => Just(2_usize)];
    let totals = move || prop::collection::btree_map(class(), 1..12_u32, 0..3).prop_map(Vec::from_iter);
    let held = move || {
        let amounts = prop::collection::btree_map((0..PROVIDERS, class()), 1..6_u32, 0..3);
        amounts
            .prop_map(|amounts| amounts.into_iter().map(|((p, class), amount)| (p, class, amount)).collect())
    };
    let wanted = move || (0..CONSUMERS, given(), 0..2_u8, held());
    let consumers = move |range| {
        prop::collection::vec(wanted(), range).prop_map(|mut consumers: Vec<(u8, Given, u8, Held)>| {
            consumers.sort_by_key(|consumer| consumer.0);
            consumers.dedup_by_key(|consumer| consumer.0);
            consumers
        })
    };
    let inventories = prop::collection::btree_map(0..PROVIDERS, (given(), totals()), 1..3)
        .prop_map(|all| all.into_iter().map(|(p, (given, totals))| (p, given, totals)).collect());
    prop_oneof![
        4 => (0..PROVIDERS, 0..PROVIDERS, parent()).prop_map(|(provider, name, parent)| Call::Create { provider, name, parent }),
        3 => (0..PROVIDERS, 0..PROVIDERS, parent()).prop_map(|(provider, name, parent)| Call::Change { provider, name, parent }),
        2 => (0..PROVIDERS).prop_map(|provider| Call::Delete { provider }),
        8 => (0..PROVIDERS, given(), totals()).prop_map(|(provider, given, totals)| Call::Inventories { provider, given, totals }),
        3 => (0..PROVIDERS, class()).prop_map(|(provider, class)| Call::RemoveInventory { provider, class }),
        3 => (0..PROVIDERS, given(), prop::collection::vec(prop_oneof![9 => 0..2_usize, 1 => Just(2_usize)], 0..3))
            .prop_map(|(provider, given, traits)| Call::Traits { provider, given, traits }),
        3 => (0..PROVIDERS, given(), prop::collection::btree_set(0..AGGREGATES, 0..3))
            .prop_map(|(provider, given, all)| Call::Aggregates { provider, given, aggregates: all.into_iter().collect() }),
        14 => consumers(1..4).prop_map(|consumers| Call::Allocate { consumers }),
        4 => (0..CONSUMERS).prop_map(|consumer| Call::Release { consumer }),
        5 => (inventories, consumers(0..3)).prop_map(|(totals, consumers)| Call::Reshape { totals, consumers }),
    ]
}

impl Call {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Change { .. } => "change",
            Self::Delete { .. } => "delete",
            Self::Inventories { .. } => "inventories",
            Self::RemoveInventory { .. } => "remove inventory",
            Self::Traits { .. } => "traits",
            Self::Aggregates { .. } => "aggregates",
            Self::Allocate { .. } => "allocate",
            Self::Release { .. } => "release",
            Self::Reshape { .. } => "reshape",
        }
    }

    /// The request, with the generations that the model has.
    pub(crate) fn request(&self, model: &Model) -> Request {
        let provider_generation = |provider: u8, given: Given| match given {
            Given::Right => model.generation(provider),
            Given::Wrong => model.generation(provider) + 1,
        };
        let wanted = |consumers: &Vec<(u8, Given, u8, Held)>| {
            let one = |(consumer, given, project, held): &(u8, Given, u8, Held)| {
                let right = model.consumer_generation(*consumer);
                let generation = match given {
                    Given::Right => right,
                    Given::Wrong => right.map_or(Some(0), |_| None),
                };
                Wanted { consumer: *consumer, generation, project: *project, held: held.clone() }
            };
            consumers.iter().map(one).collect()
        };
        match self.clone() {
            Self::Create { provider, name, parent } => Request::Create { provider, name, parent },
            Self::Change { provider, name, parent } => Request::Change { provider, name, parent },
            Self::Delete { provider } => Request::Delete { provider },
            Self::Inventories { provider, given, totals } => {
                Request::Inventories { provider, generation: provider_generation(provider, given), totals }
            }
            Self::RemoveInventory { provider, class } => Request::RemoveInventory { provider, class },
            Self::Traits { provider, given, traits } => {
                Request::Traits { provider, generation: provider_generation(provider, given), traits }
            }
            Self::Aggregates { provider, given, aggregates } => {
                Request::Aggregates { provider, generation: provider_generation(provider, given), aggregates }
            }
            Self::Allocate { consumers } => Request::Allocate { consumers: wanted(&consumers) },
            Self::Release { consumer } => Request::Release { consumer },
            Self::Reshape { totals, consumers } => {
                let one = |(p, given, totals)| (p, provider_generation(p, given), totals);
                Request::Reshape {
                    inventories: totals.into_iter().map(one).collect(),
                    consumers: wanted(&consumers),
                }
            }
        }
    }
}
