//! `berth store`: backups of running services, restored; damage reported and repaired; bad
//! arguments.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use berth_test_support::process::without_settings;
use tempfile::TempDir;

use super::serve::Serving;
use super::{fail, run, stderr, succeed};

fn uuid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A directory with a state of some providers.
fn directory(providers: usize) -> TempDir {
    let directory = TempDir::new().unwrap();
    let serving = Serving::on(&directory.path().join("data"));
    (0..providers).for_each(|number| drop(serving.add_provider(&uuid(number))));
    serving.stop();
    directory
}

pub(super) fn digest(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("digest ")).expect("a digest").trim()
}

#[test]
fn what_was_backed_up_is_restored() {
    let directory = directory(3);
    let place = directory.path();
    let whole = succeed(place, "store verify data");
    assert!(
        whole.contains("providers                     3") && whole.contains("The store is whole."),
        "{whole}"
    );
    let backup = succeed(place, "store backup data backup");
    assert_eq!(digest(&backup), digest(&whole));
    assert_eq!(fs::read(place.join("backup")).unwrap(), succeed(place, "store dump data").into_bytes());
    succeed(place, "store dump data --output dump");
    assert_eq!(fs::read(place.join("backup")).unwrap(), fs::read(place.join("dump")).unwrap());
    let mode = fs::metadata(place.join("backup")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let restored = succeed(place, "store restore backup other");
    assert_eq!(digest(&restored), digest(&whole));
    assert_eq!(digest(&succeed(place, "store verify other")), digest(&whole));
    let error = fail(place, 1, "store restore backup other");
    assert!(error.contains("other: there is a state already; --replace"), "{error}");
    let replaced = succeed(place, "store restore backup other --replace");
    assert!(replaced.contains("state.redb.replaced-"), "{replaced}");
    assert_eq!(digest(&succeed(place, "store verify other")), digest(&whole));
    let compacted = succeed(place, "store compact other");
    assert!(compacted.contains("bytes before"), "{compacted}");
    assert_eq!(digest(&succeed(place, "store verify other")), digest(&whole));
}

/// A state with a fleet: a host, an aggregate, a flavor, a server group and its member, a quota and
/// an instance.
pub(super) const WITH_FLEET: &[u8] = include_bytes!("../../../server/tests/state/version-2.jsonl");

#[test]
fn a_fleet_is_backed_up_and_restored() {
    let directory = TempDir::new().unwrap();
    let place = directory.path();
    fs::write(place.join("given"), WITH_FLEET).unwrap();
    let restored = succeed(place, "store restore given data");
    assert!(restored.contains("fleet records                 7"), "{restored}");
    let backup = succeed(place, "store backup data backup");
    assert_eq!(digest(&backup), digest(&restored));
    assert_eq!(fs::read(place.join("backup")).unwrap(), WITH_FLEET);
    succeed(place, "store compact data");
    let serving = Serving::on(&place.join("data"));
    let online = succeed(place, "store backup data online");
    assert!(online.contains("fleet records                 7"), "{online}");
    serving.stop();
    assert_eq!(digest(&succeed(place, "store verify data")), digest(&online));
    let instance = fleet_of(place, "online");
    assert_eq!(instance, fleet_of(place, "given"));
    // An audit that heals puts another store in the place of this one.
    let serving = Serving::on(&place.join("data"));
    super::audit::fill(&serving);
    super::audit::shrink(&serving);
    serving.stop();
    let audit = "audit --data data --heal over-capacity --write";
    let healed = run(place, audit.split(' '));
    assert!(stderr(&healed).contains("The store before is now "), "{}", stderr(&healed));
    succeed(place, "store dump data --output healed");
    assert_eq!(fleet_of(place, "healed"), instance);
}

/// The lines of a state file with the fleet's state.
fn fleet_of(place: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(place.join(file)).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("{\"fleet\":"));
    lines.map(str::to_owned).collect()
}

/// Every provider that was there before the backup began is in it, and it is a state that was.
#[test]
fn a_service_is_backed_up_while_clients_write() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let serving = Serving::on(&data);
    let socket = fs::metadata(data.join("control.sock")).unwrap().permissions().mode();
    assert_eq!(socket & 0o777, 0o600);
    let (written, stop) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20_000 {
                if stop.load(Ordering::SeqCst) == 1 {
                    break;
                }
                serving.add_provider(&uuid(number));
                written.store(number + 1, Ordering::SeqCst);
            }
        });
        for turn in 0..5 {
            let before = written.load(Ordering::SeqCst);
            let backup = succeed(directory.path(), &format!("store backup data backup{turn}"));
            let after = written.load(Ordering::SeqCst) + 1;
            let state = fs::read_to_string(directory.path().join(format!("backup{turn}"))).unwrap();
            let inside = (0..=after)
                .filter(|&number| state.contains(&format!("\"uuid\":\"{}\"", uuid(number))))
                .count();
            assert!((before..=after).contains(&inside), "{before} {inside} {after}");
            assert!((0..inside).all(|number| state.contains(&uuid(number))), "it has a gap");
            let restored = succeed(directory.path(), &format!("store restore backup{turn} data{turn}"));
            assert_eq!(digest(&restored), digest(&backup));
        }
        stop.store(1, Ordering::SeqCst);
    });
    let error = fail(directory.path(), 1, "store verify data");
    assert!(error.contains("another process is using this directory"), "{error}");
    serving.stop();
    assert!(!data.join("control.sock").exists());
}

fn zero_pages(store: &Path, pages: std::ops::Range<u64>) {
    let file = OpenOptions::new().write(true).open(store).unwrap();
    pages.for_each(|page| file.write_all_at(&[0; 4096], page * 4096).unwrap());
}

#[test]
fn damage_is_reported_and_repaired() {
    let directory = directory(5);
    let place = directory.path();
    succeed(place, "store backup data backup");
    let whole = succeed(place, "store verify data");
    zero_pages(&place.join("data/state.redb"), 0..1);
    let error = fail(place, 1, "store verify data");
    for shown in ["state.redb: cannot open the store", "damaged: ", "berth store repair data"] {
        assert!(error.contains(shown), "{shown}: {error}");
    }
    assert!(!error.contains("panicked"), "{error}");
    let error = fail(place, 1, "store backup data another");
    assert!(error.contains("berth store restore") && !place.join("another").exists(), "{error}");
    let before = fs::read(place.join("data/state.redb")).unwrap();
    let shown = succeed(place, "store repair data");
    assert!(
        shown.contains("Nothing was written") && shown.contains("providers                     5"),
        "{shown}"
    );
    assert_eq!(fs::read(place.join("data/state.redb")).unwrap(), before);
    let written = succeed(place, "store repair data --write");
    assert!(written.contains("state.redb.damaged-"), "{written}");
    succeed(place, "store verify data");
    let again = succeed(place, "store repair data");
    assert!(again.contains("nothing to repair"), "{again}");
    let restored = succeed(place, "store restore backup data --replace");
    assert_eq!(digest(&restored), digest(&whole));
}

#[test]
fn a_store_of_which_nothing_is_left_is_not_written() {
    let directory = directory(2);
    let store = directory.path().join("data/state.redb");
    let pages = fs::metadata(&store).unwrap().len() / 4096;
    zero_pages(&store, 0..pages);
    let error = fail(directory.path(), 1, "store repair data --write");
    assert!(error.contains("only a backup helps"), "{error}");
    assert!(
        fs::read_dir(directory.path().join("data"))
            .unwrap()
            .all(|file| { !file.unwrap().file_name().to_string_lossy().contains("damaged") })
    );
}

/// Names of the files in a directory.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// `store verify` left a file `lock` in any directory that it was given.
#[test]
fn commands_that_read_a_store_write_no_file() {
    let directory = directory(1);
    let place = directory.path();
    fs::create_dir(place.join("empty")).unwrap();
    fs::remove_file(place.join("data/lock")).unwrap();
    let before = files(&place.join("data"));
    for action in ["store verify data", "store dump data --output dump", "store backup data backup"] {
        succeed(place, action);
        assert_eq!(files(&place.join("data")), before, "{action}");
    }
    for action in ["verify", "dump", "compact", "repair"] {
        fail(place, 1, &format!("store {action} empty"));
    }
    assert!(files(&place.join("empty")).is_empty());
    fs::remove_file(place.join("data/state.redb")).unwrap();
    let error = fail(place, 1, "store verify data");
    assert!(error.contains("data: the store of this directory is missing"), "{error}");
}

#[test]
fn what_is_wrong_with_the_arguments_is_said() {
    let directory = directory(1);
    let place = directory.path();
    fs::create_dir(place.join("empty")).unwrap();
    fs::write(place.join("rubbish"), "rubbish\n").unwrap();
    for action in
        ["verify nowhere", "dump nowhere", "repair nowhere", "compact nowhere", "backup nowhere out"]
    {
        let error = fail(place, 1, &format!("store {action}"));
        assert!(error.contains("nowhere") && !place.join("nowhere").exists(), "{action}: {error}");
    }
    for action in ["verify", "repair", "compact"] {
        let error = fail(place, 1, &format!("store {action} empty"));
        assert!(error.contains("empty: this directory has no store"), "{action}: {error}");
    }
    let error = fail(place, 1, "store verify rubbish");
    assert!(error.contains("rubbish: this is no directory"), "{error}");
    let error = fail(place, 1, "store backup empty out");
    assert!(error.contains("empty: this directory has no store") && !place.join("out").exists(), "{error}");
    let error = fail(place, 1, "store backup data /nowhere/out");
    assert!(error.contains("/nowhere/out was not written"), "{error}");
    let error = fail(place, 1, "store restore rubbish other");
    assert!(error.contains("rubbish: line 1") && !place.join("other/state.redb").exists(), "{error}");
    let error = fail(place, 1, "store restore nowhere other");
    assert!(error.contains("nowhere"), "{error}");
    succeed(place, "store backup data backup");
    let backup = fs::read(place.join("backup")).unwrap();
    fs::write(place.join("cut"), &backup[..backup.len() - 10]).unwrap();
    let error = fail(place, 1, "store restore cut data --replace");
    assert!(error.contains("cut: the state is not complete"), "{error}");
    succeed(place, "store verify data");
    fail(place, 2, "store");
    fail(place, 2, "store restore backup");
}

#[test]
fn a_full_disk_is_said() {
    let directory = directory(1);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut dump = super::berth(directory.path());
    let output = dump.args(["store", "dump", "data"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write to standard output"), "{}", stderr(&output));
    let mut shell = without_settings(std::process::Command::new("sh"));
    let limited = shell
        .current_dir(directory.path())
        .args([
            "-c",
            "ulimit -f 0; trap '' XFSZ; exec \"$0\" store backup data backup",
            env!("CARGO_BIN_EXE_berth"),
        ])
        .output()
        .unwrap();
    assert_eq!(limited.status.code(), Some(1), "{}", stderr(&limited));
    assert!(
        !directory.path().join("backup").exists() && !directory.path().join("backup.unfinished").exists()
    );
    assert!(run(directory.path(), ["store", "verify", "data"]).status.success());
}
