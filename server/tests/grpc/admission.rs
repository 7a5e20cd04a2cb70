//! Whose word lets a host in that comes for the first time.

use std::sync::Arc;

use berth_api::v1;
use berth_api::v1::agent_message::Message;
use berth_api::v1::agents_client::AgentsClient;
use berth_api::v1::fleet_client::FleetClient;
use berth_server::{FleetOptions, Service, ServiceOptions};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::certificates::Authority;
use crate::support::{Running, options};

const UUID: Uuid = Uuid::from_u128(0xa);
const OTHER: Uuid = Uuid::from_u128(0xb);

struct World {
    authority: Authority,
    running: Running,
}

impl World {
    async fn new(options: ServiceOptions) -> Self {
        let authority = Authority::new();
        let running = authority.service_over(Arc::new(Service::new(options))).await;
        Self { authority, running }
    }

    async fn channel(&self, name: &str) -> Channel {
        self.authority.connect(&self.running, Some(self.authority.client(name))).await.unwrap()
    }

    /// Whether the host may join with a certificate of this name.
    async fn join(&self, certificate: &str, host: &str, uuid: Uuid) -> Result<(), Status> {
        let hello = v1::Hello { host: host.to_owned(), host_uuid: uuid.to_string(), ..Default::default() };
        let hello = v1::AgentMessage { message: Some(Message::Hello(hello)) };
        let mut agents = AgentsClient::new(self.channel(certificate).await);
        agents.join(tokio_stream::iter([hello])).await.map(drop)
    }

    async fn approve(&self, name: &str, uuid: Uuid) -> Result<v1::Host, Status> {
        let mut fleet = FleetClient::new(self.channel("berth://role/operator").await);
        let wanted = v1::ApproveHostRequest { name: name.to_owned(), host_uuid: uuid.to_string() };
        fleet.approve_host(wanted).await.map(tonic::Response::into_inner)
    }
}

fn refused(outcome: Result<(), Status>, code: Code, reason: &str) -> String {
    let status = outcome.unwrap_err();
    let found = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    assert_eq!((status.code(), found.as_str()), (code, reason), "{status}");
    status.message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_nobody_vouches_for_is_not_let_in() {
    let world = World::new(options()).await;
    let why =
        refused(world.join("berth://agent/h1", "h1", UUID).await, Code::FailedPrecondition, "NOT_APPROVED");
    assert!(why.contains(&format!("berth host approve h1 --uuid {UUID}")), "{why}");

    let approved = world.approve("h1", UUID).await.unwrap();
    assert_eq!((approved.provider, approved.is_up), (UUID.to_string(), false));
    assert_eq!(world.approve("h1", UUID).await.unwrap().name, "h1");
    refused(world.approve("h1", OTHER).await.map(drop), Code::FailedPrecondition, "OTHER_HOST");
    refused(world.approve("h2", UUID).await.map(drop), Code::FailedPrecondition, "OTHER_HOST");
    let why = refused(world.approve("a:b", OTHER).await.map(drop), Code::InvalidArgument, "");
    assert!(why.starts_with("name: has the character ':'"), "{why}");

    world.join("berth://agent/h1", "h1", UUID).await.unwrap();
    refused(world.join("berth://agent/h1", "h1", OTHER).await, Code::FailedPrecondition, "OTHER_HOST");
    refused(world.join("berth://agent/h2", "h2", UUID).await, Code::FailedPrecondition, "OTHER_HOST");
    refused(world.join("berth://agent/h2", "h1", UUID).await, Code::PermissionDenied, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_the_uuid_vouches_for_that_host_alone() {
    let world = World::new(options()).await;
    let bound = format!("berth://agent/h1/{UUID}");
    let why = refused(world.join(&bound, "h1", OTHER).await, Code::PermissionDenied, "");
    assert!(why.contains(&UUID.to_string()), "{why}");
    refused(world.join(&bound, "h2", UUID).await, Code::PermissionDenied, "");
    world.join(&bound, "h1", UUID).await.unwrap();
    // It is known now.
    world.join("berth://agent/h1", "h1", UUID).await.unwrap();
    // Also of a host that is known, it speaks for no other UUID.
    world.approve("h2", OTHER).await.unwrap();
    refused(world.join(&format!("berth://agent/h2/{UUID}"), "h2", OTHER).await, Code::PermissionDenied, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_on_first_use_is_the_operators_choice() {
    let fleet = FleetOptions { trust_on_first_use: true, ..FleetOptions::default() };
    let world = World::new(ServiceOptions { fleet, ..options() }).await;
    world.join("berth://agent/h1", "h1", UUID).await.unwrap();
    refused(world.join("berth://agent/h2", "h2", UUID).await, Code::FailedPrecondition, "OTHER_HOST");
    world.join("berth://agent/h2", "h2", OTHER).await.unwrap();
}
