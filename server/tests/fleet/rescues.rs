//! Rescues: guests that boot from a temporary disk.

use berth_api::v1;
use berth_api::v1::desired_guest::Goal;
use berth_api::v1::guest_report::State;
use tonic::Status;

use crate::scripted_agent::ScriptedAgent;
use crate::service::{Cloud, creation, fields, named, reason};

fn image(name: &str) -> Option<v1::Image> {
    Some(v1::Image { name: name.to_owned(), ..v1::Image::default() })
}

impl Cloud {
    async fn rescue(&mut self, instance: &str, image: Option<v1::Image>) -> Result<v1::Instance, Status> {
        let wanted = v1::RescueInstanceRequest {
            instance: instance.to_owned(),
            image,
            ..v1::RescueInstanceRequest::default()
        };
        self.instances.rescue(wanted).await.map(tonic::Response::into_inner)
    }

    async fn running(&mut self) -> String {
        self.flavor("small", 2, &[]).await;
        let wanted = v1::CreateInstancesRequest { image: image("own"), ..creation("it", "small") };
        let made = self.instances.create(wanted).await.unwrap().into_inner().instances;
        let it = made.into_iter().next().unwrap().uuid;
        self.until_status(&it, "ACTIVE").await;
        it
    }
}

/// The goal that was sent last, and the image that the guest is to boot instead of its own disks.
fn last_desired(host: &ScriptedAgent) -> (Goal, Option<String>) {
    let desired = host.machine.lock().unwrap().desired.last().cloned().unwrap();
    let image = desired.spec.as_ref().and_then(|spec| spec.rescue_image.clone());
    (desired.goal(), image.map(|image| image.name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_boots_another_disk_and_its_own_again() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.running().await;
    host.machine.lock().unwrap().lazy = true;
    let asked = cloud.rescue(&it, image("repair")).await.unwrap();
    assert_eq!((asked.status.as_str(), asked.task_state.as_str()), ("ACTIVE", "rescuing"));
    host.work_off();
    let rescued = cloud.until_status(&it, "RESCUE").await;
    assert_eq!((rescued.vm_state.as_str(), rescued.power_state.as_str()), ("rescued", "RUNNING"));
    assert_eq!(last_desired(&host), (Goal::Running, Some("repair".to_owned())));

    // As in Nova, nothing else is possible meanwhile, and the guest may go off.
    for refused in [
        cloud.instances.stop(named(&it)).await.unwrap_err(),
        cloud.instances.shelve(named(&it)).await.unwrap_err(),
        cloud.rescue(&it, None).await.unwrap_err(),
    ] {
        assert_eq!(reason(&refused), "WRONG_STATE", "{refused}");
    }
    host.guest_becomes(&it, State::ShutDown);
    let off = cloud.until(&it, |found| found.power_state == "SHUTDOWN").await;
    assert_eq!(off.status, "RESCUE");

    cloud.instances.unrescue(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(last_desired(&host), (Goal::Running, None));
    let refused = cloud.instances.unrescue(named(&it)).await.unwrap_err();
    assert!(refused.message().contains("can be done when it is rescued"), "{refused}");

    // Without an image, its own one; a stopped instance runs afterwards.
    cloud.instances.stop(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHUTOFF").await;
    cloud.rescue(&it, None).await.unwrap();
    cloud.until_status(&it, "RESCUE").await;
    assert_eq!(last_desired(&host), (Goal::Running, Some("own".to_owned())));
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
    assert_eq!(cloud.used("h1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_that_fails_leaves_what_the_agent_reports() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.running().await;
    host.machine.lock().unwrap().lazy = true;
    let fail = |generation: u64, state: State, is_rescue: bool| {
        let mut report = v1::GuestReport {
            instance: it.clone(),
            generation,
            error: "no such image".to_owned(),
            is_rescue,
            ..v1::GuestReport::default()
        };
        report.set_state(state);
        host.say(v1::agent_message::Message::Guest(report));
    };
    let asked = cloud.rescue(&it, image("missing")).await.unwrap();
    fail(asked.generation, State::Running, false);
    let stays = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((stays.power_state.as_str(), stays.fault.as_str()), ("RUNNING", "no such image"));

    // It is defined with the temporary disk, and does not start.
    let asked = cloud.rescue(&it, image("broken")).await.unwrap();
    fail(asked.generation, State::ShutDown, true);
    cloud.until_status(&it, "ERROR").await;
    host.machine.lock().unwrap().lazy = false;
    cloud
        .instances
        .reboot(v1::RebootRequest { instance: it.clone(), hard: true, ..v1::RebootRequest::default() })
        .await
        .unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(last_desired(&host), (Goal::Running, None));

    // An end that fails leaves it rescued.
    cloud.rescue(&it, None).await.unwrap();
    cloud.until_status(&it, "RESCUE").await;
    host.machine.lock().unwrap().lazy = true;
    let asked = cloud.instances.unrescue(named(&it)).await.unwrap().into_inner();
    fail(asked.generation, State::Running, true);
    let rescued = cloud.until_status(&it, "RESCUE").await;
    assert_eq!(rescued.fault, "no such image");
}

/// An agent that does not know the field reports the desired state as reached.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_an_earlier_release_rescues_and_rebuilds_nothing() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let it = cloud.running().await;
    host.machine.lock().unwrap().lazy = true;
    let reach = |generation: u64| {
        let mut report = v1::GuestReport { instance: it.clone(), generation, ..v1::GuestReport::default() };
        report.set_state(State::Running);
        host.say(v1::agent_message::Message::Guest(report));
    };
    let asked = cloud.rescue(&it, image("repair")).await.unwrap();
    reach(asked.generation);
    let stays = cloud.until_status(&it, "ACTIVE").await;
    assert!(stays.fault.contains("earlier release"), "{}", stays.fault);
    let wanted = v1::RebuildInstanceRequest {
        instance: it.clone(),
        image: image("new"),
        ..v1::RebuildInstanceRequest::default()
    };
    let asked = cloud.instances.rebuild(wanted).await.unwrap().into_inner();
    assert_eq!(asked.image.unwrap().name, "new");
    reach(asked.generation);
    let stays = cloud.until_status(&it, "ACTIVE").await;
    assert!(stays.fault.contains("earlier release"), "{}", stays.fault);
    assert_eq!(stays.image.unwrap().name, "own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_needs_an_image() {
    let mut cloud = Cloud::new().await;
    let [_host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(fields(&cloud.rescue(&it, None).await.unwrap_err()), ["image"]);
}
