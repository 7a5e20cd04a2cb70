//! State files: what is written is read back, and nothing else is.

use std::fs;
use std::sync::Arc;

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Record,
    Timestamp,
};
use berth_server::{DataDir, FleetState, Keeper, ServiceOptions, StateReader};
use berth_store::{DataError, DurabilityOptions, StateFileError, write_state};
use tempfile::TempDir;
use uuid::Uuid;

fn fleet() -> Index {
    let index = Index::with_holders();
    let mut writer = index.write_at(Timestamp(7));
    let gold = writer.resource_class("CUSTOM_GOLD").unwrap();
    let fast = writer.trait_named("CUSTOM_FAST");
    let root = writer.add_provider(Uuid::from_u128(1), "it's \"quoted\"\n", None).unwrap();
    let child = writer.add_provider(Uuid::from_u128(2), "☂", Some(root)).unwrap();
    let third = Inventory { allocation_ratio: 1.0 / 3.0, ..Inventory::of(100) };
    writer.set_inventories(child, None, vec![(gold, third), (ClassId::VCPU, Inventory::of(8))]).unwrap();
    writer.set_traits(child, &[fast]).unwrap();
    writer.set_aggregates(root, &[Uuid::from_u128(77)]).unwrap();
    drop(writer);
    let owner =
        Arc::new(Owner { project: "p".into(), user: "u".into(), consumer_type: Some("INSTANCE".into()) });
    let allocations = [Allocation { row: child, class: ClassId::VCPU, amount: 8 }].into_iter().collect();
    let write =
        ConsumerWrite { consumer: ConsumerId(10), generation: ExpectedGeneration::New, owner, allocations };
    index.transfer(&[write], Timestamp(9)).unwrap();
    index
}

fn written(index: &Index) -> Vec<u8> {
    let mut state = Vec::new();
    write_state(&mut state, index.snapshot().records(), &FleetState::default()).unwrap();
    state
}

fn read(state: &[u8]) -> Result<Index, StateFileError> {
    Index::restore(StateReader::new(state))
}

fn options() -> ServiceOptions {
    ServiceOptions::noauth2()
}

#[test]
fn what_is_written_is_read_back() {
    let index = fleet();
    let state = written(&index);
    let copy = read(&state).unwrap();
    copy.check().unwrap();
    assert!(index.snapshot().records().eq(copy.snapshot().records()));
    assert_eq!(written(&copy), state, "and written as before");
}

/// A format that others may have stored cannot change unseen.
#[test]
fn the_format_is_what_it_was() {
    let golden = include_str!("state/version-1.jsonl");
    assert_eq!(String::from_utf8(written(&fleet())).unwrap(), golden);
    assert!(read(golden.as_bytes()).is_ok());
}

#[test]
fn a_state_that_is_cut_off_anywhere_is_refused() {
    let state = written(&fleet());
    for length in 0..state.len() {
        assert!(read(&state[..length]).is_err(), "{length} of {} bytes", state.len());
    }
}

#[test]
fn a_state_with_another_byte_anywhere_is_refused() {
    let state = written(&fleet());
    for place in 0..state.len() {
        let mut damaged = state.clone();
        damaged[place] ^= 1;
        assert!(read(&damaged).is_err(), "byte {place}: {}", String::from_utf8_lossy(&damaged));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let error = |state: &[u8]| read(state).err().expect("it is wrong").to_string();
    let state = written(&fleet());
    let text = String::from_utf8(state.clone()).unwrap();
    assert!(error(b"").contains("not complete"));
    assert!(error(b"{}\n").contains("line 1"));
    assert!(error(text.replacen("\"version\":1", "\"version\":3", 1).as_bytes()).contains("format 3"));
    assert!(error(text.replacen("CUSTOM_FAST", "CUSTOM_FAXT", 2).as_bytes()).contains("damaged"));
    assert!(
        error(text.lines().skip(1).collect::<Vec<_>>().join("\n").as_bytes()).contains("no state of Berth")
    );
    assert!(error(&[&state[..], b"\n"].concat()).contains("follows"));
    assert!(error(&[&state[..], &state[..]].concat()).contains("follows"));
}

#[test]
fn a_directory_belongs_to_one_process() {
    let directory = TempDir::new().unwrap();
    let held = DataDir::open(directory.path()).unwrap();
    assert!(matches!(DataDir::open(directory.path()), Err(DataError::InUse { process: Some(_), .. })));
    assert!(matches!(
        DataDir::open_existing(directory.path()),
        Err(DataError::InUse { process: Some(_), .. })
    ));
    drop(held);
    assert!(DataDir::open(directory.path()).is_ok());
    let nowhere = directory.path().join("nowhere");
    assert!(matches!(DataDir::open_existing(&nowhere), Err(DataError::Io { .. })));
    assert!(!nowhere.exists());
}

fn records(index: &Index) -> Vec<Record> {
    index.snapshot().records().collect()
}

#[test]
fn a_keeper_keeps_every_change() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("deep/data");
    let data = DataDir::open(&path).unwrap();
    assert!(data.load().unwrap().is_none() && !data.has_state().unwrap());
    data.save(&fleet().into()).unwrap();
    assert!(data.has_state().unwrap());
    let (service, keeper) = Keeper::start(data, options(), DurabilityOptions::default()).unwrap();
    let index = service.index();
    index.release_uncounted(ConsumerId(10)).unwrap();
    index
        .write_at(Timestamp(11))
        .rename_provider(index.find(Uuid::from_u128(2)).unwrap(), "renamed")
        .unwrap();
    let before = records(&index);
    keeper.stop();
    let data = DataDir::open_existing(&path).unwrap();
    assert_eq!(records(&data.load().unwrap().unwrap().index), before);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 3, "the store, its mark and the lock");
}

/// A provider without inventories was restored with a generation that no client had received.
#[test]
fn a_provider_that_never_changed_has_the_generation_it_had() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    let index = Index::with_holders();
    index.write_at(Timestamp(7)).add_provider(Uuid::from_u128(1), "host", None).unwrap();
    let before = records(&index);
    data.save(&index.into()).unwrap();
    assert_eq!(records(&data.load().unwrap().unwrap().index), before);
}

#[test]
fn what_earlier_releases_saved_is_carried_over() {
    let directory = TempDir::new().unwrap();
    let old = directory.path().join("state.jsonl");
    fs::write(&old, written(&fleet())).unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    assert!(data.has_state().unwrap());
    let (service, keeper) = Keeper::start(data, options(), DurabilityOptions::default()).unwrap();
    assert_eq!(service.index().consumers(), 1);
    keeper.stop();
    assert!(!old.exists());
    assert_eq!(DataDir::open(directory.path()).unwrap().load().unwrap().unwrap().index.consumers(), 1);
}

/// A process that was killed while it wrote leaves a file beside the state.
#[test]
fn an_unfinished_file_does_not_matter() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    data.save(&fleet().into()).unwrap();
    fs::write(directory.path().join("state.redb.new"), "rubbish").unwrap();
    assert_eq!(data.load().unwrap().unwrap().index.consumers(), 1);
    data.save(&Index::with_holders().into()).unwrap();
    assert_eq!(data.load().unwrap().unwrap().index.consumers(), 0);
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    for (file, named) in
        [("state.jsonl", "state.jsonl: line 1"), ("state.redb", "state.redb: cannot open the store")]
    {
        fs::write(directory.path().join(file), "rubbish\n".repeat(1000)).unwrap();
        let error = data.load().err().expect("it is damaged").to_string();
        assert!(error.contains(named), "{error}");
    }
}
