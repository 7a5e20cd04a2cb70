//! The request of a case.

use serde_json::{Value, json};

use super::NovaVariant;
use super::fleet::Fleet;

/// The request of a variant for one instance.
pub(super) fn request(fleet: Fleet) -> Value {
    let mut request = json!({
        "instance_uuid": "90000000-0000-4000-8000-000000000001", "project_id": "project", "num_instances": 1,
        "flavor": {"name": "m1.large", "vcpus": 8, "memory_mb": 8_192, "root_gb": 80, "extra_specs": {}},
        "image": {"id": "40000000-0000-4000-8000-000000000001", "disk_format": "qcow2",
            "properties": {"hw_architecture": "x86_64"}},
    });
    if fleet.variant >= NovaVariant::Group {
        ask_for_a_group(&mut request, fleet);
    }
    if fleet.variant >= NovaVariant::Numa {
        ask_for_cells(&mut request);
    }
    request
}

fn ask_for_a_group(request: &mut Value, fleet: Fleet) {
    let (hosts, members) = fleet.members();
    request["flavor"]["extra_specs"]["capabilities:hypervisor_type"] = json!("s== QEMU");
    request["instance_group"] = json!({"uuid": "a0000000-0000-4000-8000-00000000000a", "policy": "anti-affinity",
        "rules": {}, "members": members, "hosts": hosts});
}

fn ask_for_cells(request: &mut Value) {
    let specs = &mut request["flavor"]["extra_specs"];
    specs["hw:cpu_policy"] = json!("dedicated");
    specs["hw:mem_page_size"] = json!("2048");
    specs["hw:numa_nodes"] = json!("2");
    specs["pci_passthrough:alias"] = json!("nic:1");
    let cell = |id: u64, cpus: [u64; 4]| {
        json!({"id": id, "cpuset": [], "pcpuset": cpus, "memory": 4_096, "pagesize": 2_048,
            "cpu_policy": "dedicated", "cpu_thread_policy": null})
    };
    request["numa_topology"] =
        json!({"cells": [cell(0, [0, 1, 2, 3]), cell(1, [4, 5, 6, 7])], "emulator_threads_policy": null});
    request["pci_requests"] = json!([{"request_id": "80000000-0000-4000-8000-000000000001", "count": 1,
        "spec": [{"vendor_id": "15b3", "product_id": "1018"}], "alias_name": "nic", "numa_policy": null}]);
}
