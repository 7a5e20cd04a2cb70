//! State that survives a restart of the service, and what agents report when they are back.

use berth_api::v1;

use crate::scripted_agent::{ScriptedAgent, child_uuid, tree};
use crate::service::{Cloud, creation, named, reason};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_kept_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [host, _other] = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    let group = v1::CreateServerGroupRequest {
        name: "apart".to_owned(),
        policy: v1::server_group::Policy::AntiAffinity.into(),
        project: "p".to_owned(),
        ..v1::CreateServerGroupRequest::default()
    };
    let group = cloud.fleet.create_server_group(group).await.unwrap().into_inner();
    let hints = || [("group".to_owned(), v1::Hints { values: vec![group.uuid.clone()] })].into();
    let wanted = v1::CreateInstancesRequest { min_count: 2, hints: hints(), ..creation("it", "small") };
    let made = cloud.instances.create(wanted).await.unwrap().into_inner().instances;
    for it in &made {
        cloud.until_status(&it.uuid, "ACTIVE").await;
    }
    let disable = v1::SetHostRequest {
        name: "h2".to_owned(),
        status: v1::host::Status::Maintenance.into(),
        reason: "memory".to_owned(),
    };
    cloud.fleet.set_host(disable).await.unwrap();
    // Asking where they would go changes nothing.
    let asked = v1::ScheduleRequest {
        instances: made.iter().map(|it| it.uuid.clone()).collect(),
        size: Some(v1::schedule_request::Size::FlavorName("small".to_owned())),
        project: "p".to_owned(),
        ..v1::ScheduleRequest::default()
    };
    cloud.scheduler.select(asked).await.unwrap();
    let before = cloud.instances.list(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
    let machine = host.vanish();
    cloud.stop().await;

    let mut cloud = Cloud::at(directory.path()).await;
    let after = cloud.instances.list(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
    assert_eq!(after.instances, before.instances);
    let known = cloud.until_host("h2", |_| true).await;
    assert_eq!(
        (known.status(), known.reason.as_str(), known.is_up),
        (v1::host::Status::Maintenance, "memory", false)
    );
    let known = v1::GetServerGroupRequest { group: group.uuid.clone(), project: "p".to_owned() };
    assert_eq!(cloud.fleet.get_server_group(known).await.unwrap().get_ref().members.len(), 2);
    // The group's policy holds on: both hosts are taken.
    let _host = ScriptedAgent::join_with(cloud.channel.clone(), "h1", machine).await;
    cloud.until_host("h1", |host| host.is_up).await;
    let wanted = v1::CreateInstancesRequest { hints: hints(), ..creation("third", "small") };
    assert_eq!(reason(&cloud.instances.create(wanted).await.unwrap_err()), "NO_VALID_HOST");
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    host.machine.lock().unwrap().lazy = true;
    let it = cloud.create("it", "small").await;
    let machine = host.vanish();
    cloud.stop().await;

    let mut cloud = Cloud::at(directory.path()).await;
    assert_eq!(cloud.instance(&it).await.unwrap().task_state, "spawning");
    machine.lock().unwrap().lazy = false;
    let host = ScriptedAgent::join_with(cloud.channel.clone(), "h1", machine).await;
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(host.guests(), std::slice::from_ref(&it));
    // A deletion is finished, too, when its host comes back only later.
    host.machine.lock().unwrap().lazy = true;
    cloud.instances.delete(named(&it)).await.unwrap();
    let machine = host.vanish();
    cloud.stop().await;
    let mut cloud = Cloud::at(directory.path()).await;
    assert_eq!(cloud.instance(&it).await.unwrap().task_state, "deleting");
    assert_eq!(cloud.used("h1").await, 2);
    machine.lock().unwrap().lazy = false;
    let host = ScriptedAgent::join_with(cloud.channel.clone(), "h1", machine).await;
    cloud.until_gone(&it).await;
    assert_eq!((cloud.used("h1").await, host.guests().len()), (0, 0));
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_lost_is_an_error() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let machine = host.vanish();
    machine.lock().unwrap().guests.clear();
    let _host = ScriptedAgent::join_with(cloud.channel.clone(), "h1", machine).await;
    let lost = cloud.until_status(&it, "ERROR").await;
    assert_eq!(lost.fault, "the guest is gone from h1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_not_taken_by_another_and_goes_only_when_empty() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let gone = || v1::DeleteHostRequest { name: "h1".to_owned() };
    assert_eq!(reason(&cloud.fleet.delete_host(gone()).await.unwrap_err()), "AGENT_CONNECTED");
    // What it reports is applied again, and children that it reports no longer are removed.
    let mut reported = tree("h1");
    reported.providers.push(v1::AgentProvider {
        uuid: child_uuid("h1", "cell").to_string(),
        name: "h1_cell".to_owned(),
        parent: reported.providers[0].uuid.clone(),
        ..v1::AgentProvider::default()
    });
    host.say(v1::agent_message::Message::Providers(reported));
    host.say(v1::agent_message::Message::Providers(tree("h1")));
    drop(host.vanish());
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_host("h1", |host| !host.is_up).await;
    cloud.fleet.delete_host(gone()).await.unwrap();
    cloud.until_gone(&it).await;
    assert!(cloud.service.index().topology().providers().next().is_none());
    cloud.service.index().check().unwrap();
}
