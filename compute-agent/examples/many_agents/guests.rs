//! From a request to a guest that runs, and until it is gone. The hypervisors take no time, so this is all the rest.

use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use tonic::transport::Channel;

use crate::latencies::Latencies;
use crate::requests::flavor;

/// Creates guests one after the other and removes them again: how long each took to be told as running.
pub(crate) async fn create(channel: Channel, guests: usize) -> Latencies {
    let mut fleet = FleetClient::new(channel.clone());
    fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor()) }).await.expect("a new flavor");
    let mut instances = InstancesClient::new(channel);
    let watch = v1::WatchInstancesRequest { project: "guests".to_owned(), instances: Vec::new() };
    let mut told = instances.watch(watch).await.expect("a stream").into_inner();
    let (mut latencies, mut created) = (Vec::new(), Vec::new());
    for number in 0..guests {
        let start = Instant::now();
        let request = v1::CreateInstancesRequest {
            name: format!("guest-{number}"),
            flavor: flavor().name,
            project: "guests".to_owned(),
            ..v1::CreateInstancesRequest::default()
        };
        let made = instances.create(request).await.expect("there is room").into_inner().instances;
        let uuid = &made[0].uuid;
        while let Some(instance) = told.message().await.expect("a change") {
            if instance.uuid == *uuid && instance.status == "ACTIVE" {
                break;
            }
        }
        latencies.push(start.elapsed());
        created.push(uuid.clone());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for instance in created {
        instances
            .delete(v1::InstanceRequest { instance, ..v1::InstanceRequest::default() })
            .await
            .expect("deleted");
    }
    Latencies::new(latencies)
}
