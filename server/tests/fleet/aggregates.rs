//! Aggregates steer, zones bind.

use berth_api::v1;
use tonic::Code;

use crate::service::{Cloud, creation, fields, reason};

async fn aggregate(cloud: &mut Cloud, name: &str, host: &str, metadata: &[(&str, &str)]) {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let wanted = v1::CreateAggregateRequest { name: name.to_owned(), metadata };
    cloud.fleet.create_aggregate(wanted).await.unwrap();
    let wanted = v1::UpdateAggregateRequest {
        name: name.to_owned(),
        add_hosts: vec![host.to_owned()],
        ..v1::UpdateAggregateRequest::default()
    };
    cloud.fleet.update_aggregate(wanted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_spec_leads_to_the_aggregate() {
    let mut cloud = Cloud::new().await;
    let hosts = cloud.hosts(["h1", "h2", "h3"]).await;
    aggregate(&mut cloud, "fast", "h2", &[("ssd", "true")]).await;
    cloud.flavor("fast", 1, &[("aggregate_instance_extra_specs:ssd", "true")]).await;
    let options = cloud.fleet.list_zones(v1::ListZonesRequest {}).await.unwrap().into_inner().zones;
    assert_eq!((options.len(), options[0].name.as_str(), options[0].is_available), (1, "nova", true));
    for number in 0..3 {
        let made = cloud.create(&format!("i{number}"), "fast").await;
        let active = cloud.until_status(&made, "ACTIVE").await;
        assert_eq!(active.host, "h2");
    }
    assert_eq!(hosts[1].guests().len(), 3);
    assert!(hosts[0].guests().is_empty() && hosts[2].guests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_binds_and_a_host_can_be_forced() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 1, &[]).await;
    aggregate(&mut cloud, "east", "h3", &[("availability_zone", "east")]).await;
    let in_zone = |zone: &str| v1::CreateInstancesRequest {
        availability_zone: zone.to_owned(),
        ..creation("i", "small")
    };
    for zone in ["east", "east:h3"] {
        let made = cloud.instances.create(in_zone(zone)).await.unwrap().into_inner();
        assert_eq!(
            (made.instances[0].host.as_str(), made.instances[0].availability_zone.as_str()),
            ("h3", "east")
        );
    }
    let forced = cloud.instances.create(in_zone(":h2")).await.unwrap().into_inner();
    assert_eq!(forced.instances[0].host, "h2");
    // Who asks for the default zone does not get into another.
    let wanted = v1::CreateInstancesRequest { min_count: 9, max_count: 20, ..in_zone("nova") };
    let made = cloud.instances.create(wanted).await.unwrap().into_inner().instances;
    assert!(made.len() == 15 && made.iter().all(|one| one.host != "h3"), "{made:?}");
    let nowhere = cloud.instances.create(in_zone("west")).await.unwrap_err();
    assert_eq!(
        (nowhere.code(), fields(&nowhere)),
        (Code::InvalidArgument, vec!["availability_zone".to_owned()])
    );
    assert!(nowhere.message().contains("east, nova"), "{nowhere}");

    // No host is in two zones.
    let wanted = v1::CreateAggregateRequest {
        name: "west".to_owned(),
        metadata: [("availability_zone".to_owned(), "west".to_owned())].into(),
    };
    cloud.fleet.create_aggregate(wanted).await.unwrap();
    let add = v1::UpdateAggregateRequest {
        name: "west".to_owned(),
        add_hosts: vec!["h3".to_owned()],
        ..v1::UpdateAggregateRequest::default()
    };
    assert_eq!(reason(&cloud.fleet.update_aggregate(add).await.unwrap_err()), "OTHER_ZONE");
    let gone = v1::DeleteAggregateRequest { name: "east".to_owned() };
    assert_eq!(reason(&cloud.fleet.delete_aggregate(gone).await.unwrap_err()), "IN_USE");
}
