//! Hosts, aggregates, zones, flavors, server groups.

use berth_api::v1::host::Status;
use berth_api::v1::server_group::Policy;
use berth_api::v1::*;
use serde_json::json;

use super::{AT, AT_TEXT, Fake, UUID, assert_lines, map, texts};

fn host(name: &str) -> Host {
    let inventory =
        Inventory { total: 64, reserved: 2, min_unit: 1, max_unit: 64, step_size: 1, allocation_ratio: 4.0 };
    Host {
        name: name.into(),
        provider: UUID.into(),
        status: Status::Disabled.into(),
        reason: "memory errors".into(),
        is_up: true,
        last_seen: AT,
        since: AT,
        availability_zone: "az1".into(),
        aggregates: texts(&["rack1", "ssd"]),
        inventories: [("VCPU".to_owned(), inventory)].into(),
        usages: [("VCPU".to_owned(), 12)].into(),
        instances: 3,
        ..Default::default()
    }
}

#[test]
fn hosts_are_listed_page_by_page() {
    let fake = Fake::start();
    let page =
        |name: &str, next: &str| ListHostsResponse { hosts: vec![host(name)], next_page_token: next.into() };
    fake.answers("ListHosts", page("compute-1", "more")).answers("ListHosts", page("compute-2", ""));
    assert_lines(
        &fake.succeed("host list"),
        &[
            "name status state availability zone aggregates instances reason",
            "compute-1 disabled up az1 rack1, ssd 3 memory errors",
            "compute-2 disabled up az1 rack1, ssd 3 memory errors",
        ],
    );
    let pages: [ListHostsRequest; 2] = [fake.asked("ListHosts"), fake.asked("ListHosts")];
    assert_eq!(
        pages.map(|page| (page.page_size, page.page_token)),
        [(1000, String::new()), (1000, "more".into())]
    );
}

#[test]
fn a_host_is_shown_whole() {
    let fake = Fake::start();
    fake.answers("GetHost", host("compute-1")).answers("GetHost", host("compute-1"));
    let shown = super::json(&fake.succeed("host show compute-1 -f json"));
    assert_eq!(fake.asked::<GetHostRequest>("GetHost").name, "compute-1");
    let inventory = json!({ "total": 64, "reserved": 2, "min_unit": 1, "max_unit": 64, "step_size": 1, "allocation_ratio": 4.0 });
    let expected = json!({
        "name": "compute-1", "provider": UUID, "status": "disabled", "reason": "memory errors", "state": "up",
        "last_seen": AT_TEXT, "since": AT_TEXT, "fenced_at": null, "fenced_by": null, "availability_zone": "az1", "aggregates": ["rack1", "ssd"],
        "instances": 3, "hypervisor": null, "inventories": { "VCPU": inventory }, "usages": { "VCPU": 12 },
    });
    assert_eq!(shown, expected);
    let table = fake.succeed("host show compute-1");
    for words in ["field", "availability zone", AT_TEXT, "VCPU=allocation_ratio=4.0", "VCPU=12"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
}

#[test]
fn hosts_are_enabled_disabled_and_maintained() {
    let fake = Fake::start();
    for (line, status, reason) in [
        ("--disable --reason broken", Status::Disabled, "broken"),
        ("--maintenance", Status::Maintenance, ""),
        ("--enable", Status::Enabled, ""),
    ] {
        fake.answers("SetHost", host("compute-1"));
        fake.succeed(&format!("host set compute-1 {line}"));
        let asked: SetHostRequest = fake.asked("SetHost");
        assert_eq!(
            (asked.name.as_str(), asked.status(), asked.reason.as_str()),
            ("compute-1", status, reason)
        );
    }
    for line in ["", "--enable --disable", "--enable --reason x"] {
        fake.fail(2, &format!("host set compute-1 {line}"));
    }
    assert!(!fake.was_asked("SetHost"));
    fake.answers("DeleteHost", DeleteHostResponse {});
    assert_eq!(fake.succeed("host delete compute-1"), "");
    assert_eq!(fake.asked::<DeleteHostRequest>("DeleteHost").name, "compute-1");
}

fn aggregate() -> Aggregate {
    let metadata = map(&[("availability_zone", "az1"), ("ssd", "true")]);
    Aggregate { name: "rack1".into(), uuid: UUID.into(), hosts: texts(&["a", "b"]), metadata }
}

#[test]
fn a_host_is_approved_with_its_uuid() {
    let fake = Fake::start();
    fake.answers("ApproveHost", host("compute-1"));
    fake.succeed(&format!("host approve compute-1 --uuid {UUID}"));
    let asked: ApproveHostRequest = fake.asked("ApproveHost");
    assert_eq!((asked.name.as_str(), asked.host_uuid.as_str()), ("compute-1", UUID));
    fake.fail(2, "host approve compute-1");
    fake.fail(2, "host approve compute-1 --uuid 7");
}

#[test]
fn aggregates_are_made_and_changed() {
    let fake = Fake::start();
    fake.answers("CreateAggregate", aggregate());
    let shown = super::json(&fake.succeed("aggregate create rack1 --zone az1 --property ssd=true -f json"));
    let asked: CreateAggregateRequest = fake.asked("CreateAggregate");
    assert_eq!((asked.name, asked.metadata), ("rack1".into(), aggregate().metadata));
    let expected = json!({
        "name": "rack1", "uuid": UUID, "availability_zone": "az1", "hosts": ["a", "b"], "properties": { "ssd": "true" },
    });
    assert_eq!(shown, expected);

    let change = UpdateAggregateRequest { name: "rack1".into(), ..Default::default() };
    for (line, expected) in [
        ("add-host rack1 a b", UpdateAggregateRequest { add_hosts: texts(&["a", "b"]), ..change.clone() }),
        ("remove-host rack1 a", UpdateAggregateRequest { remove_hosts: texts(&["a"]), ..change.clone() }),
        (
            "set rack1 --property k=v=w --zone z",
            UpdateAggregateRequest {
                set_metadata: map(&[("availability_zone", "z"), ("k", "v=w")]),
                ..change.clone()
            },
        ),
        (
            "unset rack1 --property k --property l",
            UpdateAggregateRequest { unset_metadata: texts(&["k", "l"]), ..change.clone() },
        ),
    ] {
        fake.answers("UpdateAggregate", aggregate());
        fake.succeed(&format!("aggregate {line}"));
        assert_eq!(fake.asked::<UpdateAggregateRequest>("UpdateAggregate"), expected, "{line}");
    }
}

#[test]
fn aggregates_are_listed_shown_and_deleted() {
    let fake = Fake::start();
    fake.answers(
        "ListAggregates",
        ListAggregatesResponse { aggregates: vec![aggregate()], ..Default::default() },
    );
    assert_lines(
        &fake.succeed("aggregate list"),
        &["name availability zone hosts properties", "rack1 az1 a, b ssd=true"],
    );
    fake.answers("GetAggregate", aggregate());
    assert!(fake.succeed("aggregate show rack1").contains("ssd=true"));
    assert_eq!(fake.asked::<GetAggregateRequest>("GetAggregate").name, "rack1");
    fake.answers("DeleteAggregate", DeleteAggregateResponse {})
        .answers("DeleteAggregate", DeleteAggregateResponse {});
    fake.succeed("aggregate delete rack1 rack2");
    let deleted: [DeleteAggregateRequest; 2] = [fake.asked("DeleteAggregate"), fake.asked("DeleteAggregate")];
    assert_eq!(deleted.map(|asked| asked.name), ["rack1", "rack2"]);
}

#[test]
fn bad_properties_are_refused_before_the_service_is_asked() {
    let fake = Fake::start();
    assert!(fake.fail(2, "aggregate create x --property k").contains("--property <KEY=VALUE>"));
    assert!(fake.fail(2, "aggregate create x --property =v").contains("has to be KEY=VALUE"));
    assert!(fake.fail(1, "aggregate create x --property k=1 --property k=2").contains("k is given twice"));
    assert!(fake.fail(1, "aggregate set x").contains("--property or --zone: needed"));
}

#[test]
fn zones_are_listed() {
    let fake = Fake::start();
    let zone = Zone { name: "az1".into(), hosts: texts(&["a", "b"]), is_available: true };
    let zones = || ListZonesResponse { zones: vec![zone.clone()] };
    fake.answers("ListZones", zones()).answers("ListZones", zones());
    assert_lines(&fake.succeed("zone list"), &["name available hosts", "az1 yes a, b"]);
    let shown = super::json(&fake.succeed("zone list --format json"));
    assert_eq!(shown, json!([{ "name": "az1", "available": true, "hosts": ["a", "b"] }]));
}

fn flavor() -> Flavor {
    Flavor {
        name: "m1.small".into(),
        vcpus: 2,
        memory_mb: 2048,
        root_gb: 20,
        ephemeral_gb: 5,
        swap_mb: 512,
        extra_specs: map(&[("trait:CUSTOM_GOLD", "required")]),
    }
}

#[test]
fn flavors_are_made_listed_shown_and_deleted() {
    let fake = Fake::start();
    fake.answers("CreateFlavor", flavor());
    fake.succeed(
        "flavor create m1.small --vcpus 2 --ram 2048 --disk 20 --ephemeral 5 --swap 512 \
         --property trait:CUSTOM_GOLD=required",
    );
    assert_eq!(fake.asked::<CreateFlavorRequest>("CreateFlavor").flavor, Some(flavor()));
    fake.answers("ListFlavors", ListFlavorsResponse { flavors: vec![flavor()], ..Default::default() });
    assert_lines(
        &fake.succeed("flavor list"),
        &[
            "name vcpus memory MiB root GiB ephemeral GiB swap MiB extra specs",
            "m1.small 2 2048 20 5 512 trait:CUSTOM_GOLD=required",
        ],
    );
    fake.answers("GetFlavor", flavor());
    let shown = super::json(&fake.succeed("flavor show m1.small -f json"));
    let expected = json!({
        "name": "m1.small", "vcpus": 2, "memory_mb": 2048, "root_gb": 20, "ephemeral_gb": 5, "swap_mb": 512,
        "extra_specs": { "trait:CUSTOM_GOLD": "required" },
    });
    assert_eq!(shown, expected);
    fake.answers("DeleteFlavor", DeleteFlavorResponse {});
    fake.succeed("flavor delete m1.small");
    assert_eq!(fake.asked::<DeleteFlavorRequest>("DeleteFlavor").name, "m1.small");
    for line in ["--vcpus 0 --ram 1", "--vcpus 1", "--vcpus 1 --ram -1", "--vcpus 1 --ram x"] {
        let message = fake.fail(2, &format!("flavor create x {line}"));
        assert!(message.contains("--vcpus") || message.contains("--ram"), "{message}");
    }
}

fn group(policy: Policy) -> ServerGroup {
    let (uuid, name, project) = (UUID.into(), "web".into(), "shop".into());
    ServerGroup { uuid, name, policy: policy.into(), max_server_per_host: 2, project, members: texts(&["m"]) }
}

#[test]
fn server_groups_are_made_with_each_policy() {
    let fake = Fake::start();
    for (name, policy) in [
        ("affinity", Policy::Affinity),
        ("anti-affinity", Policy::AntiAffinity),
        ("soft-affinity", Policy::SoftAffinity),
        ("soft-anti-affinity", Policy::SoftAntiAffinity),
    ] {
        fake.answers("CreateServerGroup", group(policy));
        let line = format!("server-group create web --policy {name} --max-per-host 2 --project shop -f json");
        let shown = super::json(&fake.succeed(&line));
        let asked: CreateServerGroupRequest = fake.asked("CreateServerGroup");
        assert_eq!((asked.policy(), asked.max_server_per_host), (policy, 2));
        assert_eq!((asked.name.as_str(), asked.project.as_str()), ("web", "shop"));
        let expected = json!({
            "uuid": UUID, "name": "web", "policy": name, "max_per_host": 2, "project": "shop", "members": ["m"],
        });
        assert_eq!(shown, expected);
    }
    let message = fake.fail(2, "server-group create web --policy near");
    assert!(message.contains("affinity, anti-affinity, soft-affinity, soft-anti-affinity"), "{message}");
}

#[test]
fn server_groups_are_listed_by_project_shown_and_deleted() {
    let fake = Fake::start();
    let groups = || ListServerGroupsResponse { groups: vec![group(Policy::Affinity)], ..Default::default() };
    for (line, project) in [("", "default"), ("--project shop", "shop"), ("--all-projects", "")] {
        fake.answers("ListServerGroups", groups());
        let table = fake.succeed(&format!("server-group list {line}"));
        assert_lines(
            &table,
            &["uuid name policy max per host project", &format!("{UUID} web affinity 2 shop")],
        );
        assert_eq!(fake.asked::<ListServerGroupsRequest>("ListServerGroups").project, project);
    }
    for (option, project) in [("", "default"), ("--project shop", "shop"), ("--all-projects", "")] {
        fake.answers("GetServerGroup", group(Policy::Affinity));
        fake.succeed(&format!("server-group show web {option}"));
        let asked: GetServerGroupRequest = fake.asked("GetServerGroup");
        assert_eq!((asked.group.as_str(), asked.project.as_str()), ("web", project));
        fake.answers("DeleteServerGroup", DeleteServerGroupResponse {});
        fake.succeed(&format!("server-group delete web {option}"));
        let asked: DeleteServerGroupRequest = fake.asked("DeleteServerGroup");
        assert_eq!((asked.group.as_str(), asked.project.as_str()), ("web", project));
    }
}

#[test]
fn key_pairs_are_made_of_public_keys() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("id.pub");
    std::fs::write(&file, "ssh-ed25519 AAAA me\n").unwrap();
    let fake = Fake::start();
    let pair = || KeyPair {
        name: "laptop".into(),
        project: "shop".into(),
        public_key: "ssh-ed25519 AAAA me".into(),
        fingerprint: "SHA256:x".into(),
        created_at: AT,
    };
    fake.answers("CreateKeyPair", pair());
    let line = format!("keypair create laptop --public-key {} --project shop -f json", file.display());
    let shown = super::json(&fake.succeed(&line));
    let expected = json!({
        "name": "laptop", "fingerprint": "SHA256:x", "project": "shop", "created_at": AT_TEXT,
        "public_key": "ssh-ed25519 AAAA me",
    });
    assert_eq!(shown, expected);
    let asked: CreateKeyPairRequest = fake.asked("CreateKeyPair");
    assert_eq!((asked.name.as_str(), asked.project.as_str()), ("laptop", "shop"));
    assert_eq!(asked.public_key, "ssh-ed25519 AAAA me\n");

    fake.answers("ListKeyPairs", ListKeyPairsResponse { key_pairs: vec![pair()], ..Default::default() });
    let table = fake.succeed("keypair list --all-projects");
    assert_lines(&table, &["name fingerprint project", "laptop SHA256:x shop"]);
    assert_eq!(fake.asked::<ListKeyPairsRequest>("ListKeyPairs").project, "");
    fake.answers("GetKeyPair", pair());
    fake.succeed("keypair show laptop");
    assert_eq!(fake.asked::<GetKeyPairRequest>("GetKeyPair").project, "default");
    fake.answers("DeleteKeyPair", DeleteKeyPairResponse {});
    fake.succeed("keypair delete laptop");
    assert_eq!(fake.asked::<DeleteKeyPairRequest>("DeleteKeyPair").name, "laptop");
    let message = fake.fail(1, "keypair create laptop --public-key /nowhere");
    assert!(message.contains("--public-key: cannot read /nowhere"), "{message}");
}
