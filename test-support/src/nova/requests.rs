//! Random requests, among them all that narrow the query.

use serde_json::{Map, Value, json};

use super::fleet::{Fleet, GPU, Kind, ZONES, uuid};
use super::numbers::Numbers;

/// A request for instances on the fleet.
pub fn request(fleet: &Fleet, random: &mut Numbers) -> Value {
    let size = random.pick(&[1, 1, 1, 2, 4]);
    let mut spec = json!({
        "project_id": random.pick(&["project", "tenant"]),
        "flavor": {"vcpus": size, "memory_mb": 1_024 * size, "root_gb": 10 * size, "extra_specs": extra_specs(fleet, random)},
        "image": {"id": "image", "disk_format": "qcow2", "properties": {"hw_architecture": random.pick(&["x86_64", "x86_64", "aarch64"])}},
        "is_bfv": random.one_in(4),
    });
    if random.one_in(4) {
        spec["availability_zone"] = random.pick(&ZONES).into();
    }
    let hosts = fleet.hosts.len();
    match random.below(16) {
        0 => spec["force_hosts"] = json!([format!("host{}", random.below(hosts))]),
        1 => spec["requested_destination"] = json!({"host": format!("host{}", random.below(hosts))}),
        2 => spec["ignore_hosts"] = json!([format!("host{}", random.below(hosts))]),
        3..6 => spec["instance_group"] = group(hosts, random),
        6 => {
            let different: Vec<_> = (0..3).map(|_| uuid(9, random.below(hosts)).to_string()).collect();
            spec["scheduler_hints"] = json!({"different_host": different});
        }
        7 if fleet.kind != Kind::Plain => spec["requested_resources"] = ports(random),
        _ => {}
    }
    spec
}

fn group(hosts: usize, random: &mut Numbers) -> Value {
    let members: Vec<_> = (0..4).map(|_| uuid(9, random.below(hosts)).to_string()).collect();
    let policy =
        random.pick(&["anti-affinity", "anti-affinity", "affinity", "soft-affinity", "soft-anti-affinity"]);
    json!({"policy": policy, "members": members, "hosts": []})
}

/// Groups of devices as ports ask for them.
fn ports(random: &mut Numbers) -> Value {
    let port = |number: usize, random: &mut Numbers| {
        let traits = if random.one_in(2) { json!(["CUSTOM_FAST"]) } else { json!([]) };
        json!({"requester_id": format!("port-{number}"), "resources": {GPU: 1}, "required_traits": traits})
    };
    (0..=random.below(2)).map(|number| port(number, random)).collect()
}

fn extra_specs(fleet: &Fleet, random: &mut Numbers) -> Value {
    let mut specs = Map::new();
    let mut add = |key: &str, value: &str| specs.insert(key.to_owned(), value.into());
    if random.one_in(5) {
        add(&format!("trait:{}", random.pick(&["CUSTOM_A", "HW_CPU_X86_AVX2"])), "required");
    }
    if random.one_in(5) {
        add(&format!("trait:{}", random.pick(&["CUSTOM_B", "HW_CPU_X86_AVX512F"])), "forbidden");
    }
    match random.below(14) {
        0 => drop(add("resources:VCPU", "2")),
        1 => drop(add("hw:cpu_policy", "dedicated")),
        2 => drop(add("trait:CUSTOM_UNKNOWN_TO_ALL", random.pick(&["required", "forbidden"]))),
        3 => drop(add("resources:CUSTOM_UNKNOWN_TO_ALL", "1")),
        4 => drop(add("capabilities:hypervisor_version", ">= 7000000")),
        5..9 if fleet.kind != Kind::Plain => match random.below(3) {
            0 => drop(add(&format!("resources:{GPU}"), random.pick(&["1", "2"]))),
            1 => {
                add(&format!("resources1:{GPU}"), "1");
                add("trait1:CUSTOM_FAST", random.pick(&["required", "forbidden"]));
            }
            _ => {
                add(&format!("resources1:{GPU}"), "1");
                add(&format!("resources2:{GPU}"), "1");
                add("group_policy", random.pick(&["isolate", "none"]));
            }
        },
        _ => {}
    }
    Value::Object(specs)
}
