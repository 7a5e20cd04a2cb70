//! Aggregates steer, zones bind.

use berth_api::v1;
use tonic::Code;

use crate::service::{Cloud, creation, fields, named, reason};

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
    // A host that is elsewhere, or nowhere, is no host: and it is said why.
    for (zone, why) in [
        ("east:h2", "host \"h2\" is in zone \"nova\", not in \"east\""),
        ("nova:h3", "host \"h3\" is in zone \"east\", not in \"nova\""),
        ("east:h9", "there is no host \"h9\""),
        (":h9", "there is no host \"h9\""),
    ] {
        let refused = cloud.instances.create(in_zone(zone)).await.unwrap_err();
        assert_eq!(reason(&refused), "NO_VALID_HOST", "{zone}");
        assert!(refused.message().contains(why), "{zone}: {refused}");
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

fn change(name: &str) -> v1::UpdateAggregateRequest {
    v1::UpdateAggregateRequest { name: name.to_owned(), ..v1::UpdateAggregateRequest::default() }
}

fn metadata(key: &str, value: &str) -> std::collections::BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

/// Nova answers 409; here, instances were silently in another zone.
#[tokio::test(flavor = "multi_thread")]
async fn instances_do_not_change_their_zone() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 1, &[]).await;
    aggregate(&mut cloud, "east", "h1", &[("availability_zone", "east")]).await;
    aggregate(&mut cloud, "fast", "h1", &[("ssd", "true")]).await;
    aggregate(&mut cloud, "west", "h2", &[("availability_zone", "west")]).await;
    let set = |name: &str, zone: &str| v1::UpdateAggregateRequest {
        set_metadata: metadata("availability_zone", zone),
        ..change(name)
    };
    let unset =
        v1::UpdateAggregateRequest { unset_metadata: vec!["availability_zone".to_owned()], ..change("east") };
    let add = |name: &str, host: &str| v1::UpdateAggregateRequest {
        add_hosts: vec![host.to_owned()],
        ..change(name)
    };
    let remove = |name: &str, host: &str| v1::UpdateAggregateRequest {
        remove_hosts: vec![host.to_owned()],
        ..change(name)
    };

    let wanted =
        v1::CreateInstancesRequest { availability_zone: "east".to_owned(), ..creation("it", "small") };
    let it = cloud.instances.create(wanted).await.unwrap().into_inner().instances[0].uuid.clone();
    cloud.until_status(&it, "ACTIVE").await;
    for shelved in [false, true] {
        if shelved {
            cloud.instances.shelve(named(&it)).await.unwrap();
            cloud.until_status(&it, "SHELVED_OFFLOADED").await;
        }
        for wanted in [set("east", "south"), unset.clone(), remove("east", "h1")] {
            let refused = cloud.fleet.update_aggregate(wanted.clone()).await.unwrap_err();
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "IN_USE"));
            assert!(
                refused.message().contains("\"h1\"") && refused.message().contains("\"east\""),
                "{refused}"
            );
        }
        assert_eq!(cloud.instance(&it).await.unwrap().availability_zone, "east");
    }
    // Whatever leaves it where it is can be done.
    for wanted in [
        set("east", "east"),
        v1::UpdateAggregateRequest { set_metadata: metadata("power", "b"), ..change("east") },
        remove("fast", "h1"),
        add("fast", "h1"),
        set("fast", "east"),
        remove("east", "h1"),
        add("east", "h1"),
        set("west", "north"),
    ] {
        cloud.fleet.update_aggregate(wanted).await.unwrap();
        assert_eq!(cloud.instance(&it).await.unwrap().availability_zone, "east");
    }
    cloud.instances.unshelve(named(&it)).await.unwrap();
    cloud.until_status(&it, "ACTIVE").await;

    // Nor does one on a host that no aggregate put into a zone.
    cloud.fleet.update_aggregate(remove("west", "h2")).await.unwrap();
    let here = cloud.instances.create(v1::CreateInstancesRequest {
        availability_zone: ":h2".to_owned(),
        ..creation("here", "small")
    });
    let here = here.await.unwrap().into_inner().instances[0].uuid.clone();
    let refused = cloud.fleet.update_aggregate(add("west", "h2")).await.unwrap_err();
    assert_eq!(reason(&refused), "IN_USE");
    assert!(refused.message().contains("from zone \"nova\" to \"north\""), "{refused}");
    cloud.instances.delete(named(&here)).await.unwrap();
    cloud.until_gone(&here).await;
    cloud.fleet.update_aggregate(add("west", "h2")).await.unwrap();
}
