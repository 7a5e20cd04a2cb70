//! Resource classes and traits that agents introduce.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_placement::{Ledger, Topology};

use crate::scripted_agent::{Machine, ScriptedAgent, tree};
use crate::service::Cloud;

/// The most classes and traits of one host that only agents introduced.
const CLASSES: usize = 64;
const TRAITS: usize = 256;

/// A host that has these classes and traits beside its vCPUs.
fn with_names(host: &str, classes: &[String], traits: &[String]) -> v1::ProviderTree {
    let mut tree = tree(host);
    let one = v1::Inventory { total: 1, ..v1::Inventory::default() };
    tree.providers[0].inventories.extend(classes.iter().map(|class| (class.clone(), one)));
    tree.providers[0].traits.extend_from_slice(traits);
    tree
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("CUSTOM_{prefix}_{number:04}")).collect()
}

async fn join(cloud: &Cloud, host: &str, providers: v1::ProviderTree) -> ScriptedAgent {
    let machine = Arc::new(Mutex::new(Machine { providers: Some(providers), ..Machine::default() }));
    ScriptedAgent::join_with(cloud.channel.clone(), host, machine).await
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

/// What the agent was last refused.
async fn refusal(agent: &ScriptedAgent) -> v1::Failure {
    until(|| !agent.machine.lock().unwrap().refusals.is_empty()).await;
    agent.machine.lock().unwrap().refusals.pop().unwrap()
}

/// The custom classes and traits.
fn counts(topology: &Topology) -> (usize, usize) {
    let classes = topology.classes().iter().filter(|(_, name)| name.starts_with("CUSTOM_"));
    let traits = topology.traits().iter().filter(|(_, name)| name.starts_with("CUSTOM_"));
    (classes.count(), traits.count())
}

/// Status of a REST request of an administrator.
async fn rest(cloud: &Cloud, method: &str, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path).header("x-auth-token", "admin");
    let request = request.header("openstack-api-version", "placement 1.39").body(Body::empty()).unwrap();
    cloud.service.answer(request).await.status().as_u16()
}

/// Three trees took the share of all agents, for ever: a host with one new class then got no
/// capacity at all.
#[tokio::test(flavor = "multi_thread")]
async fn one_agent_leaves_names_to_the_others_and_returns_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut cloud = Cloud::at(directory.path()).await;
    let evil = join(&cloud, "evil", tree("evil")).await;
    for round in 0..3 {
        let (classes, traits) = (names(&format!("C{round}"), 1000), names(&format!("T{round}"), 1000));
        evil.say(Message::Providers(with_names("evil", &classes, &traits)));
        let failure = refusal(&evil).await;
        assert_eq!(failure.reason, "TOO_MANY_NAMES", "{failure:?}");
        let first = format!("without providers[0].inventories[CUSTOM_C{round}_0064], ");
        assert!(failure.message.contains(&first), "{failure:?}");
        assert!(failure.message.contains("and 1660 more"), "{failure:?}");
    }
    cloud.until_host("evil", |host| host.inventories.contains_key("CUSTOM_C2_0000")).await;
    let service = Arc::clone(&cloud.service);
    let counts = || counts(&service.index().topology());
    until(|| counts() == (CLASSES, TRAITS)).await;

    let pci = ["CUSTOM_PCI_10DE_1234".to_owned()];
    let legit = join(&cloud, "legit", with_names("legit", &pci, &[])).await;
    let known = cloud.until_host("legit", |host| host.inventories.contains_key(&pci[0])).await;
    assert_eq!(known.inventories["VCPU"].total, 8);
    assert!(legit.machine.lock().unwrap().refusals.is_empty());

    // A tree without them frees them, and so does the end of the host, also after a restart.
    evil.say(Message::Providers(tree("evil")));
    until(|| counts() == (1, 0)).await;
    evil.say(Message::Providers(with_names("evil", &names("D", 3), &names("U", 3))));
    until(|| counts() == (4, 3)).await;
    drop((evil, legit, service));
    cloud.stop().await;
    let mut cloud = Cloud::at(directory.path()).await;
    let service = Arc::clone(&cloud.service);
    let counts = || self::counts(&service.index().topology());
    assert_eq!(counts(), (4, 3));
    cloud.until_deleted(v1::DeleteHostRequest { name: "evil".to_owned() }).await;
    until(|| counts() == (1, 0)).await;
    service.index().check().unwrap();
    drop(service);
    cloud.stop().await;
}

/// The whole tree was refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_its_capacity_when_names_are_short() {
    let mut cloud = Cloud::new().await;
    let index = cloud.service.index();
    let mut writer = index.write();
    let known = writer.topology().classes().count();
    for name in names("OPERATOR", Ledger::MAX_CLASSES / 2 - known) {
        writer.resource_class(&name).unwrap();
    }
    drop(writer);
    let wanted = ["CUSTOM_OPERATOR_0001".to_owned(), "CUSTOM_NEW".to_owned()];
    let host = join(&cloud, "h1", with_names("h1", &wanted, &[])).await;
    let known = cloud.until_host("h1", |host| host.inventories.contains_key(&wanted[0])).await;
    assert_eq!(known.inventories["VCPU"].total, 8);
    let message = refusal(&host).await.message;
    assert!(
        message.starts_with("the tree is applied without providers[0].inventories[CUSTOM_NEW]:"),
        "{message}"
    );
    // Operators have the other half.
    assert_eq!(rest(&cloud, "PUT", "/resource_classes/CUSTOM_OF_AN_OPERATOR").await, 201);
}

/// A name that two hosts have, or that somebody else creates, is not removed with the first host.
#[tokio::test(flavor = "multi_thread")]
async fn names_in_use_or_of_others_stay() {
    let cloud = Cloud::new().await;
    let [class, kept_class] = ["CUSTOM_A", "CUSTOM_KEPT"].map(str::to_owned);
    let [of_trait, kept_trait] = ["CUSTOM_B", "CUSTOM_KEPT"].map(str::to_owned);
    let (classes, traits) = ([class.clone(), kept_class], [of_trait.clone(), kept_trait]);
    let [one, two] = [
        join(&cloud, "h1", with_names("h1", &classes, &traits)).await,
        join(&cloud, "h2", with_names("h2", &classes, &traits)).await,
    ];
    let index = cloud.service.index();
    until(|| index.find_named("h1").is_some() && index.find_named("h2").is_some()).await;
    assert_eq!(counts(&index.topology()), (2, 2));
    assert_eq!(rest(&cloud, "PUT", "/resource_classes/CUSTOM_KEPT").await, 204);
    assert_eq!(rest(&cloud, "PUT", "/traits/CUSTOM_KEPT").await, 204);
    one.say(Message::Providers(tree("h1")));
    one.beat(10).await;
    assert_eq!(counts(&index.topology()), (2, 2));
    two.say(Message::Providers(tree("h2")));
    until(|| counts(&index.topology()) == (1, 1)).await;
    two.beat(10).await;
    assert_eq!(counts(&index.topology()), (1, 1));
    assert_eq!(rest(&cloud, "DELETE", "/traits/CUSTOM_KEPT").await, 204);
}

/// A decider that had nothing to decide kept the numbers of all names that were removed since its
/// last decision.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_come_and_go_use_no_numbers_up() {
    let mut cloud = Cloud::new().await;
    let host = join(&cloud, "h1", tree("h1")).await;
    cloud.until_host("h1", |host| host.is_up && !host.inventories.is_empty()).await;
    cloud.flavor("small", 1, &[]).await;
    let it = cloud.create("it", "small").await;
    cloud.until_status(&it, "ACTIVE").await;
    let index = cloud.service.index();
    for round in 0..Ledger::MAX_CLASSES / CLASSES + 2 {
        let classes = names(&format!("R{round}"), CLASSES);
        host.say(Message::Providers(with_names("h1", &classes, &[])));
        // While all numbers are in use that agents may use, names are left out.
        until(|| {
            if host.machine.lock().unwrap().refusals.pop().is_some() {
                host.say(Message::Providers(with_names("h1", &classes, &[])));
            }
            index.topology().class(&classes[CLASSES - 1]).is_some()
        })
        .await;
        assert_eq!(rest(&cloud, "PUT", &format!("/resource_classes/CUSTOM_OWN_{round}")).await, 201);
    }
}
