//! The request of an ordinary boot, as conductor sends it.

use serde_json::{Value, json};

#[expect(clippy::needless_pass_by_value, reason = "the data becomes part of the object")]
fn object(name: &str, version: &str, data: Value) -> Value {
    json!({"nova_object.name": name, "nova_object.namespace": "nova", "nova_object.version": version, "nova_object.data": data})
}

/// The arguments of `select_destinations` for one instance.
pub(super) fn arguments(instance: &str, [vcpus, memory_mb, disk_gb]: [u32; 3]) -> Value {
    let flavor = object(
        "Flavor",
        "1.2",
        json!({"id": 1, "name": "bench", "flavorid": "bench", "vcpus": vcpus, "memory_mb": memory_mb, "root_gb": disk_gb,
            "ephemeral_gb": 0, "swap": 0, "rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": false, "is_public": true,
            "extra_specs": {}}),
    );
    let properties = object("ImageMetaProps", "1.44", json!({}));
    let image = object(
        "ImageMeta",
        "1.8",
        json!({"id": "40000000-0000-4000-8000-000000000001", "name": "bench", "status": "active", "disk_format": "raw",
            "container_format": "bare", "min_ram": 0, "min_disk": 0, "properties": properties}),
    );
    let limits = object(
        "SchedulerLimits",
        "1.0",
        json!({"numa_topology": null, "vcpu": null, "disk_gb": null, "memory_mb": null}),
    );
    let spec = object(
        "RequestSpec",
        "1.15",
        json!({"image": image, "numa_topology": null,
            "pci_requests": object("InstancePCIRequests", "1.1", json!({"requests": []})),
            "project_id": "11111111111111111111111111111111", "user_id": "22222222222222222222222222222222",
            "availability_zone": null, "flavor": flavor, "num_instances": 1, "ignore_hosts": null, "force_hosts": null,
            "force_nodes": null, "requested_destination": null, "retry": null, "limits": limits, "instance_group": null,
            "scheduler_hints": {}, "instance_uuid": instance, "is_bfv": false, "requested_resources": [],
            "request_level_params": object("RequestLevelParams", "1.1", json!({}))}),
    );
    json!({"instance_uuids": [instance], "spec_obj": spec, "return_objects": true, "return_alternates": true})
}
