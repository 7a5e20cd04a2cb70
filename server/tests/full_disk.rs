//! A full disk: reads and starts go on, writes are refused and resume.

#![allow(clippy::disallowed_methods, reason = "these tests wait for a disk, which takes real time")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use berth_server::{DataDir, DurabilityOptions, Keeper, Service, ServiceOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

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

struct Running {
    service: Arc<Service>,
    keeper: Keeper,
    runtime: Runtime,
}

impl Running {
    fn start(data: &Path) -> Self {
        let data = DataDir::open(data).unwrap();
        let (service, keeper) =
            Keeper::start(data, ServiceOptions::noauth2(), DurabilityOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self { service, keeper, runtime: runtime.unwrap() }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-auth-token", "admin")
            .header("content-type", "application/json")
            .header("openstack-api-version", "placement latest")
            .body(Body::from(body.map_or_else(String::new, |body| body.to_string())))
            .unwrap();
        self.runtime.block_on(async {
            let answer = self.service.answer(request).await;
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    fn add_provider(&self, name: &str) -> u16 {
        self.ask("POST", "/resource_providers", Some(json!({"name": format!("{name:-<190}")}))).0
    }

    fn providers(&self) -> Option<usize> {
        let (status, body) = self.ask("GET", "/resource_providers", None);
        (status == 200).then(|| body["resource_providers"].as_array().unwrap().len())
    }

    /// Waits until a condition on the service holds, for at most 15 s.
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..300 {
            if holds(self) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{what}: not within 15 s");
    }
}

#[test]
fn reads_and_starts_go_on_while_the_disk_is_full_and_writes_resume() {
    let Some(disk) = SmallDisk::mount() else {
        return eprintln!("skipped: this process may not make and mount an ext4");
    };
    let data = disk.path().join("data");
    let running = Running::start(&data);
    let mut added = 0;
    let mut add = |running: &Running| {
        let status = running.add_provider(&added.to_string());
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
    running.until("reads go on", |running| running.providers().is_some());
    for _ in 0..40 {
        assert_eq!(running.providers(), Some(added), "reads go on");
        thread::sleep(Duration::from_millis(50));
    }
    assert!([503, 507].contains(&running.add_provider("one more")));
    // It starts while the disk is full.
    running.keeper.stop();
    drop(running.runtime);
    let running = Running::start(&data);
    running.until("reads after a start", |running| running.providers() == Some(added));
    assert!([503, 507].contains(&running.add_provider("one more")));
    disk.empty();
    running.until("writes resume", |running| running.add_provider(&format!("more {added}")) == 200);
    assert_eq!(running.providers(), Some(added + 1));
    running.keeper.stop();
    drop(running.runtime);
    let running = Running::start(&data);
    assert_eq!(running.providers(), Some(added + 1));
    running.keeper.stop();
}
