//! Inventories, traits and aggregates: each replaced as a whole, guarded by the generation.

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::details::{bad_field, reason, resource};
use crate::support::{Running, claim, claims, inventory, provider, uuid};

async fn set_inventories(
    client: &mut PlacementClient<Channel>,
    generation: u64,
    inventories: &[(&str, v1::Inventory)],
) -> Result<Response<v1::Provider>, Status> {
    let inventories = inventories.iter().map(|(class, record)| ((*class).to_owned(), *record)).collect();
    client.set_inventories(v1::SetInventoriesRequest { uuid: uuid('a', 1), generation, inventories }).await
}

async fn set_traits(
    client: &mut PlacementClient<Channel>,
    generation: u64,
    traits: &[&str],
) -> Result<Response<v1::Provider>, Status> {
    let traits = traits.iter().map(|name| (*name).to_owned()).collect();
    client.set_traits(v1::SetTraitsRequest { uuid: uuid('a', 1), generation, traits }).await
}

fn conflict(expected: u64, found: u64) -> Vec<(String, String)> {
    vec![("expected".to_owned(), expected.to_string()), ("found".to_owned(), found.to_string())]
}

#[tokio::test(flavor = "multi_thread")]
async fn inventories_have_defaults_and_are_replaced_as_a_whole() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    let made = provider(&mut client, 1, &[("VCPU", 8)]).await;
    let standard = v1::Inventory {
        total: 8,
        reserved: 0,
        min_unit: 1,
        max_unit: i32::MAX as u32,
        step_size: 1,
        allocation_ratio: 1.0,
    };
    assert_eq!(made.inventories, [("VCPU".to_owned(), standard)].into());
    assert_eq!(made.usages, [("VCPU".to_owned(), 0)].into());
    let full = v1::Inventory {
        total: 64,
        reserved: 4,
        min_unit: 2,
        max_unit: 16,
        step_size: 2,
        allocation_ratio: 1.5,
    };
    let wanted = [("MEMORY_MB", full), ("CUSTOM_GPU", inventory(2))];
    let replaced = set_inventories(&mut client, made.generation, &wanted).await.unwrap().into_inner();
    assert_eq!(replaced.generation, made.generation + 1);
    assert_eq!(replaced.inventories.keys().collect::<Vec<_>>(), ["CUSTOM_GPU", "MEMORY_MB"]);
    assert_eq!(replaced.inventories["MEMORY_MB"], full);
}

#[tokio::test(flavor = "multi_thread")]
async fn inventories_that_cannot_be_are_refused() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    let generation = provider(&mut client, 1, &[("VCPU", 8)]).await.generation;
    let old = set_inventories(&mut client, generation + 7, &[("CUSTOM_NEW", inventory(1))]).await;
    assert_eq!(reason(old, Code::Aborted, "GENERATION_CONFLICT"), conflict(generation + 7, generation));
    let bad = |record: v1::Inventory| [("VCPU", record)];
    for (record, field, words) in [
        (inventory(0), "total", "0 is not allowed"),
        (v1::Inventory { reserved: 9, ..inventory(8) }, "reserved", "from 0 to total"),
        (v1::Inventory { allocation_ratio: -1.0, ..inventory(8) }, "allocation_ratio", "positive"),
        (v1::Inventory { allocation_ratio: f64::NAN, ..inventory(8) }, "allocation_ratio", "NaN"),
        (v1::Inventory { step_size: u32::MAX, ..inventory(8) }, "step_size", "4294967295"),
        (v1::Inventory { max_unit: u32::MAX, ..inventory(8) }, "max_unit", "2147483647"),
    ] {
        let outcome = set_inventories(&mut client, generation, &bad(record)).await;
        bad_field(outcome, &format!("inventories[VCPU].{field}"), words);
    }
    let made_up = set_inventories(&mut client, generation, &[("GOLD", inventory(1))]).await;
    bad_field(made_up, "inventories[GOLD]", "CUSTOM_");
    claims(&mut client, vec![claim(1, &[(1, "VCPU", 2)])]).await;
    let used = set_inventories(&mut client, generation + 1, &[("MEMORY_MB", inventory(1))]).await;
    reason(used, Code::FailedPrecondition, "IN_USE");
    let shrunk = set_inventories(&mut client, generation + 1, &[("VCPU", inventory(1))]).await.unwrap();
    assert_eq!(shrunk.into_inner().usages["VCPU"], 2);
    let wanted = v1::SetInventoriesRequest { uuid: uuid('a', 9), ..Default::default() };
    resource(client.set_inventories(wanted).await, Code::NotFound, "resource provider", &uuid('a', 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_traits_are_made_as_needed() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    let generation = provider(&mut client, 1, &[]).await.generation;
    let set = set_traits(&mut client, generation, &["CUSTOM_GOLD", "HW_CPU_X86_AVX2", "CUSTOM_GOLD"]).await;
    let set = set.unwrap().into_inner();
    assert_eq!(set.traits, ["CUSTOM_GOLD", "HW_CPU_X86_AVX2"]);
    assert_eq!(set.generation, generation + 1);
    let old = set_traits(&mut client, generation, &[]).await;
    assert_eq!(reason(old, Code::Aborted, "GENERATION_CONFLICT"), conflict(generation, generation + 1));
    for name in ["GOLD", "CUSTOM_", "CUSTOM_gold", ""] {
        let bad = set_traits(&mut client, set.generation, &["CUSTOM_NEVER_MADE", name]).await;
        bad_field(bad, "traits[1]", "CUSTOM_");
    }
    assert_eq!(running.service.index().topology().find_trait("CUSTOM_NEVER_MADE"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_are_replaced() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    let generation = provider(&mut client, 1, &[]).await.generation;
    let (one, two) = (uuid('b', 1), uuid('b', 2));
    let wanted = |generation, aggregates: &[&str]| v1::SetAggregatesRequest {
        uuid: uuid('a', 1),
        generation,
        aggregates: aggregates.iter().map(|uuid| (*uuid).to_owned()).collect(),
    };
    let set = client.set_aggregates(wanted(generation, &[&two, &one, &two])).await.unwrap().into_inner();
    assert_eq!((set.aggregates, set.generation), (vec![one.clone(), two], generation + 1));
    let old = client.set_aggregates(wanted(generation, &[])).await;
    assert_eq!(reason(old, Code::Aborted, "GENERATION_CONFLICT"), conflict(generation, generation + 1));
    let bad = client.set_aggregates(wanted(generation + 1, &[&one, "two"])).await;
    bad_field(bad, "aggregates[1]", "has to be a UUID, not \"two\"");
}
