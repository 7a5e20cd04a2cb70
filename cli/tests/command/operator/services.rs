//! Hypervisors, agents, quotas; completions know all of them.

use std::path::Path;

use berth_api::v1::*;
use serde_json::json;

use super::super::succeed;
use super::{AT, AT_TEXT, Fake, assert_lines};

fn hosts() -> ListHostsResponse {
    let inventory = |total| Inventory { total, ..Default::default() };
    let hypervisor = Hypervisor {
        kind: "QEMU".into(),
        version: 7_002_001,
        is_accelerated: true,
        architecture: "x86_64".into(),
        agent_version: "0.0.9".into(),
        ..Default::default()
    };
    let inventories = [("VCPU", 64), ("MEMORY_MB", 262_144), ("DISK_GB", 4000)];
    let usages = [("VCPU", 12), ("MEMORY_MB", 4096), ("DISK_GB", 40)];
    let host = Host {
        name: "compute-1".into(),
        status: host::Status::Maintenance.into(),
        reason: "new kernel".into(),
        availability_zone: "az1".into(),
        last_seen: AT,
        hypervisor: Some(hypervisor),
        inventories: inventories.map(|(class, total)| (class.to_owned(), inventory(total))).into(),
        usages: usages.map(|(class, used)| (class.to_owned(), used)).into(),
        instances: 3,
        ..Default::default()
    };
    ListHostsResponse {
        hosts: vec![host, Host { name: "new".into(), ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn hypervisors_are_listed_with_capacity_and_usage() {
    let fake = Fake::start();
    fake.answers("ListHosts", hosts()).answers("ListHosts", hosts());
    assert_lines(
        &fake.succeed("hypervisor list"),
        &[
            "host state kind version accelerated vcpus used vcpus memory used MiB memory MiB disk used GiB disk GiB instances",
            "compute-1 down QEMU 7.2.1 yes 12 64 4096 262144 40 4000 3",
            "new down - - no - - - - - - 0",
        ],
    );
    let shown = super::json(&fake.succeed("hypervisor list -f json"));
    assert_eq!((&shown[0]["memory_used_mb"], &shown[0]["architecture"]), (&json!(4096), &json!("x86_64")));
    assert_eq!(shown[1]["memory_mb"], json!(null));
    let sums = Statistics {
        hosts: 3,
        hosts_up: 2,
        hosts_enabled: 1,
        instances: 7,
        capacity: [("VCPU".to_owned(), 256)].into(),
        used: [("VCPU".to_owned(), 12)].into(),
    };
    fake.answers("GetStatistics", sums);
    let expected = json!({
        "hosts": 3, "hosts_up": 2, "hosts_enabled": 1, "instances": 7, "capacity": { "VCPU": 256 },
        "used": { "VCPU": 12 },
    });
    assert_eq!(super::json(&fake.succeed("hypervisor stats -f json")), expected);
}

#[test]
fn agents_are_listed_with_their_last_heartbeat() {
    let fake = Fake::start();
    fake.answers("ListHosts", hosts());
    assert_lines(
        &fake.succeed("service list"),
        &[
            "binary host availability zone status state updated at version reason",
            &format!("berth-agent compute-1 az1 maintenance down {AT_TEXT} 0.0.9 new kernel"),
            "berth-agent new unknown down - - -",
        ],
    );
}

#[test]
fn a_limit_that_is_not_named_stays() {
    let fake = Fake::start();
    let quota = || Quota {
        instances: Some(10),
        memory_mb: Some(4096),
        used_vcpus: 3,
        key_pairs: Some(7),
        ..Default::default()
    };
    fake.answers("GetQuota", quota()).answers("SetQuota", quota());
    fake.succeed("quota set --project shop --vcpus 40 --ram unlimited");
    assert_eq!(fake.asked::<GetQuotaRequest>("GetQuota").project, "shop");
    let asked: SetQuotaRequest = fake.asked("SetQuota");
    let expected = SetQuotaRequest {
        project: "shop".into(),
        instances: Some(10),
        vcpus: Some(40),
        memory_mb: None,
        key_pairs: Some(7),
    };
    assert_eq!(asked, expected);
    fake.answers("GetQuota", Quota { project: "default".into(), ..quota() });
    let shown = super::json(&fake.succeed("quota show -f json"));
    let expected = json!({
        "project": "default", "instances": 10, "used_instances": 0, "vcpus": null, "used_vcpus": 3,
        "memory_mb": 4096, "used_memory_mb": 0, "key_pairs": 7, "used_key_pairs": 0,
    });
    assert_eq!(shown, expected);
    assert!(fake.fail(2, "quota set --vcpus many").contains("has to be a number or `unlimited`"));
    fake.fail(2, "quota set");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(Path::new("."), &format!("completions {shell}"));
        for word in
            ["server-group", "add-host", "availability-zone", "maintenance", "soft-anti-affinity", "unshelve"]
        {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
