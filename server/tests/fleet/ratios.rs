//! Allocation ratios of hosts: the service's configuration, what agents report, and what operators
//! set.

use std::collections::BTreeMap;

use berth_api::v1;
use berth_api::v1::agent_message::Message;

use crate::scripted_agent::{ScriptedAgent, tree};
use crate::service::Cloud;

/// The ratios of a host's inventories: vCPUs, memory, disk.
fn ratios(host: &v1::Host) -> [f64; 3] {
    ["VCPU", "MEMORY_MB", "DISK_GB"].map(|class| host.inventories[class].allocation_ratio)
}

/// The tree of a host that reports these ratios; 0 for none.
fn reporting(host: &str, ratios: [f64; 3], total: u32) -> v1::ProviderTree {
    let mut tree = tree(host);
    let by_class = BTreeMap::from([("VCPU", ratios[0]), ("MEMORY_MB", ratios[1]), ("DISK_GB", ratios[2])]);
    for (class, inventory) in &mut tree.providers[0].inventories {
        inventory.allocation_ratio = by_class[class.as_str()];
        inventory.total = total;
    }
    tree
}

/// Reports a tree, and waits until the service has taken it.
async fn report(cloud: &mut Cloud, agent: &ScriptedAgent, host: &str, of: [f64; 3], total: u32) -> [f64; 3] {
    agent.say(Message::Providers(reporting(host, of, total)));
    ratios(&cloud.until_host(host, |host| host.inventories["VCPU"].total == total).await)
}

/// `nova.DEFAULT.cpu_allocation_ratio` and its siblings had no effect on hosts with agents.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_overrides_what_agents_report() {
    let mut cloud = Cloud::with(|options| {
        options.scheduler.general.cpu_allocation_ratio = Some(2.0);
        options.scheduler.general.disk_allocation_ratio = Some(0.0);
    })
    .await;
    let [agent] = cloud.hosts(["h1"]).await;
    let host = cloud.until_host("h1", |_| true).await;
    assert_eq!(ratios(&host), [2.0, 1.0, 1.0]);
    assert_eq!(report(&mut cloud, &agent, "h1", [8.0, 1.5, 3.0], 9).await, [2.0, 1.5, 3.0]);
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_that_is_not_reported_is_the_initial_one_and_then_stays() {
    let mut cloud = Cloud::with(|options| {
        options.scheduler.general.initial_cpu_allocation_ratio = 6.0;
        options.scheduler.general.initial_ram_allocation_ratio = 1.25;
    })
    .await;
    let [agent] = cloud.hosts(["h1"]).await;
    // It has reported 1 for all three before; what it does not report now stays so.
    assert_eq!(report(&mut cloud, &agent, "h1", [0.0, 1.5, 0.0], 9).await, [1.0, 1.5, 1.0]);
    let mut new = reporting("h1", [0.0; 3], 10);
    new.providers[0].inventories.remove("MEMORY_MB");
    agent.say(Message::Providers(new));
    cloud.until_host("h1", |host| !host.inventories.contains_key("MEMORY_MB")).await;
    assert_eq!(report(&mut cloud, &agent, "h1", [0.0; 3], 11).await, [1.0, 1.25, 1.0]);
    cloud.stop().await;
}
