//! Instances that move between real hosts, with their disks.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use berth_api::v1;
use uuid::Uuid;

use crate::TURN;
use crate::cloud::{Cloud, canary, named, rest};
use crate::host::pause;
use crate::lab::introduction;

/// Counts, all the time, how many processes run a guest at once on this machine, on whichever host.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(instance: &str) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_over, highest) = (Arc::clone(&stop), Arc::clone(&most));
        let wanted = format!("guest=berth-{instance}");
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                highest.fetch_max(running(&wanted), Ordering::Relaxed);
                pause();
            }
        });
        Self { stop, most, thread: Some(thread) }
    }

    /// The most that ran at once.
    pub(crate) fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("it ends");
        self.most.load(Ordering::Relaxed)
    }
}

fn running(wanted: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("there").flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let is_guest = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line);
        line.starts_with("/usr/bin/qemu-system") && line.contains(wanted)
    };
    lines.filter(is_guest).count()
}

fn other(host: &str) -> &'static str {
    if host == "kvm1" { "kvm2" } else { "kvm1" }
}

pub(crate) fn root(cloud: &mut Cloud, host: &str, directory: &str) -> PathBuf {
    cloud.machine(host).path("instances").join(directory).join("disk.qcow2")
}

/// Writes a pattern at the beginning of a disk that no guest uses, or reads it; whether that
/// succeeds.
pub(crate) fn pattern(disk: &PathBuf, command: &str) -> bool {
    let mut qemu_io = Command::new("qemu-io");
    if command == "read" {
        qemu_io.args(["-r", "-U"]);
    }
    let output = qemu_io.args(["-f", "qcow2", "-c", &format!("{command} -P 0x5a 0 1M")]).arg(disk).output();
    let output = output.expect("qemu-io is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    output.status.success() && !said.contains("Pattern verification failed")
}

fn virtual_size(disk: &PathBuf) -> u64 {
    let mut info = Command::new("qemu-img");
    let output =
        info.args(["info", "-U", "--output=json"]).arg(disk).output().expect("qemu-img is installed");
    let info: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    info["virtual-size"].as_u64().expect("a number")
}

async fn migrate(cloud: &mut Cloud, instance: &str) {
    let wanted =
        v1::MigrateInstanceRequest { instance: instance.to_owned(), ..v1::MigrateInstanceRequest::default() };
    cloud.instances.migrate(wanted).await.expect("accepted");
}

async fn resize(cloud: &mut Cloud, instance: &str, flavor: &str) {
    let wanted = v1::ResizeInstanceRequest {
        instance: instance.to_owned(),
        flavor: flavor.to_owned(),
        ..v1::ResizeInstanceRequest::default()
    };
    cloud.instances.resize(wanted).await.expect("accepted");
}

pub(crate) async fn migration(cloud: &mut Cloud, instance: &str) -> v1::Migration {
    let wanted =
        v1::ListMigrationsRequest { instance: instance.to_owned(), ..v1::ListMigrationsRequest::default() };
    let mut all = cloud.instances.list_migrations(wanted).await.expect("listed").into_inner().migrations;
    all.pop().expect("there is one")
}

/// An instance with a marked disk; returns it and its host.
pub(crate) async fn marked(cloud: &mut Cloud, flavor: &str) -> (String, String) {
    let made = cloud.create(canary("it", flavor)).await.remove(0);
    let host = cloud.until(&made.uuid, "ACTIVE").await.host;
    cloud.instances.stop(named(&made.uuid)).await.expect("accepted");
    cloud.until(&made.uuid, "SHUTOFF").await;
    assert!(pattern(&root(cloud, &host, &made.uuid), "write"));
    cloud.instances.start(named(&made.uuid)).await.expect("accepted");
    cloud.until(&made.uuid, "ACTIVE").await;
    (made.uuid, host)
}

pub(crate) fn up(instance: &str) -> String {
    introduction(Uuid::try_parse(instance).expect("a UUID"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_goes_to_another_host_with_its_disk_and_back() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    cloud.flavor_with_disk("disk", 1).await;
    let (it, source) = marked(&mut cloud, "disk").await;
    let target = other(&source);
    cloud.until_said(&source, &it, &up(&it), 2).await;
    let watch = Watch::start(&it);

    migrate(&mut cloud, &it).await;
    let verify = cloud.until(&it, "VERIFY_RESIZE").await;
    assert_eq!((verify.host.as_str(), verify.power_state.as_str()), (target, "RUNNING"));
    // Its console came with it, and it has booted there.
    cloud.until_said(target, &it, &up(&it), 3).await;
    let kept = migration(&mut cloud, &it).await.uuid;
    assert_eq!(cloud.machine(&source).directories(), std::slice::from_ref(&kept));
    assert_eq!(cloud.machine(&source).host.virsh(&["list", "--all", "--uuid"]), "");
    assert!(pattern(&root(&mut cloud, target, &it), "read"), "the target has the disk");
    assert!(pattern(&root(&mut cloud, &source, &kept), "read"), "the source keeps it");
    assert_eq!((cloud.books(&source).await, cloud.books(target).await), ((1, 0), (1, 1)));

    cloud.instances.revert_resize(named(&it)).await.expect("accepted");
    assert_eq!(cloud.until(&it, "ACTIVE").await.host, source);
    cloud.until_said(&source, &it, &up(&it), 3).await;
    assert!(pattern(&root(&mut cloud, &source, &it), "read"));
    assert_eq!((cloud.books(&source).await, cloud.books(target).await), ((1, 1), (0, 0)));
    assert!(cloud.machine(target).directories().is_empty());

    // The agents and the service die on the way.
    migrate(&mut cloud, &it).await;
    cloud.machine(&source).kill_agent();
    cloud.machine(target).kill_agent();
    cloud.restart_service().await;
    let address = cloud.address();
    cloud.machine(&source).start_agent(address);
    cloud.machine(target).start_agent(address);
    assert_eq!(cloud.until(&it, "VERIFY_RESIZE").await.host, target);
    cloud.until_host(&source, |host| host.is_up).await;
    cloud.instances.confirm_resize(named(&it)).await.expect("accepted");
    assert_eq!(cloud.until(&it, "ACTIVE").await.host, target);
    assert!(cloud.machine(&source).directories().is_empty());
    assert!(pattern(&root(&mut cloud, target, &it), "read"));
    assert_eq!((cloud.books(&source).await, cloud.books(target).await), ((0, 0), (1, 1)));

    // Stop and start work with the target's definition.
    cloud.instances.stop(named(&it)).await.expect("accepted");
    cloud.until(&it, "SHUTOFF").await;
    let said = cloud.machine(target).console(&it).matches(&up(&it)).count();
    cloud.instances.start(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said(target, &it, &up(&it), said + 1).await;
    assert_eq!(watch.end(), 1, "it never ran twice");
    cloud.instances.delete(named(&it)).await.expect("accepted");
    cloud.until_gone(&it).await;
    assert!(cloud.machine(target).directories().is_empty());
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_resize_grows_the_disk_also_on_the_same_host() {
    let _turn = TURN.lock().await;
    const GIB: u64 = 1 << 30;
    for hosts in [&["kvm1", "kvm2"][..], &["kvm1"]] {
        let mut cloud = Cloud::new(hosts).await;
        cloud.flavor_with_disk("one", 1).await;
        cloud.flavor_with_disk("two", 2).await;
        let (it, source) = marked(&mut cloud, "one").await;
        resize(&mut cloud, &it, "two").await;
        let verify = cloud.until(&it, "VERIFY_RESIZE").await;
        let kept = migration(&mut cloud, &it).await.uuid;
        let (new, old) = (root(&mut cloud, &verify.host, &it), root(&mut cloud, &source, &kept));
        assert_eq!((virtual_size(&new), virtual_size(&old)), (2 * GIB, GIB));
        assert!(pattern(&new, "read") && pattern(&old, "read"));
        cloud.instances.revert_resize(named(&it)).await.expect("accepted");
        let back = cloud.until(&it, "ACTIVE").await;
        assert_eq!((back.host.as_str(), back.flavor.expect("it has one").name.as_str()), (&*source, "one"));
        let old = root(&mut cloud, &source, &it);
        assert!(virtual_size(&old) == GIB && pattern(&old, "read"));

        resize(&mut cloud, &it, "two").await;
        cloud.until(&it, "VERIFY_RESIZE").await;
        cloud.instances.confirm_resize(named(&it)).await.expect("accepted");
        let confirmed = cloud.until(&it, "ACTIVE").await;
        let mut directories = Vec::new();
        for host in hosts {
            directories.extend(cloud.machine(host).directories());
        }
        assert_eq!(directories, std::slice::from_ref(&it));
        let new = root(&mut cloud, &confirmed.host, &it);
        assert!(virtual_size(&new) == 2 * GIB && pattern(&new, "read"));
        cloud.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_target_that_cannot_start_it_leaves_the_former_state() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    cloud.flavor_with_disk("disk", 1).await;
    let (it, source) = marked(&mut cloud, "disk").await;
    let target = other(&source);
    std::fs::remove_file(cloud.machine(target).path("images/canary.bin")).expect("it was there");
    let boots = cloud.machine(&source).console(&it).matches(&up(&it)).count();
    migrate(&mut cloud, &it).await;
    let back = cloud.until(&it, "ACTIVE").await;
    assert_eq!((back.host.as_str(), back.power_state.as_str()), (&*source, "RUNNING"));
    assert!(back.fault.contains("does not exist in the image directory"), "{}", back.fault);
    cloud.until_said(&source, &it, &up(&it), boots + 1).await;
    assert!(pattern(&root(&mut cloud, &source, &it), "read"));
    for _ in 0..200 {
        if cloud.books(target).await == (0, 0) {
            break;
        }
        rest().await;
    }
    assert_eq!((cloud.books(&source).await, cloud.books(target).await), ((1, 1), (0, 0)));
    assert!(cloud.machine(target).directories().is_empty());
    assert_eq!(migration(&mut cloud, &it).await.status, "failed");
    cloud.end().await;
}
