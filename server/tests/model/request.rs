//! Requests, as the model judges them and as they are sent.

use serde_json::{Value, json};

pub(crate) const PROVIDERS: u8 = 5;
pub(crate) const CONSUMERS: u8 = 5;
pub(crate) const AGGREGATES: u8 = 3;
pub(crate) const CLASSES: [&str; 3] = ["VCPU", "DISK_GB", "CUSTOM_NONE"];
pub(crate) const TRAITS: [&str; 3] = ["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2", "CUSTOM_NONE"];

/// The UUID with this number, of a kind.
pub(crate) fn uuid(kind: char, number: u8) -> String {
    format!("{kind}0000000-0000-4000-8000-{number:012}")
}

/// Amounts by provider and class.
pub(crate) type Held = Vec<(u8, usize, u32)>;

/// Totals by class.
pub(crate) type Totals = Vec<(usize, u32)>;

/// A request, with everything that the model needs to judge it.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Get(String),
    Create { provider: u8, name: u8, parent: Option<u8> },
    Change { provider: u8, name: u8, parent: Option<u8> },
    Delete { provider: u8 },
    Inventories { provider: u8, generation: u64, totals: Totals },
    RemoveInventory { provider: u8, class: usize },
    Traits { provider: u8, generation: u64, traits: Vec<usize> },
    Aggregates { provider: u8, generation: u64, aggregates: Vec<u8> },
    Allocate { consumers: Vec<Wanted> },
    Release { consumer: u8 },
    Reshape { inventories: Vec<(u8, u64, Totals)>, consumers: Vec<Wanted> },
}

/// What a consumer is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) consumer: u8,
    pub(crate) generation: Option<u64>,
    pub(crate) project: u8,
    pub(crate) held: Held,
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
