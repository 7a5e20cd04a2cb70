//! One rule per test.

use std::num::NonZeroU32;

use berth_placement::{
    ClassId, ConsumerId, GroupError, GroupId, GroupPolicy, Index, Inventory, Member, Refusal, Row, Timestamp,
    TransferError,
};
use uuid::Uuid;

use crate::fleet::{fleet, instances, write};

const GROUP: GroupId = GroupId(1);
const NOW: Timestamp = Timestamp(1);
const A: Row = Row(0);
const B: Row = Row(1);
const C: Row = Row(2);
const VM: ConsumerId = ConsumerId(10);
const OTHER: ConsumerId = ConsumerId(11);
const THIRD: ConsumerId = ConsumerId(12);
const MIGRATION: ConsumerId = ConsumerId(20);

fn index(policy: GroupPolicy) -> Index {
    let index = fleet(3, 4);
    index.add_group(GROUP, policy).unwrap();
    index
}

fn at_most(max: u32) -> GroupPolicy {
    GroupPolicy::AntiAffinity { max_per_host: NonZeroU32::new(max).unwrap() }
}

fn claim(index: &Index, places: &[(ConsumerId, Row)]) -> Result<(), TransferError> {
    let (members, writes) = instances(places);
    let outcome = index.claim_group(GROUP, &members, &writes, NOW);
    assert_eq!(index.check(), Ok(()));
    outcome
}

/// Moves the instance to `to`, while a migration keeps its place on `from`.
fn start_move(index: &Index, from: Row, to: Row) -> Result<(), TransferError> {
    let members = [Member::new(VM, to), Member::kept(MIGRATION, from, VM)];
    index.claim_group(GROUP, &members, &[write(VM, &[to], 1), write(MIGRATION, &[from], 1)], NOW)
}

fn crowded(host: Row, found: usize, limit: u32) -> Result<(), TransferError> {
    Err(GroupError::Crowded { group: GROUP, host, found, limit }.into())
}

fn apart(host: Row, other: Row) -> Result<(), TransferError> {
    Err(GroupError::Apart { group: GROUP, host, other }.into())
}

fn members(index: &Index) -> Vec<Member> {
    index.group(GROUP).unwrap().roster().unwrap().members().to_vec()
}

#[test]
fn a_multi_create_is_placed_as_a_whole_or_not_at_all() {
    let index = index(at_most(1));
    assert_eq!(claim(&index, &[(VM, A), (OTHER, A)]), crowded(A, 2, 1));
    assert_eq!((index.consumers(), index.used(A, ClassId::VCPU)), (0, 0));
    assert_eq!(claim(&index, &[(OTHER, B), (VM, A)]), Ok(()));
    assert_eq!(members(&index), [Member::new(VM, A), Member::new(OTHER, B)]);
}

#[test]
fn a_provider_without_capacity_refuses_the_whole_group() {
    let index = index(GroupPolicy::SoftAffinity);
    let (members, mut writes) = instances(&[(VM, A), (OTHER, B)]);
    writes[1].allocations[0].amount = 5;
    let refused = index.claim_group(GROUP, &members, &writes, NOW);
    assert!(matches!(refused, Err(TransferError::Refused(Refusal::Units { row: B, .. }))), "{refused:?}");
    assert_eq!((index.consumers(), self::members(&index)), (0, vec![]));
    assert_eq!(index.check(), Ok(()));
}

#[test]
fn affinity_keeps_all_on_one_host() {
    let index = index(GroupPolicy::Affinity);
    assert_eq!(claim(&index, &[(VM, A), (OTHER, B)]), apart(A, B));
    assert_eq!(claim(&index, &[(VM, A), (OTHER, A)]), Ok(()));
    assert_eq!(claim(&index, &[(THIRD, B)]), apart(A, B));
    index.release(VM).unwrap();
    index.release(OTHER).unwrap();
    assert_eq!(claim(&index, &[(THIRD, B)]), Ok(()));
}

#[test]
fn anti_affinity_counts_instances_per_host() {
    let index = index(at_most(2));
    assert_eq!(claim(&index, &[(VM, A), (OTHER, A), (THIRD, A)]), crowded(A, 3, 2));
    assert_eq!(claim(&index, &[(VM, A), (OTHER, A)]), Ok(()));
    assert_eq!(claim(&index, &[(THIRD, A)]), crowded(A, 3, 2));
    assert_eq!(claim(&index, &[(THIRD, B)]), Ok(()));
}

#[test]
fn soft_policies_refuse_nothing_and_remember_all() {
    for policy in [GroupPolicy::SoftAffinity, GroupPolicy::SoftAntiAffinity] {
        let index = index(policy);
        assert_eq!(claim(&index, &[(VM, A), (OTHER, A), (THIRD, B)]), Ok(()));
        assert_eq!(index.group(GROUP).unwrap().roster().unwrap().hosts(), [A, B]);
    }
}

#[test]
fn a_consumer_that_is_released_removed_or_emptied_leaves_the_group() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A), (OTHER, B), (THIRD, C)]).unwrap();
    index.release(VM).unwrap();
    index.release_uncounted(OTHER).unwrap();
    assert_eq!(members(&index), [Member::new(THIRD, C)]);
    index.transfer(&[write(THIRD, &[], 1)], NOW).unwrap();
    assert_eq!((members(&index), index.check()), (vec![], Ok(())));
}

#[test]
fn an_instance_may_be_resized_on_its_own_host() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A)]).unwrap();
    assert_eq!(start_move(&index, A, A), Ok(()), "both places are of one instance");
    assert_eq!(claim(&index, &[(OTHER, A)]), crowded(A, 2, 1));
    assert_eq!(index.check(), Ok(()));
}

#[test]
fn a_move_keeps_the_way_back_free() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A), (OTHER, C)]).unwrap();
    assert_eq!(start_move(&index, A, C), crowded(C, 2, 1));
    assert_eq!(start_move(&index, A, B), Ok(()));
    assert_eq!(claim(&index, &[(THIRD, A)]), crowded(A, 2, 1), "the place is kept");
    assert_eq!(claim(&index, &[(THIRD, B)]), crowded(B, 2, 1), "the instance is here");
    let back = [write(MIGRATION, &[], 1), write(VM, &[A], 1)];
    assert_eq!(index.claim_group(GROUP, &[Member::new(VM, A)], &back, NOW), Ok(()));
    assert_eq!(members(&index), [Member::new(VM, A), Member::new(OTHER, C)]);
    assert_eq!(claim(&index, &[(THIRD, B)]), Ok(()));
}

#[test]
fn a_confirmed_move_releases_the_old_place() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A)]).unwrap();
    start_move(&index, A, B).unwrap();
    index.release(MIGRATION).unwrap();
    assert_eq!(claim(&index, &[(OTHER, A)]), Ok(()));
}

#[test]
fn the_only_instance_of_an_affinity_group_may_move() {
    let index = index(GroupPolicy::Affinity);
    claim(&index, &[(VM, A)]).unwrap();
    assert_eq!(start_move(&index, A, B), Ok(()));
    assert_eq!(claim(&index, &[(OTHER, A)]), apart(B, A));
    assert_eq!(claim(&index, &[(OTHER, B)]), Ok(()));
}

/// The Placement API has no groups, but a write through it is checked against them all the same.
#[test]
fn a_plain_transfer_takes_the_member_along() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A), (OTHER, B)]).unwrap();
    assert_eq!(index.transfer(&[write(VM, &[B], 1)], NOW), crowded(B, 2, 1));
    index.transfer(&[write(VM, &[C, A], 1)], NOW).unwrap();
    assert_eq!(members(&index)[0].host, A, "it still has an allocation there");
    index.transfer(&[write(VM, &[C], 2)], NOW).unwrap();
    assert_eq!((members(&index)[0].host, index.check()), (C, Ok(())));
    assert_eq!(index.consumer(VM).unwrap().group(), Some(GROUP));
}

#[test]
fn two_members_may_change_places_at_once() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A), (OTHER, B)]).unwrap();
    assert_eq!(index.transfer(&[write(VM, &[B], 1), write(OTHER, &[A], 1)], NOW), Ok(()));
    assert_eq!(members(&index), [Member::new(VM, B), Member::new(OTHER, A)]);
}

#[test]
fn a_host_is_its_whole_tree() {
    let index = index(at_most(1));
    let mut writer = index.write();
    let numa = writer.add_provider(Uuid::from_u128(77), "numa 0 of host 0", Some(A)).unwrap();
    writer.set_inventory(numa, ClassId::VCPU, Some(&Inventory::of(4))).unwrap();
    drop(writer);
    claim(&index, &[(VM, A)]).unwrap();
    let below =
        |consumer| index.claim_group(GROUP, &[Member::new(consumer, A)], &[write(consumer, &[numa], 1)], NOW);
    assert_eq!(below(OTHER), crowded(A, 2, 1));
    index.transfer(&[write(VM, &[numa], 1)], NOW).unwrap();
    assert_eq!((members(&index), index.check()), (vec![Member::new(VM, A)], Ok(())));
}

#[test]
fn members_are_listed_once_written_and_on_their_hosts() {
    let index = index(at_most(1));
    let (_, writes) = instances(&[(VM, A)]);
    let claim = |members: &[Member]| index.claim_group(GROUP, members, &writes, NOW);
    let member = Member::new(VM, A);
    assert_eq!(claim(&[member, member]), Err(GroupError::NamedTwice(VM).into()));
    assert_eq!(claim(&[member, Member::new(OTHER, B)]), Err(GroupError::NotWritten(OTHER).into()));
    let elsewhere = GroupError::NotOnHost { consumer: VM, host: B };
    assert_eq!(claim(&[Member::new(VM, B)]), Err(elsewhere.into()));
    assert_eq!(
        index.claim_group(GroupId(9), &[member], &writes, NOW),
        Err(GroupError::Unknown(GroupId(9)).into())
    );
    assert_eq!((index.consumers(), members(&index)), (0, vec![]));
}

#[test]
fn a_consumer_is_in_one_group_at_most() {
    let index = index(at_most(1));
    let second = GroupId(2);
    index.add_group(second, GroupPolicy::Affinity).unwrap();
    assert_eq!(index.add_group(second, GroupPolicy::Affinity), Err(GroupError::Exists(second)));
    claim(&index, &[(VM, A)]).unwrap();
    let join = || index.claim_group(second, &[Member::new(VM, A)], &[write(VM, &[A], 1)], NOW);
    assert_eq!(join(), Err(GroupError::InAnotherGroup { consumer: VM, group: GROUP }.into()));
    assert_eq!(index.remove_group(GROUP).unwrap().members(), [Member::new(VM, A)]);
    assert_eq!(index.remove_group(GROUP), Err(GroupError::Unknown(GROUP)));
    assert_eq!(index.consumer(VM).unwrap().group(), None);
    assert_eq!((join(), index.check()), (Ok(()), Ok(())));
}

/// A group may be recreated under its old UUID. Members of the old group are not members of the new
/// one.
#[test]
fn a_new_group_of_an_old_uuid_starts_empty() {
    let index = index(at_most(1));
    claim(&index, &[(VM, A)]).unwrap();
    index.remove_group(GROUP).unwrap();
    index.add_group(GROUP, at_most(1)).unwrap();
    assert_eq!(claim(&index, &[(OTHER, A)]), Ok(()));
    index.release(VM).unwrap();
    assert_eq!((members(&index), index.check()), (vec![Member::new(OTHER, A)], Ok(())));
}
