//! Records written and read back, and what is derived of them.

use super::*;
use crate::fleet::entry::Hints;

fn instance(host: &str, vcpus: u32) -> Instance {
    let flavor = Flavor { vcpus, memory_mb: 512, ..Flavor::default() };
    let (project, host) = ("p".to_owned(), host.to_owned());
    Instance { project, host, flavor, leftovers: vec!["old".to_owned()], ..Instance::default() }
}

#[test]
fn what_was_written_reads_back() {
    let mut state = State::default();
    let mut all = Transaction { state: &mut state, records: Changes::new() };
    let uuid = Uuid::from_u128(7);
    all.put_host(Host { name: "h".to_owned(), reason: "why".to_owned(), ..Host::default() });
    all.put_aggregate(Aggregate {
        name: "a".to_owned(),
        hosts: vec!["h".to_owned()],
        ..Aggregate::default()
    });
    all.put_flavor(Flavor { name: "f".to_owned(), vcpus: 3, ..Flavor::default() });
    all.put_group(uuid, Group { name: "g".to_owned(), ..Group::default() });
    all.set_membership(Uuid::from_u128(9), Some(uuid));
    all.put_quota("p", Quota { vcpus: Some(4), ..Quota::default() });
    all.put_instance(uuid, instance("h", 3));
    let written = all.records.into_iter().map(|(key, value)| (key, value.unwrap()));
    let records: Vec<_> = state.records().collect();
    assert!(written.eq(records.clone()));
    let mut read = State::default();
    for (key, value) in &records {
        read.put_back(key, value).unwrap();
    }
    assert!(read.records().eq(records.clone()));
    assert_eq!((&read.by_host, &read.usage), (&state.by_host, &state.usage));
    assert_eq!(read.members(uuid).collect::<Vec<_>>(), [Uuid::from_u128(9)]);
    assert!(read.put_back(b"z", b"").is_err() && read.put_back(b"p", b"").is_err());
    for (key, _) in &records {
        read.take_away(key).unwrap();
    }
    assert!(read.is_empty() && read.members(uuid).next().is_none() && read.take_away(b"z").is_err());
    assert!(read.names.is_empty() && read.by_host.values().all(BTreeSet::is_empty));
}

#[test]
fn an_instance_on_a_host_holds_room() {
    let shelved = Instance { vm_state: VmState::ShelvedOffloaded.into(), ..instance("h", 3) };
    let mut state = State::default();
    state.set_instance(Uuid::from_u128(1), Some(instance("h", 3)));
    state.set_instance(Uuid::from_u128(2), Some(instance("", 3)));
    state.set_instance(Uuid::from_u128(3), Some(shelved));
    let index = Index::with_holders();
    assert_eq!(state.without_room(&index).collect::<Vec<_>>(), [(Uuid::from_u128(1), "h")]);
}

#[test]
fn members_follow_memberships() {
    let mut state = State::default();
    let mut change = Transaction { state: &mut state, records: Changes::new() };
    let [group, other, one, two] = [1, 2, 3, 4].map(Uuid::from_u128);
    change.set_membership(one, Some(group));
    change.set_membership(two, Some(group));
    change.set_membership(two, Some(other));
    assert!(change.state.members(group).eq([one]) && change.state.members(other).eq([two]));
    change.set_membership(one, None);
    change.remove_instance(two);
    assert!(change.state.members.is_empty() && change.state.memberships.is_empty());
}

#[test]
fn internal_hints_of_earlier_releases_are_dropped() {
    let hint = |value: &str| Hints { values: vec![value.to_owned()] };
    let hints = [("_nova_check_type", "rebuild"), ("same_host", "x")];
    let hints = hints.map(|(name, value)| (name.to_owned(), hint(value))).into();
    let kept = Instance { hints, ..instance("h", 3) };
    let mut state = State::default();
    let uuid = Uuid::from_u128(7);
    state.put_back(&key(INSTANCE, uuid.as_bytes()), &kept.encode_to_vec()).unwrap();
    assert_eq!(state.instances[&uuid].hints, [("same_host".to_owned(), hint("x"))].into());
}

#[test]
fn sums_follow_instances() {
    let mut state = State::default();
    let mut change = Transaction { state: &mut state, records: Changes::new() };
    let uuid = Uuid::from_u128(7);
    change.put_instance(uuid, instance("h", 3));
    change.put_instance(uuid, instance("i", 3));
    assert_eq!(change.state.usage["p"], Usage { instances: 1, vcpus: 3, memory_mb: 512 });
    let places: Vec<_> = change
        .state
        .by_host
        .iter()
        .filter(|(_, there)| !there.is_empty())
        .map(|(host, _)| host.as_str())
        .collect();
    assert_eq!(places, ["i", "old"]);
    let deleted = Instance { vm_state: VmState::Deleted.into(), ..instance("i", 3) };
    change.put_instance(uuid, deleted);
    assert_eq!(change.state.usage["p"], Usage::default());
    change.remove_instance(uuid);
    assert!(change.state.by_host.values().all(BTreeSet::is_empty));
}
