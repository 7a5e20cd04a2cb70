//! Live migrations.

mod host;

use berth_api::v1;
use berth_api::v1::guest_report::State;
use berth_api::v1::live_migrate_instance_request::Disks;
use tonic::{Code, Status};

use crate::scripted_agent::{Machine, ScriptedAgent};
use crate::service::{Cloud, creation, named, reason};

fn wanted(instance: &str, host: &str) -> v1::LiveMigrateInstanceRequest {
    v1::LiveMigrateInstanceRequest {
        instance: instance.to_owned(),
        host: host.to_owned(),
        ..v1::LiveMigrateInstanceRequest::default()
    }
}

impl Cloud {
    /// Hosts that receive guests; those with the same storage share disks.
    async fn receivers<const N: usize>(&mut self, hosts: [(&str, &str); N]) -> [ScriptedAgent; N] {
        let mut agents = Vec::new();
        for (name, storage) in hosts {
            agents.push(ScriptedAgent::receiving(self.channel.clone(), name, storage).await);
        }
        for (name, _) in hosts {
            self.until_host(name, |host| host.is_up && !host.inventories.is_empty()).await;
        }
        self.flavor("small", 2, &[]).await;
        agents.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// An instance on the host.
    async fn on(&mut self, name: &str, host: &str) -> String {
        let wanted =
            v1::CreateInstancesRequest { availability_zone: format!(":{host}"), ..creation(name, "small") };
        let made = self.instances.create(wanted).await.unwrap().into_inner().instances.remove(0).uuid;
        self.until_status(&made, "ACTIVE").await;
        made
    }

    async fn live_migrate(&mut self, instance: &str, host: &str) -> Result<v1::Instance, Status> {
        self.instances.live_migrate(wanted(instance, host)).await.map(tonic::Response::into_inner)
    }

    async fn last_migration(&mut self, instance: &str) -> v1::Migration {
        let wanted = v1::ListMigrationsRequest {
            instance: instance.to_owned(),
            ..v1::ListMigrationsRequest::default()
        };
        self.instances.list_migrations(wanted).await.unwrap().into_inner().migrations.pop().unwrap()
    }

    async fn until_migration(&mut self, instance: &str, status: &str) -> v1::Migration {
        let mut last = self.last_migration(instance).await;
        for _ in 0..1000 {
            if last.status == status {
                return last;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            last = self.last_migration(instance).await;
        }
        panic!("the migration does not become {status}: {last:?}")
    }

    async fn abort(&mut self, instance: &str) -> Result<(), Status> {
        let migration = self.last_migration(instance).await.uuid;
        let wanted = v1::GetMigrationRequest { migration, ..v1::GetMigrationRequest::default() };
        self.instances.abort_migration(wanted).await.map(drop)
    }

    /// How often the source of a live migration has reported that the guest has left.
    async fn times_left(&mut self, instance: &str) -> usize {
        self.events(instance).await.iter().filter(|(_, message)| message == "the guest has left").count()
    }

    /// vCPUs in use on both hosts.
    async fn both(&mut self) -> (u64, u64) {
        (self.used("h1").await, self.used("h2").await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_becomes_the_host_when_it_reports_the_guest() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let it = cloud.on("it", "h1").await;
    let moving = cloud.live_migrate(&it, "").await.unwrap();
    assert_eq!((moving.status.as_str(), moving.task_state.as_str()), ("MIGRATING", "migrating"));
    let running = cloud.until_migration(&it, "running").await;
    assert_eq!((running.kind.as_str(), running.target_host.as_str()), ("live-migration", "h2"));
    assert_eq!(cloud.both().await, (2, 2), "both hosts are claimed");
    assert_eq!(cloud.instance(&it).await.unwrap().host, "h1");
    let refused = cloud.instances.stop(named(&it)).await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_STATE");

    one.until_sending(&it).await;
    two.guest_arrives(&it);
    let there = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((there.host.as_str(), there.power_state.as_str()), ("h2", "RUNNING"));
    cloud.until_migration(&it, "completed").await;
    cloud.until_host("h1", |host| host.instances == 0).await;
    assert_eq!((cloud.both().await, one.guests().is_empty()), ((0, 2), true));
    // The address of the target came from its agent.
    let sent = one.last_transfer(&it);
    assert_eq!((sent.target_host.as_str(), sent.target.unwrap().uri.as_str()), ("h2", "test:///h2"));
    assert!(!sent.is_shared);
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_disks_are_taken_over_before_the_source_removes_anything() {
    let mut cloud = Cloud::new().await;
    let storage = "00000000-0000-0000-0000-000000000005";
    let [one, two] = cloud.receivers([("h1", storage), ("h2", storage)]).await;
    let it = cloud.on("it", "h1").await;
    cloud.live_migrate(&it, "h2").await.unwrap();
    one.until_sending(&it).await;
    two.machine.lock().unwrap().lazy = true;
    two.guest_arrives(&it);
    cloud.until_migration(&it, "post-migrating").await;
    let goals = one.goals(&it);
    assert!(!goals.contains(&v1::desired_guest::Goal::Absent), "the disks are still its own: {goals:?}");
    two.work_off();
    cloud.until_migration(&it, "completed").await;
    cloud.until_host("h1", |host| host.instances == 0).await;
    assert_eq!(one.goals(&it).last(), Some(&v1::desired_guest::Goal::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_sent_at_a_time_and_the_others_hold_nothing() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let [first, second, third] =
        [cloud.on("a", "h1").await, cloud.on("b", "h1").await, cloud.on("c", "h1").await];
    for it in [&first, &second, &third] {
        cloud.live_migrate(it, "").await.unwrap();
    }
    one.until_sending(&first).await;
    for it in [&second, &third] {
        assert_eq!(cloud.last_migration(it).await.status, "queued");
    }
    assert_eq!(cloud.both().await, (6, 2), "what is queued holds its host only");
    cloud.abort(&second).await.unwrap();
    assert_eq!(cloud.last_migration(&second).await.status, "cancelled");
    assert_eq!(cloud.until_status(&second, "ACTIVE").await.host, "h1");
    assert_eq!(cloud.both().await, (6, 2));
    two.guest_arrives(&first);
    cloud.until_migration(&first, "completed").await;
    one.until_sending(&third).await;
    two.guest_arrives(&third);
    cloud.until_migration(&third, "completed").await;
    cloud.until_host("h1", |host| host.instances == 1).await;
    assert_eq!(cloud.both().await, (2, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_decides_whether_an_abort_is_too_late() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let it = cloud.on("it", "h1").await;
    cloud.live_migrate(&it, "").await.unwrap();
    one.until_sending(&it).await;
    cloud.abort(&it).await.unwrap();
    cloud.until_migration(&it, "cancelled").await;
    let stayed = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((stayed.host.as_str(), stayed.fault.as_str()), ("h1", ""));
    cloud.until_host("h2", |host| host.instances == 0).await;
    assert_eq!((cloud.both().await, two.guests().is_empty()), ((2, 0), true));
    assert_eq!(cloud.abort(&it).await.unwrap_err().code(), Code::NotFound, "it is over");

    // The guest leaves while the abort is on its way.
    cloud.live_migrate(&it, "").await.unwrap();
    one.until_sending(&it).await;
    for agent in [&one, &two] {
        agent.machine.lock().unwrap().lazy = true;
    }
    cloud.abort(&it).await.unwrap();
    one.guest_leaves(&it);
    two.guest_arrives(&it);
    one.work_off();
    two.work_off();
    cloud.until_migration(&it, "completed").await;
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h2");
    cloud.until_host("h1", |host| host.instances == 0).await;

    // The source has reported that it left: nothing can be aborted.
    cloud.live_migrate(&it, "").await.unwrap();
    two.until_sending(&it).await;
    one.machine.lock().unwrap().lazy = true;
    let left = cloud.times_left(&it).await;
    two.guest_leaves(&it);
    while cloud.times_left(&it).await == left {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(reason(&cloud.abort(&it).await.unwrap_err()), "TOO_LATE");
    one.guest_arrives(&it);
    one.work_off();
    cloud.until_migration(&it, "completed").await;
}

/// Nothing starts again by itself, and nothing of it is removed from its host.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_neither_host_has_is_an_error_on_the_source() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let it = cloud.on("it", "h1").await;
    cloud.live_migrate(&it, "").await.unwrap();
    one.until_sending(&it).await;
    one.guest_leaves(&it); // the target has only the disks that it made
    let lost = cloud.until_status(&it, "ERROR").await;
    assert!(lost.host == "h1" && lost.fault.contains("neither host"), "{lost:?}");
    cloud.until_host("h2", |host| host.instances == 0).await;
    assert!(two.guests().is_empty() && one.guests() == [it]);
    assert_eq!(cloud.both().await, (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_cannot_be_sent_stays_with_the_reason() {
    let mut cloud = Cloud::new().await;
    let [one, two, three] = cloud.receivers([("h1", ""), ("h2", ""), ("h3", "")]).await;
    let it = cloud.on("it", "h1").await;
    // One target cannot receive it, so another is claimed.
    for agent in [&two, &three] {
        agent.machine.lock().unwrap().refuses_guests = Some("no space".to_owned());
    }
    cloud.live_migrate(&it, "").await.unwrap();
    let failed = cloud.until_migration(&it, "failed").await;
    assert!(failed.failures.contains_key("h2") && failed.failures.contains_key("h3"), "{failed:?}");
    let stayed = cloud.until_status(&it, "ACTIVE").await;
    assert!(stayed.host == "h1" && stayed.fault.contains("no space"), "{stayed:?}");

    // Where one was requested, no other is.
    two.machine.lock().unwrap().refuses_guests = None;
    cloud.live_migrate(&it, "h3").await.unwrap();
    assert_eq!(cloud.until_migration(&it, "failed").await.failures.len(), 1);
    cloud.until_status(&it, "ACTIVE").await;

    // The source cannot send it.
    cloud.live_migrate(&it, "h2").await.unwrap();
    one.until_sending(&it).await;
    one.guest_stays(&it, State::Running, "incompatible CPU");
    assert_eq!(cloud.until_migration(&it, "failed").await.error, "incompatible CPU");
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.fault, "incompatible CPU");
    for host in ["h2", "h3"] {
        cloud.until_host(host, |host| host.instances == 0).await;
        assert_eq!(cloud.used(host).await, 0);
    }
    // It shuts itself down on its way: it is not started again.
    cloud.live_migrate(&it, "h2").await.unwrap();
    one.until_sending(&it).await;
    one.guest_stays(&it, State::ShutDown, "it does not run");
    cloud.until_migration(&it, "failed").await;
    assert_eq!(cloud.until_status(&it, "SHUTOFF").await.host, "h1");
    assert_eq!(cloud.used("h1").await, 2);
}

/// Nothing is sent yet, so another host can receive it.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_goes_down_before_the_guest_is_sent_is_replaced() {
    let mut cloud = Cloud::new().await;
    let [one, two, three] = cloud.receivers([("h1", ""), ("h2", ""), ("h3", "")]).await;
    let it = cloud.on("it", "h1").await;
    for agent in [&two, &three] {
        agent.machine.lock().unwrap().lazy = true;
    }
    cloud.live_migrate(&it, "").await.unwrap();
    let first = cloud.until_migration(&it, "preparing").await.target_host;
    let (chosen, other) = if first == "h2" { (two, three) } else { (three, two) };
    other.machine.lock().unwrap().lazy = false;
    drop(chosen.vanish());
    cloud.until_host(&first, |host| !host.is_up).await;
    let [_new] = cloud.hosts(["h4"]).await; // all open migrations are due then
    one.until_sending(&it).await;
    let second = one.last_transfer(&it).target_host;
    assert!(second != first && second != "h4", "{first}, then {second}");
    other.guest_arrives(&it);
    assert_eq!(cloud.until_migration(&it, "completed").await.failures.len(), 1);
    assert_eq!((cloud.used(&first).await, cloud.used(&second).await), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_receive_no_guests_are_named() {
    let mut cloud = Cloud::new().await;
    let [_plain] = cloud.hosts(["h3"]).await;
    let [_one, _two] = cloud.receivers([("h1", "00000000-0000-0000-0000-000000000005"), ("h2", "")]).await;
    let it = cloud.on("it", "h1").await;
    let refused = cloud.live_migrate(&it, "h3").await.unwrap_err();
    assert_eq!(reason(&refused), "NO_RECEIVER");
    assert!(refused.message().contains("--migration-uri"), "{}", refused.message());
    let shared = v1::LiveMigrateInstanceRequest { disks: Disks::Shared.into(), ..wanted(&it, "") };
    let refused = cloud.instances.live_migrate(shared.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    let message = refused.message();
    assert!(message.contains("does not share the disks") && message.contains("--migration-uri"), "{message}");
    let shared = v1::LiveMigrateInstanceRequest { host: "h2".to_owned(), ..shared };
    assert_eq!(reason(&cloud.instances.live_migrate(shared).await.unwrap_err()), "NO_RECEIVER");
    assert_eq!(reason(&cloud.live_migrate(&it, "h1").await.unwrap_err()), "");
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h1");
    cloud.instances.stop(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHUTOFF").await;
    assert_eq!(reason(&cloud.live_migrate(&it, "").await.unwrap_err()), "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_an_older_hypervisor_are_no_targets() {
    let mut cloud = Cloud::new().await;
    let mut agents = Vec::new();
    for (name, is_old) in [("h1", false), ("h2", true)] {
        let machine = Machine { is_old, ..Machine::default() };
        agents.push(ScriptedAgent::receiving_on(cloud.channel.clone(), name, machine).await);
        cloud.until_host(name, |host| host.is_up && !host.inventories.is_empty()).await;
    }
    cloud.flavor("small", 2, &[]).await;
    let [newer, older] = [cloud.on("newer", "h1").await, cloud.on("older", "h2").await];
    let refused = cloud.live_migrate(&newer, "h2").await.unwrap_err();
    assert!(refused.message().contains("hypervisor is older"), "{}", refused.message());
    cloud.live_migrate(&older, "h1").await.unwrap();
    agents[1].until_sending(&older).await;
    agents[0].guest_arrives(&older);
    cloud.until_migration(&older, "completed").await;
}

/// The CPU that a guest has decides, not that of its host: it may have come from a lesser one.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_whose_cpu_lacks_what_the_guest_has_are_no_targets() {
    let mut cloud = Cloud::new().await;
    let mut agents = Vec::new();
    for (name, features) in [("h1", &["aes", "avx", "avx512f"][..]), ("h2", &["avx", "aes"])] {
        let cpu_features = features.iter().map(ToString::to_string).collect();
        let machine = Machine { cpu_features, ..Machine::default() };
        agents.push(ScriptedAgent::receiving_on(cloud.channel.clone(), name, machine).await);
        cloud.until_host(name, |host| host.is_up && !host.inventories.is_empty()).await;
    }
    let [one, two] = agents.try_into().unwrap_or_else(|_| unreachable!());
    cloud.flavor("small", 2, &[]).await;
    let [it, other] = [cloud.on("it", "h1").await, cloud.on("other", "h2").await];
    for (host, expected) in [("h2", "NO_RECEIVER"), ("", "NO_VALID_HOST")] {
        let refused = cloud.live_migrate(&it, host).await.unwrap_err();
        assert_eq!(reason(&refused), expected);
        assert!(refused.message().contains("its CPU lacks avx512f"), "{}", refused.message());
    }
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.host, "h1");

    // To the better host, and back, with the CPU that it had from the start.
    cloud.live_migrate(&other, "").await.unwrap();
    two.until_sending(&other).await;
    one.machine.lock().unwrap().missing_cpu_features = vec!["avx512f".to_owned()];
    one.guest_arrives(&other);
    cloud.until_migration(&other, "completed").await;
    cloud.live_migrate(&other, "h2").await.unwrap();
    one.until_sending(&other).await;
    two.guest_arrives(&other);
    cloud.until_migration(&other, "completed").await;

    // As soon as it has another, that one decides.
    cloud.live_migrate(&other, "h1").await.unwrap();
    two.until_sending(&other).await;
    one.guest_arrives(&other);
    cloud.until_migration(&other, "completed").await;
    one.machine.lock().unwrap().missing_cpu_features.clear();
    let reboot = v1::RebootRequest { instance: other.clone(), hard: true, ..v1::RebootRequest::default() };
    cloud.instances.reboot(reboot).await.unwrap();
    cloud.until_status(&other, "ACTIVE").await;
    assert_eq!(reason(&cloud.live_migrate(&other, "h2").await.unwrap_err()), "NO_RECEIVER");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_while_the_guest_is_sent_removes_both_sides() {
    let mut cloud = Cloud::new().await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let it = cloud.on("it", "h1").await;
    cloud.live_migrate(&it, "").await.unwrap();
    one.until_sending(&it).await;
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
    assert!(one.guests().is_empty() && two.guests().is_empty());
    assert_eq!(cloud.both().await, (0, 0));
}

/// The service stops while the guest is sent, and goes on from its records.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_migration_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [one, two] = cloud.receivers([("h1", ""), ("h2", "")]).await;
    let [it, queued] = [cloud.on("it", "h1").await, cloud.on("queued", "h1").await];
    cloud.live_migrate(&it, "").await.unwrap();
    one.until_sending(&it).await;
    cloud.live_migrate(&queued, "").await.unwrap();
    let machines = [("h1", one.vanish()), ("h2", two.vanish())];
    cloud.stop().await;
    let mut cloud = Cloud::at(directory.path()).await;
    let mut agents = Vec::new();
    for (name, machine) in machines {
        agents.push(ScriptedAgent::join_with(cloud.channel.clone(), name, machine).await);
    }
    agents[0].until_sending(&it).await;
    assert_eq!(cloud.last_migration(&queued).await.status, "queued");
    agents[1].guest_arrives(&it);
    cloud.until_migration(&it, "completed").await;
    agents[0].until_sending(&queued).await;
    agents[1].guest_arrives(&queued);
    cloud.until_migration(&queued, "completed").await;
    cloud.until_host("h1", |host| host.instances == 0).await;
    assert_eq!(cloud.both().await, (0, 4));
    cloud.stop().await;
}
