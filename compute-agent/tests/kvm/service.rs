//! Agents and the real service together: two hosts, real guests.

use berth_api::v1;
use uuid::Uuid;

use crate::TURN;
use crate::cloud::{Cloud, canary, named};
use crate::lab::introduction;

fn up(instance: &v1::Instance) -> String {
    introduction(Uuid::try_parse(&instance.uuid).expect("a UUID"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_request_becomes_a_guest_that_lives_and_goes() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1"]).await;
    let made = cloud.create(canary("it", "tiny")).await.remove(0);
    let it = made.uuid.clone();
    let active = cloud.until(&it, "ACTIVE").await;
    assert_eq!((active.host.as_str(), active.power_state.as_str()), ("kvm1", "RUNNING"));
    cloud.until_said("kvm1", &it, &up(&made), 1).await;

    cloud.instances.stop(named(&it)).await.expect("accepted");
    cloud.until(&it, "SHUTOFF").await;
    cloud.instances.start(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said("kvm1", &it, &up(&made), 2).await;
    cloud.instances.pause(named(&it)).await.expect("accepted");
    cloud.until(&it, "PAUSED").await;
    cloud.instances.unpause(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.instances.suspend(named(&it)).await.expect("accepted");
    cloud.until(&it, "SUSPENDED").await;
    cloud.instances.resume(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud
        .instances
        .reboot(v1::RebootRequest { instance: it.clone(), hard: true, ..v1::RebootRequest::default() })
        .await
        .expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said("kvm1", &it, &up(&made), 3).await;

    cloud.instances.shelve(named(&it)).await.expect("accepted");
    cloud.until(&it, "SHELVED_OFFLOADED").await;
    assert_eq!(cloud.books("kvm1").await, (0, 0));
    cloud.instances.unshelve(named(&it)).await.expect("accepted");
    cloud.until(&it, "ACTIVE").await;
    cloud.until_said("kvm1", &it, &up(&made), 4).await;
    assert_eq!(cloud.books("kvm1").await, (1, 1));

    // By its own doing, it is off.
    cloud.machine("kvm1").host.virsh(&["destroy", &it]);
    cloud.until(&it, "SHUTOFF").await;
    cloud.instances.delete(named(&it)).await.expect("accepted");
    cloud.until_gone(&it).await;
    assert_eq!(cloud.books("kvm1").await, (0, 0));
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn two_hosts_are_steered_spread_and_spared() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    // An aggregate's extra spec leads to its host.
    let metadata = [("rack".to_owned(), "b".to_owned())].into();
    let aggregate = v1::CreateAggregateRequest { name: "rack b".to_owned(), metadata };
    cloud.fleet.create_aggregate(aggregate).await.expect("made");
    let join = v1::UpdateAggregateRequest {
        name: "rack b".to_owned(),
        add_hosts: vec!["kvm2".to_owned()],
        ..v1::UpdateAggregateRequest::default()
    };
    cloud.fleet.update_aggregate(join).await.expect("changed");
    cloud.flavor("rack b", &[("aggregate_instance_extra_specs:rack", "b")]).await;
    let steered = cloud.create(canary("steered", "rack b")).await.remove(0);
    assert_eq!(cloud.until(&steered.uuid, "ACTIVE").await.host, "kvm2");
    cloud.until_said("kvm2", &steered.uuid, &up(&steered), 1).await;

    // An operator insists on a host.
    let forced =
        v1::CreateInstancesRequest { availability_zone: ":kvm1".to_owned(), ..canary("forced", "tiny") };
    let forced = cloud.create(forced).await.remove(0);
    assert_eq!(cloud.until(&forced.uuid, "ACTIVE").await.host, "kvm1");

    // A group is kept apart.
    let group = v1::CreateServerGroupRequest {
        name: "apart".to_owned(),
        policy: v1::server_group::Policy::AntiAffinity.into(),
        project: "p".to_owned(),
        ..v1::CreateServerGroupRequest::default()
    };
    let group = cloud.fleet.create_server_group(group).await.expect("made").into_inner();
    let hints = [("group".to_owned(), v1::Hints { values: vec![group.uuid] })].into();
    let wanted = v1::CreateInstancesRequest { hints, min_count: 2, ..canary("apart", "tiny") };
    let mut hosts = Vec::new();
    for one in cloud.create(wanted).await {
        hosts.push(cloud.until(&one.uuid, "ACTIVE").await.host);
    }
    hosts.sort();
    assert_eq!(hosts, ["kvm1", "kvm2"]);

    // What is disabled gets nothing new.
    let disable = v1::SetHostRequest {
        name: "kvm2".to_owned(),
        status: v1::host::Status::Disabled.into(),
        reason: "a new fan".to_owned(),
    };
    cloud.fleet.set_host(disable).await.expect("changed");
    let spared = cloud.create(v1::CreateInstancesRequest { min_count: 2, ..canary("spared", "tiny") }).await;
    assert!(spared.iter().all(|one| one.host == "kvm1"), "{spared:?}");
    for one in &spared {
        cloud.until(&one.uuid, "ACTIVE").await;
    }
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_build_that_fails_lands_on_the_other_host() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    std::fs::remove_file(cloud.machine("kvm1").host.path("images/canary.bin")).expect("it was there");
    let mut moved = 0;
    for number in 0..4 {
        let made = cloud.create(canary(&format!("i{number}"), "tiny")).await.remove(0);
        moved += usize::from(made.host == "kvm1");
        let active = cloud.until(&made.uuid, "ACTIVE").await;
        assert_eq!(active.host, "kvm2");
        cloud.until_said("kvm2", &made.uuid, &up(&made), 1).await;
    }
    assert!(moved > 0, "none was tried on the broken host first");
    for _ in 0..200 {
        if cloud.books("kvm1").await == (0, 0) {
            break;
        }
        crate::cloud::rest().await;
    }
    assert_eq!((cloud.books("kvm1").await, cloud.books("kvm2").await), ((0, 0), (4, 4)));
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn guests_outlive_agents_libvirtd_and_the_service() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&["kvm1"]).await;
    let made = cloud.create(v1::CreateInstancesRequest { min_count: 20, ..canary("it", "tiny") }).await;
    assert_eq!(made.len(), 20);
    // The service is gone while it builds, and so is the agent.
    cloud.restart_service().await;
    cloud.machine("kvm1").kill_agent();
    let address = cloud.address();
    cloud.machine("kvm1").start_agent(address);
    for one in &made {
        cloud.until(&one.uuid, "ACTIVE").await;
        cloud.until_said("kvm1", &one.uuid, &up(one), 1).await;
    }
    assert_eq!(cloud.books("kvm1").await, (20, 20));
    cloud.machine("kvm1").host.restart_libvirtd();
    // The agent has found its way to the new libvirtd when it has done something there.
    let first = &made[0].uuid;
    cloud.instances.pause(named(first)).await.expect("accepted");
    cloud.until(first, "PAUSED").await;
    cloud.instances.unpause(named(first)).await.expect("accepted");
    for one in &made {
        assert_eq!(cloud.until(&one.uuid, "ACTIVE").await.fault, "");
        assert_eq!(cloud.machine("kvm1").console(&one.uuid).matches(&up(one)).count(), 1, "booted again");
    }
    // A deletion survives a crash of the agent, too.
    for one in &made {
        cloud.instances.delete(named(&one.uuid)).await.expect("accepted");
    }
    cloud.machine("kvm1").kill_agent();
    cloud.machine("kvm1").start_agent(address);
    for one in &made {
        cloud.until_gone(&one.uuid).await;
    }
    assert_eq!(cloud.books("kvm1").await, (0, 0));
    cloud.end().await;
}
