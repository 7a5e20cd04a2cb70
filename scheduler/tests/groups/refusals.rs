//! What the index does not grant, and what becomes of it.

use berth_placement::{
    ConsumerId, ExpectedGeneration, GroupError, GroupPolicy, Index, Inventory, Refusal, Row, TransferError,
    Units,
};
use berth_scheduler::hosts::HostRow;
use berth_scheduler::select::{ATTEMPTS, Claims, DecisionAsOne, IndexClaimError, IndexClaims, SelectError};
use berth_scheduler::{Options, SelectDestinations};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud::{
    Best, Books, GROUP, NOW, at_most, candidate, claimant, hosts, index, instance, provider, read, request,
    state, uuid,
};

fn ample(_: u32) -> Inventory {
    Inventory::of(8)
}

/// Has capacity, but not for one vCPU: no look at free amounts shows that.
fn only_pairs() -> Inventory {
    Inventory { units: Units { min_unit: 2, max_unit: 8, step_size: 2 }, ..Inventory::of(8) }
}

/// Several new instances of the group at once.
fn create(index: &Index, host_count: u32, policy: GroupPolicy, instances: u128) -> DecisionAsOne {
    let instances: Vec<ConsumerId> = (1..=instances).map(instance).collect();
    let (mut hosts, options) = (hosts(host_count, &Books::new()), Options::default());
    let (mut request, mut state) = (request(policy, &Books::new()), state(host_count));
    let what =
        SelectDestinations { options: &options, instances: &instances, return_alternates: false, now: NOW };
    what.decide_as_one(&mut hosts, &mut request, &mut state, (index, &claimant(Some(GROUP))), &mut Best)
}

fn refusal_of(allocations: &Value) -> IndexClaimError {
    let index = index(1, ample);
    let mut claims = IndexClaims::new(&index, claimant(None));
    assert!(!claims.claim(instance(7), HostRow(0), &read(json!({ "allocations": allocations }))));
    assert_eq!(index.consumers(), 0);
    claims.refused()[0].error.clone()
}

#[test]
fn candidates_that_the_index_cannot_read() {
    let provider = provider(0);
    let refusal = |resources| refusal_of(&json!({provider.clone(): {"resources": resources}}));
    let class = IndexClaimError::Class { provider: provider.clone(), class: "CUSTOM_X".to_owned() };
    assert_eq!(refusal(json!({"CUSTOM_X": 1})), class);
    let (class, amount) = ("VCPU".to_owned(), 1 << 32);
    let too_much = IndexClaimError::Amount { provider: provider.clone(), class, amount };
    assert_eq!(refusal(json!({"VCPU": amount})), too_much);
    assert_eq!(refusal_of(&json!({})), IndexClaimError::Empty);
    let elsewhere = uuid(99);
    let unknown = refusal_of(&json!({elsewhere.clone(): {"resources": {"VCPU": 1}}}));
    assert_eq!(unknown, IndexClaimError::Provider(elsewhere));
}

#[test]
fn what_is_claimed_can_be_released() {
    let index = index(1, ample);
    index.add_group(GROUP, at_most(1)).unwrap();
    let mut claims = IndexClaims::new(&index, claimant(Some(GROUP)));
    let (first, second) = (instance(1), instance(2));
    assert!(claims.claim(first, HostRow(0), &candidate(0)));
    assert!(!claims.claim(second, HostRow(0), &candidate(0)), "the host has one already");
    let crowded = GroupError::Crowded { group: GROUP, host: Row(0), found: 2, limit: 1 };
    assert_eq!(claims.refused()[0].error, TransferError::from(crowded).into());
    claims.release(first);
    assert!(claims.claim(second, HostRow(0), &candidate(0)));
    assert_eq!((index.consumers(), index.check()), (1, Ok(())));
}

#[test]
fn a_multi_create_that_does_not_fit_holds_nothing() {
    let index = index(2, ample);
    index.add_group(GROUP, at_most(1)).unwrap();
    let outcome = create(&index, 2, at_most(1), 3);
    assert_eq!(outcome.decision.result, Err(SelectError::NoValidHost { placed: 2, wanted: 3 }));
    assert_eq!((index.consumers(), index.check()), (0, Ok(())));
}

/// The index refuses where the plan saw capacity: the request is decided again, without that
/// provider.
#[test]
fn a_refused_plan_goes_to_the_next_host() {
    let index = index(3, |host| if host == 2 { ample(host) } else { only_pairs() });
    index.add_group(GROUP, GroupPolicy::Affinity).unwrap();
    let outcome = create(&index, 3, GroupPolicy::Affinity, 2);
    assert_eq!(outcome.attempts, 3);
    let chosen: Vec<HostRow> =
        outcome.decision.result.unwrap().iter().map(|selections| selections[0].row).collect();
    assert_eq!(chosen, [HostRow(2), HostRow(2)]);
    let by_index = outcome.refused.iter().filter(|refused| refused.row.is_none());
    assert!(by_index.clone().all(|refused| {
        matches!(refused.error, IndexClaimError::Refused(TransferError::Refused(Refusal::Units { .. })))
    }));
    assert_eq!(by_index.count(), 2);
    for number in 1..=2 {
        let consumer = ConsumerId::from(Uuid::from_u128(number));
        assert_eq!(index.consumer(consumer).unwrap().group(), Some(GROUP));
    }
    assert_eq!((index.consumers(), index.check()), (2, Ok(())));
}

/// No other host would help: the request ends at once, and says why.
#[test]
fn an_instance_that_has_allocations_is_refused_once() {
    let index = index(3, ample);
    index.add_group(GROUP, at_most(1)).unwrap();
    assert!(IndexClaims::new(&index, claimant(None)).claim(instance(1), HostRow(2), &candidate(2)));
    let outcome = create(&index, 3, at_most(1), 2);
    let consumer = ConsumerId::from(Uuid::from_u128(1));
    let (expected, found) = (ExpectedGeneration::New, Some(1));
    let error = TransferError::ConsumerGeneration { consumer, expected, found };
    assert_eq!(outcome.decision.result, Err(SelectError::Refused(error)));
    assert_eq!((outcome.attempts, index.consumers(), index.check()), (1, 1, Ok(())));
}

#[test]
fn attempts_come_to_an_end() {
    let count = u32::try_from(ATTEMPTS).unwrap() + 4;
    let index = index(count, |_| only_pairs());
    index.add_group(GROUP, at_most(1)).unwrap();
    let outcome = create(&index, count, at_most(1), 1);
    assert_eq!(outcome.decision.result, Err(SelectError::Outrun { attempts: ATTEMPTS }));
    assert_eq!((index.consumers(), index.check()), (0, Ok(())));
}
