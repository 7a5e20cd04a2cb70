//! Random fleets and requests, so small that hosts are often missing.

use berth_scheduler::explain::CaseRecord;
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

fn instance(number: u8) -> String {
    format!("20000000-0000-4000-8000-{number:012}")
}

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
            "instances": member.iter().map(|at| json!({ "uuid": instance(*at) })).collect::<Vec<_>>(),
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
            let members = [instance(0), instance(1)];
            json!({
                "availability_zone": zone,
                "flavor": { "memory_mb": memory * 1_024, "vcpus": vcpus, "root_gb": disk,
                            "extra_specs": if spec { json!({ "ssd": "true" }) } else { json!({}) } },
                "image": arch.map(|arch| json!({ "id": "i", "properties": { "hw_architecture": arch } })),
                "instance_group": policy.map(|policy| {
                    json!({ "uuid": instance(9), "policy": policy, "members": members, "hosts": ["host-0"] })
                }),
                "scheduler_hints": if apart { json!({ "different_host": [instance(2)] }) } else { json!({}) },
                "force_hosts": if force { json!(["host-1"]) } else { Value::Null },
            })
        },
    )
}

/// A fleet of which Placement's part is not known.
pub(crate) fn record() -> impl Strategy<Value = CaseRecord> {
    case().prop_map(read)
}

/// A fleet whose hosts have traits, and some of them inventories.
pub(crate) fn with_placement() -> impl Strategy<Value = CaseRecord> {
    let hosts = prop::collection::vec((provider(), any::<bool>()), 10);
    (case(), hosts, requirements()).prop_map(|(mut case, providers, requirements)| {
        let hosts = case["hosts"].as_array_mut().expect("hosts");
        for (host, (provider, stale)) in hosts.iter_mut().zip(providers) {
            let mut traits = provider["traits"].clone();
            if stale && host["service"]["disabled"] == true {
                traits.as_array_mut().expect("traits").push(json!("COMPUTE_STATUS_DISABLED"));
            }
            host["traits"] = traits;
            host["inventories"] = provider["inventories"].clone();
            host["usages"] = provider["usages"].clone();
        }
        // Of a class that no inventory names, nothing is known.
        if let Some(inventories) = hosts[0]["inventories"].as_object_mut() {
            inventories.insert("CUSTOM_DEVICE".to_owned(), json!({ "total": 1 }));
        } else {
            hosts[0]["inventories"] = json!({ "CUSTOM_DEVICE": { "total": 1 } });
        }
        let request = &mut case["request"];
        merge(&mut request["flavor"]["extra_specs"], &requirements["extra_specs"]);
        if request["image"]["properties"].is_object() {
            merge(&mut request["image"]["properties"], &requirements["image"]);
        }
        request["requested_destination"] = requirements["destination"].clone();
        case["config"] = json!({ "scheduler": requirements["options"] });
        read(case)
    })
}

fn merge(into: &mut Value, from: &Value) {
    let from = from.as_object().expect("a map").clone();
    into.as_object_mut().expect("a map").extend(from);
}

/// What Placement knows of a host; inventories of which not all are like the host's own figures.
fn provider() -> impl Strategy<Value = Value> {
    let traits = prop::sample::subsequence(vec!["CUSTOM_X", "CUSTOM_Y"], 0..=2);
    let amounts = (1..=20_u32, 0..=1_u32, 1..=3_u32, 0..=12_u32, prop::bool::weighted(0.3));
    (traits, prop::option::weighted(0.5, amounts)).prop_map(|(traits, amounts)| {
        let inventories = amounts.map(|(vcpus, reserved, ratio, _, devices)| {
            let mut all = json!({
                "VCPU": { "total": vcpus, "reserved": reserved, "max_unit": vcpus, "allocation_ratio": ratio },
                "MEMORY_MB": { "total": 8_192, "reserved": 512, "step_size": 512, "max_unit": 8_192 },
                "DISK_GB": { "total": 40, "min_unit": 1 },
            });
            if devices {
                all["CUSTOM_DEVICE"] = json!({ "total": 1 });
            }
            all
        });
        let used = amounts.map_or(0, |(vcpus, reserved, ratio, used, _)| used.min((vcpus - reserved) * ratio));
        let usages = json!({ "VCPU": used, "MEMORY_MB": u64::from(used) * 512 });
        json!({ "traits": traits, "inventories": inventories, "usages": usages })
    })
}

/// What makes the pre-filters and Placement look.
fn requirements() -> impl Strategy<Value = Value> {
    let word = || prop::option::weighted(0.3, prop::sample::select(vec!["required", "forbidden"]));
    let rest = (prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    (word(), word(), rest, any::<bool>()).prop_map(|(x, y, (device, image, kept_out), isolated)| {
        let mut specs = json!({});
        for (name, word) in [("trait:CUSTOM_X", x), ("trait:CUSTOM_Y", y)] {
            word.into_iter().for_each(|word| specs[name] = json!(word));
        }
        if device {
            specs["resources:CUSTOM_DEVICE"] = json!("1");
        }
        let zone = "00000000-0000-4000-8000-000000000002";
        json!({
            "extra_specs": specs,
            "image": if image { json!({ "trait:CUSTOM_X": "required" }) } else { json!({}) },
            "destination": kept_out.then(|| json!({ "forbidden_aggregates": [zone] })),
            "options": { "enable_isolated_aggregate_filtering": isolated },
        })
    })
}

fn read(case: Value) -> CaseRecord {
    serde_json::from_value(case).expect("a case")
}

fn case() -> impl Strategy<Value = Value> {
    let filters = prop::sample::subsequence(FILTERS.to_vec(), 0..=FILTERS.len());
    (prop::collection::vec(host(), 1..10), request(), filters).prop_map(|(mut hosts, request, filters)| {
        for (number, host) in hosts.iter_mut().enumerate() {
            for field in ["host", "node"] {
                host[field] = json!(format!("host-{number}"));
            }
            host["uuid"] = json!(format!("10000000-0000-4000-8000-{number:012}"));
        }
        let in_zone =
            |zone: usize| (0..hosts.len()).filter(move |at| at % 3 == zone).map(|at| format!("host-{at}"));
        let aggregates = json!([
            { "id": 1, "uuid": "00000000-0000-4000-8000-000000000001",
              "hosts": in_zone(1).collect::<Vec<_>>(), "metadata": { "availability_zone": "az1" } },
            { "id": 2, "uuid": "00000000-0000-4000-8000-000000000002",
              "hosts": in_zone(2).collect::<Vec<_>>(),
              "metadata": { "availability_zone": "az2", "ssd": "true", "trait:CUSTOM_Y": "required" } },
        ]);
        json!({ "hosts": hosts, "request": request, "filters": filters, "aggregates": aggregates })
    })
}
