//! The life of instances.

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::guest_report::State;
use tonic::Code;

use crate::scripted_agent::ScriptedAgent;
use crate::service::{Cloud, creation, named, reason};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_lives_through_all_its_states() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    let active = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(
        (active.vm_state.as_str(), active.power_state.as_str(), active.host.as_str()),
        ("active", "RUNNING", "h1")
    );
    assert_eq!((cloud.used("h1").await, host.guests()), (2, vec![it.clone()]));

    cloud.instances.stop(named(&it)).await.unwrap();
    assert_eq!(cloud.until_status(&it, "SHUTOFF").await.power_state, "SHUTDOWN");
    cloud.instances.start(named("it")).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    cloud.instances.pause(named(&it)).await.unwrap();
    cloud.until_status(&it, "PAUSED").await;
    let wrong = cloud.instances.pause(named(&it)).await.unwrap_err();
    assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::FailedPrecondition, "WRONG_STATE"));
    cloud.instances.unpause(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    cloud.instances.suspend(named(&it)).await.unwrap();
    cloud.until_status(&it, "SUSPENDED").await;
    cloud.instances.resume(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    cloud
        .instances
        .reboot(v1::RebootRequest { instance: it.clone(), hard: true, ..v1::RebootRequest::default() })
        .await
        .unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    let boots: Vec<u32> = host.machine.lock().unwrap().desired.iter().map(|desired| desired.boot).collect();
    assert!(boots.is_sorted() && boots.last() == Some(&3), "{boots:?}");

    cloud.instances.shelve(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHELVED_OFFLOADED").await;
    assert_eq!(cloud.used("h1").await, 0);
    cloud.instances.unshelve(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(cloud.used("h1").await, 2);

    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
    assert_eq!((cloud.used("h1").await, host.guests().len()), (0, 0));
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_that_unshelve_neither_releases_the_capacity_of_the_other() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    for _ in 0..20 {
        cloud.instances.shelve(named(&it)).await.unwrap();
        cloud.until_status(&it, "SHELVED_OFFLOADED").await;
        let (mut one, mut other) = (cloud.instances.clone(), cloud.instances.clone());
        let outcomes = tokio::join!(one.unshelve(named(&it)), other.unshelve(named(&it)));
        assert!(outcomes.0.is_ok() || outcomes.1.is_ok());
        cloud.until_status(&it, "ACTIVE").await;
        assert_eq!(cloud.used("h1").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_instance_makes_no_noise() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    host.beat(3).await;
    let sent = host.machine.lock().unwrap().desired.len();
    assert!(sent < 6, "{sent} messages about one instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_instance_shows_the_reason() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let lock =
        v1::LockRequest { instance: it.clone(), reason: "do not touch".to_owned(), project: "p".to_owned() };
    assert!(cloud.instances.lock(lock).await.unwrap().get_ref().locked);
    assert!(!cloud.instances.unlock(named(&it)).await.unwrap().get_ref().locked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_is_tried_elsewhere_and_leaves_nothing() {
    let mut cloud = Cloud::new().await;
    let hosts = cloud.hosts(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 1, &[]).await;
    hosts[0].break_builds("no space");
    hosts[1].break_builds("no bridge");
    let mut built = Vec::new();
    for number in 0..4 {
        built.push(cloud.create(&format!("i{number}"), "small").await);
    }
    for it in &built {
        let active = cloud.until_status(it, "ACTIVE").await;
        assert_eq!((active.host.as_str(), active.fault.as_str()), ("h3", ""));
    }
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await, cloud.used("h3").await), (0, 0, 4));

    hosts[2].break_builds("no luck");
    let it = cloud.create("last", "small").await;
    let failed = cloud.until_status(&it, "ERROR").await;
    for why in ["failed on 3 hosts", "h1: no space", "h2: no bridge", "h3: no luck"] {
        assert!(failed.fault.contains(why), "{}", failed.fault);
    }
    assert_eq!(cloud.used("h3").await, 4);
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
}

/// libvirtd died while it built: nobody knows whether the guest runs. Its capacity is not granted
/// to another until it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn capacity_of_a_failed_build_is_released_when_nothing_is_left() {
    for is_host_deleted in [false, true] {
        let mut cloud = Cloud::new().await;
        let [host] = cloud.hosts(["h1"]).await;
        cloud.flavor("small", 2, &[]).await;
        {
            let mut machine = host.machine.lock().unwrap();
            (machine.broken, machine.is_stuck) = (Some("libvirtd died".to_owned()), true);
        }
        let it = cloud.create("it", "small").await;
        cloud.until(&it, |it| it.task_state == "scheduling").await;
        let _other = cloud.hosts(["h2"]).await;
        host.beat(2).await;
        let building = cloud.instance(&it).await.unwrap();
        assert_eq!((building.status.as_str(), building.task_state.as_str()), ("BUILD", "scheduling"));
        assert_eq!((cloud.used("h1").await, cloud.used("h2").await), (2, 0));

        if is_host_deleted {
            drop(host.vanish());
            cloud.until_host("h1", |host| !host.is_up).await;
            cloud.fleet.delete_host(v1::DeleteHostRequest { name: "h1".to_owned() }).await.unwrap();
        } else {
            let mut gone = host.machine.lock().unwrap().guests.remove(&it).unwrap();
            gone.error.clear();
            gone.set_state(State::Absent);
            host.say(Message::Guest(gone));
        }
        assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h2");
        assert_eq!(cloud.used("h2").await, 2);
        if !is_host_deleted {
            assert_eq!(cloud.used("h1").await, 0);
        }
        cloud.service.index().check().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_does_by_itself_is_noticed() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    host.guest_becomes(&it, State::ShutDown);
    cloud.until_status(&it, "SHUTOFF").await;
    assert!(cloud.events(&it).await.iter().any(|(_, message)| message.contains("by itself")));
    cloud.instances.start(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;

    // An unmanaged guest is left alone.
    let unmanaged = "00000000-0000-4000-8000-00000000abcd";
    let mut report =
        v1::GuestReport { instance: unmanaged.to_owned(), generation: 1, ..v1::GuestReport::default() };
    report.set_state(State::Running);
    host.say(Message::Guest(report));
    cloud.instances.stop(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHUTOFF").await;
    assert!(host.machine.lock().unwrap().desired.iter().all(|desired| desired.instance != unmanaged));
}

/// `virsh dump --live` and backups pause a guest for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_momentary_pause_changes_no_desired_state() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    host.guest_becomes(&it, State::Paused);
    cloud.until(&it, |it| it.power_state == "PAUSED" && it.status == "ACTIVE").await;
    host.guest_becomes(&it, State::Running);
    cloud.until(&it, |it| it.power_state == "RUNNING" && it.status == "ACTIVE").await;
    let goals: Vec<_> = host.machine.lock().unwrap().desired.iter().map(v1::DesiredGuest::goal).collect();
    assert!(goals.iter().all(|goal| *goal == v1::desired_guest::Goal::Running), "{goals:?}");

    // One that stays paused, such as by a full disk, is helped by its user.
    host.guest_becomes(&it, State::Paused);
    cloud.until(&it, |it| it.power_state == "PAUSED").await;
    cloud.instances.unpause(named(&it)).await.unwrap();
    cloud.until(&it, |it| it.power_state == "RUNNING" && it.task_state.is_empty()).await;
    let wrong = cloud.instances.unpause(named(&it)).await.unwrap_err();
    assert_eq!(reason(&wrong), "WRONG_STATE");
}

async fn until_event(cloud: &mut Cloud, it: &str, message: &str) {
    for _ in 0..1000 {
        if cloud.events(it).await.iter().any(|(_, text)| text.contains(message)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no event says {message:?}: {:?}", cloud.events(it).await)
}

/// Waits until the agent has applied the latest desired state, which has this goal.
async fn until_applied(host: &ScriptedAgent, it: &str, goal: v1::desired_guest::Goal) {
    for _ in 0..1000 {
        {
            let machine = host.machine.lock().unwrap();
            let latest = machine.desired.last().unwrap();
            if latest.goal() == goal && machine.guests[it].generation == latest.generation {
                return;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the agent does not apply {goal:?}")
}

/// `virsh managedsave`, as libvirt-guests does when a host shuts down: pausing, then saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_saved_from_outside_runs_again() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let boot = host.machine.lock().unwrap().guests[&it].boot;
    host.guest_becomes(&it, State::Paused);
    host.guest_becomes(&it, State::Saved);
    until_event(&mut cloud, &it, "SUSPENDED on h1 without Berth").await;
    cloud.until(&it, |it| it.power_state == "RUNNING" && it.status == "ACTIVE").await;
    let latest = host.machine.lock().unwrap().desired.last().cloned().unwrap();
    assert_eq!((latest.goal(), latest.boot), (v1::desired_guest::Goal::Running, boot));

    // What cannot be restored is suspended, with its reason, and can be resumed or started: either
    // brings back its memory.
    for action in ["resume", "start"] {
        let mut report = {
            let mut machine = host.machine.lock().unwrap();
            machine.lazy = true;
            machine.guests[&it].clone()
        };
        let asked = host.machine.lock().unwrap().desired.len();
        report.set_state(State::Saved);
        host.say(Message::Guest(report.clone()));
        while host.machine.lock().unwrap().desired.len() == asked {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        report.generation = host.machine.lock().unwrap().desired.last().unwrap().generation;
        report.error = "restoring: no memory".to_owned();
        host.machine.lock().unwrap().guests.insert(it.clone(), report.clone());
        host.machine.lock().unwrap().lazy = false;
        host.say(Message::Guest(report));
        let suspended = cloud.until_status(&it, "SUSPENDED").await;
        assert_eq!(suspended.fault, "restoring: no memory");
        match action {
            "resume" => cloud.instances.resume(named(&it)).await.unwrap(),
            _ => cloud.instances.start(named(&it)).await.unwrap(),
        };
        let active = cloud.until_status(&it, "ACTIVE").await;
        assert_eq!((active.fault.as_str(), active.power_state.as_str()), ("", "RUNNING"));
        assert_eq!(host.machine.lock().unwrap().guests[&it].boot, boot, "{action} boots nothing");
    }
}

/// Nova stops such a guest: its user has stopped it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_guest_that_is_started_from_outside_is_stopped_again() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    // `virsh save` and `virsh restore`: off without its user, and back.
    for state in [State::Paused, State::ShutDown] {
        host.guest_becomes(&it, state);
    }
    cloud.until_status(&it, "SHUTOFF").await;
    until_applied(&host, &it, v1::desired_guest::Goal::Stopped).await;
    for state in [State::Paused, State::Running] {
        host.guest_becomes(&it, state);
    }
    cloud.until_status(&it, "ACTIVE").await;

    cloud.instances.stop(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHUTOFF").await;
    host.guest_becomes(&it, State::Running);
    until_event(&mut cloud, &it, "RUNNING on h1 without Berth").await;
    cloud.until(&it, |it| it.power_state == "SHUTDOWN" && it.status == "SHUTOFF").await;
    assert_eq!(host.machine.lock().unwrap().guests[&it].state(), State::ShutDown);
}

/// `virsh destroy` and `virsh undefine`: the disks remain, and the capacity is held for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_undefined_from_outside_is_an_error() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    for stop in [false, true] {
        if stop {
            cloud.instances.stop(named(&it)).await.unwrap();
            cloud.until_status(&it, "SHUTOFF").await;
        }
        host.guest_becomes(&it, State::ShutDown);
        cloud.until_status(&it, "SHUTOFF").await;
        until_applied(&host, &it, v1::desired_guest::Goal::Stopped).await;
        host.guest_becomes(&it, State::Shelved);
        let failed = cloud.until_status(&it, "ERROR").await;
        assert!(failed.fault.starts_with("the guest was undefined on h1 without Berth"), "{}", failed.fault);
        assert_eq!((failed.power_state.as_str(), cloud.used("h1").await), ("NOSTATE", 1));
        cloud
            .instances
            .reboot(v1::RebootRequest { instance: it.clone(), hard: true, ..Default::default() })
            .await
            .unwrap();
        assert_eq!(cloud.until_status(&it, "ACTIVE").await.fault, "");
    }
    host.guest_becomes(&it, State::Shelved);
    cloud.until_status(&it, "ERROR").await;
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
    assert_eq!(cloud.used("h1").await, 0);
    cloud.service.index().check().unwrap();
}

/// An agent whose record of a guest is damaged, or older than a backup that was restored.
#[tokio::test(flavor = "multi_thread")]
async fn no_generation_that_an_agent_knows_makes_an_instance_undeletable() {
    for known_generation in [(1 << 62) - 1, 1 << 62] {
        let mut cloud = Cloud::new().await;
        let [host] = cloud.hosts(["h1"]).await;
        cloud.flavor("small", 1, &[]).await;
        let it = cloud.create("it", "small").await;
        cloud.until_status(&it, "ACTIVE").await;
        let report = {
            let mut machine = host.machine.lock().unwrap();
            let guest = machine.guests.get_mut(&it).unwrap();
            guest.known_generation = known_generation;
            guest.clone()
        };
        host.say(Message::Guest(report));
        cloud.instances.delete(named(&it)).await.unwrap();
        cloud.until_gone(&it).await;
        assert_eq!((cloud.used("h1").await, host.guests().len()), (0, 0));
    }
}

/// A regression: 50 guests whose errors changed with each report took 4 GB and displaced all
/// events.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_changes_with_each_report_displaces_no_event() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let report = host.machine.lock().unwrap().guests[&it].clone();
    let before = cloud.events(&it).await.len();
    for number in 0..300 {
        let error = format!("number {number}: {}", "é".repeat(7_000));
        host.say(Message::Guest(v1::GuestReport { error, ..report.clone() }));
    }
    until_event(&mut cloud, &it, "number 299").await;
    let events = cloud.events(&it).await;
    assert_eq!(events.len(), before + 1, "the latest replaces those before");
    let (_, last) = events.iter().max_by_key(|(_, message)| message.len()).unwrap();
    assert!(last.ends_with('…') && last.chars().count() < 600, "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_makes_nothing_twice() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let wanted = || v1::CreateInstancesRequest {
        max_count: 2,
        idempotency_key: "k".to_owned(),
        ..creation("it", "small")
    };
    let uuids = |response: tonic::Response<v1::CreateInstancesResponse>| {
        let mut uuids: Vec<String> =
            response.into_inner().instances.into_iter().map(|made| made.uuid).collect();
        uuids.sort();
        uuids
    };
    let first = uuids(cloud.instances.create(wanted()).await.unwrap());
    assert_eq!((first.len(), uuids(cloud.instances.create(wanted()).await.unwrap())), (2, first));
    assert_eq!(cloud.used("h1").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_are_created_as_fit_but_at_least_the_least() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("large", 3, &[]).await;
    let wanted =
        |min_count, max_count| v1::CreateInstancesRequest { min_count, max_count, ..creation("it", "large") };
    let refused = cloud.instances.create(wanted(5, 6)).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    assert_eq!(cloud.used("h1").await + cloud.used("h2").await, 0);
    let made = cloud.instances.create(wanted(2, 10)).await.unwrap().into_inner().instances;
    assert_eq!(made.len(), 4);
    let all = cloud.instances.list(v1::ListInstancesRequest::default()).await.unwrap().into_inner().instances;
    assert_eq!(all.len(), 4);
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_receives_every_distinct_state() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 1, &[]).await;
    let mut watch = cloud.instances.watch(v1::WatchInstancesRequest::default()).await.unwrap().into_inner();
    let it = cloud.create("it", "small").await;
    let mut seen: Vec<String> = Vec::new();
    let mut until = async |status: &str| {
        while seen.last().map(String::as_str) != Some(status) {
            let received = watch.message().await.unwrap().unwrap();
            assert_eq!(received.uuid, it);
            seen.push(received.status);
        }
    };
    until("ACTIVE").await;
    cloud.instances.delete(named(&it)).await.unwrap();
    until("DELETED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_of_its_host_has_the_console_output_of_an_instance() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    host.machine.lock().unwrap().console = Some("login: ".to_owned());
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let wanted = v1::GetConsoleLogRequest { instance: "it".to_owned(), project: String::new() };
    let log = cloud.instances.get_console_log(wanted.clone()).await.unwrap().into_inner();
    assert_eq!(&log.output[..], b"login: ");

    let other = v1::GetConsoleLogRequest { project: "another".to_owned(), ..wanted.clone() };
    assert_eq!(cloud.instances.get_console_log(other).await.unwrap_err().code(), Code::NotFound);
    host.machine.lock().unwrap().guests.clear();
    let refused = cloud.instances.get_console_log(wanted.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_CONSOLE", "{refused}");
    assert!(refused.message().contains("there is no such guest"), "{refused}");
    host.vanish();
    let parted = async || loop {
        match cloud.instances.clone().get_console_log(wanted.clone()).await {
            Err(refused) if reason(&refused) == "HOST_DOWN" => return,
            other => assert!(other.is_err(), "{other:?}"),
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), parted()).await.expect("it has gone");
}
