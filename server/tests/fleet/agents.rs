//! Agents that go away, and agents whose hosts cannot be so.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::agents_client::AgentsClient;
use berth_api::v1::guest_report::State;
use berth_api::v1::placement_client::PlacementClient;
use berth_server::DurabilityOptions;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::scripted_agent::{Machine, ScriptedAgent, child_uuid, host_uuid, tree};
use crate::service::{Cloud, creation, fields, named, reason};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_away_while_it_is_let_in_is_not_connected() {
    let directory = tempfile::tempdir().unwrap();
    let commit_delay = Duration::from_millis(500);
    let durability = DurabilityOptions { commit_delay, ..DurabilityOptions::default() };
    let mut cloud = Cloud::at_with(directory.path(), durability).await;
    let hello =
        v1::Hello { host: "h1".to_owned(), host_uuid: host_uuid("h1").to_string(), ..Default::default() };
    let hello = v1::AgentMessage { message: Some(Message::Hello(hello)) };
    // It is let in when its host is durable.
    let mut agents = AgentsClient::new(cloud.channel.clone());
    let joining = agents.join(tokio_stream::iter([hello]));
    assert!(tokio::time::timeout(commit_delay / 5, joining).await.is_err());
    cloud.until_host("h1", |_| true).await;
    let gone = v1::DeleteHostRequest { name: "h1".to_owned() };
    cloud.fleet.delete_host(gone).await.unwrap();
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_up_by_heartbeats_alone() {
    let mut cloud = Cloud::new().await;
    cloud.flavor("small", 2, &[]).await;
    let machine = Arc::new(Mutex::new(Machine { is_faint: true, ..Machine::default() }));
    let host = ScriptedAgent::join_with(cloud.channel.clone(), "h1", machine).await;
    // Whatever else it says: its tree, its guests, a tree that is not taken.
    cloud.until_host("h1", |host| !host.inventories.is_empty()).await;
    let mut other = tree("h1");
    other.providers[0].traits.push("NO_TRAIT".to_owned());
    refusal(&host, other).await;
    let known = cloud.until_host("h1", |_| true).await;
    assert!(!known.is_up, "{known:?}");
    let refused = cloud.instances.create(creation("it", "small")).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");

    host.machine.lock().unwrap().is_faint = false;
    cloud.until_host("h1", |host| host.is_up).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;

    // With a guest that goes on to change, but no heartbeats, it is down in the end.
    host.machine.lock().unwrap().is_faint = true;
    let changes = async {
        loop {
            for state in [State::Paused, State::Running] {
                host.guest_becomes(&it, state);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::select! {
        _ = cloud.until_host("h1", |host| !host.is_up) => {}
        () = changes => unreachable!("it goes on and on"),
    }
}

/// Whether a host may join, and the reason and message if not.
async fn join(cloud: &Cloud, host: &str, uuid: Uuid) -> Result<(), Status> {
    let hello = v1::Hello { host: host.to_owned(), host_uuid: uuid.to_string(), ..Default::default() };
    let hello = v1::AgentMessage { message: Some(Message::Hello(hello)) };
    AgentsClient::new(cloud.channel.clone()).join(tokio_stream::iter([hello])).await.map(drop)
}

/// A host with a colon in its name could not be named in `zone:host`.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_a_name_that_requests_can_write() {
    let mut cloud = Cloud::new().await;
    let long = "x".repeat(201);
    for name in
        ["", "a:b", "fe80::1", "a b", "a,b", "a/b", "a\0", "a\nb", "\u{1b}[31m", "\u{202e}a", "é", &long]
    {
        let refused = join(&cloud, name, host_uuid("h1")).await.unwrap_err();
        assert_eq!(
            (refused.code(), fields(&refused)),
            (Code::InvalidArgument, vec!["hello.host".to_owned()])
        );
        assert!(!refused.message().contains(char::is_control), "{refused:?}");
    }
    let hosts = cloud.fleet.list_hosts(v1::ListHostsRequest::default()).await.unwrap().into_inner().hosts;
    assert_eq!(hosts, []);
    let longest = "x".repeat(200);
    for (name, uuid) in [("a.b-c_D", "h1"), (&longest, "h2")] {
        join(&cloud, name, host_uuid(uuid)).await.unwrap();
    }
}

/// `ignore_hosts` takes `H1` for `h1`, so an instance that was shelved on one of them could never
/// return.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_do_not_differ_in_case_alone() {
    let mut cloud = Cloud::new().await;
    join(&cloud, "Host-1", host_uuid("a")).await.unwrap();
    for name in ["host-1", "HOST-1"] {
        let refused = join(&cloud, name, host_uuid("b")).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "OTHER_HOST"));
        assert!(refused.message().contains("\"Host-1\""), "{refused}");
    }
    join(&cloud, "Host-1", host_uuid("a")).await.unwrap();
    // Once it is gone, its name is free in any case.
    let delete = v1::DeleteHostRequest { name: "Host-1".to_owned() };
    cloud.until_deleted(delete).await;
    join(&cloud, "host-1", host_uuid("b")).await.unwrap();
}

/// What the service says of a tree.
async fn refusal(host: &ScriptedAgent, tree: v1::ProviderTree) -> (Code, String) {
    host.say(Message::Providers(tree));
    for _ in 0..1000 {
        if let Some(failure) = host.machine.lock().unwrap().refusals.pop() {
            return (failure.code.into(), failure.message);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_receives_the_names_that_were_refused() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let with_class = |class: &str| {
        let mut tree = tree("h1");
        let inventory = v1::Inventory { total: 1, ..v1::Inventory::default() };
        tree.providers[0].inventories.insert(class.to_owned(), inventory);
        tree
    };
    let with_traits = |traits: &[String]| {
        let mut tree = tree("h1");
        tree.providers[0].traits.extend_from_slice(traits);
        tree
    };
    for class in ["VCPUS", "CUSTOM_", "CUSTOM_gold", "CUSTOM_A-B"] {
        let (code, message) = refusal(&host, with_class(class)).await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(
            message.starts_with(&format!("providers[0].inventories[{class}]: is not known")),
            "{message}"
        );
    }
    for name in ["HW_CPU_X86_NONE", "CUSTOM_GOLD ", "custom_gold"] {
        let (code, message) = refusal(&host, with_traits(&[name.to_owned()])).await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.starts_with("providers[0].traits[1]: is not known"), "{message}");
    }
    let topology = cloud.service.index().topology();
    assert!(topology.traits().iter().all(|(_, name)| !name.starts_with("CUSTOM")));
    assert!(topology.classes().iter().all(|(_, name)| !name.starts_with("CUSTOM")));

    host.say(Message::Providers(with_class("CUSTOM_GOLD_2")));
    cloud.until_host("h1", |host| host.inventories.contains_key("CUSTOM_GOLD_2")).await;
    // Another host's provider is none of its business.
    let mut taken = tree("h1");
    let name = "h2".to_owned();
    let other = v1::AgentProvider { uuid: host_uuid("h2").to_string(), name, ..v1::AgentProvider::default() };
    let parent = taken.providers[0].uuid.clone();
    taken.providers.push(v1::AgentProvider { parent, ..other });
    let _other = cloud.hosts(["h2"]).await;
    let (code, message) = refusal(&host, taken).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("is in the tree of another host"), "{message}");
}

/// A child of h1's root with so many of a class; none is no inventory.
fn child(name: &str, gold: u32) -> v1::AgentProvider {
    let inventory = v1::Inventory { total: gold, ..v1::Inventory::default() };
    v1::AgentProvider {
        uuid: child_uuid("h1", name).to_string(),
        name: format!("h1_{name}"),
        parent: host_uuid("h1").to_string(),
        inventories: (gold > 0).then(|| ("CUSTOM_GOLD".to_owned(), inventory)).into_iter().collect(),
        ..v1::AgentProvider::default()
    }
}

fn with_children(children: impl IntoIterator<Item = v1::AgentProvider>) -> v1::ProviderTree {
    let mut tree = tree("h1");
    tree.providers.extend(children);
    tree
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_of_a_tree_that_is_refused_goes_with_the_next() {
    let mut cloud = Cloud::new().await;
    let [host, _other] = cloud.hosts(["h1", "h2"]).await;
    let service = Arc::clone(&cloud.service);
    let exists = |name: &str| service.index().find(child_uuid("h1", name)).is_some();
    // What another host has, and a name that is taken, is seen before anything is written.
    let others = v1::AgentProvider { uuid: host_uuid("h2").to_string(), ..child("c", 0) };
    let (code, message) = refusal(&host, with_children([child("a", 1), others])).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.starts_with("providers[2]: ") && message.contains("another host"), "{message}");
    let theirs = v1::PutProviderRequest {
        uuid: host_uuid("theirs").to_string(),
        name: "h1_c".to_owned(),
        ..v1::PutProviderRequest::default()
    };
    PlacementClient::new(cloud.channel.clone()).put_provider(theirs).await.unwrap();
    for (other, words) in [
        (child("c", 1), "providers[2].name: another provider is named \"h1_c\""),
        (
            v1::AgentProvider { name: "h2".to_owned(), ..child("b", 1) },
            "providers[2].name: is \"h2\"; the name of a child",
        ),
        (v1::AgentProvider { name: "h1_a".to_owned(), ..child("b", 1) }, "providers[2].uuid: is "),
    ] {
        let (_, message) = refusal(&host, with_children([child("a", 1), other])).await;
        assert!(message.starts_with(words), "{message}");
    }
    assert!(!exists("a") && !exists("b"));

    host.say(Message::Providers(with_children([child("a", 1), child("b", 1)])));
    until(|| exists("b")).await;
    host.say(Message::Providers(with_children([child("a", 2)])));
    until(|| !exists("b")).await;
    assert!(exists("a"));
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not become so")
}

/// A card was pulled, or failed, while an instance held it.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_vanishes_in_use_is_granted_to_nobody_and_goes_when_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let [host] = cloud.hosts(["h1"]).await;
    host.say(Message::Providers(with_children([child("a", 2)])));
    cloud.until_host("h1", |host| host.inventories.contains_key("CUSTOM_GOLD")).await;
    cloud.flavor("gold", 1, &[("resources:CUSTOM_GOLD", "1")]).await;
    let it = cloud.create("it", "gold").await;
    cloud.until_status(&it, "ACTIVE").await;

    // What else the tree says is applied: another child, and a trait of the root.
    let mut without = with_children([child("b", 0)]);
    without.providers[0].traits.push("CUSTOM_LATER".to_owned());
    host.say(Message::Providers(without.clone()));
    let service = Arc::clone(&cloud.service);
    until(|| service.index().find(child_uuid("h1", "b")).is_some()).await;
    assert!(service.index().topology().find_trait("CUSTOM_LATER").is_some());
    let known = cloud.until_host("h1", |host| host.inventories["CUSTOM_GOLD"].reserved == 2).await;
    assert_eq!((known.inventories["CUSTOM_GOLD"].total, known.usages["CUSTOM_GOLD"]), (2, 1));
    let refused = cloud.instances.create(creation("next", "gold")).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    assert_eq!(cloud.until_status(&it, "ACTIVE").await.fault, "");
    assert!(host.machine.lock().unwrap().refusals.is_empty());

    // That it is to go is known after a restart, too.
    let machine = host.vanish();
    drop(service);
    cloud.stop().await;
    let mut cloud = Cloud::at(directory.path()).await;
    let service = Arc::clone(&cloud.service);
    let host = ScriptedAgent::join_with(cloud.channel.clone(), "h1", machine).await;
    host.say(Message::Providers(without));
    cloud.until_host("h1", |host| host.is_up).await;
    assert!(service.index().find(child_uuid("h1", "a")).is_some());
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
    until(|| service.index().find(child_uuid("h1", "a")).is_none()).await;
    assert!(service.index().find(child_uuid("h1", "b")).is_some());
    service.index().check().unwrap();
    drop(service);
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_back_is_granted_again() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let both = with_children([child("a", 2)]);
    host.say(Message::Providers(both.clone()));
    cloud.until_host("h1", |host| host.inventories.contains_key("CUSTOM_GOLD")).await;
    cloud.flavor("gold", 1, &[("resources:CUSTOM_GOLD", "1")]).await;
    let it = cloud.create("it", "gold").await;
    host.say(Message::Providers(tree("h1")));
    cloud.until_host("h1", |host| host.inventories["CUSTOM_GOLD"].reserved == 2).await;
    host.say(Message::Providers(both));
    cloud.until_host("h1", |host| host.inventories["CUSTOM_GOLD"].reserved == 0).await;
    let next = cloud.create("next", "gold").await;
    for it in [it, next] {
        cloud.instances.delete(named(&it)).await.unwrap();
        cloud.until_gone(&it).await;
    }
    // It is the agent's as before: it stays when it is free.
    host.beat(7).await;
    assert!(cloud.service.index().find(child_uuid("h1", "a")).is_some());
}

/// A class of the root, such as huge pages that were turned off.
#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_vanishes_in_use_refuses_no_tree() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let mut with = tree("h1");
    let inventory = v1::Inventory { total: 4, ..v1::Inventory::default() };
    with.providers[0].inventories.insert("CUSTOM_GOLD".to_owned(), inventory);
    host.say(Message::Providers(with));
    cloud.until_host("h1", |host| host.inventories.contains_key("CUSTOM_GOLD")).await;
    cloud.flavor("gold", 1, &[("resources:CUSTOM_GOLD", "1")]).await;
    let it = cloud.create("it", "gold").await;
    cloud.until_status(&it, "ACTIVE").await;

    let mut without = tree("h1");
    let vcpus = v1::Inventory { total: 16, ..v1::Inventory::default() };
    without.providers[0].inventories.insert("VCPU".to_owned(), vcpus);
    host.say(Message::Providers(without));
    let known = cloud.until_host("h1", |host| host.inventories["VCPU"].total == 16).await;
    assert_eq!(known.inventories["CUSTOM_GOLD"].reserved, 4);
    assert!(host.machine.lock().unwrap().refusals.is_empty());
    let refused = cloud.instances.create(creation("next", "gold")).await.unwrap_err();
    assert_eq!(reason(&refused), "NO_VALID_HOST");
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;
    cloud.until_host("h1", |host| !host.inventories.contains_key("CUSTOM_GOLD")).await;
}

/// An agent sent Hello with the UUID of a provider that was made over REST: it joined and gave it a
/// million vCPUs.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_no_provider_that_others_made() {
    let mut cloud = Cloud::new().await;
    let mut placement = PlacementClient::new(cloud.channel.clone());
    let theirs = host_uuid("theirs").to_string();
    let made =
        v1::PutProviderRequest { uuid: theirs.clone(), name: "theirs".to_owned(), ..Default::default() };
    let made = placement.put_provider(made).await.unwrap().into_inner();
    for (host, uuid) in [("evil", host_uuid("theirs")), ("theirs", host_uuid("evil"))] {
        let refused = join(&cloud, host, uuid).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "OTHER_HOST"));
        assert!(refused.message().contains("that no agent made; delete it first"), "{refused}");
    }
    let [evil] = cloud.hosts(["evil"]).await;
    let child = |uuid: &str, name: &str| {
        let mut tree = tree("evil");
        let inventories = tree.providers[0].inventories.clone();
        let child = v1::AgentProvider {
            uuid: uuid.to_owned(),
            name: name.to_owned(),
            inventories,
            ..Default::default()
        };
        tree.providers.push(v1::AgentProvider { parent: host_uuid("evil").to_string(), ..child });
        tree
    };
    let (code, message) = refusal(&evil, child(&theirs, "evil_1")).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("is in the tree of another host"), "{message}");
    let (_, message) = refusal(&evil, child(&child_uuid("evil", "own").to_string(), "theirs")).await;
    assert!(message.contains("is \"theirs\"; the name of a child begins with \"evil_\""), "{message}");

    // Nor one that others made below its root, or with its UUID before its first tree.
    let below = v1::PutProviderRequest {
        uuid: host_uuid("below").to_string(),
        name: "below".to_owned(),
        parent: host_uuid("evil").to_string(),
    };
    placement.put_provider(below).await.unwrap();
    let (_, message) = refusal(&evil, child(&host_uuid("below").to_string(), "evil_1")).await;
    assert!(message.contains("was not made by the agent of this host"), "{message}");
    join(&cloud, "late", host_uuid("late")).await.unwrap();
    let late = v1::PutProviderRequest {
        uuid: host_uuid("late").to_string(),
        name: "l".to_owned(),
        ..Default::default()
    };
    placement.put_provider(late).await.unwrap();
    let late = cloud.agent("late").await;
    let (_, message) = refusal(&late, tree("late")).await;
    assert!(message.contains("was not made by the agent of this host"), "{message}");
    let wanted = v1::GetProviderRequest { uuid: theirs };
    assert_eq!(placement.get_provider(wanted).await.unwrap().into_inner(), made);
}

/// A child named as a host that was yet to come, or with its UUID, kept the real one out: one that
/// came with an agent until it joined, and one that came over REST until an operator removed the
/// child.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_keeps_no_host_out() {
    let mut cloud = Cloud::new().await;
    let [evil] = cloud.hosts(["evil"]).await;
    let index = cloud.service.index();
    let with = |uuid: Uuid, name: &str| {
        let mut tree = tree("evil");
        let parent = host_uuid("evil").to_string();
        let (uuid, name) = (uuid.to_string(), name.to_owned());
        tree.providers.push(v1::AgentProvider { uuid, name, parent, ..v1::AgentProvider::default() });
        tree
    };
    let future = host_uuid("nova-compute-7");
    for (uuid, name, words) in [
        (
            child_uuid("evil", "x"),
            "nova-compute-7",
            "providers[1].name: is \"nova-compute-7\"; the name of a child",
        ),
        (child_uuid("evil", "x"), "evil-compute-7", "providers[1].name: "),
        (child_uuid("evil", "x"), "evil", "providers[1].name: "),
        (child_uuid("evil", ""), "evil_", "providers[1].name: "),
        (future, "evil_x", "providers[1].uuid: "),
    ] {
        let (code, message) = refusal(&evil, with(uuid, name)).await;
        assert!(code == Code::InvalidArgument && message.starts_with(words), "{message}");
    }
    let mut renamed = tree("new");
    renamed.providers[0].name = "nova-compute-7".to_owned();
    let machine = Machine { providers: Some(renamed.clone()), ..Machine::default() };
    let new = ScriptedAgent::join_with(cloud.channel.clone(), "new", Arc::new(Mutex::new(machine))).await;
    let (_, message) = refusal(&new, renamed).await;
    assert!(message.starts_with("providers[0].name: is \"nova-compute-7\"; the root"), "{message}");

    let mut placement = PlacementClient::new(cloud.channel.clone());
    let made = v1::PutProviderRequest {
        uuid: future.to_string(),
        name: "nova-compute-7".to_owned(),
        ..v1::PutProviderRequest::default()
    };
    placement.put_provider(made).await.unwrap();

    // An underscore belongs to the host with the longest name.
    evil.say(Message::Providers(with(child_uuid("evil", "2"), "evil_2")));
    until(|| index.find_named("evil_2").is_some()).await;
    let _two = cloud.hosts(["evil_2"]).await;
    assert_eq!(index.find_named("evil_2"), index.find(host_uuid("evil_2")));
    assert_eq!(index.find_named(&child_uuid("evil", "2").to_string()), index.find(child_uuid("evil", "2")));
    let (_, message) = refusal(&evil, with(child_uuid("evil", "2_numa_0"), "evil_2_numa_0")).await;
    assert!(message.contains("which is a name of host \"evil_2\""), "{message}");
    index.check().unwrap();
}

/// The tree was refused, although the child that had the name leaves with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_yields_its_name_to_the_one_that_replaces_it() {
    let mut cloud = Cloud::new().await;
    let [host] = cloud.hosts(["h1"]).await;
    let index = cloud.service.index();
    let [old, new] = ["a", "b"].map(|suffix| child_uuid("h1", suffix));
    host.say(Message::Providers(with_children([child("a", 1)])));
    until(|| index.find(old).is_some()).await;
    let renamed = v1::PutProviderRequest {
        uuid: old.to_string(),
        name: "h1_b".to_owned(),
        parent: host_uuid("h1").to_string(),
    };
    PlacementClient::new(cloud.channel.clone()).put_provider(renamed).await.unwrap();
    host.say(Message::Providers(with_children([child("b", 1)])));
    until(|| index.find(new).is_some() && index.find(old).is_none()).await;
    assert_eq!(index.find_named("h1_b"), index.find(new));
    assert!(host.machine.lock().unwrap().refusals.is_empty());
}

/// Two agents with one name and UUID displaced each other for ever: new guests ran on both, and
/// those that one of them did not know went to ERROR.
#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_host_is_refused_while_the_first_is_connected() {
    let mut cloud = Cloud::new().await;
    cloud.flavor("small", 1, &[]).await;
    let channel = cloud.channel.clone();
    let join = |nonce: &'static str| ScriptedAgent::join_as(channel.clone(), "h1", nonce, Arc::default());
    let first = join("first").await.unwrap();
    cloud.until_host("h1", |host| host.is_up && !host.inventories.is_empty()).await;
    let mut built = Vec::new();
    for number in 0..5 {
        let refused = join("clone").await.err().unwrap();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "OTHER_AGENT"));
        let it = cloud.create(&format!("i{number}"), "small").await;
        assert_eq!(cloud.until_status(&it, "ACTIVE").await.fault, "");
        built.push(it);
        first.beat(2).await;
    }
    built.sort();
    assert_eq!((first.guests(), first.is_parted()), (built, false));

    // The same agent connects again, though it was not noticed that its stream broke.
    let machine = Arc::clone(&first.machine);
    let again = ScriptedAgent::join_as(cloud.channel.clone(), "h1", "first", machine).await.unwrap();
    while !first.is_parted() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(reason(&join("clone").await.err().unwrap()), "OTHER_AGENT");
    // An agent that is silent for long enough, or shuts down, can be replaced: as a rule by its own
    // restart.
    again.machine.lock().unwrap().is_faint = true;
    let mut next = None;
    for _ in 0..1000 {
        next = join("next").await.ok();
        if next.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let next = next.expect("it is let in");
    next.say(Message::Goodbye(v1::Goodbye {}));
    while !next.is_parted() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    join("last").await.unwrap();
}

/// The host `compute_7`, managed without an agent, was kept out by a child of the host `compute`.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_yields_its_name_to_a_provider_of_the_api() {
    let mut cloud = Cloud::new().await;
    let children: Vec<v1::AgentProvider> = ["7", "8", "9"]
        .map(|suffix| v1::AgentProvider {
            uuid: child_uuid("compute", suffix).to_string(),
            name: format!("compute_{suffix}"),
            parent: host_uuid("compute").to_string(),
            ..v1::AgentProvider::default()
        })
        .into();
    let mut tree = tree("compute");
    tree.providers.extend(children);
    let machine = Machine { providers: Some(tree.clone()), ..Machine::default() };
    let agent =
        ScriptedAgent::join_with(cloud.channel.clone(), "compute", Arc::new(Mutex::new(machine))).await;
    let index = cloud.service.index();
    until(|| index.find(child_uuid("compute", "9")).is_some()).await;
    let rest = async |method, path: String, name: &str, status: u16| {
        let body = serde_json::json!({"name": name, "uuid": host_uuid(name)}).to_string();
        let body = if method == "PUT" { format!("{{\"name\": \"{name}\"}}") } else { body };
        let request = Request::builder().method(method).uri(path).header("x-auth-token", "admin");
        let request = request.header("openstack-api-version", "placement 1.39");
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        assert_eq!(cloud.service.answer(request).await.status().as_u16(), status, "{method} {name}");
    };
    rest("POST", "/resource_providers".to_owned(), "compute_7", 200).await;
    let other = host_uuid("compute_7");
    rest("PUT", format!("/resource_providers/{other}"), "compute_8", 200).await;
    let mut placement = PlacementClient::new(cloud.channel.clone());
    let ninth = v1::PutProviderRequest {
        uuid: host_uuid("x").to_string(),
        name: "compute_9".to_owned(),
        ..v1::PutProviderRequest::default()
    };
    placement.put_provider(ninth).await.unwrap();
    // A name that is no child's stays with its owner.
    rest("POST", "/resource_providers".to_owned(), "compute", 409).await;
    assert_eq!(index.find_named("compute_8"), index.find(other));
    for suffix in ["7", "8", "9"] {
        let child = child_uuid("compute", suffix);
        assert_eq!(index.find_named(&child.to_string()), index.find(child), "{suffix}");
    }
    // The agent's tree is applied as before.
    tree.providers[0].inventories.get_mut("VCPU").unwrap().total = 9;
    agent.say(Message::Providers(tree));
    cloud.until_host("compute", |host| host.inventories["VCPU"].total == 9).await;
    assert!(agent.machine.lock().unwrap().refusals.is_empty());
    assert_eq!(index.find_named("compute_8"), index.find(other));
    index.check().unwrap();
}
