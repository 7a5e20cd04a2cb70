//! Random fleets and requests, so small that hosts are often missing.

use berth_scheduler::nova::explain::CaseRecord;
use proptest::prelude::*;
use serde_json::{Value, json};

const FILTERS: [&str; 12] = [
    "ComputeFilter",
    "RamFilter",
    "CoreFilter",
    "DiskFilter",
    "NumInstancesFilter",
    "IoOpsFilter",
    "AvailabilityZoneFilter",
    "AggregateInstanceExtraSpecsFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
    "DifferentHostFilter",
];

/// A host; some are full, disabled, down, or of another architecture.
fn host() -> impl Strategy<Value = Value> {
    let sizes = (0..=8_i64, 0..=16_i64, 0..=4_i64, 48..=51_i64, 0..=8_i64);
    let trouble = (0..6_u8, 0..4_u8, prop::option::weighted(0.3, 0..3_u8));
    (sizes, trouble).prop_map(|((free_ram, used_cpus, disk, instances, io), (service, arch, member))| {
        json!({
            "memory_mb": 8_192, "free_ram_mb": free_ram * 1_024, "vcpus": 16, "vcpus_used": used_cpus,
            "local_gb": 40, "free_disk_gb": disk * 10, "stats": { "num_instances": instances, "io_workload": io },
            "supported_instances": [[if arch == 0 { "aarch64" } else { "x86_64" }, "kvm", "hvm"]],
            "service": match service {
                0 => json!({ "disabled": true, "disabled_reason": "maintenance" }),
                1 => json!({ "forced_down": true }),
                2 => json!({ "last_seen_up": "2026-05-31T00:00:00" }),
                _ => json!({}),
            },
            "instances": member.iter().map(|at| json!({ "uuid": format!("instance-{at}") })).collect::<Vec<_>>(),
        })
    })
}

fn request() -> impl Strategy<Value = Value> {
    let amounts = (1..=10_i64, 1..=18_i64, 0..=50_i64);
    let zone = prop::option::of(prop::sample::select(vec!["az1", "az2", "az3"]));
    let image = prop::option::of(prop::sample::select(vec!["x86_64", "aarch64", "ppc64"]));
    let policy = prop::option::of(prop::sample::select(vec!["affinity", "anti-affinity"]));
    let names = (prop::bool::weighted(0.1), prop::bool::weighted(0.2), any::<bool>());
    (amounts, zone, image, policy, names).prop_map(
        |((memory, vcpus, disk), zone, arch, policy, (force, apart, spec))| {
            let members = ["instance-0", "instance-1"];
            json!({
                "availability_zone": zone,
                "flavor": { "memory_mb": memory * 1_024, "vcpus": vcpus, "root_gb": disk,
                            "extra_specs": if spec { json!({ "ssd": "true" }) } else { json!({}) } },
                "image": arch.map(|arch| json!({ "id": "i", "properties": { "hw_architecture": arch } })),
                "instance_group": policy.map(|policy| {
                    json!({ "uuid": "g", "policy": policy, "members": members, "hosts": ["host-0"] })
                }),
                "scheduler_hints": if apart { json!({ "different_host": ["instance-2"] }) } else { json!({}) },
                "force_hosts": if force { json!(["host-1"]) } else { Value::Null },
            })
        },
    )
}

pub(crate) fn record() -> impl Strategy<Value = CaseRecord> {
    let filters = prop::sample::subsequence(FILTERS.to_vec(), 0..=FILTERS.len());
    (prop::collection::vec(host(), 1..10), request(), filters).prop_map(|(mut hosts, request, filters)| {
        for (number, host) in hosts.iter_mut().enumerate() {
            for field in ["host", "node", "uuid"] {
                host[field] = json!(format!("host-{number}"));
            }
        }
        let in_zone =
            |zone: usize| (0..hosts.len()).filter(move |at| at % 3 == zone).map(|at| format!("host-{at}"));
        let aggregates = json!([
            { "id": 1, "hosts": in_zone(1).collect::<Vec<_>>(), "metadata": { "availability_zone": "az1" } },
            { "id": 2, "hosts": in_zone(2).collect::<Vec<_>>(),
              "metadata": { "availability_zone": "az2", "ssd": "true" } },
        ]);
        let record =
            json!({ "hosts": hosts, "request": request, "filters": filters, "aggregates": aggregates });
        serde_json::from_value(record).expect("a case")
    })
}
