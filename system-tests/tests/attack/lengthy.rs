//! Requests that are neither cheap nor searches: their work grows with the cloud, or with their
//! body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::instances_client::InstancesClient;
use berth_api::v1::placement_client::PlacementClient;
use berth_system_tests::service::Service;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::scene::{Ceiling, attack, p99, runtime, service, sized};
use crate::watching::{connect, host, instances};

pub(crate) const PROVIDER: &str = "5ff31a3c-7f0f-4c2e-9a39-8c1b0f8a2d11";

/// Clients that send the same request all the time.
const CLIENTS: usize = 16;

/// A provider, and so many consumers of one project.
pub(crate) fn populate(service: &Service, consumers: usize) {
    let mut client = service.client();
    let provider = json!({ "name": "p", "uuid": PROVIDER });
    client.ask("POST", "/resource_providers", Some(&provider)).expect("it is answered").expect(200);
    let inventories = json!({
        "resource_provider_generation": 0,
        "inventories": { "VCPU": { "total": 1_000_000 } },
    });
    let path = format!("/resource_providers/{PROVIDER}/inventories");
    client.ask("PUT", &path, Some(&inventories)).expect("it is answered").expect(200);
    for first in (0..consumers).step_by(500) {
        let claims = (first..consumers.min(first + 500)).map(|number| {
            let claim = json!({
                "allocations": { PROVIDER: { "resources": { "VCPU": 1 } } },
                "project_id": "p", "user_id": "u", "consumer_type": "INSTANCE", "consumer_generation": null,
            });
            (format!("00000000-0000-4000-8000-{number:012}"), claim)
        });
        let claims: Value = claims.collect::<serde_json::Map<_, _>>().into();
        client.ask("POST", "/allocations", Some(&claims)).expect("it is answered").expect(204);
    }
}

/// Clients that send a request for some time, beside cheap requests.
#[track_caller]
fn flood(name: &str, service: &Service, seconds: u64, (method, path, body): (&str, &str, Option<&Value>)) {
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let ceiling = Ceiling { memory_mib: 400, p99: p99(Duration::from_millis(20)) };
    attack(&format!("{CLIENTS} clients: {name}"), service, &ceiling, || {
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = service.client();
                    while !stop.load(Relaxed) {
                        client.ask(method, path, body).expect("it is answered");
                        answered.fetch_add(1, Relaxed);
                    }
                });
            }
            std::thread::sleep(Duration::from_secs(seconds));
            stop.store(true, Relaxed);
        });
    });
    let answered = answered.into_inner();
    println!("{name}: {answered} answers");
    assert!(answered > 0, "nothing is answered");
}

/// Clients that make a call for some time, beside cheap requests.
#[track_caller]
fn flood_calls<F>(
    name: &str,
    service: &Service,
    seconds: u64,
    call: impl Fn(Channel) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = bool> + Send,
{
    let (answered, runtime) = (Arc::new(AtomicU64::new(0)), runtime());
    let ceiling = Ceiling { memory_mib: 400, p99: p99(Duration::from_millis(20)) };
    attack(&format!("{CLIENTS} clients: {name}"), service, &ceiling, || {
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                let (channel, answered) = (connect(&service.grpc_address).await, Arc::clone(&answered));
                clients.spawn(async move {
                    while call(channel.clone()).await {
                        answered.fetch_add(1, Relaxed);
                    }
                });
            }
            let ended = tokio::time::timeout(Duration::from_secs(seconds), clients.join_next()).await;
            assert!(ended.is_err(), "a call was refused");
        });
    });
    let answered = answered.load(Relaxed);
    println!("{name}: {answered} answers");
    assert!(answered > 0, "nothing is answered");
}

/// Lists over gRPC ran on the threads of all requests, too.
#[test]
fn lists_delay_no_cheap_requests() {
    let service = service();
    populate(&service, sized(5_000, 40_000));
    let seconds = sized(2, 15) as u64;
    flood_calls("consumers of a provider", &service, seconds, |channel| async move {
        let wanted = v1::ListConsumersRequest {
            provider: PROVIDER.to_owned(),
            page_size: 1_000,
            ..Default::default()
        };
        PlacementClient::new(channel).list_consumers(wanted).await.is_ok()
    });
    let service = self::service();
    let runtime = runtime();
    let _agent = runtime.block_on(async {
        let channel = connect(&service.grpc_address).await;
        let agent = host(channel.clone()).await;
        instances(&channel, sized(1_000, 5_000) as u32).await;
        agent
    });
    flood_calls("instances", &service, seconds, |channel| async move {
        let wanted = v1::ListInstancesRequest { page_size: 1_000, ..Default::default() };
        InstancesClient::new(channel).list(wanted).await.is_ok()
    });
}

/// They ran on the threads of all requests: a cheap one took 1.7 s at the 99th percentile.
#[test]
fn lengthy_requests_delay_no_cheap_ones() {
    let service = service();
    populate(&service, sized(5_000, 40_000));
    let seconds = sized(2, 15) as u64;
    flood("usages of a project", &service, seconds, ("GET", "/usages?project_id=p", None));
    let path = format!("/resource_providers/{PROVIDER}/allocations");
    flood("allocations of a provider", &service, seconds, ("GET", &path, None));
    let many: serde_json::Map<String, Value> =
        (0..9_999).map(|number| (number.to_string(), json!(1))).collect();
    let body = Value::Array(vec![Value::Object(many); 24]);
    flood("long bodies", &service, seconds, ("POST", "/reshaper", Some(&body)));
}
