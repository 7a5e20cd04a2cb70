//! Consumers and their allocations, releases, and candidates for a request.

use berth_api::v1;
use tonic::Code;

use crate::details::{bad_field, reason, resource};
use crate::support::{Running, claim, claims, options, provider, used, uuid};

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_shown_with_all_it_holds() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 4), ("MEMORY_MB", 100)]).await;
    provider(&mut client, 2, &[("DISK_GB", 100)]).await;
    claims(&mut client, vec![claim(1, &[(2, "DISK_GB", 5), (1, "VCPU", 1), (1, "MEMORY_MB", 10)])]).await;
    let wanted = v1::GetConsumerRequest { uuid: uuid('c', 1) };
    let found = client.get_consumer(wanted.clone()).await.unwrap().into_inner();
    let held = |provider, resources: &[(&str, u32)]| v1::Allocation {
        provider: uuid('a', provider),
        resources: resources.iter().map(|(class, amount)| ((*class).to_owned(), *amount)).collect(),
    };
    assert_eq!(
        found,
        v1::Consumer {
            uuid: uuid('c', 1),
            generation: 1,
            project: "project".into(),
            user: "user".into(),
            consumer_type: "INSTANCE".into(),
            allocations: vec![held(1, &[("MEMORY_MB", 10), ("VCPU", 1)]), held(2, &[("DISK_GB", 5)])],
        }
    );
    // A claim without a type preserves the type.
    let untyped = v1::ConsumerClaim { consumer_type: String::new(), ..claim(1, &[(1, "VCPU", 2)]) };
    claims(&mut client, vec![untyped]).await;
    let found = client.get_consumer(wanted.clone()).await.unwrap().into_inner();
    assert_eq!((found.generation, &*found.consumer_type), (2, "INSTANCE"));
    let request = v1::ReleaseRequest { consumers: vec![uuid('c', 1), uuid('c', 2)] };
    let released = client.release(request.clone()).await.unwrap().into_inner().released;
    assert_eq!(released, [uuid('c', 1)]);
    assert_eq!(client.release(request).await.unwrap().into_inner().released, [""; 0]);
    assert_eq!(used(&mut client, 1, "VCPU").await, 0);
    resource(client.get_consumer(wanted).await, Code::NotFound, "consumer", &uuid('c', 1));
    let bad = v1::ReleaseRequest { consumers: vec![uuid('c', 1), "c".into()] };
    bad_field(client.release(bad).await, "consumers[1]", "has to be a UUID");
    let bad = client.get_consumer(v1::GetConsumerRequest { uuid: String::new() }).await;
    bad_field(bad, "uuid", "has to be a UUID, not \"\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumers_of_a_provider_come_in_pages() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 400)]).await;
    provider(&mut client, 2, &[("VCPU", 400)]).await;
    let all = (0..150).map(|number| claim(number, &[(1 + number % 3 % 2, "VCPU", 1)])).collect();
    claims(&mut client, all).await;
    let mut wanted = v1::ListConsumersRequest { provider: uuid('a', 1), page_size: 30, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = client.list_consumers(wanted.clone()).await.unwrap().into_inner();
        seen.extend(page.consumers.into_iter().map(|consumer| consumer.uuid));
        wanted.page_token = page.next_page_token;
        if wanted.page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> =
        (0..150).filter(|number| number % 3 % 2 == 0).map(|number| uuid('c', number)).collect();
    assert_eq!(seen, expected);
    let default = v1::ListConsumersRequest { provider: uuid('a', 1), ..Default::default() };
    assert_eq!(client.list_consumers(default).await.unwrap().into_inner().consumers.len(), 100);
    let unknown = v1::ListConsumersRequest { provider: uuid('a', 9), ..Default::default() };
    resource(client.list_consumers(unknown).await, Code::NotFound, "resource provider", &uuid('a', 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_can_be_claimed() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    for number in 1..=3 {
        provider(&mut client, number, &[("VCPU", 4), ("MEMORY_MB", 1024)]).await;
    }
    let query = |text: &str| v1::FindCandidatesRequest { query: text.to_owned() };
    let found = client.find_candidates(query("resources=VCPU:2,MEMORY_MB:512&limit=2")).await.unwrap();
    let candidates = found.into_inner().candidates;
    assert_eq!(candidates.len(), 2);
    let wanted = v1::ConsumerClaim { allocations: candidates[0].allocations.clone(), ..claim(1, &[]) };
    let results = claims(&mut client, vec![wanted]).await;
    assert_eq!(results[0].outcome(), v1::claim_result::Outcome::Granted, "{}", results[0].reason);
    let none = client.find_candidates(query("resources=VCPU:5")).await.unwrap().into_inner();
    assert_eq!(none.candidates, []);
    for (text, words) in [
        ("", "There must be at least one resources"),
        ("resources=VCPU", "Badly formed resources"),
        ("resources=GOLD:1", "No such resource class GOLD"),
        ("resources=VCPU:1&required=CUSTOM_NONE", "No such trait"),
        ("resources=VCPU:1&colour=red", "colour"),
    ] {
        bad_field(client.find_candidates(query(text)).await, "query", words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_candidates_is_bounded() {
    let mut narrow = options();
    (narrow.limits.candidate_work, narrow.limits.candidate_bytes) = (5, 1 << 20);
    let running = Running::over(std::sync::Arc::new(berth_server::Service::new(narrow)), None).await;
    let mut client = running.placement().await;
    for number in 1..=20 {
        provider(&mut client, number, &[("VCPU", 4)]).await;
    }
    let wanted = v1::FindCandidatesRequest { query: "resources=VCPU:1".to_owned() };
    let facts = reason(client.find_candidates(wanted).await, Code::ResourceExhausted, "CANDIDATE_WORK");
    assert_eq!(facts, [("limit".to_owned(), "5".to_owned())]);
    let mut narrow = options();
    narrow.limits.candidate_bytes = 200;
    let running = Running::over(std::sync::Arc::new(berth_server::Service::new(narrow)), None).await;
    let mut client = running.placement().await;
    for number in 1..=20 {
        provider(&mut client, number, &[("VCPU", 4)]).await;
    }
    let wanted = v1::FindCandidatesRequest { query: "resources=VCPU:1".to_owned() };
    reason(client.find_candidates(wanted).await, Code::ResourceExhausted, "CANDIDATE_BYTES");
}
