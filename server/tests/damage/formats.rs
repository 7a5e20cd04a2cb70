//! Stores of earlier formats are read; those of later ones are not.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use berth_server::{Contents, DataDir};
use berth_store::{Changes, EmbeddedStore, Store};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::{fleet, store};

/// A store of format 1, as the release with that format wrote it, and what it keeps as a state file.
const FORMAT_1: &[u8] = include_bytes!("format-1.redb.gz");
const FORMAT_1_STATE: &[u8] = include_bytes!("format-1.jsonl.gz");

fn small() -> Contents {
    fleet::of(5, 25).into()
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

fn folder_with(store_bytes: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(store(folder.path()), store_bytes).unwrap();
    folder
}

#[test]
fn format_1_is_read() {
    let folder = folder_with(&unpacked(FORMAT_1));
    let data = DataDir::open(folder.path()).unwrap();
    assert_eq!(data.inspect().unwrap().digest, small().digest().1);
    let mut state = Vec::new();
    data.load().unwrap().unwrap().write(&mut state).unwrap();
    assert_eq!(state, unpacked(FORMAT_1_STATE), "times and all");
}

/// To be run, with `--ignored`, when there is a new format: its files are added to those that are there.
#[test]
#[ignore = "writes the files of a format"]
fn write_the_files_of_this_format() {
    let folder = TempDir::new().unwrap();
    let data = DataDir::open(folder.path()).unwrap();
    data.save(&small()).unwrap();
    data.compact().unwrap();
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/damage");
    let pack = |name: &str, bytes: &[u8]| {
        let mut out = GzEncoder::new(File::create(there.join(name)).unwrap(), Compression::best());
        std::io::Write::write_all(&mut out, bytes).unwrap();
        out.finish().unwrap();
    };
    let format = data.inspect().unwrap().format;
    pack(&format!("format-{format}.redb.gz"), &fs::read(store(folder.path())).unwrap());
    let mut state = Vec::new();
    data.load().unwrap().unwrap().write(&mut state).unwrap();
    pack(&format!("format-{format}.jsonl.gz"), &state);
}

/// Puts other records into the store of a new folder.
fn changed(change: impl Fn(&[u8], &[u8]) -> Option<Option<Vec<u8>>>) -> TempDir {
    let folder = folder_with(&unpacked(FORMAT_1));
    let store = EmbeddedStore::open(&store(folder.path())).unwrap();
    let mut changes = Changes::new();
    store
        .load(&mut |entry| {
            if let Some(value) = change(entry.key, entry.value) {
                changes.insert(entry.key.to_vec(), value);
            }
            Ok(())
        })
        .unwrap();
    store.commit(changes).unwrap();
    folder
}

/// What a later release with the same format may have added.
#[test]
fn unknown_fields_are_passed_over() {
    // Field 99, a varint, and field 100, some bytes.
    let unknown = [0x98, 0x06, 0x2A, 0xA2, 0x06, 0x02, 0x68, 0x69];
    let folder = changed(|_, value| Some(Some([value, &unknown].concat())));
    let data = DataDir::open(folder.path()).unwrap();
    assert_eq!(data.inspect().unwrap().digest, small().digest().1);
}

#[test]
fn a_later_format_is_refused_as_such() {
    // Field 1, the version.
    let folder = changed(|key, _| (key == b"a").then(|| Some(vec![0x08, 0x07])));
    let data = DataDir::open(folder.path()).unwrap();
    for error in [data.inspect().unwrap_err(), data.load().err().unwrap(), data.repair().err().unwrap()] {
        assert!(!error.is_damage(), "{error}");
        let told = error.to_string();
        assert!(
            told.contains("the store is of format 7") && told.contains("reads formats up to 1"),
            "{told}"
        );
    }
}

#[test]
fn a_store_without_a_format_is_refused() {
    let folder = changed(|key, _| (key == b"a").then_some(None));
    let data = DataDir::open(folder.path()).unwrap();
    let error = data.inspect().unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("state its format"), "{error}");
}
