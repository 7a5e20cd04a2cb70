//! Hosts that lose their power, or seem to, and share the storage of their guests' disks.

use std::path::Path;

use berth_api::v1;
use tonic::Status;

use crate::TURN;
use crate::cloud::{Cloud, canary, named};
use crate::moves::{Watch, migration, pattern, up};

async fn evacuate(cloud: &mut Cloud, instance: &str) -> Result<v1::Instance, Status> {
    let wanted = v1::EvacuateInstanceRequest {
        instance: instance.to_owned(),
        fenced: true,
        ..v1::EvacuateInstanceRequest::default()
    };
    cloud.instances.evacuate(wanted).await.map(tonic::Response::into_inner)
}

/// An instance on kvm1 with a marked disk on the shared storage.
async fn marked(cloud: &mut Cloud, shared: &Path) -> String {
    cloud.flavor_with_disk("disk", 1).await;
    let zone = ":kvm1".to_owned();
    let wanted = v1::CreateInstancesRequest { availability_zone: zone, ..canary("it", "disk") };
    let it = cloud.create(wanted).await.remove(0).uuid;
    cloud.until(&it, "ACTIVE").await;
    cloud.instances.stop(named(&it)).await.expect("accepted");
    cloud.until(&it, "SHUTOFF").await;
    assert!(pattern(&shared.join(&it).join("disk.qcow2"), "write"));
    cloud.instances.start(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said("kvm1", &it, &up(&it), 2).await;
    it
}

fn domains(cloud: &mut Cloud, host: &str) -> String {
    cloud.machine(host).host.virsh(&["list", "--all", "--uuid"])
}

async fn enable(cloud: &mut Cloud, host: &str) -> Result<(), Status> {
    let wanted = v1::SetHostRequest {
        name: host.to_owned(),
        status: v1::host::Status::Enabled.into(),
        ..v1::SetHostRequest::default()
    };
    cloud.fleet.set_host(wanted).await.map(drop)
}

/// The plug is pulled, and the host comes back later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_of_a_dead_host_boots_from_its_disk_on_another() {
    let _turn = TURN.lock().await;
    let shared = tempfile::tempdir().expect("a directory");
    let mut cloud = Cloud::sharing(&["kvm1", "kvm2"], shared.path()).await;
    let it = marked(&mut cloud, shared.path()).await;
    assert_eq!(domains(&mut cloud, "kvm2"), "", "the other host has nothing of it");
    let watch = Watch::start(&it);
    cloud.machine("kvm1").kill_agent();
    cloud.machine("kvm1").host.power_off();
    cloud.until_host("kvm1", |host| !host.is_up).await;
    evacuate(&mut cloud, &it).await.expect("accepted");
    // The target and the service die on the way.
    cloud.machine("kvm2").kill_agent();
    cloud.restart_service().await;
    let address = cloud.address();
    cloud.machine("kvm2").start_agent(address);
    assert_eq!(cloud.until(&it, "ACTIVE").await.host, "kvm2");
    cloud.until_said("kvm2", &it, &up(&it), 3).await;
    let disk = shared.path().join(&it).join("disk.qcow2");
    assert!(pattern(&disk, "read"), "it has its disk");
    let used = |host: v1::Host| host.usages["VCPU"];
    assert_eq!(used(cloud.until_host("kvm1", |_| true).await), 0, "its capacity is free");
    assert!(enable(&mut cloud, "kvm1").await.is_err(), "it was not cleaned up");

    cloud.machine("kvm1").host.power_on();
    assert_eq!(domains(&mut cloud, "kvm1"), it, "libvirt still knows the guest");
    cloud.machine("kvm1").start_agent(address);
    cloud.until_host("kvm1", |host| host.is_up && host.instances == 0).await;
    assert_eq!(domains(&mut cloud, "kvm1"), "");
    assert!(disk.exists() && pattern(&disk, "read"), "the shared disk is not erased");
    assert_eq!(migration(&mut cloud, &it).await.status, "completed");
    enable(&mut cloud, "kvm1").await.expect("it was cleaned up");

    // Stop and start work on the new host; then nothing is left.
    cloud.instances.stop(named(&it)).await.expect("accepted");
    cloud.until(&it, "SHUTOFF").await;
    cloud.instances.start(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said("kvm2", &it, &up(&it), 4).await;
    assert_eq!(watch.end(), 1, "it never ran twice");
    cloud.instances.delete(named(&it)).await.expect("accepted");
    cloud.until_gone(&it).await;
    assert!(cloud.machine("kvm2").directories().is_empty());
    cloud.end().await;
}

/// Only the agent is cut off: the guest runs, and its lock on the disk is the lease that keeps it
/// from running twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_fence_record_that_lies_does_not_start_a_guest_twice() {
    let _turn = TURN.lock().await;
    let shared = tempfile::tempdir().expect("a directory");
    let mut cloud = Cloud::sharing(&["kvm1", "kvm2"], shared.path()).await;
    let it = marked(&mut cloud, shared.path()).await;
    let watch = Watch::start(&it);
    cloud.machine("kvm1").kill_agent();
    cloud.until_host("kvm1", |host| !host.is_up).await;
    evacuate(&mut cloud, &it).await.expect("accepted");
    let failed = cloud.until(&it, "ERROR").await;
    assert!(failed.fault.contains("still runs on its former host"), "{}", failed.fault);
    assert_eq!((failed.host.as_str(), domains(&mut cloud, "kvm2").as_str()), ("kvm1", ""));
    assert_eq!(migration(&mut cloud, &it).await.status, "failed");
    assert_eq!((cloud.books("kvm1").await, cloud.books("kvm2").await), ((1, 1), (0, 0)));

    // The guest was never touched, and its host is as before when its agent is back.
    let ticks = cloud.machine("kvm1").console(&it).matches("TICK").count();
    cloud.until_said("kvm1", &it, "TICK", ticks + 2).await;
    let address = cloud.address();
    cloud.machine("kvm1").start_agent(address);
    assert_eq!(cloud.until(&it, "ACTIVE").await.power_state, "RUNNING");
    enable(&mut cloud, "kvm1").await.expect("nothing was evacuated");
    assert_eq!(watch.end(), 1, "it never ran twice");

    // Now it is true.
    cloud.machine("kvm1").kill_agent();
    cloud.machine("kvm1").host.power_off();
    cloud.until_host("kvm1", |host| !host.is_up).await;
    evacuate(&mut cloud, &it).await.expect("accepted");
    assert_eq!(cloud.until(&it, "ACTIVE").await.host, "kvm2");
    cloud.until_said("kvm2", &it, &up(&it), 3).await;
    cloud.end().await;
}
