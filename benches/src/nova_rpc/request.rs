//! A request for hosts, as conductor sends it.

use serde_json::{Map, Value, json};

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// UUIDs of the instances.
    pub(super) instances: Vec<String>,
    /// vCPUs, MiB of memory and GiB of disk of each.
    pub(super) amounts: [u32; 3],
    /// Extra specs of the flavor.
    pub(super) extra_specs: Map<String, Value>,
    /// Properties of the image, which versioned objects name `hw_…`.
    pub(super) image_properties: Map<String, Value>,
    /// The availability zone.
    pub(super) zone: Option<String>,
    /// Hosts that must not be chosen.
    pub(super) ignored: Vec<String>,
    /// The only host that may be chosen.
    pub(super) forced: Option<String>,
}

#[expect(clippy::needless_pass_by_value, reason = "the data becomes part of the object")]
fn object(name: &str, version: &str, data: Value) -> Value {
    json!({"nova_object.name": name, "nova_object.namespace": "nova", "nova_object.version": version, "nova_object.data": data})
}

/// The arguments of `select_destinations`.
pub(super) fn arguments(asked: &Asked) -> Value {
    let Asked { instances, amounts: [vcpus, memory_mb, disk_gb], .. } = asked;
    let flavor = object(
        "Flavor",
        "1.2",
        json!({"id": 1, "name": "bench", "flavorid": "bench", "vcpus": vcpus, "memory_mb": memory_mb, "root_gb": disk_gb,
            "ephemeral_gb": 0, "swap": 0, "rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": false, "is_public": true,
            "extra_specs": asked.extra_specs}),
    );
    let properties = object("ImageMetaProps", "1.44", Value::Object(asked.image_properties.clone()));
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
    let hosts = |hosts: &[String]| if hosts.is_empty() { Value::Null } else { json!(hosts) };
    let spec = object(
        "RequestSpec",
        "1.15",
        json!({"image": image, "numa_topology": null,
            "pci_requests": object("InstancePCIRequests", "1.1", json!({"requests": []})),
            "project_id": "11111111111111111111111111111111", "user_id": "22222222222222222222222222222222",
            "availability_zone": asked.zone, "flavor": flavor, "num_instances": instances.len(),
            "ignore_hosts": hosts(&asked.ignored), "force_hosts": hosts(asked.forced.as_slice()),
            "force_nodes": null, "requested_destination": null, "retry": null, "limits": limits, "instance_group": null,
            "scheduler_hints": {}, "instance_uuid": instances.first(), "is_bfv": false, "requested_resources": [],
            "request_level_params": object("RequestLevelParams", "1.1", json!({}))}),
    );
    json!({"instance_uuids": instances, "spec_obj": spec, "return_objects": true, "return_alternates": true})
}
