//! A request that names a project does nothing to the things of another.

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::schedule_request::Size;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::service::{Cloud, creation, fields};

/// A server of the project; returns its UUID.
async fn server(cloud: &mut Cloud, name: &str, project: &str) -> String {
    let wanted = v1::CreateInstancesRequest { project: project.to_owned(), ..creation(name, "small") };
    let made = cloud.instances.create(wanted).await.unwrap().into_inner().instances;
    cloud.until_status(&made[0].uuid, "ACTIVE").await.uuid
}

fn of(project: &str, instance: &str) -> v1::InstanceRequest {
    v1::InstanceRequest { instance: instance.to_owned(), project: project.to_owned() }
}

fn not_found<T: std::fmt::Debug>(outcome: Result<T, Status>) {
    let refused = outcome.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");
}

/// Everything that can be done with an instance that a request names.
async fn each_action(cloud: &mut Cloud, wanted: &v1::InstanceRequest) -> Vec<Result<(), Status>> {
    let (instance, project) = (wanted.instance.clone(), wanted.project.clone());
    let reboot = v1::RebootRequest { instance: instance.clone(), hard: true, project: project.clone() };
    let lock = v1::LockRequest { instance, reason: "mine".to_owned(), project };
    let all = &mut cloud.instances;
    vec![
        all.get(wanted.clone()).await.map(drop),
        all.list_events(wanted.clone()).await.map(drop),
        all.stop(wanted.clone()).await.map(drop),
        all.start(wanted.clone()).await.map(drop),
        all.reboot(reboot).await.map(drop),
        all.pause(wanted.clone()).await.map(drop),
        all.unpause(wanted.clone()).await.map(drop),
        all.suspend(wanted.clone()).await.map(drop),
        all.resume(wanted.clone()).await.map(drop),
        all.shelve(wanted.clone()).await.map(drop),
        all.unshelve(wanted.clone()).await.map(drop),
        all.lock(lock).await.map(drop),
        all.unlock(wanted.clone()).await.map(drop),
        all.delete(wanted.clone()).await.map(drop),
    ]
}

/// `berth server delete bank-vm --project shop` deleted the bank's server.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_done_to_the_servers_of_another_project() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let vault = server(&mut cloud, "vault", "bank").await;
    for named in ["vault", &vault] {
        for outcome in each_action(&mut cloud, &of("shop", named)).await {
            not_found(outcome);
        }
    }
    let untouched = cloud.instance(&vault).await.unwrap();
    assert_eq!((untouched.status.as_str(), untouched.locked), ("ACTIVE", false));
    let events = cloud.events(&vault).await;
    assert!(
        events.iter().all(|(action, _)| !["stop", "lock", "delete"].contains(&action.as_str())),
        "{events:?}"
    );
    // Its own project can.
    cloud.instances.stop(of("bank", "vault")).await.unwrap();
    cloud.until_status(&vault, "SHUTOFF").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_ambiguous_only_within_its_project() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let in_shop = server(&mut cloud, "web", "shop").await;
    let in_bank = server(&mut cloud, "web", "bank").await;
    for (project, uuid) in [("shop", &in_shop), ("bank", &in_bank)] {
        assert_eq!(&cloud.instances.get(of(project, "web")).await.unwrap().get_ref().uuid, uuid);
    }
    assert_eq!(fields(&cloud.instances.get(of("", "web")).await.unwrap_err()), ["instance"]);
    cloud.instances.delete(of("shop", "web")).await.unwrap();
    cloud.until_gone(&in_shop).await;
    assert_eq!(cloud.instance("web").await.unwrap().uuid, in_bank);
    // What is gone already can be deleted again by UUID; a name could mean anything.
    cloud.instances.delete(of("shop", &in_shop)).await.unwrap();
    not_found(cloud.instances.delete(of("shop", "web")).await);
}

async fn group(cloud: &mut Cloud, name: &str, project: &str) -> String {
    cloud.server_group(name, project, v1::server_group::Policy::AntiAffinity).await
}

#[tokio::test(flavor = "multi_thread")]
async fn server_groups_are_those_of_the_project() {
    let mut cloud = Cloud::new().await;
    let in_shop = group(&mut cloud, "web", "shop").await;
    let in_bank = group(&mut cloud, "web", "bank").await;
    let get = |group: &str, project: &str| v1::GetServerGroupRequest {
        group: group.to_owned(),
        project: project.to_owned(),
    };
    for (project, uuid) in [("shop", &in_shop), ("bank", &in_bank)] {
        let found = cloud.fleet.get_server_group(get("web", project)).await.unwrap().into_inner();
        assert_eq!(&found.uuid, uuid);
    }
    assert_eq!(fields(&cloud.fleet.get_server_group(get("web", "")).await.unwrap_err()), ["group"]);
    not_found(cloud.fleet.get_server_group(get(&in_bank, "shop")).await);
    let delete = |group: &str, project: &str| v1::DeleteServerGroupRequest {
        group: group.to_owned(),
        project: project.to_owned(),
    };
    not_found(cloud.fleet.delete_server_group(delete(&in_bank, "shop")).await);
    cloud.fleet.delete_server_group(delete("web", "shop")).await.unwrap();
    not_found(cloud.fleet.delete_server_group(delete("web", "shop")).await);
    cloud.fleet.get_server_group(get("web", "bank")).await.unwrap();
    // A group that belongs to nobody would be anybody's.
    let nobodys = v1::CreateServerGroupRequest {
        name: "web".to_owned(),
        policy: v1::server_group::Policy::Affinity.into(),
        ..v1::CreateServerGroupRequest::default()
    };
    assert_eq!(fields(&cloud.fleet.create_server_group(nobodys).await.unwrap_err()), ["project"]);
}

/// A caller that knew its UUID could put servers into another project's group, and so take its
/// hosts from it.
#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_another_project_cannot_be_joined() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let banks = group(&mut cloud, "apart", "bank").await;
    let hints = || [("group".to_owned(), v1::Hints { values: vec![banks.clone()] })].into();
    let wanted = |project: &str| v1::CreateInstancesRequest {
        project: project.to_owned(),
        hints: hints(),
        ..creation("i", "small")
    };
    let request = |project: &str| v1::ScheduleRequest {
        instances: vec![Uuid::from_u128(7).to_string()],
        size: Some(Size::FlavorName("small".to_owned())),
        project: project.to_owned(),
        hints: hints(),
        ..v1::ScheduleRequest::default()
    };
    let explain = |project: &str| v1::ExplainRequest {
        request: Some(request(project)),
        ..v1::ExplainRequest::default()
    };
    not_found(cloud.instances.create(wanted("shop")).await);
    not_found(cloud.scheduler.schedule(request("shop")).await);
    not_found(cloud.scheduler.select(request("shop")).await);
    not_found(cloud.scheduler.explain(explain("shop")).await);
    let known = v1::GetServerGroupRequest { group: banks.clone(), project: "bank".to_owned() };
    let known = cloud.fleet.get_server_group(known).await.unwrap().into_inner();
    assert_eq!((known.members, cloud.used("h1").await), (Vec::<String>::new(), 0));
    let left = cloud.instances.list(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
    assert_eq!(left.instances, []);

    cloud.scheduler.explain(explain("bank")).await.unwrap();
    cloud.scheduler.select(request("bank")).await.unwrap();
    cloud.instances.create(wanted("bank")).await.unwrap();
}

/// Schedule returns the hosts of instances with allocations and claims capacity for the others:
/// only for the project's own.
#[tokio::test(flavor = "multi_thread")]
async fn the_instances_of_another_project_cannot_be_scheduled() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let vault = server(&mut cloud, "vault", "bank").await;
    let request = |project: &str, instance: &str| v1::ScheduleRequest {
        instances: vec![instance.to_owned()],
        size: Some(Size::FlavorName("small".to_owned())),
        project: project.to_owned(),
        ..v1::ScheduleRequest::default()
    };
    not_found(cloud.scheduler.schedule(request("shop", &vault)).await);
    not_found(cloud.scheduler.select(request("shop", &vault)).await);
    cloud.instances.shelve(of("bank", &vault)).await.unwrap();
    cloud.until_status(&vault, "SHELVED_OFFLOADED").await;
    not_found(cloud.scheduler.schedule(request("shop", &vault)).await);
    assert_eq!(cloud.used("h1").await, 0);

    // The same for consumers that are no instances.
    let consumer = Uuid::from_u128(9).to_string();
    cloud.scheduler.schedule(request("bank", &consumer)).await.unwrap();
    not_found(cloud.scheduler.schedule(request("shop", &consumer)).await);
    cloud.scheduler.schedule(request("bank", &consumer)).await.unwrap();
    let mut placement = PlacementClient::new(cloud.channel.clone());
    placement.release(v1::ReleaseRequest { consumers: vec![consumer.clone()] }).await.unwrap();
    cloud.scheduler.schedule(request("shop", &consumer)).await.unwrap();
}
