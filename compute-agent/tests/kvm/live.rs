//! Guests that run on, while they go to another real host.

use std::path::PathBuf;
use std::process::Command;

use berth_api::v1;
use berth_api::v1::live_migrate_instance_request::Disks;

use crate::TURN;
use crate::cloud::{Cloud, canary, named, rest};
use crate::moves::{migration, pattern, up};

fn live(instance: &str) -> v1::LiveMigrateInstanceRequest {
    v1::LiveMigrateInstanceRequest {
        instance: instance.to_owned(),
        ..v1::LiveMigrateInstanceRequest::default()
    }
}

async fn live_migrate(cloud: &mut Cloud, wanted: v1::LiveMigrateInstanceRequest) {
    // After an earlier move, the former host may not have reported yet that nothing of the guest is
    // left.
    for _ in 0..200 {
        match cloud.instances.live_migrate(wanted.clone()).await {
            Ok(_) => return,
            Err(refused) => assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{} is not accepted", wanted.instance);
}

/// Waits until the latest migration of the instance has the status.
async fn until_migration(cloud: &mut Cloud, instance: &str, status: &str) -> v1::Migration {
    let mut last = migration(cloud, instance).await;
    for _ in 0..1200 {
        if last.status == status {
            return last;
        }
        rest().await;
        last = migration(cloud, instance).await;
    }
    panic!("the migration does not become {status}: {last:?}")
}

/// The seconds that the guest has counted, on this host's console.
pub(crate) fn ticks(cloud: &mut Cloud, host: &str, instance: &str) -> Vec<u32> {
    let console = cloud.machine(host).console(instance);
    let count = |line: &str| u32::from_str_radix(line.strip_prefix("TICK ")?.get(..8)?, 16).ok();
    console.lines().filter_map(count).collect()
}

/// Waits until the guest counts on this host, where it goes on after `before`.
pub(crate) async fn goes_on(cloud: &mut Cloud, host: &str, instance: &str, before: u32) {
    cloud.until_said(host, instance, "TICK", 3).await;
    let counted = ticks(cloud, host, instance);
    let console = cloud.machine(host).console(instance);
    assert!(counted[0] > before, "{before}, then {counted:?}");
    assert!(counted.windows(2).all(|pair| pair[1] == pair[0] + 1), "it repeats or leaves out: {counted:?}");
    assert!(!console.contains(&up(instance)), "it has booted: {console}");
}

/// An instance on kvm1 with so many MiB of a pattern on its disk.
async fn marked(cloud: &mut Cloud, directory: PathBuf, mib: u32) -> String {
    cloud.flavor_with_disk("disk", 1).await;
    let zone = ":kvm1".to_owned();
    let wanted = v1::CreateInstancesRequest { availability_zone: zone, ..canary("it", "disk") };
    let it = cloud.create(wanted).await.remove(0).uuid;
    cloud.until(&it, "ACTIVE").await;
    cloud.instances.stop(named(&it)).await.expect("accepted");
    cloud.until(&it, "SHUTOFF").await;
    let write = format!("write -P 0x5a 0 {mib}M");
    let disk = directory.join(&it).join("disk.qcow2");
    let written = Command::new("qemu-io").args(["-f", "qcow2", "-c", &write]).arg(disk).output();
    assert!(written.expect("qemu-io is installed").status.success());
    cloud.instances.start(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said("kvm1", &it, "TICK", 2).await;
    it
}

/// Starting again works with what the host has: its own definition and disk.
async fn restarts(cloud: &mut Cloud, host: &str, it: &str) {
    let booted = cloud.machine(host).console(it).matches(&up(it)).count();
    cloud.instances.stop(named(it)).await.expect("accepted");
    cloud.until(it, "SHUTOFF").await;
    cloud.instances.start(named(it)).await.expect("accepted");
    assert_eq!(cloud.until(it, "ACTIVE").await.host, host);
    cloud.until_said(host, it, &up(it), booted + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_runs_on_while_it_goes_with_its_disk_and_back() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    let directory = cloud.machine("kvm1").path("instances");
    let it = marked(&mut cloud, directory, 1).await;
    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1"), ("kvm1", "kvm2")] {
        let before = *ticks(&mut cloud, from, &it).last().expect("it counts");
        live_migrate(&mut cloud, v1::LiveMigrateInstanceRequest { disks: Disks::Sent.into(), ..live(&it) })
            .await;
        until_migration(&mut cloud, &it, "completed").await;
        let there = cloud.until(&it, "ACTIVE").await;
        assert_eq!((there.host.as_str(), there.fault.as_str()), (to, ""));
        goes_on(&mut cloud, to, &it, before).await;
        assert_eq!((cloud.books(from).await, cloud.books(to).await), ((0, 0), (1, 1)));
        cloud.until_host(from, |host| host.instances == 0).await;
        assert!(cloud.machine(from).directories().is_empty(), "nothing is left");
        assert!(pattern(&cloud.machine(to).path("instances").join(&it).join("disk.qcow2"), "read"));
    }
    restarts(&mut cloud, "kvm2", &it).await;
    cloud.instances.delete(named(&it)).await.expect("accepted");
    cloud.until_gone(&it).await;
    assert!(cloud.machine("kvm2").directories().is_empty());
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_runs_on_while_it_goes_to_a_host_that_shares_its_disk() {
    let _turn = TURN.lock().await;
    let shared = tempfile::tempdir().expect("a directory");
    let mut cloud = Cloud::sharing(&["kvm1", "kvm2"], shared.path()).await;
    let it = marked(&mut cloud, shared.path().to_owned(), 1).await;
    let disk = shared.path().join(&it).join("disk.qcow2");
    let booted = cloud.machine("kvm1").console(&it).matches(&up(&it)).count();
    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
        let counted = ticks(&mut cloud, from, &it).len();
        live_migrate(&mut cloud, v1::LiveMigrateInstanceRequest { disks: Disks::Shared.into(), ..live(&it) })
            .await;
        until_migration(&mut cloud, &it, "completed").await;
        assert_eq!(cloud.until(&it, "ACTIVE").await.host, to);
        // Both hosts write to one console.
        cloud.until_said(to, &it, "TICK", counted + 3).await;
        assert_eq!(cloud.machine(to).console(&it).matches(&up(&it)).count(), booted, "it has not booted");
        cloud.until_host(from, |host| host.instances == 0).await;
        assert!(disk.exists() && pattern(&disk, "read"), "the shared disk is not erased");
        assert_eq!((cloud.books(from).await, cloud.books(to).await), ((0, 0), (1, 1)));
    }
    let refused = v1::LiveMigrateInstanceRequest { disks: Disks::Sent.into(), ..live(&it) };
    let refused = cloud.instances.live_migrate(refused).await.expect_err("the other host shares the disk");
    assert!(refused.message().contains("it shares the disks"), "{}", refused.message());
    restarts(&mut cloud, "kvm1", &it).await;
    cloud.instances.delete(named(&it)).await.expect("accepted");
    cloud.until_gone(&it).await;
    assert_eq!(std::fs::read_dir(shared.path()).expect("there").count(), 1, "only the identity is left");
    cloud.end().await;
}

/// The disk is sent so slowly that there is time for all that may happen meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_migration_that_is_aborted_leaves_the_guest_where_it_is() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    let directory = cloud.machine("kvm1").path("instances");
    let it = marked(&mut cloud, directory, 64).await;
    let slowly = v1::LiveMigrateInstanceRequest { bandwidth_mib: 1, ..live(&it) };
    live_migrate(&mut cloud, slowly.clone()).await;
    let open = until_migration(&mut cloud, &it, "running").await;
    let wanted = v1::GetMigrationRequest { migration: open.uuid.clone(), project: String::new() };
    cloud.instances.abort_migration(wanted).await.expect("accepted");
    until_migration(&mut cloud, &it, "cancelled").await;
    stays(&mut cloud, &it).await;

    // So does one that takes longer than its time.
    live_migrate(&mut cloud, v1::LiveMigrateInstanceRequest { timeout_s: 1, ..slowly }).await;
    let failed = until_migration(&mut cloud, &it, "failed").await;
    assert!(failed.error.contains("longer than 1 s"), "{}", failed.error);
    stays(&mut cloud, &it).await;
    cloud.end().await;
}

/// The guest runs on kvm1, and kvm2 has nothing of it.
async fn stays(cloud: &mut Cloud, it: &str) {
    assert_eq!(cloud.until(it, "ACTIVE").await.host, "kvm1");
    let counted = ticks(cloud, "kvm1", it);
    assert!(counted.windows(2).all(|pair| pair[1] == pair[0] + 1 || pair[1] == 0), "{counted:?}");
    cloud.until_said("kvm1", it, "TICK", counted.len() + 2).await;
    cloud.until_host("kvm2", |host| host.instances == 0).await;
    assert_eq!((cloud.books("kvm1").await, cloud.books("kvm2").await), ((1, 1), (0, 0)));
    assert!(cloud.machine("kvm2").directories().is_empty(), "nothing is left");
}

/// Neither the agents nor the service carry the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_arrives_though_agents_and_service_die() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    let directory = cloud.machine("kvm1").path("instances");
    let it = marked(&mut cloud, directory, 12).await;
    let before = *ticks(&mut cloud, "kvm1", &it).last().expect("it counts");
    live_migrate(&mut cloud, v1::LiveMigrateInstanceRequest { bandwidth_mib: 2, ..live(&it) }).await;
    until_migration(&mut cloud, &it, "running").await;
    for host in ["kvm1", "kvm2"] {
        cloud.machine(host).kill_agent();
    }
    cloud.restart_service().await;
    let address = cloud.address();
    for host in ["kvm2", "kvm1"] {
        cloud.machine(host).start_agent(address);
    }
    until_migration(&mut cloud, &it, "completed").await;
    assert_eq!(cloud.until(&it, "ACTIVE").await.host, "kvm2");
    goes_on(&mut cloud, "kvm2", &it, before).await;
    cloud.until_host("kvm1", |host| host.instances == 0).await;
    assert_eq!((cloud.books("kvm1").await, cloud.books("kvm2").await), ((0, 0), (1, 1)));
    cloud.end().await;
}

/// The target loses its power while it receives the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_runs_on_when_its_target_dies() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    let directory = cloud.machine("kvm1").path("instances");
    let it = marked(&mut cloud, directory, 64).await;
    live_migrate(&mut cloud, v1::LiveMigrateInstanceRequest { bandwidth_mib: 1, ..live(&it) }).await;
    until_migration(&mut cloud, &it, "running").await;
    cloud.machine("kvm2").kill_agent();
    cloud.machine("kvm2").host.power_off();
    until_migration(&mut cloud, &it, "failed").await;
    assert_eq!(cloud.until(&it, "ACTIVE").await.host, "kvm1");
    cloud.machine("kvm2").host.power_on();
    let address = cloud.address();
    cloud.machine("kvm2").start_agent(address);
    cloud.until_host("kvm2", |host| host.is_up && host.instances == 0).await;
    stays(&mut cloud, &it).await;
    cloud.end().await;
}

/// The guest's CPU decides: a guest that was started on the lesser host can go back there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_goes_only_where_its_cpu_is() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    let hypervisor = cloud.until_host("kvm1", |_| true).await.hypervisor.expect("known");
    assert_eq!(hypervisor.is_accelerated, !hypervisor.cpu_features.is_empty(), "{hypervisor:?}");
    let can_be_disabled = |feature: &&&str| hypervisor.cpu_features.iter().any(|of| of == **feature);
    let Some(feature) = ["umip", "clflushopt", "clwb", "vme", "aes"].iter().find(can_be_disabled) else {
        assert!(!hypervisor.is_accelerated, "{hypervisor:?}");
        return cloud.end().await; // guests have QEMU's CPU on each host
    };
    let address = cloud.address();
    let lesser = cloud.machine("kvm2");
    lesser.kill_agent();
    lesser.options = ["--disable-cpu-feature", feature].map(str::to_owned).into();
    lesser.start_agent(address);
    let has_it = |host: &v1::Host| {
        let features = host.hypervisor.iter().flat_map(|of| &of.cpu_features);
        features.into_iter().any(|of| of == feature)
    };
    cloud.until_host("kvm2", |host| host.is_up && !has_it(host)).await;
    cloud.flavor_with_disk("disk", 1).await;
    let mut guests = Vec::new();
    for (name, host) in [("better", "kvm1"), ("lesser", "kvm2")] {
        let zone = format!(":{host}");
        let wanted = v1::CreateInstancesRequest { availability_zone: zone, ..canary(name, "disk") };
        let it = cloud.create(wanted).await.remove(0).uuid;
        cloud.until(&it, "ACTIVE").await;
        guests.push(it);
    }
    let refused = cloud.instances.live_migrate(live(&guests[0])).await.expect_err("kvm2 lacks a feature");
    let expected = format!("its CPU lacks {feature}");
    assert!(refused.message().contains(&expected), "{}", refused.message());
    assert_eq!(cloud.until(&guests[0], "ACTIVE").await.host, "kvm1");
    for to in ["kvm1", "kvm2"] {
        live_migrate(&mut cloud, live(&guests[1])).await;
        until_migration(&mut cloud, &guests[1], "completed").await;
        assert_eq!(cloud.until(&guests[1], "ACTIVE").await.host, to);
    }
    cloud.end().await;
}
