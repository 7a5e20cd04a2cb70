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

/// A store of format 1, as the release with that format wrote it, and what it keeps as a state
/// file.
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

fn directory_with(store_bytes: &[u8]) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(store(directory.path()), store_bytes).unwrap();
    directory
}

#[test]
fn format_1_is_read() {
    let directory = directory_with(&unpacked(FORMAT_1));
    let data = DataDir::open(directory.path()).unwrap();
    assert_eq!(data.inspect().unwrap().digest, small().digest().1);
    let mut state = Vec::new();
    data.load().unwrap().unwrap().write(&mut state).unwrap();
    assert_eq!(state, unpacked(FORMAT_1_STATE), "times and all");
}

/// Writes the files of a new format beside those of earlier ones. Run it with `--ignored` when the
/// format changes.
#[test]
#[ignore = "writes the files of a format"]
fn write_the_files_of_this_format() {
    let directory = TempDir::new().unwrap();
    let data = DataDir::open(directory.path()).unwrap();
    data.save(&small()).unwrap();
    data.compact().unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/damage");
    let pack = |name: &str, bytes: &[u8]| {
        let mut out = GzEncoder::new(File::create(files.join(name)).unwrap(), Compression::best());
        std::io::Write::write_all(&mut out, bytes).unwrap();
        out.finish().unwrap();
    };
    let format = data.inspect().unwrap().format;
    pack(&format!("format-{format}.redb.gz"), &fs::read(store(directory.path())).unwrap());
    let mut state = Vec::new();
    data.load().unwrap().unwrap().write(&mut state).unwrap();
    pack(&format!("format-{format}.jsonl.gz"), &state);
}

/// Changes records of a store of format 1, in a new directory.
fn changed(change: impl Fn(&[u8], &[u8]) -> Option<Option<Vec<u8>>>) -> TempDir {
    let directory = directory_with(&unpacked(FORMAT_1));
    let store = EmbeddedStore::open(&store(directory.path())).unwrap();
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
    directory
}

/// What a later release with the same format may have added.
#[test]
fn unknown_fields_are_passed_over() {
    // Field 99, a varint, and field 100, some bytes.
    let unknown = [0x98, 0x06, 0x2A, 0xA2, 0x06, 0x02, 0x68, 0x69];
    let directory = changed(|_, value| Some(Some([value, &unknown].concat())));
    let data = DataDir::open(directory.path()).unwrap();
    assert_eq!(data.inspect().unwrap().digest, small().digest().1);
}

#[test]
fn a_later_format_is_refused_as_such() {
    // Field 1, the version.
    let directory = changed(|key, _| (key == b"a").then(|| Some(vec![0x08, 0x07])));
    let data = DataDir::open(directory.path()).unwrap();
    for error in [data.inspect().unwrap_err(), data.load().err().unwrap(), data.repair().err().unwrap()] {
        assert!(!error.is_damage(), "{error}");
        let message = error.to_string();
        assert!(
            message.contains("the store is of format 7") && message.contains("reads formats up to 1"),
            "{message}"
        );
    }
}

#[test]
fn a_store_without_a_format_is_refused() {
    let directory = changed(|key, _| (key == b"a").then_some(None));
    let data = DataDir::open(directory.path()).unwrap();
    let error = data.inspect().unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("state its format"), "{error}");
}
