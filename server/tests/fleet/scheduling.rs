//! Schedule, select, explain; and what keeps hosts from getting anything new.

use berth_api::v1;
use berth_api::v1::placement_client::PlacementClient;
use berth_api::v1::schedule_request::Size;
use berth_api::v1::server_group::Policy;
use berth_api::v1::tagged_schedule_response::Outcome;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::service::{Cloud, creation, named, reason};

fn uuid(number: u128) -> String {
    Uuid::from_u128(0xc << 124 | number).to_string()
}

fn request(numbers: std::ops::Range<u128>) -> v1::ScheduleRequest {
    v1::ScheduleRequest {
        instances: numbers.map(uuid).collect(),
        size: Some(Size::FlavorName("small".to_owned())),
        project: "p".to_owned(),
        ..v1::ScheduleRequest::default()
    }
}

fn hosts(response: tonic::Response<v1::ScheduleResponse>) -> Vec<String> {
    response.into_inner().selections.into_iter().map(|one| one.place.unwrap().host).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_claims_nothing_and_a_repeated_request_returns_the_same() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 2, &[]).await;
    let dry = cloud.scheduler.select(request(0..1)).await.unwrap();
    assert_eq!(hosts(dry).len(), 1);
    assert_eq!(cloud.used("h1").await + cloud.used("h2").await, 0);
    let first = hosts(cloud.scheduler.schedule(request(0..4)).await.unwrap());
    assert_eq!(hosts(cloud.scheduler.schedule(request(0..4)).await.unwrap()), first);
    assert_eq!(cloud.used("h1").await + cloud.used("h2").await, 8);
    // All or nothing: four more fit.
    let refused = cloud.scheduler.schedule(request(10..15)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "NO_VALID_HOST"));
    // As scheduler.proto promises: how many hosts each constraint removed. It was in the message
    // alone.
    cloud.flavor("huge", 64, &[]).await;
    let huge = v1::ScheduleRequest { size: Some(Size::FlavorName("huge".to_owned())), ..request(30..31) };
    let refused = cloud.scheduler.schedule(huge).await.unwrap_err();
    let counts: std::collections::BTreeMap<_, _> =
        refused.get_details_error_info().unwrap().metadata.into_iter().collect();
    assert!(counts.values().all(|count| count.parse::<usize>().is_ok_and(|hosts| hosts > 0)), "{counts:?}");
    assert!(
        !counts.is_empty() && counts.keys().all(|by| refused.message().contains(by)),
        "{counts:?} {refused}"
    );
    assert_eq!(cloud.used("h1").await + cloud.used("h2").await, 8);
    let alternates = v1::ScheduleRequest { alternates: 1, ..request(20..21) };
    let with = cloud.scheduler.select(alternates).await.unwrap().into_inner().selections;
    assert_eq!(with[0].alternates.len(), 1);
    assert_ne!(with[0].alternates[0].host, with[0].place.as_ref().unwrap().host);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_host_gets_nothing_new_and_a_silent_one_neither() {
    let mut cloud = Cloud::new().await;
    let [_one, two] = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 1, &[]).await;
    let set = |status: v1::host::Status| v1::SetHostRequest {
        name: "h1".to_owned(),
        status: status.into(),
        reason: "a new fan".to_owned(),
    };
    let disabled = cloud.fleet.set_host(set(v1::host::Status::Disabled)).await.unwrap().into_inner();
    assert_eq!(disabled.reason, "a new fan");
    assert_eq!(hosts(cloud.scheduler.schedule(request(0..3)).await.unwrap()), ["h2"; 3]);
    cloud.fleet.set_host(set(v1::host::Status::Enabled)).await.unwrap();
    let machine = two.vanish();
    cloud.until_host("h2", |host| !host.is_up).await;
    assert_eq!(hosts(cloud.scheduler.schedule(request(10..13)).await.unwrap()), ["h1"; 3]);
    drop(machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_keep_a_group_apart() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2", "h3"]).await;
    cloud.flavor("small", 1, &[]).await;
    let group = v1::CreateServerGroupRequest {
        name: "apart".to_owned(),
        policy: Policy::AntiAffinity.into(),
        project: "p".to_owned(),
        ..v1::CreateServerGroupRequest::default()
    };
    let group = cloud.fleet.create_server_group(group).await.unwrap().into_inner();
    let hints = || [("group".to_owned(), v1::Hints { values: vec![group.uuid.clone()] })].into();
    let ask = |number: usize| {
        let mut client = cloud.instances.clone();
        let wanted =
            v1::CreateInstancesRequest { hints: hints(), ..creation(&format!("i{number}"), "small") };
        tokio::spawn(async move { client.create(wanted).await })
    };
    let asked: Vec<_> = (0..6).map(ask).collect();
    let mut used = Vec::new();
    for one in asked {
        match one.await.unwrap() {
            Ok(made) => used.push(made.into_inner().instances[0].host.clone()),
            Err(refused) => assert_eq!(reason(&refused), "NO_VALID_HOST", "{refused}"),
        }
    }
    used.sort();
    assert_eq!(used, ["h1", "h2", "h3"]);
    let wanted = v1::GetServerGroupRequest { group: "apart".to_owned(), project: "p".to_owned() };
    assert_eq!(cloud.fleet.get_server_group(wanted).await.unwrap().get_ref().members.len(), 3);
    let gone = v1::DeleteServerGroupRequest { group: group.uuid.clone(), project: "p".to_owned() };
    assert_eq!(reason(&cloud.fleet.delete_server_group(gone).await.unwrap_err()), "IN_USE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_its_instances_until_they_are_deleted_and_others_until_they_are_released() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 1, &[]).await;
    let group = v1::CreateServerGroupRequest {
        name: "apart".to_owned(),
        policy: Policy::AntiAffinity.into(),
        project: "p".to_owned(),
        ..v1::CreateServerGroupRequest::default()
    };
    let group = cloud.fleet.create_server_group(group).await.unwrap().into_inner();
    let hints = || [("group".to_owned(), v1::Hints { values: vec![group.uuid.clone()] })].into();
    let known = || v1::GetServerGroupRequest { group: group.uuid.clone(), project: "p".to_owned() };
    let gone = || v1::DeleteServerGroupRequest { group: group.uuid.clone(), project: "p".to_owned() };

    let wanted = v1::CreateInstancesRequest { hints: hints(), ..creation("it", "small") };
    let it = cloud.instances.create(wanted).await.unwrap().into_inner().instances[0].uuid.clone();
    cloud.until_status(&it, "ACTIVE").await;
    cloud.instances.shelve(named(&it)).await.unwrap();
    cloud.until_status(&it, "SHELVED_OFFLOADED").await;
    assert_eq!(
        cloud.fleet.get_server_group(known()).await.unwrap().get_ref().members,
        std::slice::from_ref(&it)
    );
    assert_eq!(reason(&cloud.fleet.delete_server_group(gone()).await.unwrap_err()), "IN_USE");
    cloud.instances.delete(named(&it)).await.unwrap();
    cloud.until_gone(&it).await;

    let claimed = v1::ScheduleRequest { hints: hints(), ..request(0..2) };
    cloud.scheduler.schedule(claimed).await.unwrap();
    let mut placement = PlacementClient::new(cloud.channel.clone());
    placement.release(v1::ReleaseRequest { consumers: vec![uuid(0)] }).await.unwrap();
    assert_eq!(cloud.fleet.get_server_group(known()).await.unwrap().get_ref().members, [uuid(1)]);
    assert_eq!(reason(&cloud.fleet.delete_server_group(gone()).await.unwrap_err()), "IN_USE");
    placement.release(v1::ReleaseRequest { consumers: vec![uuid(1)] }).await.unwrap();
    cloud.fleet.delete_server_group(gone()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_each_request_by_its_tag() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 1, &[]).await;
    let requests = (0..20_u64).map(|tag| v1::TaggedScheduleRequest {
        tag,
        request: Some(request(u128::from(tag)..u128::from(tag) + 1)),
    });
    let mut answers =
        cloud.scheduler.schedule_stream(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let (mut granted, mut refused, mut tags) = (0, 0, Vec::new());
    while let Some(answer) = answers.message().await.unwrap() {
        tags.push(answer.tag);
        match answer.outcome.unwrap() {
            Outcome::Response(_) => granted += 1,
            Outcome::Failure(failure) => {
                assert_eq!(
                    (failure.code, failure.reason.as_str()),
                    (Code::ResourceExhausted as i32, "NO_VALID_HOST")
                );
                refused += 1;
            }
        }
    }
    tags.sort_unstable();
    assert_eq!((granted, refused, tags), (16, 4, (0..20).collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_counts_what_removed_hosts() {
    let mut cloud = Cloud::new().await;
    let _hosts = cloud.hosts(["h1", "h2"]).await;
    cloud.flavor("small", 20, &[]).await;
    let wanted = v1::ExplainRequest {
        request: Some(request(0..1)),
        hosts: vec!["h2".to_owned()],
        ..v1::ExplainRequest::default()
    };
    let explained = cloud.scheduler.explain(wanted.clone()).await.unwrap().into_inner();
    assert_eq!((explained.hosts, explained.chosen.as_str()), (2, ""));
    assert_eq!(explained.removed.iter().map(|by| by.hosts).sum::<u32>(), 2);
    assert_eq!(explained.verdicts[0].host, "h2");
    assert!(explained.verdicts[0].reason.contains("VCPU"), "{:?}", explained.verdicts);
    let json: serde_json::Value = serde_json::from_str(&explained.json).unwrap();
    assert!(json["relaxations"]["found"].as_array().is_some_and(|found| !found.is_empty()), "{json}");
    let tenant = v1::ExplainRequest { tenant_view: true, hosts: Vec::new(), ..wanted };
    let explained = cloud.scheduler.explain(tenant).await.unwrap().into_inner();
    assert!(!explained.json.contains("h1") && !explained.json.contains("h2"), "{}", explained.json);
}

/// Everything that a request with an internal hint must not pass: capacity, traits, status, zones
/// and groups.
mod internal_hints {
    use std::collections::BTreeMap;

    use super::*;
    use crate::service::fields;

    fn internal(others: &[(&str, &str)]) -> BTreeMap<String, v1::Hints> {
        let internal = [("_nova_check_type", "rebuild"), ("_other", "x")];
        let all = internal.iter().chain(others);
        all.map(|(name, value)| ((*name).to_owned(), v1::Hints { values: vec![(*value).to_owned()] }))
            .collect()
    }

    /// The reason of a refusal is the same with and without internal hints, whichever way the
    /// request takes.
    async fn is_refused(cloud: &mut Cloud, flavor: &str, zone: &str, others: &[(&str, &str)]) {
        for hints in [
            internal(others),
            internal(others).into_iter().filter(|(name, _)| !name.starts_with('_')).collect(),
        ] {
            let wanted = v1::ScheduleRequest {
                size: Some(Size::FlavorName(flavor.to_owned())),
                availability_zone: zone.to_owned(),
                hints: hints.clone(),
                ..request(0..1)
            };
            let case = format!("{flavor} in {zone:?} with {hints:?}");
            let selected = cloud.scheduler.select(wanted.clone()).await.unwrap_err();
            let scheduled = cloud.scheduler.schedule(wanted.clone()).await.unwrap_err();
            let wanted = v1::ExplainRequest { request: Some(wanted), ..v1::ExplainRequest::default() };
            let explained = cloud.scheduler.explain(wanted).await.unwrap().into_inner();
            assert_eq!(explained.chosen, "", "{case}");
            let creation = v1::CreateInstancesRequest {
                availability_zone: zone.to_owned(),
                hints,
                ..creation("it", flavor)
            };
            let created = cloud.instances.create(creation).await.unwrap_err();
            for refused in [selected, scheduled, created] {
                assert_eq!(reason(&refused), "NO_VALID_HOST", "{case}: {refused} {:?}", fields(&refused));
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pass_nothing() {
        let mut cloud = Cloud::new().await;
        let _hosts = cloud.hosts(["h1", "h2"]).await;
        cloud.flavor("huge", 64, &[]).await;
        cloud.flavor("avoiding", 1, &[("trait:HW_CPU_X86_AVX2", "forbidden")]).await;
        cloud.flavor("small", 1, &[]).await;
        is_refused(&mut cloud, "huge", "", &[]).await;
        is_refused(&mut cloud, "avoiding", "", &[]).await;

        // A zone of one host, before anything is on it: a host does not leave its zone under its
        // instances.
        let zone = v1::CreateAggregateRequest {
            name: "east".to_owned(),
            metadata: [("availability_zone".to_owned(), "east".to_owned())].into(),
        };
        cloud.fleet.create_aggregate(zone).await.unwrap();
        let zone = v1::UpdateAggregateRequest {
            name: "east".to_owned(),
            add_hosts: vec!["h1".to_owned()],
            ..v1::UpdateAggregateRequest::default()
        };
        cloud.fleet.update_aggregate(zone).await.unwrap();

        let group = cloud.server_group("apart", "p", Policy::AntiAffinity).await;
        let hints = internal(&[("group", &group)]);
        let both = v1::CreateInstancesRequest { hints, min_count: 2, ..creation("both", "small") };
        let both = cloud.instances.create(both).await.unwrap().into_inner().instances;
        assert_ne!(both[0].host, both[1].host);
        assert_eq!(cloud.used("h1").await + cloud.used("h2").await, 2, "capacity is claimed");
        is_refused(&mut cloud, "small", "", &[("group", &group)]).await;

        let status = v1::SetHostRequest {
            name: "h1".to_owned(),
            status: v1::host::Status::Disabled.into(),
            ..v1::SetHostRequest::default()
        };
        cloud.fleet.set_host(status).await.unwrap();
        // Only a disabled host is in the zone.
        is_refused(&mut cloud, "small", "east", &[]).await;
        is_refused(&mut cloud, "huge", "nova", &[]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn are_not_kept_with_the_instance() {
        let mut cloud = Cloud::new().await;
        let _hosts = cloud.hosts(["h1", "h2"]).await;
        cloud.flavor("half", 5, &[]).await;
        let wanted = v1::CreateInstancesRequest { hints: internal(&[]), ..creation("it", "half") };
        let it = cloud.instances.create(wanted).await.unwrap().into_inner().instances[0].uuid.clone();
        cloud.until_status(&it, "ACTIVE").await;
        cloud.instances.shelve(named(&it)).await.unwrap();
        cloud.until_status(&it, "SHELVED_OFFLOADED").await;
        cloud.create("first", "half").await;
        cloud.create("second", "half").await;
        // Both hosts are full.
        let refused = cloud.instances.unshelve(named(&it)).await.unwrap_err();
        assert_eq!(reason(&refused), "NO_VALID_HOST", "{refused}");
        assert_eq!(cloud.used("h1").await + cloud.used("h2").await, 10);
    }
}
