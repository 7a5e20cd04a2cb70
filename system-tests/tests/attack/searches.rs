//! Searches for allocation candidates that never end by themselves.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::schedule_request::Size;
use berth_api::v1::scheduler_client::SchedulerClient;
use berth_system_tests::http::Client;
use berth_system_tests::service::Service;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;

use crate::agents::say;
use crate::scene::{Ceiling, attack, p99, runtime, service, sized};
use crate::watching::{HOST, connect, host, root};

/// Children of one host, and groups of a query: more candidates than can be counted.
const WIDTH: usize = 24;

/// A tree in which a search for all groups does not end.
pub(crate) fn tree(service: &Service) {
    let mut client = service.client();
    let uuid = |number: usize| format!("a0000000-0000-4000-8000-{number:012}");
    for number in 0..=WIDTH {
        let parent = (number > 0).then(|| uuid(0));
        let provider = json!({"name": uuid(number), "uuid": uuid(number), "parent_provider_uuid": parent});
        client.ask("POST", "/resource_providers", Some(&provider)).expect("it is answered").expect(200);
        let class = if number == 0 { "MEMORY_MB" } else { "SRIOV_NET_VF" };
        let inventories = json!({"resource_provider_generation": 0, "inventories": {class: {"total": 8}}});
        let path = format!("/resource_providers/{}/inventories", uuid(number));
        client.ask("PUT", &path, Some(&inventories)).expect("it is answered").expect(200);
    }
}

/// A search of so many groups.
pub(crate) fn search(groups: usize) -> String {
    let groups: String = (1..=groups).map(|number| format!("resources{number}=SRIOV_NET_VF:1&")).collect();
    format!("/allocation_candidates?{groups}group_policy=isolate")
}

/// Without turns, a cheap request took 6.7 s at the 99th percentile.
#[test]
fn hostile_searches_delay_nobody_else() {
    let service = service();
    tree(&service);
    let ceiling = Ceiling { memory_mib: 1_200, p99: p99(Duration::from_millis(20)) };
    let seconds = sized(10, 60) as u64;
    attack(&format!("64 hostile searches for {seconds} s"), &service, &ceiling, || {
        let clients: Vec<Client> = (0..64)
            .map(|_| {
                let mut client = service.client();
                client.send("GET", &search(WIDTH), None).expect("it listens");
                client
            })
            .collect();
        std::thread::sleep(Duration::from_secs(seconds));
        drop(clients);
    });
}

/// The root of the host, and children with virtual functions.
fn wide_host() -> v1::ProviderTree {
    let host: Uuid = HOST.parse().expect("a valid UUID");
    let functions = v1::Inventory { total: 8, allocation_ratio: 1.0, ..v1::Inventory::default() };
    let children = (0..WIDTH).map(|number| v1::AgentProvider {
        uuid: Uuid::new_v5(&host, format!("_{number}").as_bytes()).to_string(),
        name: format!("host_{number}"),
        parent: HOST.to_owned(),
        inventories: [("SRIOV_NET_VF".to_owned(), functions)].into(),
        ..v1::AgentProvider::default()
    });
    v1::ProviderTree { providers: std::iter::once(root()).chain(children).collect() }
}

/// A request of many groups, none of which takes anything from the host itself.
fn selection() -> v1::ScheduleRequest {
    let groups = (1..=WIDTH / 2).map(|number| (format!("resources{number}:SRIOV_NET_VF"), "1"));
    let none = ["VCPU", "MEMORY_MB", "DISK_GB"].map(|class| (format!("resources:{class}"), "0"));
    let policy = [("group_policy".to_owned(), "isolate")];
    let specs = groups.chain(none).chain(policy).map(|(name, value)| (name, value.to_owned()));
    let flavor = v1::Flavor {
        name: "wide".to_owned(),
        vcpus: 1,
        memory_mb: 64,
        extra_specs: specs.collect(),
        ..v1::Flavor::default()
    };
    v1::ScheduleRequest {
        instances: vec![Uuid::from_u128(1).to_string()],
        size: Some(Size::Flavor(flavor)),
        project: "p".to_owned(),
        ..v1::ScheduleRequest::default()
    }
}

/// One such request of a reader took 2.7 s of a request thread, which others waited for.
#[test]
fn hostile_selections_delay_nobody_else() {
    let service = service();
    let runtime = runtime();
    let channel = runtime.block_on(connect(&service.grpc_address));
    let agent = runtime.block_on(host(channel.clone()));
    runtime.block_on(say(&agent, Message::Providers(wide_host())));
    let mut client = service.client();
    while !client.ask("GET", "/resource_classes/SRIOV_NET_VF", None).is_ok_and(|found| found.status == 200)
        || client.ask("GET", &search(1), None).expect("it is answered").body["provider_summaries"]
            == json!({})
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ceiling = Ceiling { memory_mib: 200, p99: p99(Duration::from_millis(20)) };
    let count = sized(16, 256);
    attack(&format!("{count} hostile selections"), &service, &ceiling, || {
        runtime.block_on(async {
            let select = |channel| async { SchedulerClient::new(channel).select(selection()).await };
            let mut asked: JoinSet<_> = (0..count).map(|_| select(channel.clone())).collect();
            while let Some(outcome) = asked.join_next().await {
                let refused = outcome.expect("it does not panic").expect_err("no host has a candidate");
                assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
            }
        });
    });
}
