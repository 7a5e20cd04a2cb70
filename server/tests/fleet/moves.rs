//! Resizes and cold migrations.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::server_group::Policy;
use tonic::{Code, Status};

use crate::scripted_agent::ScriptedAgent;
use crate::service::{Cloud, creation, fields, named, reason};

impl Cloud {
    async fn resize(&mut self, instance: &str, flavor: &str) -> Result<v1::Instance, Status> {
        let wanted = v1::ResizeInstanceRequest {
            instance: instance.to_owned(),
            flavor: flavor.to_owned(),
            ..v1::ResizeInstanceRequest::default()
        };
        self.instances.resize(wanted).await.map(tonic::Response::into_inner)
    }

    async fn migrate(&mut self, instance: &str, host: &str) -> Result<v1::Instance, Status> {
        let wanted = v1::MigrateInstanceRequest {
            instance: instance.to_owned(),
            host: host.to_owned(),
            ..v1::MigrateInstanceRequest::default()
        };
        self.instances.migrate(wanted).await.map(tonic::Response::into_inner)
    }

    async fn confirm(&mut self, instance: &str) {
        self.instances.confirm_resize(named(instance)).await.unwrap();
    }

    async fn revert(&mut self, instance: &str) {
        self.instances.revert_resize(named(instance)).await.unwrap();
    }

    async fn migrations(&mut self, instance: &str) -> Vec<v1::Migration> {
        let wanted = v1::ListMigrationsRequest {
            instance: instance.to_owned(),
            ..v1::ListMigrationsRequest::default()
        };
        self.instances.list_migrations(wanted).await.unwrap().into_inner().migrations
    }

    /// vCPUs that a consumer holds.
    async fn held(&mut self, consumer: &str) -> u32 {
        let mut placement = PlacementClient::new(self.channel.clone());
        let wanted = v1::GetConsumerRequest { uuid: consumer.to_owned() };
        let Ok(found) = placement.get_consumer(wanted).await else { return 0 };
        found.into_inner().allocations.iter().map(|of| of.resources["VCPU"]).sum()
    }

    async fn used_everywhere<const N: usize>(&mut self, hosts: [&str; N]) -> [u64; N] {
        let mut used = [0; N];
        for (host, used) in hosts.into_iter().zip(&mut used) {
            *used = self.used(host).await;
        }
        used
    }
}

fn other<'a>(hosts: &[&'a str], than: &str) -> &'a str {
    hosts.iter().find(|host| **host != than).unwrap()
}

fn agent<'a>(agents: &'a [ScriptedAgent], hosts: &[&str], name: &str) -> &'a ScriptedAgent {
    &agents[hosts.iter().position(|host| *host == name).unwrap()]
}

const TWO: [&str; 2] = ["h1", "h2"];

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_is_claimed_verified_and_confirmed() {
    let mut cloud = Cloud::new().await;
    let agents = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    cloud.flavor("large", 5, &[]).await;
    let it = cloud.create("it", "small").await;
    let source = cloud.until_status(&it, "ACTIVE").await.host;
    let target = other(&TWO, &source);

    let moving = cloud.resize(&it, "large").await.unwrap();
    assert_eq!((moving.status.as_str(), moving.host.as_str()), ("RESIZE", source.as_str()));
    let migration = cloud.migrations(&it).await.remove(0);
    assert_eq!((cloud.held(&it).await, cloud.held(&migration.uuid).await), (5, 2), "claimed at once");
    let verify = cloud.until_status(&it, "VERIFY_RESIZE").await;
    assert_eq!((verify.vm_state.as_str(), verify.host.as_str()), ("resized", target));
    assert_eq!(verify.flavor.unwrap().name, "large");
    assert_eq!((cloud.used(&source).await, cloud.used(target).await), (2, 5));
    assert_eq!(agent(&agents, &TWO, &source).guests(), std::slice::from_ref(&migration.uuid));
    assert_eq!(agent(&agents, &TWO, target).guests(), std::slice::from_ref(&it));

    // The instance waits: nothing else can be done with it.
    let refused = cloud.instances.stop(named(&it)).await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_STATE");
    let refused = cloud.migrate(&it, "").await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_STATE");

    cloud.confirm(&it).await;
    let active = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((active.host.as_str(), active.flavor.unwrap().name.as_str()), (target, "large"));
    assert_eq!((cloud.used(&source).await, cloud.used(target).await), (0, 5));
    assert!(agent(&agents, &TWO, &source).guests().is_empty());
    let refused = cloud.instances.confirm_resize(named(&it)).await.unwrap_err();
    assert_eq!(reason(&refused), "WRONG_STATE");

    let done = cloud.migrations(&it).await.remove(0);
    assert_eq!((done.status.as_str(), done.kind.as_str()), ("confirmed", "resize"));
    assert_eq!((done.source_host.as_str(), done.target_host.as_str()), (source.as_str(), target));
    assert_eq!((done.old_flavor.as_str(), done.new_flavor.as_str()), ("small", "large"));
    let wanted = v1::GetMigrationRequest { migration: done.uuid.clone(), project: "p".to_owned() };
    assert_eq!(cloud.instances.get_migration(wanted.clone()).await.unwrap().into_inner(), done);
    let foreign = v1::GetMigrationRequest { project: "other".to_owned(), ..wanted };
    assert_eq!(cloud.instances.get_migration(foreign).await.unwrap_err().code(), Code::NotFound);
    let actions: Vec<String> = cloud.events(&it).await.into_iter().map(|(action, _)| action).collect();
    for action in ["resize", "resize_prep", "resize_migrating", "resize_finish", "resize_confirming"] {
        assert!(actions.iter().any(|known| known == action), "{action}: {actions:?}");
    }
    cloud.service.index().check().unwrap();

    // The next move is not bound by this one: it may go back.
    cloud.migrate(&it, "").await.unwrap();
    assert_eq!(cloud.until_status(&it, "VERIFY_RESIZE").await.host, source);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_restores_host_flavor_disks_and_capacity() {
    let mut cloud = Cloud::new().await;
    let agents = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    cloud.flavor("large", 5, &[]).await;
    for was in ["ACTIVE", "SHUTOFF"] {
        let it = cloud.create("it", "small").await;
        let source = cloud.until_status(&it, "ACTIVE").await.host;
        if was == "SHUTOFF" {
            cloud.instances.stop(named(&it)).await.unwrap();
            cloud.until_status(&it, "SHUTOFF").await;
        }
        let before = cloud.used_everywhere(TWO).await;
        cloud.resize(&it, "large").await.unwrap();
        let verify = cloud.until_status(&it, "VERIFY_RESIZE").await;
        let power = if was == "ACTIVE" { "RUNNING" } else { "SHUTDOWN" };
        assert_eq!(verify.power_state, power);
        cloud.revert(&it).await;
        let back = cloud.until_status(&it, was).await;
        assert_eq!(
            (back.host.as_str(), back.power_state.as_str(), back.fault.as_str()),
            (&*source, power, "")
        );
        assert_eq!(back.flavor.unwrap().name, "small");
        assert_eq!(cloud.used_everywhere(TWO).await, before);
        assert_eq!(agent(&agents, &TWO, &source).guests(), std::slice::from_ref(&it));
        assert!(agent(&agents, &TWO, other(&TWO, &source)).guests().is_empty());
        assert_eq!(cloud.migrations(&it).await[0].status, "reverted");
        cloud.instances.delete(named(&it)).await.unwrap();
        cloud.until_gone(&it).await;
    }
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_is_replaced_and_the_last_one_leaves_the_former_state() {
    let names = ["h1", "h2", "h3"];
    let mut cloud = Cloud::new().await;
    let agents = cloud.hosts(names).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    let source = cloud.until_status(&it, "ACTIVE").await.host;
    let targets: Vec<&str> = names.into_iter().filter(|name| *name != source).collect();
    // Whichever is chosen first.
    agent(&agents, &names, targets[0]).break_builds("no bridge");
    for _ in 0..2 {
        cloud.migrate(&it, "").await.unwrap();
        assert_eq!(cloud.until_status(&it, "VERIFY_RESIZE").await.host, targets[1]);
        cloud.revert(&it).await;
        cloud.until_status(&it, "ACTIVE").await;
    }
    agent(&agents, &names, targets[1]).break_builds("no image");
    cloud.migrate(&it, "").await.unwrap();
    let back = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((back.host.as_str(), back.power_state.as_str()), (&*source, "RUNNING"));
    for why in ["the move failed", "no bridge", "no image"] {
        assert!(back.fault.contains(why), "{}", back.fault);
    }
    let failed = cloud.migrations(&it).await.pop().unwrap();
    assert_eq!((failed.status.as_str(), failed.failures.len()), ("failed", 2));
    assert_eq!(cloud.used_everywhere(names).await.iter().sum::<u64>(), 1);
    assert!(targets.iter().all(|name| agent(&agents, &names, name).guests().is_empty()));
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_host_passes_the_same_filters_and_a_refusal_explains_itself() {
    let mut cloud = Cloud::new().await;
    let _agents = cloud.hosts(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 2, &[]).await;
    cloud.flavor("huge", 9, &[]).await;
    let forced =
        v1::CreateInstancesRequest { availability_zone: ":h1".to_owned(), ..creation("it", "small") };
    let it = cloud.instances.create(forced).await.unwrap().into_inner().instances.remove(0).uuid;
    let before = cloud.until_status(&it, "ACTIVE").await;

    let disable = v1::SetHostRequest {
        name: "h2".to_owned(),
        status: v1::host::Status::Disabled.into(),
        reason: "fan".to_owned(),
    };
    cloud.fleet.set_host(disable).await.unwrap();
    let refused = cloud.migrate(&it, "h2").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "NO_VALID_HOST"));
    assert!(
        refused.message().contains("\"h2\"") && refused.message().contains("disabled"),
        "{}",
        refused.message()
    );
    let refused = cloud.resize(&it, "huge").await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    for (host, problem) in [("h1", "is on host \"h1\" already"), ("h9", "there is no host \"h9\"")] {
        let refused = cloud.migrate(&it, host).await.unwrap_err();
        assert_eq!(fields(&refused), ["host"]);
        assert!(refused.message().contains(problem), "{}", refused.message());
    }
    for (flavor, problem) in [("small", "already"), ("nothing", "")] {
        let refused = cloud.resize(&it, flavor).await.unwrap_err();
        assert!(refused.message().contains(problem), "{}", refused.message());
    }
    // Nothing has changed, and none is open.
    let after = cloud.until_status(&it, "ACTIVE").await;
    assert_eq!((after.host, after.generation), (before.host, before.generation));
    assert!(cloud.migrations(&it).await.iter().all(|migration| migration.status == "failed"));
    assert_eq!(cloud.used_everywhere(["h1", "h2", "h3"]).await, [2, 0, 0]);

    // The host that its creation insisted on does not bind it.
    cloud.migrate(&it, "h3").await.unwrap();
    assert_eq!(cloud.until_status(&it, "VERIFY_RESIZE").await.host, "h3");
}

/// In every phase, which agents that apply nothing keep from passing.
#[tokio::test(flavor = "multi_thread")]
async fn deletion_in_every_phase_leaves_nothing() {
    let mut cloud = Cloud::new().await;
    let agents = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    let lazy = |host: &str, is_lazy: bool| agent(&agents, &TWO, host).machine.lock().unwrap().lazy = is_lazy;
    for phase in
        ["resize_migrating", "resize_finish", "", "resize_confirming", "resize_reverting", "restoring"]
    {
        let it = cloud.create("it", "small").await;
        let source = cloud.until_status(&it, "ACTIVE").await.host;
        let target = other(&TWO, &source);
        match phase {
            "resize_migrating" => lazy(&source, true),
            "resize_finish" => lazy(target, true),
            _ => {}
        }
        cloud.migrate(&it, "").await.unwrap();
        if !["resize_migrating", "resize_finish"].contains(&phase) {
            cloud.until_status(&it, "VERIFY_RESIZE").await;
        }
        match phase {
            "resize_confirming" => {
                lazy(&source, true);
                cloud.confirm(&it).await;
            }
            "resize_reverting" => {
                lazy(target, true);
                cloud.revert(&it).await;
            }
            "restoring" => {
                lazy(&source, true);
                cloud.revert(&it).await;
                let migration = cloud.migrations(&it).await.pop().unwrap().uuid;
                for _ in 0..1000 {
                    if cloud.held(&migration).await == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                assert_eq!(cloud.held(&migration).await, 0, "the target is released");
            }
            _ => {}
        }
        let task = if phase == "restoring" { "resize_reverting" } else { phase };
        cloud.until(&it, |found| found.task_state == task).await;
        // What was sent until now is lost; the deletion is not.
        agents.iter().for_each(|agent| agent.machine.lock().unwrap().lazy = false);
        cloud.instances.delete(named(&it)).await.unwrap();
        cloud.until_gone(&it).await;
        assert_eq!(cloud.used_everywhere(TWO).await, [0, 0], "{phase}");
        assert!(agents.iter().all(|agent| agent.guests().is_empty()), "{phase}");
    }
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_down_keeps_its_disks() {
    let mut cloud = Cloud::new().await;
    let agents = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    let source = cloud.until_status(&it, "ACTIVE").await.host;
    cloud.migrate(&it, "").await.unwrap();
    cloud.until_status(&it, "VERIFY_RESIZE").await;
    agent(&agents, &TWO, &source).machine.lock().unwrap().is_faint = true;
    cloud.until_host(&source, |host| !host.is_up).await;
    let confirmed = cloud.instances.confirm_resize(named(&it)).await.unwrap_err();
    let reverted = cloud.instances.revert_resize(named(&it)).await.unwrap_err();
    for refused in [confirmed, reverted] {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "HOST_DOWN"));
        assert!(refused.message().contains(&format!("host {source:?} is down")), "{}", refused.message());
    }
    assert_eq!(cloud.instance(&it).await.unwrap().status, "VERIFY_RESIZE");

    // A host with open moves is not deleted.
    let [one, two] = agents;
    let (gone, _other) = if source == "h1" { (one, two) } else { (two, one) };
    let machine = gone.vanish();
    let delete = v1::DeleteHostRequest { name: source.clone() };
    for _ in 0..1000 {
        let refused = cloud.fleet.delete_host(delete.clone()).await.unwrap_err();
        if reason(&refused) == "IN_USE" {
            break;
        }
        assert_eq!(reason(&refused), "AGENT_CONNECTED");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(reason(&cloud.fleet.delete_host(delete).await.unwrap_err()), "IN_USE");

    machine.lock().unwrap().is_faint = false;
    let _back = ScriptedAgent::join_with(cloud.channel.clone(), &source, machine).await;
    cloud.until_host(&source, |host| host.is_up).await;
    cloud.confirm(&it).await;
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(cloud.used(&source).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_down_first_offers_nothing() {
    let mut cloud = Cloud::new().await;
    let [one] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let _others = cloud.hosts(["h2"]).await;
    one.machine.lock().unwrap().is_faint = true;
    cloud.until_host("h1", |host| !host.is_up).await;
    let refused = cloud.migrate(&it, "").await.unwrap_err();
    assert_eq!(reason(&refused), "HOST_DOWN");
    assert_eq!(cloud.used_everywhere(TWO).await, [2, 0]);
}

/// Four members on four of six hosts, all moved at the same time, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_moves_never_break_anti_affinity() {
    let names = ["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9", "h10", "h11", "h12"];
    let mut cloud = Cloud::new().await;
    let agents = cloud.hosts(names).await;
    cloud.flavor("small", 1, &[]).await;
    let group = cloud.server_group("apart", "p", Policy::AntiAffinity).await;
    let hints = [("group".to_owned(), v1::Hints { values: vec![group] })].into();
    let wanted = v1::CreateInstancesRequest { hints, min_count: 8, ..creation("apart", "small") };
    let made = cloud.instances.create(wanted).await.unwrap().into_inner().instances;
    for one in &made {
        cloud.until_status(&one.uuid, "ACTIVE").await;
    }
    let apart = || {
        let places = agents.iter().map(|agent| agent.guests().into_iter().collect::<BTreeSet<_>>());
        places.map(|guests| made.iter().filter(|one| guests.contains(&one.uuid)).count()).max()
    };
    for round in 0..4 {
        let moves = made.iter().map(|one| {
            let mut instances = cloud.instances.clone();
            let wanted = v1::MigrateInstanceRequest {
                instance: one.uuid.clone(),
                ..v1::MigrateInstanceRequest::default()
            };
            tokio::spawn(async move { instances.migrate(wanted).await.map(drop) })
        });
        let mut begun = 0;
        for moved in moves.collect::<Vec<_>>() {
            match moved.await.unwrap() {
                Ok(()) => begun += 1,
                // Four hosts are free, and each move keeps its source.
                Err(refused) => assert_eq!(reason(&refused), "NO_VALID_HOST"),
            }
            assert_eq!(apart(), Some(1), "two on one host");
        }
        assert_eq!(begun, 4, "one for each free host");
        for one in &made {
            let found = cloud.until(&one.uuid, |found| found.task_state.is_empty()).await;
            if found.status == "VERIFY_RESIZE" {
                if round % 2 == 0 {
                    cloud.confirm(&one.uuid).await;
                } else {
                    cloud.revert(&one.uuid).await;
                }
                cloud.until_status(&one.uuid, "ACTIVE").await;
            }
            assert_eq!(apart(), Some(1), "two on one host");
        }
        let mut hosts = BTreeSet::new();
        for one in &made {
            hosts.insert(cloud.until_status(&one.uuid, "ACTIVE").await.host);
        }
        assert_eq!(hosts.len(), 8);
    }
    assert_eq!(cloud.used_everywhere(names).await.iter().sum::<u64>(), 8);
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_on_the_same_host_counts_once_in_its_group() {
    let mut cloud = Cloud::with(|options| options.allow_resize_to_same_host = true).await;
    let [host] = cloud.hosts(["h1"]).await;
    cloud.flavor("small", 3, &[]).await;
    // Together they are more than max_unit, which is 8, of one consumer in Placement.
    cloud.flavor("large", 5, &[]).await;
    let group = cloud.server_group("apart", "p", Policy::AntiAffinity).await;
    let hints = [("group".to_owned(), v1::Hints { values: vec![group] })].into();
    let wanted = v1::CreateInstancesRequest { hints, ..creation("it", "small") };
    let it = cloud.instances.create(wanted).await.unwrap().into_inner().instances.remove(0).uuid;
    cloud.until_status(&it, "ACTIVE").await;
    for (ends_in, used) in [("small", 3), ("large", 5)] {
        cloud.resize(&it, "large").await.unwrap();
        let verify = cloud.until_status(&it, "VERIFY_RESIZE").await;
        assert_eq!((verify.host.as_str(), cloud.used("h1").await), ("h1", 8));
        assert_eq!(host.guests().len(), 2, "the guest, and the disks that were set aside");
        if ends_in == "small" {
            cloud.revert(&it).await;
        } else {
            cloud.confirm(&it).await;
        }
        let active = cloud.until_status(&it, "ACTIVE").await;
        assert_eq!((active.flavor.unwrap().name.as_str(), cloud.used("h1").await), (ends_in, used));
        assert_eq!(host.guests(), std::slice::from_ref(&it));
    }
    cloud.service.index().check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_confirms_itself_when_its_window_has_passed() {
    let mut cloud = Cloud::with(|options| options.resize_confirm_window = Duration::from_millis(1)).await;
    let _agents = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    let source = cloud.until_status(&it, "ACTIVE").await.host;
    cloud.migrate(&it, "").await.unwrap();
    let moved = cloud.until(&it, |found| found.status == "ACTIVE" && found.host != source).await;
    assert_eq!(moved.task_state, "");
    assert_eq!(cloud.migrations(&it).await[0].status, "confirmed");
    assert_eq!(cloud.used(&source).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_needs_quota_for_the_larger_flavor() {
    let mut cloud = Cloud::new().await;
    let _agents = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    cloud.flavor("large", 5, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let limit = |vcpus| v1::SetQuotaRequest {
        project: "p".to_owned(),
        vcpus: Some(vcpus),
        ..v1::SetQuotaRequest::default()
    };
    cloud.fleet.set_quota(limit(4)).await.unwrap();
    assert_eq!(reason(&cloud.resize(&it, "large").await.unwrap_err()), "QUOTA_EXCEEDED");
    cloud.fleet.set_quota(limit(5)).await.unwrap();
    cloud.resize(&it, "large").await.unwrap();
    cloud.until_status(&it, "VERIFY_RESIZE").await;
    let quota = || v1::GetQuotaRequest { project: "p".to_owned() };
    assert_eq!(cloud.fleet.get_quota(quota()).await.unwrap().into_inner().used_vcpus, 5);
    cloud.revert(&it).await;
    cloud.until_status(&it, "ACTIVE").await;
    assert_eq!(cloud.fleet.get_quota(quota()).await.unwrap().into_inner().used_vcpus, 2);
}

/// The service stops in each phase, and goes on from its records.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [one, two] = cloud.hosts(TWO).await;
    cloud.flavor("small", 2, &[]).await;
    let it = cloud.create("it", "small").await;
    let source = cloud.until_status(&it, "ACTIVE").await.host;
    let machines = [one, two].map(ScriptedAgent::vanish);
    let mut machines = Some(machines);
    for phase in ["resize_migrating", "VERIFY_RESIZE", "ACTIVE"] {
        let [one, two] = machines.take().unwrap();
        let lazy = phase == "resize_migrating";
        let agents = [
            ScriptedAgent::join_with(cloud.channel.clone(), "h1", one).await,
            ScriptedAgent::join_with(cloud.channel.clone(), "h2", two).await,
        ];
        agents.iter().for_each(|agent| agent.machine.lock().unwrap().lazy = lazy);
        for host in TWO {
            cloud.until_host(host, |host| host.is_up).await;
        }
        match phase {
            "resize_migrating" => {
                cloud.migrate(&it, "").await.unwrap();
                cloud.until(&it, |found| found.task_state == phase).await;
            }
            "VERIFY_RESIZE" => drop(cloud.until_status(&it, phase).await),
            _ => {
                cloud.revert(&it).await;
                assert_eq!(cloud.until_status(&it, phase).await.host, source);
            }
        }
        machines = Some(agents.map(ScriptedAgent::vanish));
        cloud.stop().await;
        cloud = Cloud::at(directory.path()).await;
    }
    assert_eq!(cloud.used_everywhere(TWO).await.iter().sum::<u64>(), 2);
    cloud.service.index().check().unwrap();
}
