//! A full disk: reads and starts go on, writes are refused and resume.

#![allow(clippy::disallowed_methods, reason = "these tests wait for a disk, which takes real time")]

mod kept;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use berth_server::DataDir;
use tempfile::TempDir;

use kept::Running;

/// A small ext4 in a file, until it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts the file; `None` if the process may not mount.
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let (image, at) = (directory.path().join("image"), directory.path().join("disk"));
        File::create(&image).unwrap().set_len(24 << 20).unwrap();
        fs::create_dir(&at).unwrap();
        let run = |command: &mut Command| {
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        // Without blocks that only root may use: the test may run as root.
        let made = run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image))
            && run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at));
        made.then_some(Self(directory))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("disk")
    }

    /// Takes all free blocks, in pieces of one block at the end.
    fn fill(&self) {
        let mut file = File::create(self.path().join("filler")).unwrap();
        for piece in [1 << 20, 4096, 1024] {
            let bytes = vec![1; piece];
            while file.write_all(&bytes).and_then(|()| file.sync_data()).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

fn start(data: &Path) -> Running {
    Running::start(DataDir::open(data).unwrap())
}

/// Creates a resource provider with a long name.
fn add_provider(running: &Running, name: &str) -> u16 {
    running.add(&format!("{name:-<190}"))
}

/// The number of resource providers, if the service answers.
fn providers(running: &Running) -> Option<usize> {
    running.names().map(|names| names.len())
}

/// Waits until a condition on the service holds, for at most 15 s.
fn until(running: &Running, what: &str, holds: impl Fn(&Running) -> bool) {
    for _ in 0..300 {
        if holds(running) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within 15 s");
}

#[test]
fn reads_and_starts_go_on_while_the_disk_is_full_and_writes_resume() {
    let Some(disk) = SmallDisk::mount() else {
        return eprintln!("skipped: this process may not make and mount an ext4");
    };
    let data = disk.path().join("data");
    let running = start(&data);
    let mut added = 0;
    let mut add = |running: &Running| {
        let status = add_provider(running, &added.to_string());
        assert!([200, 503, 507].contains(&status), "{status}");
        added += usize::from(status == 200);
        status
    };
    (0..20).for_each(|_| assert_eq!(add(&running), 200));
    disk.fill();
    // A few commits find free pages in the file.
    for attempt in 0.. {
        assert!(attempt < 20_000, "the disk is full, and all is acknowledged");
        if add(&running) != 200 {
            break;
        }
    }
    // From then on, all that was acknowledged can be read, and goes on being so.
    until(&running, "reads go on", |running| providers(running).is_some());
    for _ in 0..40 {
        assert_eq!(providers(&running), Some(added), "reads go on");
        thread::sleep(Duration::from_millis(50));
    }
    assert!([503, 507].contains(&add_provider(&running, "one more")));
    // It starts while the disk is full.
    running.keeper.stop();
    drop(running.runtime);
    let running = start(&data);
    until(&running, "reads after a start", |running| providers(running) == Some(added));
    assert!([503, 507].contains(&add_provider(&running, "one more")));
    disk.empty();
    until(&running, "writes resume", |running| add_provider(running, &format!("more {added}")) == 200);
    assert_eq!(providers(&running), Some(added + 1));
    running.keeper.stop();
    drop(running.runtime);
    let running = start(&data);
    assert_eq!(providers(&running), Some(added + 1));
    running.keeper.stop();
}
