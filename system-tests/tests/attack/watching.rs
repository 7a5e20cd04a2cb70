//! Streams of instances that nobody reads.

use std::time::Duration;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::agents_client::AgentsClient;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::scene::{Ceiling, attack, p99, runtime, service, sized};

/// The UUID of the host.
pub(crate) const HOST: &str = "5ff31a3c-7f0f-4c2e-9a39-8c1b0f8a2d11";

/// The root of a large host.
pub(crate) fn root() -> v1::AgentProvider {
    let of = |total| v1::Inventory { total, allocation_ratio: 1.0, ..v1::Inventory::default() };
    let amounts = [("VCPU", 100_000), ("MEMORY_MB", 100_000_000), ("DISK_GB", 1_000_000)];
    v1::AgentProvider {
        uuid: HOST.to_owned(),
        name: "host".to_owned(),
        inventories: amounts.into_iter().map(|(class, total)| (class.to_owned(), of(total))).collect(),
        ..v1::AgentProvider::default()
    }
}

/// An agent of a large host, which never builds anything.
pub(crate) async fn host(channel: Channel) -> mpsc::Sender<v1::AgentMessage> {
    let (sender, receiver) = mpsc::channel(16);
    let hypervisor = v1::Hypervisor {
        kind: "QEMU".to_owned(),
        architecture: "x86_64".to_owned(),
        ..v1::Hypervisor::default()
    };
    let hello = v1::Hello {
        host: "host".to_owned(),
        host_uuid: HOST.to_owned(),
        hypervisor: Some(hypervisor),
        ..v1::Hello::default()
    };
    for message in [
        Message::Hello(hello),
        Message::Providers(v1::ProviderTree { providers: vec![root()] }),
        Message::AllReported(v1::AllReported {}),
    ] {
        sender.send(v1::AgentMessage { message: Some(message) }).await.expect("it is empty");
    }
    let mut desired = AgentsClient::new(channel)
        .join(ReceiverStream::new(receiver))
        .await
        .expect("it may join")
        .into_inner();
    let beats = sender.clone();
    tokio::spawn(async move {
        loop {
            let beat = Message::Heartbeat(v1::Heartbeat { disk_available_gb: 1_000_000 });
            if beats.send(v1::AgentMessage { message: Some(beat) }).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    tokio::spawn(async move { while let Ok(Some(_)) = desired.message().await {} });
    sender
}

/// Makes so many instances.
pub(crate) async fn instances(channel: &Channel, count: u32) {
    let flavor = v1::Flavor { name: "small".to_owned(), vcpus: 1, memory_mb: 1, ..v1::Flavor::default() };
    let mut fleet = FleetClient::new(channel.clone());
    fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor) }).await.expect("it is new");
    let creation = v1::CreateInstancesRequest {
        name: "it".to_owned(),
        flavor: "small".to_owned(),
        project: "p".to_owned(),
        user: "u".to_owned(),
        min_count: 100,
        max_count: 100,
        metadata: (0..50).map(|number| (format!("key{number}"), "v".repeat(60))).collect(),
        ..v1::CreateInstancesRequest::default()
    };
    for _ in 0..count / 100 {
        let mut tries = 0;
        while let Err(error) = InstancesClient::new(channel.clone()).create(creation.clone()).await {
            tries += 1;
            assert!(tries < 100, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await; // the host is not known yet
        }
    }
}

pub(crate) async fn connect(address: &str) -> Channel {
    Endpoint::new(format!("http://{address}")).expect("a valid URL").connect().await.expect("it listens")
}

/// Before messages were shared, 1,000 streams of 1,000 instances took 8.1 GB and stopped everything
/// for 25 s.
#[test]
fn unread_streams_take_little_and_delay_nobody() {
    let service = service();
    let runtime = runtime();
    let address = &service.grpc_address;
    let (agent, channel) = runtime.block_on(async {
        let channel = connect(address).await;
        let agent = host(channel.clone()).await;
        instances(&channel, sized(300, 1_000) as u32).await;
        (agent, channel)
    });
    let ceiling = Ceiling { memory_mib: 500, p99: p99(Duration::from_millis(50)) };
    let ((opened, refused), _) = attack("1,000 unread streams", &service, &ceiling, || {
        runtime.block_on(async {
            let (mut opened, mut refused) = (Vec::new(), 0);
            // Unread streams stop the other calls of their own connection.
            let mut own = connect(address).await;
            for place in 1..=1_000 {
                if place % 100 == 0 {
                    own = connect(address).await;
                }
                let watched =
                    InstancesClient::new(own.clone()).watch(v1::WatchInstancesRequest::default()).await;
                match watched {
                    Ok(stream) => opened.push(stream),
                    Err(error) => {
                        assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
                        refused += 1;
                    }
                }
            }
            change(&channel, sized(100, 1_000)).await;
            (opened.len(), refused)
        })
    });
    println!("{opened} streams were opened, {refused} refused");
    assert!(opened >= 256 && opened + refused == 1_000, "{opened} and {refused}");
    drop(agent);
}

/// Changes instances, so that there is something to stream.
async fn change(channel: &Channel, times: usize) {
    let mut instances = InstancesClient::new(channel.clone());
    let listed = instances.list(v1::ListInstancesRequest { page_size: 100, ..Default::default() }).await;
    let listed = listed.expect("it is answered").into_inner().instances;
    for number in 0..times {
        let instance = listed[number % listed.len()].uuid.clone();
        let lock = v1::LockRequest { instance, reason: format!("change {number}"), ..Default::default() };
        instances.lock(lock).await.expect("it exists");
    }
}
