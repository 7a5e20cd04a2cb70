//! Claims: alone, together, and in a race.

use berth_api::v1;
use berth_api::v1::claim_result::Outcome::{self, Conflict, Granted, Invalid, NotTried, Refused};

use crate::details::bad_field;
use crate::support::{Running, claim, claims, provider, used, uuid};

fn outcomes(results: &[v1::ClaimResult]) -> Vec<Outcome> {
    results.iter().map(v1::ClaimResult::outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_claim_stands_or_falls_alone() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 4), ("MEMORY_MB", 100)]).await;
    let results = claims(
        &mut client,
        vec![claim(1, &[(1, "VCPU", 3)]), claim(2, &[(1, "VCPU", 2)]), claim(3, &[(1, "VCPU", 1)])],
    );
    let results = results.await;
    assert_eq!(outcomes(&results), [Granted, Refused, Granted]);
    assert_eq!(results[0].reason, "");
    assert!(results[1].reason.contains("exceed the capacity"), "{}", results[1].reason);
    assert_eq!(used(&mut client, 1, "VCPU").await, 4);
    let nothing = claims(&mut client, vec![claim(1, &[])]).await;
    assert_eq!(outcomes(&nothing), [Granted]);
    assert_eq!(used(&mut client, 1, "VCPU").await, 1);
    running.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_makes_no_sense_says_where() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 4)]).await;
    let good = || claim(1, &[(1, "VCPU", 1)]);
    let empty = v1::Allocation { provider: uuid('a', 1), resources: Default::default() };
    for (wanted, words) in [
        (v1::ConsumerClaim { consumer: "c".into(), ..good() }, "consumer: has to be a UUID"),
        (v1::ConsumerClaim { project: String::new(), ..good() }, "project: is required"),
        (v1::ConsumerClaim { user: "u".repeat(256), ..good() }, "user: has more than 255"),
        (v1::ConsumerClaim { consumer_type: "instance".into(), ..good() }, "consumer_type: "),
        (v1::ConsumerClaim { allocations: vec![empty], ..good() }, "allocations[0].resources: "),
        (
            claim(1, &[(1, "VCPU", 1), (9, "VCPU", 1)]),
            "allocations[1].provider: there is no resource provider",
        ),
        (claim(1, &[(1, "GOLD", 1)]), "allocations[0].resources[GOLD]: there is no such"),
        (claim(1, &[(1, "VCPU", 0)]), "allocations[0].resources[VCPU]: 0 is not from 1"),
        (claim(1, &[(1, "VCPU", 1 << 31)]), "allocations[0].resources[VCPU]: 2147483648 is not"),
        (claim(1, &[(1, "VCPU", 1), (1, "VCPU", 2)]), "named twice"),
        (claim(1, &[(1, "MEMORY_MB", 1)]), "Inventory for 'MEMORY_MB'"),
    ] {
        let results = claims(&mut client, vec![wanted]).await;
        assert_eq!(outcomes(&results), [Invalid], "{words}");
        assert!(results[0].reason.contains(words), "{}", results[0].reason);
    }
    assert_eq!(used(&mut client, 1, "VCPU").await, 0);
    let many = v1::ClaimRequest { claims: vec![good(); 10_001], all_or_nothing: false };
    bad_field(client.claim(many).await, "claims", "10001 elements, and may have at most 10000");
    // Four million of them were decoded before that: 588 MB, and seconds of a request thread.
    let many = v1::ClaimRequest { claims: vec![v1::ConsumerClaim::default(); 1 << 20], ..Default::default() };
    bad_field(client.claim(many).await, "the message", "more than 262144 fields and elements in all");
    assert_eq!(claims(&mut client, Vec::new()).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_guard_consumers() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 100)]).await;
    for (expected, outcome) in [
        (Some(1), Conflict),
        (Some(0), Granted),
        (Some(0), Conflict),
        (Some(1), Granted),
        (None, Granted),
        (Some(3), Granted),
    ] {
        let wanted = v1::ConsumerClaim { generation: expected, ..claim(1, &[(1, "VCPU", 1)]) };
        let results = claims(&mut client, vec![wanted]).await;
        assert_eq!(outcomes(&results), [outcome], "{expected:?}: {}", results[0].reason);
    }
    let wanted = v1::ConsumerClaim { generation: Some(9), ..claim(1, &[(1, "VCPU", 1)]) };
    assert_eq!(claims(&mut client, vec![wanted]).await[0].reason, "the consumer has generation 4, not 9");
    // A consumer that never held anything, and is known all the same.
    claims(&mut client, vec![claim(2, &[])]).await;
    let wanted = v1::ConsumerClaim { generation: Some(0), ..claim(2, &[(1, "VCPU", 1)]) };
    assert_eq!(outcomes(&claims(&mut client, vec![wanted]).await), [Granted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_belong_together_are_all_granted_or_none() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 4)]).await;
    provider(&mut client, 2, &[("VCPU", 4)]).await;
    let mut together = async |claims: Vec<v1::ConsumerClaim>| {
        let request = v1::ClaimRequest { claims, all_or_nothing: true };
        outcomes(&client.claim(request).await.unwrap().into_inner().results)
    };
    let (one, two) = (claim(1, &[(1, "VCPU", 3)]), claim(2, &[(2, "VCPU", 3)]));
    assert_eq!(together(vec![one.clone(), two.clone()]).await, [Granted, Granted]);
    // The swap is one change: neither provider has capacity for both claims.
    let swapped = vec![claim(1, &[(2, "VCPU", 3)]), claim(2, &[(1, "VCPU", 3)])];
    assert_eq!(together(swapped).await, [Granted, Granted]);
    let short = claim(3, &[(1, "VCPU", 2)]);
    let fits = claim(4, &[(2, "VCPU", 1)]);
    assert_eq!(together(vec![fits.clone(), short]).await, [NotTried, Refused]);
    let odd = claim(5, &[(2, "VCPU", 0)]);
    assert_eq!(together(vec![fits.clone(), odd]).await, [NotTried, Invalid]);
    let old = v1::ConsumerClaim { generation: Some(0), ..one };
    assert_eq!(together(vec![old, fits.clone()]).await, [Conflict, NotTried]);
    assert_eq!(together(vec![fits.clone(), fits, two]).await, [Invalid, Invalid, NotTried]);
    assert_eq!(used(&mut client, 1, "VCPU").await + used(&mut client, 2, "VCPU").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_claims_gets_the_last_unit() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    for round in 1..=20 {
        provider(&mut client, round, &[("VCPU", 1)]).await;
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..4 {
            let mut client = running.placement().await;
            let wanted = claim(round * 10 + racer, &[(round, "VCPU", 1)]);
            racers.spawn(async move { claims(&mut client, vec![wanted]).await.remove(0).outcome() });
        }
        let mut outcomes = racers.join_all().await;
        outcomes.sort_unstable();
        assert_eq!(outcomes, [Granted, Refused, Refused, Refused]);
        assert_eq!(used(&mut client, round, "VCPU").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_the_largest_size_is_one_call() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 9_999), ("MEMORY_MB", 1 << 30), ("DISK_GB", 1 << 20)]).await;
    let wanted = |number| {
        let mut wanted = claim(number, &[(1, "VCPU", 1)]);
        let more = [("MEMORY_MB".to_owned(), 2048), ("DISK_GB".to_owned(), 20)];
        wanted.allocations[0].resources.extend(more);
        wanted
    };
    let results = claims(&mut client, (0..10_000).map(wanted).collect()).await;
    let granted = results.iter().filter(|result| result.outcome() == Granted).count();
    assert_eq!((results.len(), granted, results[9_999].outcome()), (10_000, 9_999, Refused));
    running.service.index().check().unwrap();
}
