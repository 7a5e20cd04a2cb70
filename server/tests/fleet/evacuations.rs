//! Fencing and evacuation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::guest_report::State;
use berth_api::v1::host_evacuation;
use berth_api::v1::server_group::Policy;
use tonic::{Code, Status};

use crate::scripted_agent::{Machine, ScriptedAgent};
use crate::service::{Cloud, creation, named, reason};

const SHARED: &str = "5b1f7a0e-3c61-4f5e-9d6a-0d2f7c1b8e44";

impl Cloud {
    /// Hosts that share storage, up and known to the scheduler.
    async fn sharing<const N: usize>(&mut self, names: [&str; N]) -> [ScriptedAgent; N] {
        let mut agents = Vec::new();
        for name in names {
            let machine = Machine { storage: SHARED.to_owned(), ..Machine::default() };
            let machine = Arc::new(Mutex::new(machine));
            agents.push(ScriptedAgent::join_with(self.channel.clone(), name, machine).await);
        }
        for name in names {
            self.until_host(name, |host| host.is_up && !host.inventories.is_empty()).await;
        }
        agents.try_into().unwrap_or_else(|_| unreachable!())
    }

    async fn create_on(&mut self, name: &str, host: &str) -> String {
        let zone = format!(":{host}");
        let wanted = v1::CreateInstancesRequest { availability_zone: zone, ..creation(name, "small") };
        let made = self.instances.create(wanted).await.unwrap().into_inner().instances.remove(0).uuid;
        self.until_status(&made, "ACTIVE").await;
        made
    }

    async fn evacuate(&mut self, wanted: v1::EvacuateInstanceRequest) -> Result<v1::Instance, Status> {
        self.instances.evacuate(wanted).await.map(tonic::Response::into_inner)
    }

    async fn evacuate_host(&mut self, name: &str, fenced: bool) -> Result<v1::HostEvacuation, Status> {
        let wanted =
            v1::EvacuateHostRequest { name: name.to_owned(), fenced, ..v1::EvacuateHostRequest::default() };
        self.fleet.evacuate_host(wanted).await.map(tonic::Response::into_inner)
    }

    async fn until_evacuated(&mut self, host: &str) -> v1::HostEvacuation {
        use host_evacuation::State::{Done, Incomplete};
        for _ in 0..1000 {
            let wanted = v1::GetHostEvacuationRequest { name: host.to_owned() };
            let run = self.fleet.get_host_evacuation(wanted).await.unwrap().into_inner();
            if [Done, Incomplete].contains(&run.state()) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the evacuation of {host} does not end")
    }

    async fn enable(&mut self, host: &str) -> Result<v1::Host, Status> {
        let wanted = v1::SetHostRequest {
            name: host.to_owned(),
            status: v1::host::Status::Enabled.into(),
            ..v1::SetHostRequest::default()
        };
        self.fleet.set_host(wanted).await.map(tonic::Response::into_inner)
    }

    async fn status_of_move(&mut self, instance: &str) -> String {
        let wanted = v1::ListMigrationsRequest {
            instance: instance.to_owned(),
            ..v1::ListMigrationsRequest::default()
        };
        let mut all = self.instances.list_migrations(wanted).await.unwrap().into_inner().migrations;
        all.pop().unwrap().status
    }

    async fn until_down(&mut self, host: &str) {
        self.until_host(host, |host| !host.is_up).await;
    }

    async fn rejoin(&mut self, host: &str, machine: Arc<Mutex<Machine>>) -> ScriptedAgent {
        let agent = ScriptedAgent::join_with(self.channel.clone(), host, machine).await;
        self.until_host(host, |host| host.is_up).await;
        agent
    }
}

fn wanted(instance: &str) -> v1::EvacuateInstanceRequest {
    v1::EvacuateInstanceRequest { instance: instance.to_owned(), ..v1::EvacuateInstanceRequest::default() }
}

fn fenced(instance: &str) -> v1::EvacuateInstanceRequest {
    v1::EvacuateInstanceRequest { fenced: true, ..wanted(instance) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_a_fenced_host_runs_on_another_and_its_host_cleans_up() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.sharing(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create_on("it", "h1").await;
    let other = cloud.create_on("other", "h1").await;

    let refused = cloud.evacuate(fenced(&it)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "HOST_UP"));
    let machine = one.vanish();
    cloud.until_down("h1").await;
    let before = cloud.instance(&it).await.unwrap();
    let refused = cloud.evacuate(wanted(&it)).await.unwrap_err();
    assert_eq!(reason(&refused), "NOT_FENCED");
    assert!(refused.message().contains("--fenced"), "{}", refused.message());
    assert_eq!(cloud.instance(&it).await.unwrap(), before, "nothing has changed");

    let moving = cloud.evacuate(fenced(&it)).await.unwrap();
    assert_eq!((moving.status.as_str(), moving.host.as_str()), ("REBUILD", "h1"));
    let moved = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(moved.host, "h2");
    // The capacity is free now, not when the host returns; the host gets no new instances.
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await), (2, 2));
    assert_eq!(two.guests(), std::slice::from_ref(&it));
    assert_eq!(cloud.status_of_move(&it).await, "done");
    let host = cloud.until_host("h1", |_| true).await;
    assert_eq!((host.status(), host.fenced_at > 0), (v1::host::Status::Disabled, true));
    assert_eq!(reason(&cloud.enable("h1").await.unwrap_err()), "CLEANUP_PENDING");

    // It returns, and removes what the record names, and nothing else.
    machine.lock().unwrap().lazy = true;
    let back = cloud.rejoin("h1", Arc::clone(&machine)).await;
    let host = cloud.until_host("h1", |host| host.fenced_at == 0).await;
    assert_eq!(host.fenced_by, "");
    assert_eq!(reason(&cloud.enable("h1").await.unwrap_err()), "CLEANUP_PENDING");
    let machine = back.vanish();
    machine.lock().unwrap().lazy = false;
    let back = cloud.rejoin("h1", machine).await;
    cloud.until_host("h1", |host| host.instances == 1).await;
    assert_eq!(back.guests(), std::slice::from_ref(&other));
    assert_eq!(cloud.status_of_move(&it).await, "completed");
    cloud.enable("h1").await.unwrap();
    cloud.until_status(&other, "ACTIVE").await;
    assert_eq!(cloud.instance(&it).await.unwrap().host, "h2");
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_of_one_host_are_rebuilt_only_if_that_is_asked_for() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create_on("it", "h1").await;
    one.vanish();
    cloud.until_down("h1").await;
    let before = cloud.instance(&it).await.unwrap();
    let refused = cloud.evacuate(fenced(&it)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LOCAL_DISKS"));
    assert!(refused.message().contains("--rebuild"), "{}", refused.message());
    assert_eq!(cloud.instance(&it).await.unwrap(), before);
    let refused = cloud.evacuate_host("h1", false).await.unwrap_err();
    assert_eq!(reason(&refused), "LOCAL_DISKS");

    let rebuilt = v1::EvacuateInstanceRequest { rebuild: true, ..wanted(&it) };
    cloud.evacuate(rebuilt).await.unwrap();
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h2");
    let desired = two.machine.lock().unwrap().desired.clone();
    let built = desired.iter().find(|desired| desired.instance == it).unwrap();
    assert_eq!((built.must_exist, built.disks.clone()), (false, None), "a new guest");
}

/// The record of a host that still runs its guests: the lease on the disks refuses a second guest.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_record_that_lies_starts_nothing_twice() {
    let mut cloud = Cloud::new().await;
    let [one, two, three] = cloud.sharing(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create_on("it", "h1").await;
    for agent in [&two, &three] {
        agent.machine.lock().unwrap().disks_are_in_use = true;
    }
    // Its agent is cut off.
    let machine = one.vanish();
    cloud.until_down("h1").await;
    cloud.evacuate(fenced(&it)).await.unwrap();
    let failed = cloud.until_status(&it, "ERROR").await;
    assert!(failed.fault.contains("a process uses the disk"), "{}", failed.fault);
    assert_eq!(failed.host, "h1", "it is where it was");
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await, cloud.used("h3").await), (2, 0, 0));
    assert!(two.guests().is_empty() && three.guests().is_empty());
    assert_eq!(cloud.status_of_move(&it).await, "failed");

    // It was never touched there.
    let desired = machine.lock().unwrap().desired.len();
    let back = cloud.rejoin("h1", machine).await;
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.power_state, "RUNNING");
    assert_eq!(back.guests(), std::slice::from_ref(&it));
    let goals = back.machine.lock().unwrap().desired.split_off(desired);
    assert!(goals.iter().all(|desired| desired.goal() == v1::desired_guest::Goal::Running), "{goals:?}");
    cloud.enable("h1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evacuation_without_a_target_changes_nothing() {
    let mut cloud = Cloud::new().await;
    let [one, _two] = cloud.sharing(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    cloud.flavor("large", 7, &[]).await;
    let it = cloud.create_on("it", "h1").await;
    let large =
        v1::CreateInstancesRequest { availability_zone: ":h2".to_owned(), ..creation("big", "large") };
    let big = cloud.instances.create(large).await.unwrap().into_inner().instances.remove(0).uuid;
    cloud.until_status(&big, "ACTIVE").await;
    // A task that is stuck goes on if the instance stays.
    one.machine.lock().unwrap().lazy = true;
    let reboot = v1::RebootRequest { instance: it.clone(), hard: true, ..v1::RebootRequest::default() };
    cloud.instances.reboot(reboot).await.unwrap();
    one.vanish();
    cloud.until_down("h1").await;
    let before = cloud.instance(&it).await.unwrap();
    assert_eq!(before.status, "HARD_REBOOT");
    for host in ["", "h2"] {
        let wanted = v1::EvacuateInstanceRequest { host: host.to_owned(), ..fenced(&it) };
        let refused = cloud.evacuate(wanted).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "NO_VALID_HOST"));
        let after = cloud.instance(&it).await.unwrap();
        assert_eq!(v1::Instance { updated_at: before.updated_at, ..after }, before);
    }
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await), (2, 7));
    let host = cloud.until_host("h1", |_| true).await;
    assert_eq!(host.status(), v1::host::Status::Enabled);

    cloud.instances.delete(named(&big)).await.unwrap();
    cloud.until_gone(&big).await;
    cloud.evacuate(fenced(&it)).await.unwrap();
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_guest_stays_stopped_and_the_state_can_be_chosen() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.sharing(["h1", "h2"]).await;
    cloud.flavor("small", 1, &[]).await;
    let mut all = Vec::new();
    for name in ["active", "stopped", "started", "off", "suspended"] {
        all.push(cloud.create_on(name, "h1").await);
    }
    for stopped in [&all[1], &all[2]] {
        cloud.instances.stop(named(stopped)).await.unwrap();
        cloud.until_status(stopped, "SHUTOFF").await;
    }
    cloud.instances.suspend(named(&all[4])).await.unwrap();
    cloud.until_status(&all[4], "SUSPENDED").await;
    one.vanish();
    cloud.until_down("h1").await;
    use v1::EvacuatedState::{Active, Stopped, Unspecified};
    let states = [Unspecified, Unspecified, Active, Stopped, Unspecified];
    for (instance, state) in all.iter().zip(states) {
        let wanted = v1::EvacuateInstanceRequest { state: state.into(), ..fenced(instance) };
        cloud.evacuate(wanted).await.unwrap();
    }
    let expected = ["ACTIVE", "SHUTOFF", "ACTIVE", "SHUTOFF", "SHUTOFF"];
    for (instance, status) in all.iter().zip(expected) {
        assert_eq!(cloud.until_status(instance, status).await.host, "h2");
    }
    let states = two.machine.lock().unwrap().guests.clone();
    let running = states.values().filter(|guest| guest.state() == State::Running).count();
    assert_eq!(running, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_evacuated_as_a_whole_or_not_at_all() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.sharing(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(cloud.create_on(name, "h1").await);
    }
    let there = cloud.create_on("there", "h2").await;
    let _second = cloud.create_on("there-2", "h2").await;
    one.vanish();
    cloud.until_down("h1").await;
    assert_eq!(reason(&cloud.evacuate_host("h1", false).await.unwrap_err()), "NOT_FENCED");

    // Two of three fit.
    let refused = cloud.evacuate_host("h1", true).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    let message = refused.message();
    assert!(message.starts_with("1 of the 3 instances of host \"h1\" get no other host"), "{message}");
    let named_in = all.iter().filter(|uuid| message.contains(*uuid)).count();
    assert_eq!(named_in, 1, "{message}");
    assert!(message.contains("what would help"), "{message}");
    for instance in &all {
        let stays = cloud.until_status(instance, "ACTIVE").await;
        assert_eq!(stays.host, "h1");
        assert_eq!(cloud.status_of_move(instance).await, "failed");
    }
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await), (6, 4));
    assert_eq!(two.guests().len(), 2, "none has left");

    cloud.instances.delete(named(&there)).await.unwrap();
    cloud.until_gone(&there).await;
    two.machine.lock().unwrap().lazy = true;
    let run = cloud.evacuate_host("h1", false).await.unwrap();
    assert_eq!((run.state(), run.instances.len()), (host_evacuation::State::Moving, 3));
    let again = cloud.evacuate_host("h1", false).await.unwrap();
    assert_eq!(again.uuid, run.uuid, "two triggers make one run");
    let machine = two.vanish();
    machine.lock().unwrap().lazy = false;
    let two = cloud.rejoin("h2", machine).await;
    let run = cloud.until_evacuated("h1").await;
    assert_eq!(run.state(), host_evacuation::State::Done);
    assert!(run.instances.iter().all(|of| of.status == "done" && of.host == "h2"), "{run:?}");
    for instance in &all {
        assert_eq!(cloud.until_status(instance, "ACTIVE").await.host, "h2");
    }
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await, two.guests().len()), (0, 8, 4));
    cloud.service.index().check().unwrap();
}

/// Each member alone is bound to its host by the others.
#[tokio::test(flavor = "multi_thread")]
async fn an_affinity_group_leaves_its_host_together() {
    let mut cloud = Cloud::new().await;
    let [one, two, three] = cloud.sharing(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 3, &[]).await;
    let group = cloud.server_group("together", "p", Policy::Affinity).await;
    let hints = [("group".to_owned(), v1::Hints { values: vec![group] })].into();
    let wanted = v1::CreateInstancesRequest { hints, min_count: 2, ..creation("it", "small") };
    let made = cloud.instances.create(wanted).await.unwrap().into_inner().instances;
    let mut source = String::new();
    for one in &made {
        source = cloud.until_status(&one.uuid, "ACTIVE").await.host;
    }
    let others: Vec<&str> = ["h1", "h2", "h3"].into_iter().filter(|host| *host != source).collect();
    // On each of the others, one fits, and not both.
    let mut fillers = Vec::new();
    for host in &others {
        fillers.push(cloud.create_on(&format!("filler-{host}"), host).await);
    }
    let agents = [("h1", one), ("h2", two), ("h3", three)];
    let (dead, _alive): (Vec<_>, Vec<_>) = agents.into_iter().partition(|(host, _)| *host == source);
    dead.into_iter().for_each(|(_, agent)| drop(agent.vanish()));
    cloud.until_down(&source).await;
    let refused = cloud.evacuate_host(&source, true).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    assert_eq!(cloud.used(&source).await, 6, "both are where they were");
    cloud.service.index().check().unwrap();

    cloud.instances.delete(named(&fillers[0])).await.unwrap();
    cloud.until_gone(&fillers[0]).await;
    cloud.evacuate_host(&source, false).await.unwrap();
    assert_eq!(cloud.until_evacuated(&source).await.state(), host_evacuation::State::Done);
    for one in &made {
        assert_eq!(cloud.until_status(&one.uuid, "ACTIVE").await.host, others[0]);
    }
    assert_eq!((cloud.used(&source).await, cloud.used(others[0]).await), (0, 6));
    cloud.service.index().check().unwrap();
}

/// The targets of an evacuation fail: the next host is claimed, also when a target is fenced in
/// turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_dies_is_replaced() {
    let mut cloud = Cloud::new().await;
    let [one, two, three] = cloud.sharing(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create_on("it", "h1").await;
    one.vanish();
    cloud.until_down("h1").await;
    two.machine.lock().unwrap().lazy = true;
    three.machine.lock().unwrap().lazy = true;
    cloud.evacuate(fenced(&it)).await.unwrap();
    let used = |cloud: &mut Cloud| {
        let mut fleet = cloud.fleet.clone();
        async move {
            let host = fleet.get_host(v1::GetHostRequest { name: "h2".to_owned() }).await.unwrap();
            host.into_inner().usages["VCPU"]
        }
    };
    let (target, other, dead, alive) =
        if used(&mut cloud).await == 2 { ("h2", "h3", two, three) } else { ("h3", "h2", three, two) };
    dead.vanish();
    cloud.until_down(target).await;
    let machine = alive.vanish();
    machine.lock().unwrap().lazy = false;
    let _alive = cloud.rejoin(other, machine).await;
    cloud.fleet.fence_host(v1::FenceHostRequest { name: target.to_owned(), fenced: true }).await.unwrap();
    let moved = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(moved.host, other);
    assert_eq!((cloud.used(target).await, cloud.used(other).await, cloud.used("h1").await), (0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fencing_command_makes_the_record() {
    for (command, refusal) in [
        (&["sh", "-c", "test {host} = h1 -a -n {uuid}"][..], None),
        (&["sh", "-c", "echo no power supply; exit 3"], Some("no power supply")),
        // The agent says what its address is: it must not have another host cut off.
        (&["true", "{address}"], Some("another host has the same")),
    ] {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let mut cloud = Cloud::fencing(command).await;
        let [one, _two] = cloud.sharing(["h1", "h2"]).await;
        cloud.flavor("small", 2, &[]).await;
        let it = cloud.create_on("it", "h1").await;
        let fence = || v1::FenceHostRequest { name: "h1".to_owned(), fenced: false };
        assert_eq!(reason(&cloud.fleet.fence_host(fence()).await.unwrap_err()), "HOST_UP");
        one.vanish();
        cloud.until_down("h1").await;
        let Some(why) = refusal else {
            cloud.evacuate(wanted(&it)).await.unwrap();
            assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h2");
            let host = cloud.until_host("h1", |_| true).await;
            assert!(host.fenced_by_command && host.fenced_at >= host.last_seen);
            continue;
        };
        let refused = cloud.evacuate(wanted(&it)).await.unwrap_err();
        assert_eq!(reason(&refused), "FENCING_FAILED");
        assert!(refused.message().contains(why), "{}", refused.message());
        assert_eq!(cloud.until_host("h1", |_| true).await.fenced_at, 0);
    }
    let mut cloud = Cloud::new().await;
    let [one] = cloud.sharing(["h1"]).await;
    one.vanish();
    cloud.until_down("h1").await;
    let fence = v1::FenceHostRequest { name: "h1".to_owned(), fenced: false };
    assert_eq!(reason(&cloud.fleet.fence_host(fence).await.unwrap_err()), "NO_FENCING");
}

/// The service stops while the target builds, and goes on from its records.
#[tokio::test(flavor = "multi_thread")]
async fn an_evacuation_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [one, two] = cloud.sharing(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create_on("it", "h1").await;
    one.vanish();
    cloud.until_down("h1").await;
    two.machine.lock().unwrap().lazy = true;
    let run = cloud.evacuate_host("h1", true).await.unwrap();
    let machine = two.vanish();
    cloud.stop().await;
    let mut cloud = Cloud::at(directory.path()).await;
    // Whether the former host is up is not known yet.
    let refused = cloud.evacuate_host("h1", true).await.unwrap_err();
    assert_eq!(reason(&refused), "HOST_UP");
    machine.lock().unwrap().lazy = false;
    let _two = cloud.rejoin("h2", machine).await;
    let ended = cloud.until_evacuated("h1").await;
    assert_eq!((ended.state(), ended.uuid), (host_evacuation::State::Done, run.uuid));
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h2");
    assert_eq!((cloud.used("h1").await, cloud.used("h2").await), (0, 2));
    cloud.stop().await;
}
