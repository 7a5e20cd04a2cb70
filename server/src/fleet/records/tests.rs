//! Records that are written and read again.

use std::sync::Arc;

use berth_fleet::{
    Aggregate, Event, Flavor, Group, Host, HostStatus, Image, Instance, InstanceSpec, IntroducedName,
    KeyPair, Location, Lock, Migration, MigrationKind, MigrationOutcome, Operation, Quota, RebuildRecord,
    RecordKey, ServerGroupPolicy, State, VmState,
};
use berth_placement::Timestamp;
use prost::Message;
use uuid::Uuid;

use super::*;

fn key_pair() -> KeyPair {
    KeyPair {
        name: "laptop".to_owned(),
        project: "p".to_owned(),
        public_key: "ssh-ed25519 AAAA me".to_owned(),
        created_at: Timestamp(2),
    }
}

fn instance(uuid: Uuid) -> Instance {
    let flavor = Flavor { vcpus: 3, memory_mb: 512, ..Flavor::default() };
    let spec = InstanceSpec {
        name: "it".to_owned(),
        project: "p".to_owned(),
        flavor,
        hints: [("same_host".to_owned(), vec!["x".to_owned()])].into(),
        user_data: Bytes::from_static(b"#cloud-config"),
        key_pair: Some(key_pair()),
        created_at: Timestamp(3),
        ..InstanceSpec::default()
    };
    let location = Location {
        host: "h".to_owned(),
        leftovers: vec!["old".to_owned()],
        failures: [("old".to_owned(), "no".to_owned())].into(),
    };
    let event = Event { at: Timestamp(4), action: "create".to_owned(), ..Event::default() };
    let migration = Migration {
        uuid: Uuid::from_u128(11),
        ticket: Uuid::from_u128(12),
        kind: MigrationKind::Resize,
        source: "h".to_owned(),
        target: "t".to_owned(),
        state_before: VmState::Stopped,
        failures: [("f".to_owned(), "no".to_owned())].into(),
        created_at: Timestamp(5),
        ..Migration::default()
    };
    let earlier = Migration { outcome: Some(MigrationOutcome::Reverted), ..Migration::default() };
    Instance {
        rescue: Some(Arc::new(Image { name: "r".to_owned(), ..Image::default() })),
        rebuild: Some(RebuildRecord {
            image_before: Some(Image { name: "i".to_owned(), ..Image::default() }),
            generation: 3,
        }),
        migrations: vec![Arc::new(earlier), Arc::new(migration)],
        location,
        vm_state: VmState::Paused,
        operation: Some(Operation::Reboot { hard: true }),
        lock: Some(Lock { reason: "why".to_owned(), by_operator: true }),
        events: vec![Arc::new(event)],
        ..Instance::new(uuid, Arc::new(spec))
    }
}

#[test]
fn what_was_written_reads_back() {
    let mut state = State::default();
    let uuid = Uuid::from_u128(7);
    let reason = "why".to_owned();
    state.put_host(Host { name: "h".to_owned(), reason, status: HostStatus::Disabled, ..Host::default() });
    let aggregate = Aggregate { name: "a".to_owned(), hosts: vec!["h".to_owned()], ..Aggregate::default() };
    state.put_aggregate(aggregate);
    state.put_flavor(Flavor { name: "f".to_owned(), vcpus: 3, ..Flavor::default() });
    state.put_group(
        uuid,
        Group { name: "g".to_owned(), policy: ServerGroupPolicy::SoftAffinity, ..Group::default() },
    );
    state.set_membership(Uuid::from_u128(9), Some(uuid));
    state.put_introduced(IntroducedName::Class("CUSTOM_C".to_owned()));
    state.put_introduced(IntroducedName::Trait("CUSTOM_T".to_owned()));
    state.put_key_pair(key_pair());
    state.put_quota("p", Quota { vcpus: Some(4), key_pairs: Some(5), ..Quota::default() });
    state.put_instance(Arc::new(instance(uuid)));
    let keys: Vec<RecordKey> = state.keys().collect();
    let records: Vec<_> = keys.iter().map(|key| encode(&state, key)).collect();
    let written: Vec<_> = state.take_changes().iter().map(|key| encode(&state, key)).collect();
    assert_eq!(written, records);
    let mut read = State::default();
    for (key, value) in &records {
        apply(&mut read, key, value.as_ref().unwrap()).unwrap();
    }
    assert!(read.keys().eq(keys.iter().cloned()));
    assert_eq!(read.instance(uuid), state.instance(uuid));
    assert_eq!(read.key_pair("p", "laptop"), Some(&key_pair()));
    assert_eq!(read.quota("p"), state.quota("p"));
    assert_eq!((read.host("h"), read.group(uuid)), (state.host("h"), state.group(uuid)));
    assert!(read.on_host("h").eq([uuid]) && read.on_host("old").eq([uuid]));
    assert!(read.members(uuid).eq([Uuid::from_u128(9)]));
    assert!(keys.iter().map(|key| encode(&read, key)).eq(records.clone()));
    assert!(apply(&mut read, b"z", b"").is_err() && apply(&mut read, b"p", b"").is_err());
    for (key, _) in &records {
        assert!(describe(key).is_some());
        remove(&mut read, key).unwrap();
    }
    assert!(read.is_empty() && read.members(uuid).next().is_none() && remove(&mut read, b"z").is_err());
    assert!(read.on_host("h").next().is_none());
}

#[test]
fn internal_hints_of_earlier_releases_are_dropped() {
    let uuid = Uuid::from_u128(7);
    let mut stored = StoredInstance::from(&instance(uuid));
    let hint = StoredHints { values: vec!["rebuild".to_owned()] };
    stored.hints.insert("_nova_check_type".to_owned(), hint);
    let mut state = State::default();
    let key = [&b"p"[..], uuid.as_bytes()].concat();
    apply(&mut state, &key, &stored.encode_to_vec()).unwrap();
    let hints: Vec<_> = state.instance(uuid).unwrap().spec.hints.keys().collect();
    assert_eq!(hints, ["same_host"]);
}

/// The numbers are those of stored records, and stay.
#[test]
fn every_operation_has_its_number() {
    let operations = [
        Operation::Schedule,
        Operation::Spawn,
        Operation::Start,
        Operation::Stop,
        Operation::Reboot { hard: false },
        Operation::Reboot { hard: true },
        Operation::Pause,
        Operation::Unpause,
        Operation::Suspend,
        Operation::Resume,
        Operation::Shelve,
        Operation::Unshelve,
        Operation::Delete,
        Operation::ResizePrep,
        Operation::ResizeMigrating,
        Operation::ResizeFinish,
        Operation::ResizeConfirming,
        Operation::ResizeReverting,
        Operation::ResizeRestoring,
    ];
    for (number, operation) in (1..).zip(operations) {
        let task = StoredTask::from(Some(operation));
        assert_eq!(i32::from(task), number);
        assert_eq!(Option::<Operation>::from(task), Some(operation));
    }
    assert_eq!(i32::from(StoredTask::from(None)), 0);
}
