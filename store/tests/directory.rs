//! The directory of a store: one process, no store that takes another's place unnoticed, nothing
//! acknowledged undone.

use std::collections::BTreeMap;
use std::fs;
use std::panic;
use std::path::Path;
use std::process::{Command, Stdio};

use berth_placement::Index;
use berth_store::{Contents, DataDir, DataError, EmbeddedStore, Revision, Store, write_state};
use tempfile::TempDir;

type NoFleet = BTreeMap<Vec<u8>, Vec<u8>>;
type Dir = DataDir<NoFleet>;

const STORE: &str = "state.redb";
const MARK: &str = "state.mark";

/// Commits a record of the fleet's; returns its revision.
fn commit(store: &EmbeddedStore, number: u32) -> Revision {
    try_commit(store, number).unwrap()
}

fn try_commit(store: &EmbeddedStore, number: u32) -> Result<Revision, berth_store::CommitError> {
    let key = [b"k", &number.to_be_bytes()[..]].concat();
    let value = vec![number.to_be_bytes()[3]; 300];
    store.commit([(key, Some(value))].into())
}

fn open(directory: &Path) -> Result<(Dir, EmbeddedStore, Contents<NoFleet>), DataError> {
    let data = Dir::open(directory)?;
    let (store, loaded) = data.open_for_service()?;
    Ok((data, store, loaded.contents))
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for file in [STORE, MARK] {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.path().join(file)).unwrap();
        }
    }
    to
}

#[test]
fn a_second_process_is_refused_before_anything_is_written() {
    let directory = TempDir::new().unwrap();
    let (data, store, _) = open(directory.path()).unwrap();
    commit(&store, 1);
    // Removing the lock file does not remove the lock of the store.
    fs::remove_file(directory.path().join("lock")).unwrap();
    let path = directory.path().join(STORE);
    let (bytes, written) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    for outcome in [Dir::open(directory.path()), Dir::open_existing(directory.path())] {
        assert!(matches!(outcome, Err(DataError::InUse { .. })), "{outcome:?}");
    }
    assert!(EmbeddedStore::open(&path).is_err());
    assert!(fs::read(&path).unwrap() == bytes && fs::metadata(&path).unwrap().modified().unwrap() == written);
    commit(&store, 2);
    drop((store, data));
    assert_eq!(open(directory.path()).unwrap().2.fleet.len(), 2);
}

#[test]
fn a_missing_store_is_not_replaced_by_an_empty_one() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()).unwrap());
    fs::remove_file(directory.path().join(STORE)).unwrap();
    let error = open(directory.path()).err().expect("it is missing");
    assert!(matches!(error, DataError::Missing(_)) && !error.is_damage(), "{error}");
    assert!(!directory.path().join(STORE).exists());
    let data = Dir::open(directory.path()).unwrap().or_init(true);
    let (store, _) = data.open_for_service().unwrap();
    commit(&store, 1);
    drop((store, data));
    assert_eq!(open(directory.path()).unwrap().2.fleet.len(), 1);
}

/// Its state file was put aside when the store was made.
#[test]
fn a_missing_store_of_an_earlier_release_is_not_replaced_either() {
    let directory = TempDir::new().unwrap();
    let mut state = Vec::new();
    write_state(&mut state, Index::with_holders().snapshot().records(), &NoFleet::new()).unwrap();
    fs::write(directory.path().join("state.jsonl"), state).unwrap();
    drop(open(directory.path()).unwrap());
    fs::remove_file(directory.path().join(STORE)).unwrap();
    fs::remove_file(directory.path().join(MARK)).unwrap();
    assert!(matches!(open(directory.path()).err(), Some(DataError::Missing(_))));
}

#[test]
fn a_store_that_was_deleted_or_replaced_acknowledges_nothing() {
    for replaced in [false, true] {
        let directory = TempDir::new().unwrap();
        let (data, store, _) = open(directory.path()).unwrap();
        commit(&store, 1);
        let (path, aside) = (directory.path().join(STORE), directory.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        if replaced {
            let other = TempDir::new().unwrap();
            let (other_data, other_store, _) = open(other.path()).unwrap();
            commit(&other_store, 1);
            drop((other_store, other_data));
            fs::copy(other.path().join(STORE), &path).unwrap();
        }
        try_commit(&store, 2).unwrap_err();
        try_commit(&store, 3).unwrap_err();
        drop(store);
        let error = data.open_again().err().expect("it is not the store that was in use");
        assert!(matches!(error, DataError::Missing(_) | DataError::Other(_)), "{error}");
        fs::rename(&aside, &path).unwrap();
        let (store, loaded) = data.open_again().unwrap();
        // What was not acknowledged may be there.
        assert!((1..=2).contains(&loaded.contents.fleet.len()));
        commit(&store, 4);
    }
}

#[test]
fn an_older_copy_is_refused_and_another_store_is_not() {
    let directory = TempDir::new().unwrap();
    let (data, store, _) = open(directory.path()).unwrap();
    commit(&store, 1);
    drop((store, data));
    let older = copy(directory.path());
    let (data, store, _) = open(directory.path()).unwrap();
    let last = commit(&store, 2);
    drop((store, data));
    fs::copy(older.path().join(STORE), directory.path().join(STORE)).unwrap();
    match open(directory.path()).err().expect("it is older") {
        DataError::Behind { acknowledged, found, .. } => assert!(acknowledged == last && found < last),
        error => panic!("{error}"),
    }
    let error = Dir::open_existing(directory.path()).unwrap().inspect().unwrap_err();
    assert!(error.is_damage() && matches!(error, DataError::Behind { .. }), "{error}");
    let data = Dir::open_existing(directory.path()).unwrap();
    let repair = data.repair().unwrap();
    data.write_repair(&repair, "now").unwrap();
    drop(data);
    let (data, store, contents) = open(directory.path()).unwrap();
    assert_eq!(contents.fleet.len(), 1);
    drop((store, data));
    // A store with another history: an operator has put it there.
    let other = TempDir::new().unwrap();
    drop(open(other.path()).unwrap());
    fs::copy(other.path().join(STORE), directory.path().join(STORE)).unwrap();
    let (data, store, contents) = open(directory.path()).unwrap();
    assert_eq!(contents.fleet.len(), 0);
    commit(&store, 5);
    drop((store, data));
    assert_eq!(open(directory.path()).unwrap().2.fleet.len(), 1);
}

/// redb falls back to the commit before when a page of the latest is damaged, as it has to for a
/// commit that was under way.
#[test]
fn one_flipped_bit_after_a_crash_undoes_nothing_unnoticed() {
    // redb panics at some damage, which is caught.
    panic::set_hook(Box::new(|what| {
        if what.location().is_none_or(|place| !place.file().contains("redb")) {
            eprintln!("{what}");
        }
    }));
    const COMMITS: u32 = 40;
    let original = TempDir::new().unwrap();
    let (_data, store, _) = open(original.path()).unwrap();
    for number in 1..=COMMITS {
        commit(&store, number);
    }
    // As a kill leaves it: the store is not closed.
    let crashed = copy(original.path());
    let bytes = fs::read(crashed.path().join(STORE)).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|&place| bytes[place] != 0).collect();
    let header = (9..320).step_by(5);
    let places: Vec<usize> = header.chain(used.iter().copied().step_by(used.len() / 200)).collect();
    let (mut refused, mut behind) = (0, 0);
    for &place in &places {
        let copied = copy(crashed.path());
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        fs::write(copied.path().join(STORE), &damaged).unwrap();
        let inspected = Dir::open_existing(copied.path()).unwrap().inspect();
        match open(copied.path()) {
            Ok((_, _, contents)) => {
                assert_eq!(contents.fleet.len(), COMMITS as usize, "byte {place}: commits are undone");
                inspected.unwrap_or_else(|error| panic!("byte {place}: it opens, and verify says {error}"));
            }
            Err(error) => {
                assert!(error.is_damage(), "byte {place}: {error}");
                assert!(inspected.is_err(), "byte {place}: verify says that it is whole");
                let left = fs::read(copied.path().join(STORE)).unwrap();
                assert!(left == damaged, "byte {place}: a refused store is left as it is");
                refused += 1;
                behind += u32::from(matches!(error, DataError::Behind { .. }));
            }
        }
    }
    assert!(refused > 0 && behind > 0, "{refused} of {} refused, {behind} by the mark", places.len());
    let _ = panic::take_hook();
}

#[test]
fn a_damaged_mark_is_refused() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()).unwrap());
    fs::write(directory.path().join(MARK), [b'x'; 5000]).unwrap();
    let error = open(directory.path()).err().expect("it is damaged");
    assert!(error.is_damage() && error.to_string().contains(MARK), "{error}");
    let data = Dir::open_existing(directory.path()).unwrap();
    let repair = data.repair().unwrap();
    data.write_repair(&repair, "now").unwrap();
    drop(data);
    open(directory.path()).unwrap();
}

/// A file system that is mounted read-only, until it is dropped.
struct ReadOnly(TempDir);

impl ReadOnly {
    fn with(files: &Path) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mount = |arguments: &[&str]| {
            let mut mount = Command::new("mount");
            mount.args(arguments).arg(directory.path()).stderr(Stdio::null());
            mount.status().is_ok_and(|status| status.success())
        };
        if !mount(&["-t", "tmpfs", "-o", "size=64m", "tmpfs"]) {
            return None;
        }
        for file in fs::read_dir(files).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
        assert!(mount(&["-o", "remount,ro"]));
        Some(Self(directory))
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).status());
    }
}

#[test]
fn a_store_on_a_read_only_file_system_can_be_verified_and_read() {
    let directory = TempDir::new().unwrap();
    let (data, store, _) = open(directory.path()).unwrap();
    commit(&store, 1);
    drop((store, data));
    for with_lock in [true, false] {
        if !with_lock {
            fs::remove_file(directory.path().join("lock")).unwrap();
        }
        let Some(mounted) = ReadOnly::with(directory.path()) else {
            return eprintln!("skipped: this process may not mount a tmpfs");
        };
        let data = Dir::open_existing(mounted.0.path()).unwrap();
        data.inspect().unwrap();
        assert_eq!(data.load().unwrap().unwrap().fleet.len(), 1);
        let repair = data.repair().unwrap();
        let error = data.write_repair(&repair, "now").unwrap_err();
        assert!(error.to_string().contains("Read-only"), "{error}");
    }
}

/// Stores of earlier releases have no mark and no identity.
#[test]
fn a_store_without_a_mark_gets_one() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()).unwrap());
    fs::remove_file(directory.path().join(MARK)).unwrap();
    let (_data, store, _) = open(directory.path()).unwrap();
    assert!(directory.path().join(MARK).exists());
    commit(&store, 1);
}

/// Anybody who may write into the directory's parent must not be able to make the service overwrite
/// another file.
#[test]
fn a_lock_that_is_a_symbolic_link_is_not_followed() {
    let (directory, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let precious = elsewhere.path().join("precious");
    fs::write(&precious, "content").unwrap();
    std::os::unix::fs::symlink(&precious, directory.path().join("lock")).unwrap();
    for outcome in [Dir::open(directory.path()), Dir::open_existing(directory.path())] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("lock: Too many levels of symbolic links"), "{error}");
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "content");
}
