//! Stores with a fleet of hosts and instances: loads, compaction and repair preserve the fleet.

use std::fs;

use berth_server::{Contents, DataDir, StateReader};
use tempfile::TempDir;

use crate::{Damage, quietly, store};

/// A host, an aggregate, a flavor, a server group and its member, a quota and an instance with an
/// allocation.
const WITH_FLEET: &[u8] = include_bytes!("../state/version-2.jsonl");

fn made() -> Contents {
    StateReader::new(WITH_FLEET).contents().unwrap()
}

fn saved() -> (TempDir, DataDir) {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    data.save(&made()).unwrap();
    (directory, data)
}

/// Damages the records with these bytes.
fn damage(directory: &TempDir, what: &[u8]) {
    let bytes = fs::read(store(directory.path())).unwrap();
    let places = bytes.windows(what.len()).enumerate().filter(|(_, window)| *window == what);
    places.for_each(|(place, _)| Damage::Flip(place).befall(&store(directory.path())));
}

#[test]
fn a_fleet_is_read_back() {
    let (_directory, data) = saved();
    let intact = data.inspect().unwrap();
    assert_eq!((intact.summary.fleet_records, intact.summary.consumers), (7, 1));
    assert_eq!(intact.digest, made().digest().1);
    let mut again = Vec::new();
    data.load().unwrap().unwrap().write(&mut again).unwrap();
    assert_eq!(again, WITH_FLEET, "a format that others may have stored cannot change unseen");
}

#[test]
fn the_fleet_counts_in_digests() {
    let Contents { index, .. } = made();
    assert_ne!(Contents::from(index).digest().1, made().digest().1);
}

#[test]
fn compaction_keeps_the_fleet() {
    let (_directory, data) = saved();
    data.compact().unwrap();
    assert_eq!(data.inspect().unwrap().digest, made().digest().1);
}

#[test]
fn a_repair_keeps_what_can_be_read_and_names_the_rest() {
    quietly();
    let (directory, data) = saved();
    damage(&directory, b"shared");
    let repair = data.repair().unwrap();
    // The flavor has these bytes, and so has the instance that was made of it.
    let messages: Vec<String> = repair.damages.iter().map(ToString::to_string).collect();
    assert!(messages.iter().any(|damage| damage.contains("the flavor small")), "{messages:?}");
    assert!(messages.iter().any(|damage| damage.contains("the instance ")), "{messages:?}");
    assert_eq!((repair.summary.fleet_records, repair.summary.consumers), (5, 1));
    data.write_repair(&repair, "now").unwrap();
    assert_eq!(data.inspect().unwrap().digest, repair.digest);
}

#[test]
fn an_instance_whose_capacity_is_lost_is_named() {
    quietly();
    let (directory, data) = saved();
    let Contents { index, .. } = made();
    let consumer = index.snapshot().records().find_map(|record| match record {
        berth_placement::Record::Consumer(consumer) => Some(consumer.uuid),
        _ => None,
    });
    // The UUID as the consumer's record has it, between its tags: the instance's has another one
    // behind it.
    damage(&directory, &[&[0x0A, 16], consumer.unwrap().as_bytes().as_slice(), &[0x10]].concat());
    let repair = data.repair().unwrap();
    assert_eq!((repair.summary.fleet_records, repair.summary.consumers), (7, 0));
    let named = format!("instance {} on host h1 holds no capacity any more", consumer.unwrap());
    assert!(repair.notes.iter().any(|note| note.starts_with(&named)), "{:?}", repair.notes);
}
