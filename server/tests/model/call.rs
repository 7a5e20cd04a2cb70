//! Calls as they are generated, and the requests they become when it is known what there is.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::model::Model;

pub(crate) const PROVIDERS: u8 = 5;
pub(crate) const CONSUMERS: u8 = 5;
pub(crate) const AGGREGATES: u8 = 3;
pub(crate) const CLASSES: [&str; 3] = ["VCPU", "DISK_GB", "CUSTOM_NONE"];
pub(crate) const TRAITS: [&str; 3] = ["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2", "CUSTOM_NONE"];

/// The UUID with this number, of a kind.
pub(crate) fn uuid(kind: char, number: u8) -> String {
    format!("{kind}0000000-0000-4000-8000-{number:012}")
}

/// Which generation is given: mostly the right one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given {
    Right,
    Wrong,
}

/// Amounts by provider and class.
pub(crate) type Held = Vec<(u8, usize, u32)>;

/// A call before it is known what there is.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Create { provider: u8, name: u8, parent: Option<u8> },
    Change { provider: u8, name: u8, parent: Option<u8> },
    Delete { provider: u8 },
    Inventories { provider: u8, given: Given, totals: Vec<(usize, u32)> },
    RemoveInventory { provider: u8, class: usize },
    Traits { provider: u8, given: Given, traits: Vec<usize> },
    Aggregates { provider: u8, given: Given, aggregates: Vec<u8> },
    Allocate { consumers: Vec<(u8, Given, u8, Held)> },
    Release { consumer: u8 },
    Reshape { totals: Vec<(u8, Given, Vec<(usize, u32)>)>, consumers: Vec<(u8, Given, u8, Held)> },
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

/// A request, with everything that the model needs to judge it.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Get(String),
    Create { provider: u8, name: u8, parent: Option<u8> },
    Change { provider: u8, name: u8, parent: Option<u8> },
    Delete { provider: u8 },
    Inventories { provider: u8, generation: u64, totals: Vec<(usize, u32)> },
    RemoveInventory { provider: u8, class: usize },
    Traits { provider: u8, generation: u64, traits: Vec<usize> },
    Aggregates { provider: u8, generation: u64, aggregates: Vec<u8> },
    Allocate { consumers: Vec<Wanted> },
    Release { consumer: u8 },
    Reshape { inventories: Vec<(u8, u64, Vec<(usize, u32)>)>, consumers: Vec<Wanted> },
}

/// What a consumer is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) consumer: u8,
    pub(crate) generation: Option<u64>,
    pub(crate) project: u8,
    pub(crate) held: Held,
}

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

impl Request {
    /// Method, path and body.
    pub(crate) fn to_http(&self) -> (&'static str, String, Option<Value>) {
        let provider_path =
            |provider: u8, part: &str| format!("/resource_providers/{}{part}", uuid('a', provider));
        let description = |name: u8, parent: Option<u8>| json!({ "name": format!("p{name}"), "parent_provider_uuid": parent.map(|parent| uuid('a', parent)) });
        match self {
            Self::Get(path) => ("GET", path.clone(), None),
            Self::Create { provider, name, parent } => {
                let mut body = description(*name, *parent);
                body["uuid"] = uuid('a', *provider).into();
                ("POST", "/resource_providers".to_owned(), Some(body))
            }
            Self::Change { provider, name, parent } => {
                ("PUT", provider_path(*provider, ""), Some(description(*name, *parent)))
            }
            Self::Delete { provider } => ("DELETE", provider_path(*provider, ""), None),
            Self::Inventories { provider, generation, totals } => {
                ("PUT", provider_path(*provider, "/inventories"), Some(inventories(*generation, totals)))
            }
            Self::RemoveInventory { provider, class } => {
                ("DELETE", provider_path(*provider, &format!("/inventories/{}", CLASSES[*class])), None)
            }
            Self::Traits { provider, generation, traits } => {
                let names: Vec<&str> = traits.iter().map(|&number| TRAITS[number]).collect();
                let body = json!({ "traits": names, "resource_provider_generation": generation });
                ("PUT", provider_path(*provider, "/traits"), Some(body))
            }
            Self::Aggregates { provider, generation, aggregates } => {
                let all: Vec<String> = aggregates.iter().map(|&number| uuid('e', number)).collect();
                let body = json!({ "aggregates": all, "resource_provider_generation": generation });
                ("PUT", provider_path(*provider, "/aggregates"), Some(body))
            }
            // One is written by itself, several together.
            Self::Allocate { consumers } if consumers.len() == 1 => {
                let path = format!("/allocations/{}", uuid('c', consumers[0].consumer));
                ("PUT", path, Some(consumers[0].body()))
            }
            Self::Allocate { consumers } => ("POST", "/allocations".to_owned(), Some(bodies(consumers))),
            Self::Release { consumer } => ("DELETE", format!("/allocations/{}", uuid('c', *consumer)), None),
            Self::Reshape { inventories: all, consumers } => {
                let mut parts = json!({});
                for (provider, generation, totals) in all {
                    parts[uuid('a', *provider)] = inventories(*generation, totals);
                }
                let body = json!({ "inventories": parts, "allocations": bodies(consumers) });
                ("POST", "/reshaper".to_owned(), Some(body))
            }
        }
    }
}

fn inventories(generation: u64, totals: &[(usize, u32)]) -> Value {
    let mut records = json!({});
    for &(class, total) in totals {
        records[CLASSES[class]]["total"] = total.into();
    }
    json!({ "resource_provider_generation": generation, "inventories": records })
}

fn bodies(consumers: &[Wanted]) -> Value {
    let bodies = consumers.iter().map(|wanted| (uuid('c', wanted.consumer), wanted.body()));
    Value::Object(bodies.collect())
}

impl Wanted {
    fn body(&self) -> Value {
        let mut allocations = json!({});
        for &(provider, class, amount) in &self.held {
            allocations[uuid('a', provider)]["resources"][CLASSES[class]] = amount.into();
        }
        json!({
            "allocations": allocations, "consumer_generation": self.generation, "consumer_type": "INSTANCE",
            "project_id": format!("project{}", self.project), "user_id": "user",
        })
    }
}
