//! Damaged stores: they are never served with wrong contents, the damaged record is reported, and a
//! repair saves as much as possible.

mod fleet;
mod formats;
mod hosts;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::panic;
use std::path::{Path, PathBuf};

use berth_placement::{Index, Record};
use berth_server::{Contents, DataDir, Keeper};
use berth_store::DurabilityOptions;
use tempfile::TempDir;
use uuid::Uuid;

const PAGE: usize = 4096;

/// Consumers whose records can lie on one page, at most.
const ON_A_PAGE: usize = 70;

/// What befalls a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(usize),
    Zero(usize),
    Cut(usize),
}

impl Damage {
    fn befall(self, path: &Path) {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        match self {
            Self::Flip(place) => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, place as u64).unwrap();
                file.write_all_at(&[byte[0] ^ 0x40], place as u64).unwrap();
            }
            Self::Zero(page) => file.write_all_at(&[0; PAGE], (page * PAGE) as u64).unwrap(),
            Self::Cut(length) => file.set_len(length as u64).unwrap(),
        }
    }
}

fn store(directory: &Path) -> PathBuf {
    directory.join("state.redb")
}

/// A directory with a copy of a store.
fn copy_of(original: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    fs::copy(store(original), store(copy.path())).unwrap();
    copy
}

/// Bytes that are not zero, so that damage falls on something.
fn used(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    (0..bytes.len()).filter(|&place| bytes[place] != 0).collect()
}

fn some<T: Copy>(all: &[T], count: usize) -> impl Iterator<Item = T> + '_ {
    (0..count).map(move |number| all[number * (all.len() - 1) / count.max(2) + number % 7])
}

fn damages(path: &Path) -> Vec<Damage> {
    let places = used(path);
    let mut pages: Vec<usize> = places.iter().map(|place| place / PAGE).collect();
    pages.dedup();
    let header = (0..320).step_by(23).map(Damage::Flip);
    let flips = some(&places, 60).map(Damage::Flip);
    let zeros = pages.iter().step_by(pages.len().div_ceil(40)).copied().map(Damage::Zero);
    let length = fs::metadata(path).unwrap().len() as usize;
    let cuts = (0..8).map(|part| Damage::Cut(length * part / 8));
    header.chain(flips).chain(zeros).chain(cuts).collect()
}

type Consumers = BTreeMap<Uuid, Vec<(Uuid, String, u32)>>;

fn consumers(index: &Index) -> Consumers {
    let snapshot = index.snapshot();
    let consumers = snapshot.records().filter_map(|record| match record {
        Record::Consumer(consumer) => {
            let held = consumer.allocations.into_iter();
            let held = held.map(|held| (held.provider, held.class.to_string(), held.amount));
            Some((consumer.uuid, held.collect()))
        }
        _ => None,
    });
    consumers.collect()
}

/// redb panics at some damage. That is caught; its messages are not wanted here.
fn quietly() {
    panic::set_hook(Box::new(|what| {
        if what.location().is_none_or(|place| !place.file().contains("redb")) {
            eprintln!("{what}");
        }
    }));
}

#[test]
fn a_damaged_store_is_refused_or_intact_and_saved_but_for_a_page() {
    quietly();
    let original = TempDir::new().unwrap();
    let data = DataDir::open(original.path()).unwrap();
    data.save(&fleet::made().into()).unwrap();
    let intact = data.inspect().unwrap();
    let before = consumers(&data.load().unwrap().unwrap().index);
    let (mut refused, mut whole) = (0, 0);
    for damage in damages(&store(original.path())) {
        let copy = copy_of(original.path());
        damage.befall(&store(copy.path()));
        let bytes = fs::read(store(copy.path())).unwrap();
        let data = DataDir::open(copy.path()).unwrap();
        let inspected = data.inspect();
        assert_eq!(fs::read(store(copy.path())).unwrap(), bytes, "{damage:?}: looking changes nothing");
        match inspected {
            Ok(inspection) => {
                assert_eq!(inspection.digest, intact.digest, "{damage:?}");
                whole += 1;
                continue;
            }
            Err(error) => assert!(error.is_damage(), "{damage:?}: {error}"),
        }
        refused += 1;
        let repair = data.repair().unwrap();
        if !matches!(damage, Damage::Cut(_)) {
            let lost = before.len().saturating_sub(repair.summary.consumers);
            // Those on lost providers are lost with them.
            let hosts = intact.summary.providers.saturating_sub(repair.summary.providers);
            assert!(hosts <= ON_A_PAGE, "{damage:?}: {hosts} providers are lost: {:?}", repair.damages);
            let bearable = ON_A_PAGE + hosts * fleet::CONSUMERS / fleet::PROVIDERS;
            assert!(lost <= bearable, "{damage:?}: {lost} consumers are lost: {:?}", repair.damages);
        }
        data.write_repair(&repair, "now").unwrap();
        assert_eq!(data.inspect().unwrap().digest, repair.digest, "{damage:?}");
        let kept = fs::read(copy.path().join("state.redb.damaged-now")).unwrap();
        assert_eq!(kept, bytes, "{damage:?}: the damaged store is kept");
        for (consumer, held) in consumers(&data.load().unwrap().unwrap().index) {
            let was = &before[&consumer];
            let is_part = |part: &(Uuid, String, u32)| {
                let is_renamed = part.1.starts_with("CUSTOM_LOST_") && part.2 == 7 && part.0 == was[0].0;
                is_renamed || was.contains(part)
            };
            assert!(held.iter().all(is_part), "{damage:?}: {consumer} holds {held:?}, not {was:?}");
        }
    }
    assert!(refused > 60 && whole > 0, "{refused} refused, {whole} whole");
}

/// A store with a history has old pages, which salvage may find. Whatever it makes of them belongs
/// together.
#[test]
fn what_is_saved_of_a_store_in_use_belongs_together() {
    quietly();
    let original = TempDir::new().unwrap();
    let data = DataDir::open(original.path()).unwrap();
    data.save(&fleet::made().into()).unwrap();
    let (service, keeper) = Keeper::start(data, fleet::options(), DurabilityOptions::default()).unwrap();
    fleet::use_it(&service.index());
    keeper.stop();
    let intact = DataDir::open(original.path()).unwrap().inspect().unwrap();
    for damage in damages(&store(original.path())).into_iter().step_by(3) {
        let copy = copy_of(original.path());
        damage.befall(&store(copy.path()));
        let data = DataDir::open(copy.path()).unwrap();
        match data.inspect() {
            Ok(inspection) => assert_eq!(inspection.digest, intact.digest, "{damage:?}"),
            Err(_) => {
                let repair = data.repair().unwrap();
                data.write_repair(&repair, "now").unwrap();
                assert_eq!(data.inspect().unwrap().digest, repair.digest, "{damage:?}");
            }
        }
    }
}

/// A service either has what was written, or does not start.
#[test]
fn a_damaged_store_is_not_served() {
    quietly();
    let original = TempDir::new().unwrap();
    let data = DataDir::open(original.path()).unwrap();
    data.save(&fleet::made().into()).unwrap();
    let intact = consumers(&data.load().unwrap().unwrap().index);
    for damage in damages(&store(original.path())).into_iter().step_by(4) {
        let copy = copy_of(original.path());
        damage.befall(&store(copy.path()));
        let data = DataDir::open(copy.path()).unwrap();
        if let Ok((service, keeper)) = Keeper::start(data, fleet::options(), DurabilityOptions::default()) {
            assert_eq!(consumers(&service.index()), intact, "{damage:?}");
            keeper.stop();
        }
    }
}

#[test]
fn the_place_of_damage_is_reported_as_the_damaged_record() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    data.save(&fleet::made().into()).unwrap();
    let bytes = fs::read(store(directory.path())).unwrap();
    let uuid = fleet::consumer(700);
    let places = bytes.windows(16).enumerate().filter(|(_, window)| window == uuid.as_bytes());
    for (place, _) in places {
        Damage::Flip(place).befall(&store(directory.path()));
    }
    let damages = data.damages().unwrap();
    let messages: Vec<String> = damages.iter().map(ToString::to_string).collect();
    assert_eq!(damages.len(), 1, "{messages:?}");
    assert!(
        messages[0].starts_with("the consumer with serial ") && messages[0].contains("between"),
        "{messages:?}"
    );
    let repair = data.repair().unwrap();
    assert_eq!(repair.summary.consumers, fleet::CONSUMERS - 1);
}

#[test]
fn a_store_is_put_in_the_place_of_another() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    data.save(&Index::with_holders().into()).unwrap();
    let before = fs::read(store(directory.path())).unwrap();
    let contents = Contents::from(fleet::made());
    let aside = data.replace(&contents, "now").unwrap().unwrap();
    assert_eq!(fs::read(aside).unwrap(), before);
    assert_eq!(data.inspect().unwrap().digest, contents.digest().1);
}

#[test]
fn compaction_keeps_everything() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    data.save(&fleet::made().into()).unwrap();
    let intact = data.inspect().unwrap();
    let (before, after) = data.compact().unwrap();
    assert_eq!(before, intact.bytes);
    assert!(after <= before, "{before} {after}");
    assert_eq!(data.inspect().unwrap().digest, intact.digest);
}

#[test]
fn a_directory_without_a_store_is_an_error() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    let message = |error: berth_server::DataError| error.to_string();
    assert!(message(data.inspect().unwrap_err()).contains("has no store"));
    assert!(message(data.compact().unwrap_err()).contains("has no store"));
    assert!(message(data.repair().err().unwrap()).contains("has no store"));
}
