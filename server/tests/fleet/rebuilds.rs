//! Rebuilds: disks that are built again on the host where they are.

use berth_api::v1;
use berth_api::v1::desired_guest::Goal;
use berth_api::v1::guest_report::State;
use tonic::{Code, Status};

use crate::scripted_agent::ScriptedAgent;
use crate::service::{Cloud, creation, named, reason};

fn image(name: &str, properties: &[(&str, &str)]) -> Option<v1::Image> {
    let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Some(v1::Image { name: name.to_owned(), properties: properties.collect() })
}

impl Cloud {
    /// An instance of the image `old`, which runs.
    async fn of_old_image(&mut self) -> String {
        self.flavor("small", 2, &[]).await;
        let wanted = v1::CreateInstancesRequest { image: image("old", &[]), ..creation("it", "small") };
        let made = self.instances.create(wanted).await.unwrap().into_inner().instances;
        let it = made.into_iter().next().unwrap().uuid;
        self.until_status(&it, "ACTIVE").await;
        it
    }

    async fn rebuild(&mut self, instance: &str, image: Option<v1::Image>) -> Result<v1::Instance, Status> {
        let wanted = v1::RebuildInstanceRequest {
            instance: instance.to_owned(),
            image,
            ..v1::RebuildInstanceRequest::default()
        };
        self.instances.rebuild(wanted).await.map(tonic::Response::into_inner)
    }
}

fn image_of(instance: &v1::Instance) -> &str {
    instance.image.as_ref().map_or("", |image| &image.name)
}

/// The rebuilds that were sent. What is sent at rest is sent beside them.
fn rebuilds(host: &ScriptedAgent) -> Vec<v1::DesiredGuest> {
    let machine = host.machine.lock().unwrap();
    machine.desired.iter().filter(|desired| desired.rebuild).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_are_built_again_where_they_are() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.of_old_image().await;
    host.machine.lock().unwrap().lazy = true;
    let asked = cloud.rebuild(&it, image("new", &[])).await.unwrap();
    assert_eq!((asked.status.as_str(), asked.task_state.as_str()), ("REBUILD", "rebuilding"));
    // One operation at a time.
    assert_eq!(reason(&cloud.rebuild(&it, None).await.unwrap_err()), "WRONG_STATE");
    assert_eq!(reason(&cloud.instances.stop(named(&it)).await.unwrap_err()), "WRONG_STATE");
    host.work_off();
    let built = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((image_of(&built), built.host.as_str(), built.fault.as_str()), ("new", "h1", ""));
    let sent = rebuilds(&host).pop().unwrap();
    assert!(!sent.must_exist && sent.goal() == Goal::Running, "{sent:?}");
    assert_eq!(sent.spec.clone().unwrap().image.unwrap().name, "new");
    assert_eq!(cloud.used("h1").await, 2);
    let events: Vec<_> = cloud.events(&it).await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(events[events.len() - 2..], ["rebuild", "rebuilding"]);

    // Nothing asks for it again.
    cloud.instances.stop(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHUTOFF").await;
    assert!(rebuilds(&host).iter().all(|again| again.generation == sent.generation));
    // One that is stopped stays stopped, on its own image.
    cloud.rebuild(&it, None).await.unwrap();
    let built = cloud.until_status(&it, "SHUTOFF").await;
    let last = rebuilds(&host).pop().unwrap();
    assert_eq!((image_of(&built), last.goal()), ("new", Goal::Stopped));
    assert!(last.generation > sent.generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_fails_before_it_touches_the_guest_changes_nothing() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.of_old_image().await;
    host.machine.lock().unwrap().lazy = true;
    let asked = cloud.rebuild(&it, image("new", &[])).await.unwrap();
    let mut report = v1::GuestReport {
        instance: it.clone(),
        generation: asked.generation,
        error: "image.name: \"new\" does not exist in the image directory".to_owned(),
        ..v1::GuestReport::default()
    };
    report.set_state(State::Running);
    host.say(v1::agent_message::Message::Guest(report));
    let stays = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((image_of(&stays), stays.power_state.as_str()), ("old", "RUNNING"));
    assert!(stays.fault.contains("does not exist"), "{}", stays.fault);
    host.machine.lock().unwrap().lazy = false;
    cloud.rebuild(&it, image("new", &[])).await.unwrap();
    let built = cloud.until(&it, |found| found.task_state.is_empty() && image_of(found) == "new").await;
    assert_eq!((built.status.as_str(), built.fault.as_str()), ("ACTIVE", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_fails_later_ends_in_error_and_can_be_repeated() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.of_old_image().await;
    host.machine.lock().unwrap().lazy = true;
    let asked = cloud.rebuild(&it, image("new", &[])).await.unwrap();
    let mut report = v1::GuestReport {
        instance: it.clone(),
        generation: asked.generation,
        rebuilt: asked.generation,
        error: "no space".to_owned(),
        ..v1::GuestReport::default()
    };
    report.set_state(State::Absent);
    host.say(v1::agent_message::Message::Guest(report));
    let failed = cloud.until_status(&it, "ERROR").await;
    assert_eq!((image_of(&failed), failed.fault.as_str()), ("new", "no space"));
    assert_eq!(cloud.used("h1").await, 2);
    {
        let mut machine = host.machine.lock().unwrap();
        machine.guests.remove(&it);
        machine.lazy = false;
    }
    cloud.rebuild(&it, None).await.unwrap();
    let built = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((image_of(&built), built.fault.as_str()), ("new", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn states_and_hosts_that_allow_no_rebuild_are_named() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.of_old_image().await;
    // The host is of another architecture than the image, and the filters judge it.
    let refused = cloud.rebuild(&it, image("arm", &[("hw_architecture", "aarch64")])).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "NO_VALID_HOST"));
    assert!(refused.message().contains("h1"), "{refused}");
    assert_eq!(image_of(&cloud.instance(&it).await.unwrap()), "old");
    cloud.instances.pause(named(&it)).await.unwrap();
    cloud.until_status(&it, "PAUSED").await;
    let refused = cloud.rebuild(&it, None).await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_STATE");
    assert!(refused.message().contains("active or stopped or error"), "{refused}");
    cloud.instances.unpause(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    let lock = v1::LockRequest { instance: it.clone(), ..v1::LockRequest::default() };
    cloud.instances.lock(lock).await.unwrap();
    drop(host.vanish());
    cloud.until_host("h1", |host| !host.is_up).await;
    let refused = cloud.rebuild(&it, None).await.unwrap_err();
    assert_eq!(reason(&refused), "HOST_DOWN");
    assert!(refused.message().contains("evacuate --rebuild"), "{refused}");
}
