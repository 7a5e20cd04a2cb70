//! Measures the time from a request to a running guest and to its removal. The hypervisors take no
//! time, so the rest remains.

use std::time::{Duration, Instant};

use berth_api::v1;
use berth_api::v1::fleet_client::FleetClient;
use berth_api::v1::instances_client::InstancesClient;
use tonic::transport::Channel;

use crate::latencies::Latencies;
use crate::requests::flavor;

/// Creates guests one after the other and removes them again. Returns the times until each was
/// reported as running.
pub(crate) async fn create(channel: Channel, guests: usize) -> Latencies {
    let mut fleet = FleetClient::new(channel.clone());
    fleet.create_flavor(v1::CreateFlavorRequest { flavor: Some(flavor()) }).await.expect("a new flavor");
    let mut instances = InstancesClient::new(channel);
    let watch = v1::WatchInstancesRequest { project: "guests".to_owned(), instances: Vec::new() };
    let mut changes = instances.watch(watch).await.expect("a stream").into_inner();
    let (mut latencies, mut created) = (Vec::new(), Vec::new());
    for number in 0..guests {
        let start = Instant::now();
        let request = v1::CreateInstancesRequest {
            name: format!("guest-{number}"),
            flavor: flavor().name,
            project: "guests".to_owned(),
            ..v1::CreateInstancesRequest::default()
        };
        let made = instances.create(request).await.expect("the fleet has capacity").into_inner().instances;
        let uuid = &made[0].uuid;
        while let Some(instance) = changes.message().await.expect("a change") {
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
