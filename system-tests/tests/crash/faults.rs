//! A full disk, a directory that cannot be written, a clock that jumps. What the system does not
//! permit is skipped, and said.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use berth_system_tests::crash_run::CrashRun;
use berth_system_tests::service::{Service, command};
use berth_test_support::skip::skip;
use tempfile::TempDir;

use crate::{Crashes, names};

/// Longer than the longest pause between two attempts to open the store again.
const PATIENCE: Duration = Duration::from_secs(15);

/// A library that has a process see another time: `apt-get install libfaketime`.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// A user other than root.
const NOBODY: u32 = 65534;

fn is_wanted() -> bool {
    let is_wanted = CrashRun::has_faults();
    if !is_wanted {
        skip("`cargo xtask crash-test --faults` runs it");
    }
    is_wanted
}

/// A small file system in memory, until it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Nothing where mounting is not permitted.
    fn mount() -> Option<Self> {
        let directory = TempDir::new().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(directory.path()).stderr(Stdio::null());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        is_mounted.then_some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the disk.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("a file without content needs no space");
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

#[test]
fn a_full_disk_loses_nothing_and_is_got_over() {
    if !is_wanted() {
        return;
    }
    let Some(disk) = SmallDisk::mount() else {
        return skip("this process may not mount a tmpfs");
    };
    let data = disk.path().join("data");
    let run = CrashRun::requested_or(3);
    let mut crashes = Crashes::begin(&data, run.seed);
    let mut failures = 0;
    for round in 0..run.cycles.min(10) {
        let mut added = Vec::new();
        let happened = crashes.have_asked(|service| {
            let filler = disk.fill();
            failures += usize::from(grow(service, round, &mut added));
            ask(service, REQUESTS); // the other clients ask as well
            fs::remove_file(filler).expect("the filler exists");
        });
        wait_until_it_works(&crashes.service);
        let answered = crashes.check(happened);
        let found = names::all(&mut crashes.service.client()).expect("it runs");
        assert!(
            added.iter().all(|uuid| found.contains_key(uuid)),
            "a provider that was acknowledged is lost"
        );
        eprintln!("full and emptied: {answered} answers, {} providers kept", added.len());
    }
    assert!(failures > 0, "the disk was full, and nobody noticed");
}

/// Adds providers until the disk is full. Returns whether that happened.
fn grow(service: &Service, round: u64, added: &mut Vec<String>) -> bool {
    let mut client = service.client();
    for number in 0..5000 {
        let uuid = format!("00000000-0000-4000-8000-{:012x}", (4_u64 << 40) + (round << 16) + number);
        let body = serde_json::json!({"name": format!("{uuid:-<200}"), "uuid": uuid});
        if client.ask("POST", "/resource_providers", Some(&body)).expect("it runs").status == 503 {
            return true;
        }
        added.push(uuid);
    }
    false
}

/// Without a restart.
fn wait_until_it_works(service: &Service) {
    let mut client = service.client();
    for _ in 0..PATIENCE.as_millis() / 50 {
        let reply = client.ask("PUT", "/traits/CUSTOM_WORKS", None).expect("it runs");
        if reply.status != 503 {
            assert!([201, 204].contains(&reply.status), "{reply:?}");
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("there is space again, and the service does not continue: {:?}", service.log());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    if !is_wanted() {
        return;
    }
    let directory = TempDir::new().expect("a temporary directory");
    let is_root = fs::metadata("/proc/self").expect("there is /proc").uid() == 0;
    let data = directory.path().join("data");
    drop(Service::start(command(&data)).expect("it starts"));
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("it is ours");
    for file in [data.join("lock"), data.join("state.redb")] {
        fs::set_permissions(&file, Permissions::from_mode(0o444)).expect("it is ours");
    }
    fs::set_permissions(&data, Permissions::from_mode(0o555)).expect("it is ours");
    let mut command = command(&data);
    if is_root {
        command.uid(NOBODY); // root may write everything
    }
    let said = Service::start(command).expect_err("it cannot work there");
    assert!(said.contains("data") && said.contains("ermission denied"), "{said}");
    eprintln!("a directory that cannot be written: {}", said.trim());
}

#[test]
fn a_clock_that_jumps_does_no_harm() {
    if !is_wanted() {
        return;
    }
    let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
        return skip("there is no libfaketime");
    };
    let directory = TempDir::new().expect("a temporary directory");
    let (data, time) = (directory.path().join("data"), directory.path().join("time"));
    let mut crashes = Crashes::begin(&data, CrashRun::requested_seed());
    // A lifetime in another year for each, and jumps while it serves.
    for year in [2001, 2040, 1999, 2030] {
        set_time(&time, &format!("@{year}-06-01 00:00:00"));
        let mut command = command(&data);
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &time);
        command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
        crashes.service.kill();
        crashes.service = Service::start(command).unwrap_or_else(|said| panic!("in {year}: {said}"));
        let happened = crashes.have_asked(|service| {
            for jump in ["+3650d", "-3650d", "-1h", "+1h"] {
                set_time(&time, jump);
                ask(service, REQUESTS);
            }
        });
        eprintln!("in {year}: {} answers", crashes.check(happened));
    }
}

/// Requests that a fault lasts for.
const REQUESTS: u32 = 100;

/// Asks the service so many times, whatever it answers.
fn ask(service: &Service, times: u32) {
    let mut client = service.client();
    for _ in 0..times {
        client.ask("PUT", "/traits/CUSTOM_ASKED", None).expect("it runs");
    }
}

/// At once: the file is never seen half written.
fn set_time(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).and_then(|()| fs::rename(&next, file)).expect("the directory is ours");
}
