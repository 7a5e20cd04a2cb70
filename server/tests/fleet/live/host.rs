//! Live evacuations of hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::host_evacuation::State;
use berth_api::v1::server_group::Policy;
use tonic::{Code, Status};

use crate::scripted_agent::ScriptedAgent;
use crate::service::{Cloud, creation, named, reason};

impl Cloud {
    async fn evacuate_live(&mut self, host: &str) -> Result<v1::HostEvacuation, Status> {
        let wanted = v1::EvacuateHostRequest {
            name: host.to_owned(),
            live: Some(v1::LiveEvacuation::default()),
            ..v1::EvacuateHostRequest::default()
        };
        self.fleet.evacuate_host(wanted).await.map(tonic::Response::into_inner)
    }

    async fn evacuation(&mut self, host: &str) -> v1::HostEvacuation {
        let wanted = v1::GetHostEvacuationRequest { name: host.to_owned() };
        self.fleet.get_host_evacuation(wanted).await.unwrap().into_inner()
    }

    /// Lets each guest of h1 arrive that is sent, until the evacuation of h1 is over.
    async fn until_emptied(
        &mut self,
        source: &ScriptedAgent,
        targets: &BTreeMap<&str, &ScriptedAgent>,
    ) -> v1::HostEvacuation {
        for _ in 0..1000 {
            let run = self.evacuation("h1").await;
            let sent: Vec<_> = run.instances.iter().filter(|of| of.status == "running").collect();
            assert!(sent.len() <= 1, "one is sent at a time: {run:?}");
            match sent.first() {
                Some(of) => {
                    source.until_sending(&of.instance).await;
                    targets[of.host.as_str()].guest_arrives(&of.instance);
                    self.until_migration(&of.instance, "completed").await;
                }
                None if [State::Done, State::Incomplete].contains(&run.state()) => return run,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("h1 is not emptied: {:?}", self.evacuation("h1").await)
    }

    async fn host_status(&mut self, name: &str) -> v1::host::Status {
        self.until_host(name, |_| true).await.status()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_leave_a_host_in_turn_and_it_gets_no_new_ones() {
    let mut cloud = Cloud::new().await;
    let [one, two, three] = cloud.receivers([("h1", ""), ("h2", ""), ("h3", "")]).await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(cloud.on(name, "h1").await);
    }
    let off = cloud.on("off", "h1").await;
    cloud.instances.stop(named(&off)).await.unwrap();
    cloud.until_status(&off, "SHUTOFF").await;

    let run = cloud.evacuate_live("h1").await.unwrap();
    assert!(run.live && run.instances.len() == 4, "{run:?}");
    let skipped = run.instances.iter().find(|of| of.instance == off).unwrap();
    assert!(skipped.status == "skipped" && skipped.reason.contains("stopped"), "{skipped:?}");
    // All have targets, also those that wait for their turn.
    assert_eq!(cloud.used("h1").await, 8);
    assert_eq!(cloud.used("h2").await + cloud.used("h3").await, 6);
    assert_eq!(cloud.host_status("h1").await, v1::host::Status::Disabled);
    assert_eq!(cloud.evacuate_live("h1").await.unwrap().uuid, run.uuid, "two requests, one run");
    let new =
        cloud.instances.create(creation("new", "small")).await.unwrap().into_inner().instances.remove(0);
    assert_ne!(cloud.until_status(&new.uuid, "ACTIVE").await.host, "h1");

    let run = cloud.until_emptied(&one, &BTreeMap::from([("h2", &two), ("h3", &three)])).await;
    assert_eq!(run.state(), State::Done);
    for instance in &all {
        let moved = cloud.until_status(instance, "ACTIVE").await;
        assert!(moved.host != "h1" && moved.fault.is_empty(), "{moved:?}");
    }
    cloud.until_host("h1", |host| host.instances == 1).await;
    assert_eq!(one.guests(), [off]);
    assert_eq!(cloud.used("h1").await, 2);
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_emptied_live_as_a_whole_or_not_at_all() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(cloud.on(name, "h1").await);
    }
    let fillers = [cloud.on("there", "h2").await, cloud.on("there-2", "h2").await];
    // Two of three fit.
    let refused = cloud.evacuate_live("h1").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "NO_VALID_HOST"));
    let message = refused.message();
    assert!(message.starts_with("1 of the 3 instances of host \"h1\" get no other host"), "{message}");
    assert_eq!(all.iter().filter(|uuid| message.contains(*uuid)).count(), 1, "{message}");
    for instance in &all {
        let stays = cloud.until_status(instance, "ACTIVE").await;
        assert!(stays.host == "h1" && stays.fault.is_empty(), "{stays:?}");
    }
    assert_eq!(cloud.both().await, (6, 4));
    assert_eq!(cloud.host_status("h1").await, v1::host::Status::Enabled);
    assert!(all.iter().all(|it| !one.goals(it).contains(&v1::desired_guest::Goal::Leaving)), "none is sent");

    // With capacity for all, they leave. One that is aborted stays, and holds nothing elsewhere.
    cloud.instances.delete(named(&fillers[0])).await.unwrap();
    cloud.until_gone(&fillers[0]).await;
    let run = cloud.evacuate_live("h1").await.unwrap();
    assert_eq!((run.state(), cloud.both().await), (State::Moving, (6, 8)));
    let waits = run.instances.iter().find(|of| of.status == "queued").unwrap().instance.clone();
    cloud.abort(&waits).await.unwrap();
    assert_eq!(cloud.both().await, (6, 6));
    let run = cloud.until_emptied(&one, &BTreeMap::from([("h2", &two)])).await;
    assert_eq!(run.state(), State::Incomplete);
    let statuses: Vec<_> = run.instances.iter().map(|of| of.status.as_str()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "completed").count(), 2, "{statuses:?}");
    assert_eq!(cloud.until_status(&waits, "ACTIVE").await.host, "h1");
    cloud.until_host("h1", |host| host.instances == 1).await;
    assert_eq!(cloud.both().await, (2, 6));
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_live_evacuation_is_refused_or_named() {
    let mut cloud = Cloud::new().await;
    let [one, _two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let group = cloud.server_group("together", "p", Policy::Affinity).await;
    let hints = [("group".to_owned(), v1::Hints { values: vec![group] })].into();
    let zone = ":h1".to_owned();
    let wanted = v1::CreateInstancesRequest {
        hints,
        min_count: 2,
        availability_zone: zone,
        ..creation("together", "small")
    };
    for made in cloud.instances.create(wanted).await.unwrap().into_inner().instances {
        cloud.until_status(&made.uuid, "ACTIVE").await;
    }
    let run = cloud.evacuate_live("h1").await.unwrap();
    assert!(run.state() == State::Done && run.instances.len() == 2, "{run:?}");
    for of in &run.instances {
        assert!(of.status == "skipped" && of.reason.contains("affinity group"), "{of:?}");
    }

    let live = Some(v1::LiveEvacuation::default());
    let of = |name: &str| v1::EvacuateHostRequest { name: name.to_owned(), live, ..Default::default() };
    for (field, wanted) in [
        ("fenced", v1::EvacuateHostRequest { fenced: true, ..of("h1") }),
        ("rebuild", v1::EvacuateHostRequest { rebuild: true, ..of("h1") }),
        ("state", v1::EvacuateHostRequest { state: v1::EvacuatedState::Active.into(), ..of("h1") }),
    ] {
        let refused = cloud.fleet.evacuate_host(wanted).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(field), "{}", refused.message());
    }
    assert_eq!(cloud.fleet.evacuate_host(of("none")).await.unwrap_err().code(), Code::NotFound);
    drop(one.vanish());
    cloud.until_host("h1", |host| !host.is_up).await;
    assert_eq!(reason(&cloud.evacuate_live("h1").await.unwrap_err()), "HOST_DOWN");
}

/// The service stops while guests are sent and others wait, and goes on from its records.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_evacuation_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    for name in ["a", "b"] {
        cloud.on(name, "h1").await;
    }
    let run = cloud.evacuate_live("h1").await.unwrap();
    let machines = [("h1", one.vanish()), ("h2", two.vanish())];
    cloud.stop().await;
    let mut cloud = Cloud::at(directory.path()).await;
    let mut agents = Vec::new();
    for (name, machine) in machines {
        agents.push(ScriptedAgent::join_with(cloud.channel.clone(), name, machine).await);
    }
    let ended = cloud.until_emptied(&agents[0], &BTreeMap::from([("h2", &agents[1])])).await;
    assert_eq!((ended.state(), &ended.uuid, ended.live), (State::Done, &run.uuid, true));
    cloud.until_host("h1", |host| host.instances == 0).await;
    assert_eq!(cloud.both().await, (0, 4));
    assert_eq!(cloud.host_status("h1").await, v1::host::Status::Disabled);
    cloud.stop().await;
}
