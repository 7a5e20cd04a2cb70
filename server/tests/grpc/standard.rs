//! The standard services, deadlines, and the end of it all.

use std::sync::Arc;
use std::time::Duration;

use berth_api::v1;
use berth_server::{Grpc, Service};
use tokio::sync::oneshot;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{GRACE, Running, claim, claims, options, provider, used};

const SERVING: i32 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_service() {
    let running = Running::new().await;
    let mut client = ServerReflectionClient::new(running.channel().await);
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { message_request: Some(list), ..Default::default() };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "berth.v1.Agents",
            "berth.v1.Fleet",
            "berth.v1.Instances",
            "berth.v1.Placement",
            "berth.v1.Scheduler",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_reported_as_a_whole_and_by_service() {
    let running = Running::new().await;
    let mut client = HealthClient::new(running.channel().await);
    for service in ["", "berth.v1.Placement"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(client.check(request).await.unwrap().into_inner().status, SERVING);
    }
    let unknown = HealthCheckRequest { service: "berth.v0.Placement".to_owned() };
    assert_eq!(client.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

/// The fleet was reconciled by the listener: without it, hosts did not expire, and `/readyz` did
/// not show it.
#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_outlives_the_listener_and_readiness_shows_what_has_ended() {
    let service = Arc::new(Service::new(options()));
    let check = |name: &str| service.health().checks.into_iter().find(|check| check.name == name);
    let is_ok = |name: &str| check(name).map(|check| check.is_ok);
    assert_eq!((is_ok("fleet"), is_ok("grpc")), (None, None));

    let fleet = tokio::spawn(Arc::clone(&service).run_fleet());
    let grpc = Grpc::bind(([127, 0, 0, 1], 0).into(), None, Arc::clone(&service)).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = tokio::spawn(grpc.run(async { drop(stopped.await) }, GRACE));
    while (is_ok("fleet"), is_ok("grpc")) != (Some(true), Some(true)) {
        tokio::task::yield_now().await;
    }
    assert!(service.health().is_ready);

    drop(stop);
    listener.await.unwrap();
    assert_eq!((is_ok("fleet"), is_ok("grpc")), (Some(true), Some(false)));
    fleet.abort();
    assert!(fleet.await.unwrap_err().is_cancelled());
    assert_eq!(is_ok("fleet"), Some(false));
    assert!(!service.health().is_ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_does_not_hold_up_the_end() {
    let running = Running::new().await;
    let mut client = HealthClient::new(running.channel().await);
    let mut watched = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, SERVING);
    let stopped = tokio::time::timeout(Duration::from_secs(5), running.stop()).await;
    assert!(stopped.is_ok(), "it waits for a client that only watches");
    assert_eq!(watched.message().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_was_up_does_nothing() {
    let running = Running::new().await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 4)]).await;
    let wanted = v1::ClaimRequest { claims: vec![claim(1, &[(1, "VCPU", 1)])], all_or_nothing: false };
    let mut request = Request::new(wanted.clone());
    request.metadata_mut().insert("grpc-timeout", "0n".parse().unwrap());
    let error = client.claim(request).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&error.code()), "{error}");
    assert_eq!(used(&mut client, 1, "VCPU").await, 0);
    let mut request = Request::new(wanted);
    request.metadata_mut().insert("grpc-timeout", "1M".parse().unwrap());
    client.claim(request).await.unwrap();
    assert_eq!(used(&mut client, 1, "VCPU").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused() {
    let mut short = options();
    short.limits.body_bytes = 1000;
    let running = Running::over(Arc::new(Service::new(short)), None).await;
    let mut client = running.placement().await;
    provider(&mut client, 1, &[("VCPU", 400)]).await;
    let many = (0..50).map(|number| claim(number, &[(1, "VCPU", 1)])).collect();
    let request = v1::ClaimRequest { claims: many, all_or_nothing: false };
    let error = client.claim(request).await.unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
    assert_eq!(used(&mut client, 1, "VCPU").await, 0);
    assert_eq!(claims(&mut client, vec![claim(1, &[(1, "VCPU", 1)])]).await.len(), 1);
}
