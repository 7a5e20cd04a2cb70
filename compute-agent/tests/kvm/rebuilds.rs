//! Rebuilds and rescues with real disks.

use std::process::Command;

use berth_api::v1;

use crate::TURN;
use crate::cloud::{Cloud, named};
use crate::lab::CANARY;
use crate::moves::{marked, pattern, root, up};

async fn rebuild(cloud: &mut Cloud, instance: &str, image: Option<v1::Image>) {
    let wanted = v1::RebuildInstanceRequest {
        instance: instance.to_owned(),
        image,
        ..v1::RebuildInstanceRequest::default()
    };
    cloud.instances.rebuild(wanted).await.expect("accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_gets_new_disks_or_keeps_its_own() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1"]).await;
    cloud.flavor_with_disk("disk", 1).await;
    let (it, host) = marked(&mut cloud, "disk").await;
    cloud.until_said(&host, &it, &up(&it), 2).await;
    let disk = root(&mut cloud, &host, &it);

    let missing = v1::Image { name: "missing.qcow2".to_owned(), ..v1::Image::default() };
    rebuild(&mut cloud, &it, Some(missing)).await;
    let kept = cloud.until(&it, "ACTIVE").await;
    assert!(kept.fault.contains("missing.qcow2"), "{}", kept.fault);
    assert!(kept.image.expect("it has one").name != "missing.qcow2" && pattern(&disk, "read"));
    assert_eq!(cloud.books(&host).await, (1, 1));

    rebuild(&mut cloud, &it, None).await;
    let built = cloud.until(&it, "ACTIVE").await;
    assert_eq!((built.fault.as_str(), built.host.as_str()), ("", &*host));
    assert!(!pattern(&disk, "read"), "the former disk is left");
    cloud.until_said(&host, &it, &up(&it), 1).await;
    assert_eq!(cloud.books(&host).await, (1, 1));
    cloud.end().await;
}

async fn rescue(cloud: &mut Cloud, instance: &str, image: v1::Image) {
    let wanted = v1::RescueInstanceRequest {
        instance: instance.to_owned(),
        image: Some(image),
        ..v1::RescueInstanceRequest::default()
    };
    cloud.instances.rescue(wanted).await.expect("accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_boots_a_rescue_disk_with_its_own_beside_it() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1"]).await;
    cloud.flavor_with_disk("disk", 1).await;
    let (it, host) = marked(&mut cloud, "disk").await;
    cloud.until_said(&host, &it, &up(&it), 2).await;
    let disk = root(&mut cloud, &host, &it);
    let temporary = disk.with_file_name("rescue.qcow2");

    let missing = v1::Image { name: "missing.qcow2".to_owned(), ..v1::Image::default() };
    rescue(&mut cloud, &it, missing).await;
    let kept = cloud.until(&it, "ACTIVE").await;
    assert!(kept.fault.contains("missing.qcow2"), "{}", kept.fault);
    cloud.until_said(&host, &it, &up(&it), 2).await;

    let image = cloud.machine(&host).path("images").join("repair.qcow2");
    let made = Command::new("qemu-img").args(["create", "-f", "qcow2"]).arg(&image).arg("64M").output();
    assert!(made.expect("qemu-img is installed").status.success());
    let properties = [("firmware".to_owned(), CANARY.to_owned())].into();
    rescue(&mut cloud, &it, v1::Image { name: "repair.qcow2".to_owned(), properties }).await;
    cloud.until(&it, "RESCUE").await;
    cloud.until_said(&host, &it, &up(&it), 3).await;
    let defined = cloud.machine(&host).host.virsh(&["dumpxml", &it]);
    let at = |file: &str| defined.find(file).unwrap_or_else(|| panic!("{file} is missing: {defined}"));
    assert!(at("rescue.qcow2") < at("disk.qcow2"), "{defined}");
    assert!(pattern(&disk, "read"), "its own disk has changed");

    cloud.instances.unrescue(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said(&host, &it, &up(&it), 4).await;
    assert!(!cloud.machine(&host).host.virsh(&["dumpxml", &it]).contains("rescue.qcow2"));
    assert!(!temporary.exists() && pattern(&disk, "read"));
    cloud.end().await;
}
