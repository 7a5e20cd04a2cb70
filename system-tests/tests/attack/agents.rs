//! An agent that floods the service with provider trees, reports and messages that are refused.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::guest_report::State;
use berth_api::v1::instances_client::InstancesClient;
use berth_system_tests::service::Service;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::scene::{Ceiling, attack, p99, runtime, service, sized};
use crate::watching::{HOST, connect, host, instances, root};

type Agent = mpsc::Sender<v1::AgentMessage>;

pub(crate) async fn say(agent: &Agent, message: Message) {
    let message = v1::AgentMessage { message: Some(message) };
    agent.send(message).await.expect("the service listens");
}

/// The agent of a host, and the UUIDs of 100 instances on it.
async fn with_instances(service: &Service) -> (Agent, Vec<String>) {
    let channel = connect(&service.grpc_address).await;
    let agent = host(channel.clone()).await;
    instances(&channel, 100).await;
    let mut client = InstancesClient::new(channel);
    let listed = client.list(v1::ListInstancesRequest::default()).await.expect("it is answered");
    (agent, listed.into_inner().instances.into_iter().map(|known| known.uuid).collect())
}

/// A tree of so many children, whose root has so many vCPUs.
fn tree(children: usize, vcpus: u32) -> v1::ProviderTree {
    let host: Uuid = HOST.parse().expect("a valid UUID");
    let mut root = root();
    root.inventories.get_mut("VCPU").expect("it has vCPUs").total = vcpus;
    let children = (0..children).map(|number| v1::AgentProvider {
        uuid: Uuid::new_v5(&host, format!("_{number}").as_bytes()).to_string(),
        name: format!("host_{number}"),
        parent: HOST.to_owned(),
        ..v1::AgentProvider::default()
    });
    v1::ProviderTree { providers: std::iter::once(root).chain(children).collect() }
}

/// Waits until the root has so many vCPUs, while the service answers.
fn until_vcpus(service: &Service, vcpus: u32) {
    let path = format!("/resource_providers/{HOST}/inventories/VCPU");
    let mut client = service.client();
    while client.ask("GET", &path, None).expect("it is answered").body["total"] != vcpus {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Each tree was applied, one after the other, while other writes waited.
#[test]
fn of_many_provider_trees_the_latest_counts() {
    let service = service();
    let runtime = runtime();
    let agent = runtime.block_on(async { host(connect(&service.grpc_address).await).await });
    let (trees, children) = (sized(100, 1_000) as u32, sized(300, 2_000));
    let ceiling = Ceiling { memory_mib: 300, p99: p99(Duration::from_millis(50)) };
    attack(&format!("{trees} trees of {children} providers"), &service, &ceiling, || {
        runtime.block_on(async {
            for vcpus in 1..=trees {
                say(&agent, Message::Providers(tree(children, vcpus))).await;
            }
        });
        until_vcpus(&service, trees);
    });
    // Another agent of the host, which sends nothing else, and writes of others go on as before.
    service.client().ask("PUT", "/traits/CUSTOM_AFTER", None).expect("it is answered").expect(201);
}

/// 12,000 reports of one host in six seconds raised a cheap GET from 3 to 56 ms in the median.
#[test]
fn reports_without_end_delay_nobody_else() {
    let service = service();
    let runtime = runtime();
    let (agent, own) = runtime.block_on(with_instances(&service));
    let reports = sized(5_000, 50_000);
    let ceiling = Ceiling { memory_mib: 100, p99: p99(Duration::from_millis(30)) };
    attack(&format!("{reports} reports of one host"), &service, &ceiling, || {
        runtime.block_on(async {
            let flood = async {
                for number in 0..reports {
                    let state = if number / own.len() % 2 == 0 { State::Running } else { State::ShutDown };
                    let report = v1::GuestReport {
                        instance: own[number % own.len()].clone(),
                        generation: 1,
                        known_generation: 1,
                        state: state.into(),
                        ..v1::GuestReport::default()
                    };
                    say(&agent, Message::Guest(report)).await;
                }
            };
            // The service takes them at its own pace.
            let _ = tokio::time::timeout(Duration::from_secs(sized(5, 30) as u64), flood).await;
        });
    });
}

/// 7,000 reports with long errors took 4 GB and wrote 8.6 GB, and displaced all events.
#[test]
fn long_errors_without_end_take_no_memory() {
    let service = service();
    let runtime = runtime();
    let (agent, own) = runtime.block_on(with_instances(&service));
    let ceiling = Ceiling { memory_mib: 30, p99: p99(Duration::from_millis(30)) };
    let reports = sized(3_000, 7_000);
    attack(&format!("{reports} reports with long errors"), &service, &ceiling, || {
        runtime.block_on(async {
            for number in 0..reports {
                let report = v1::GuestReport {
                    instance: own[number % own.len()].clone(),
                    generation: 1,
                    known_generation: 1,
                    state: State::Running.into(),
                    error: format!("{number} {}", "x".repeat(16_000)),
                    ..v1::GuestReport::default()
                };
                say(&agent, Message::Guest(report)).await;
            }
        });
    });
}

/// An agent could fill the disk of the log.
#[test]
fn what_an_agent_says_fills_no_log() {
    const LOGGED: usize = 100;
    let service = service();
    let runtime = runtime();
    let agent = runtime.block_on(async { host(connect(&service.grpc_address).await).await });
    let messages = sized(1_000, 10_000);
    runtime.block_on(async {
        for number in 0..messages {
            let unknown = v1::GuestReport {
                instance: Uuid::from_u128(number as u128 + 1).to_string(),
                state: State::Running.into(),
                ..v1::GuestReport::default()
            };
            say(&agent, Message::Guest(unknown)).await;
            say(&agent, Message::Hello(v1::Hello::default())).await;
        }
        say(&agent, Message::Providers(tree(0, 7))).await;
    });
    until_vcpus(&service, 7);
    let log = service.log();
    let lines = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    println!("{messages} messages of each kind: {} lines in the log", log.len());
    for text in ["an unmanaged guest is left alone", "a message of the agent is refused"] {
        assert!((1..=LOGGED).contains(&lines(text)), "{text}: {}", lines(text));
    }
    assert!(log.len() <= 2 * LOGGED + 20, "{log:?}");
}
