//! Provider summaries of candidates match the providers' own resources after every change.

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Running, holding, provider, uuid};

/// Hosts, and children of each.
const HOSTS: usize = 4;
const CHILDREN: usize = 2;
const ROUNDS: u64 = 60;

/// Some have the same traits, so that their text is shared; names need different places of an
/// answer.
const TRAITS: [&[&str]; 4] =
    [&[], &["HW_CPU_X86_AVX"], &["HW_CPU_X86_AVX", "STORAGE_DISK_SSD"], &["COMPUTE_TRUSTED_CERTS"]];

const TOTALS: [&[(&str, u32)]; 3] = [
    &[("VCPU", 8), ("MEMORY_MB", 4_096)],
    &[("VCPU", 16)],
    &[("VCPU", 4), ("DISK_GB", 100), ("CUSTOM_MAGIC", 5)],
];

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

#[test]
fn summaries_match_the_resources_of_the_providers() {
    let server = Running::new();
    let mut client = server.client();
    client.ask("PUT", "/resource_classes/CUSTOM_MAGIC").expect(201);
    let mut numbers = Numbers(1);
    let mut providers = Vec::new();
    for host in 0..HOSTS {
        let root = providers.len();
        provider(&mut client, root, None, TOTALS[0]);
        providers.push(root);
        for child in root + 1..=root + CHILDREN {
            provider(&mut client, child, Some(root), TOTALS[1]);
            providers.push(child);
        }
        assert_eq!(providers.len(), (host + 1) * (CHILDREN + 1));
    }
    for round in 0..ROUNDS {
        change(&mut client, &mut numbers, providers.len());
        let path = format!("/allocation_candidates?resources=VCPU:1&limit={}", 1 + round % 20);
        let summaries = client.get(&path)["provider_summaries"].clone();
        assert!(!summaries.as_object().unwrap().is_empty());
        for (provider, summary) in summaries.as_object().unwrap() {
            assert_eq!(*summary, expected_summary(&mut client, provider), "round {round}: {provider}");
        }
    }
}

/// Other traits, other inventories, or an allocation, of any provider. Inventories in use are not
/// taken away.
fn change(client: &mut Client, numbers: &mut Numbers, providers: usize) {
    let number = numbers.below(providers);
    let path = format!("/resource_providers/{}", uuid('a', number));
    let generation = client.get(&path)["generation"].clone();
    match numbers.below(3) {
        0 => {
            let traits = TRAITS[numbers.below(TRAITS.len())];
            let body = json!({ "resource_provider_generation": generation, "traits": traits });
            client.send("PUT", &format!("{path}/traits"), &body).expect(200);
        }
        1 => {
            let totals = TOTALS[numbers.below(TOTALS.len())];
            let body = crate::server::inventories(generation.as_u64().unwrap(), totals);
            let status = client.send("PUT", &format!("{path}/inventories"), &body).status;
            assert!([200, 409].contains(&status), "{status}");
        }
        _ => {
            let consumer = format!("/allocations/{}", uuid('c', numbers.below(1_000_000)));
            let status = client.send("PUT", &consumer, &holding(None, &[(number, "VCPU", 1)])).status;
            assert!([204, 409].contains(&status), "{status}");
        }
    }
}

/// The summary, composed of the provider's own resources.
fn expected_summary(client: &mut Client, provider: &str) -> Value {
    let path = format!("/resource_providers/{provider}");
    let own = client.get(&path);
    let inventories = client.get(&format!("{path}/inventories"))["inventories"].clone();
    let usages = client.get(&format!("{path}/usages"))["usages"].clone();
    let resources = inventories.as_object().unwrap().iter().map(|(class, inventory)| {
        (class.clone(), json!({ "capacity": inventory["total"], "used": usages[class] }))
    });
    let resources: serde_json::Map<_, _> = resources.collect();
    json!({
        "resources": resources,
        "traits": client.get(&format!("{path}/traits"))["traits"],
        "parent_provider_uuid": own["parent_provider_uuid"],
        "root_provider_uuid": own["root_provider_uuid"],
    })
}
