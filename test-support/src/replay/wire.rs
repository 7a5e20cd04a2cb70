//! A request as Nova's message bus carries it: it has to say the same as the case.

use berth_scheduler::RequestSpec;
use berth_scheduler::request_spec::{CheckType, ImageProperties};
use serde_json::{Map, Value, json};

use super::difference::Differences;

/// A versioned object of Nova: its name, the fields that become part of a request, and those that
/// no decision needs.
type Object = (&'static str, &'static [&'static str], &'static [&'static str]);

const OBJECTS: [Object; 16] = [
    (
        "RequestSpec",
        &[
            "availability_zone",
            "flavor",
            "force_hosts",
            "force_nodes",
            "ignore_hosts",
            "image",
            "instance_group",
            "instance_uuid",
            "is_bfv",
            "network_metadata",
            "num_instances",
            "numa_topology",
            "pci_requests",
            "project_id",
            "requested_destination",
            "requested_resources",
            "request_level_params",
            "retry",
            "scheduler_hints",
            "user_id",
        ],
        &["limits"],
    ),
    (
        "Flavor",
        &["ephemeral_gb", "extra_specs", "memory_mb", "name", "root_gb", "swap", "vcpus"],
        &["description", "disabled", "flavorid", "id", "is_public", "projects", "rxtx_factor", "vcpu_weight"],
    ),
    (
        "ImageMeta",
        &["container_format", "disk_format", "id", "properties"],
        &["min_disk", "min_ram", "name", "size", "status"],
    ),
    (
        "InstanceGroup",
        &["_rules", "hosts", "members", "policy", "uuid"],
        &["id", "name", "policies", "project_id", "user_id"],
    ),
    (
        "Destination",
        &["aggregates", "allow_cross_cell_move", "cell", "forbidden_aggregates", "host", "node"],
        &[],
    ),
    ("CellMapping", &["uuid"], &["database_connection", "disabled", "id", "name", "transport_url"]),
    ("InstancePCIRequests", &["requests"], &["instance_uuid"]),
    (
        "InstancePCIRequest",
        &["alias_name", "count", "numa_policy", "request_id", "spec"],
        &["is_new", "requester_id"],
    ),
    ("InstanceNUMATopology", &["cells", "emulator_threads_policy"], &[]),
    (
        "InstanceNUMACell",
        &[
            "cpu_pinning_raw",
            "cpu_policy",
            "cpu_thread_policy",
            "cpuset",
            "cpuset_reserved",
            "id",
            "memory",
            "pagesize",
            "pcpuset",
        ],
        &["cpu_topology"],
    ),
    ("NetworkMetadata", &["physnets", "tunneled"], &[]),
    (
        "RequestGroup",
        &[
            "aggregates",
            "forbidden_aggregates",
            "forbidden_traits",
            "in_tree",
            "requester_id",
            "required_traits",
            "resources",
        ],
        &["provider_uuids", "use_same_provider"],
    ),
    ("RequestLevelParams", &["root_required", "root_forbidden", "same_subtree"], &[]),
    ("SchedulerRetries", &["hosts", "num_attempts"], &[]),
    ("ComputeNodeList", &["objects"], &[]),
    ("ComputeNode", &["host", "hypervisor_hostname"], &[]),
];

/// Notes where the request on the bus is not that of the case.
pub(crate) fn compare(primitive: &Value, request: &RequestSpec, out: &mut Differences) {
    const PART: &str = "request_wire";
    let read = plain(primitive).and_then(|plain| {
        serde_path_to_error::deserialize::<_, RequestSpec>(plain).map_err(|error| error.to_string())
    });
    match read {
        // The fields of Nova's answer are sorted, those of the case need not be.
        Ok(mut read) => {
            let hint = &primitive["nova_object.data"]["scheduler_hints"][CheckType::HINT];
            let types = hint.as_array().into_iter().flatten().filter_map(Value::as_str);
            let types: Vec<String> = types.map(str::to_owned).collect();
            read.check_type = CheckType::from_conductor(&types);
            let lines = [shown(&read), shown(request)];
            let [nova, ours] = lines.each_ref().map(|text| text.lines().collect::<Vec<_>>());
            out.expect(PART, "lines", &json!(nova.len()), &json!(ours.len()));
            for (nova, ours) in nova.iter().zip(ours).filter(|(nova, ours)| **nova != *ours) {
                out.push(PART, format!("Nova {nova}, Berth {ours}"));
            }
        }
        Err(error) => out.push(PART, error),
    }
}

fn shown(request: &RequestSpec) -> String {
    let mut request = request.clone();
    let mut specs: Vec<_> = request.flavor.extra_specs.iter().map(owned).collect();
    specs.sort();
    request.flavor.extra_specs = specs.into_iter().collect();
    format!("{request:#?}")
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// The value without the envelopes of objects, with the names that cases have.
fn plain(primitive: &Value) -> Result<Value, String> {
    match primitive {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => match fields.get("nova_object.name").and_then(Value::as_str) {
            Some(name) => object(name, &fields["nova_object.data"]),
            None => each(fields, |key| Ok(Some(key.to_owned()))),
        },
        other => Ok(other.clone()),
    }
}

fn object(name: &str, data: &Value) -> Result<Value, String> {
    let data = data.as_object().ok_or_else(|| format!("{name} has no fields"))?;
    if name == "ImageMetaProps" {
        return properties(data);
    }
    let (_, read, unread) =
        OBJECTS.iter().find(|(known, ..)| *known == name).ok_or_else(|| format!("nothing reads a {name}"))?;
    let named = |field: &str| match (name, field) {
        _ if unread.contains(&field) => Ok(None),
        _ if !read.contains(&field) => Err(format!("nothing reads {name}.{field}")),
        ("InstanceGroup", "_rules") => Ok(Some("rules".to_owned())),
        ("Destination", "cell") => Ok(Some("cell_uuid".to_owned())),
        _ => Ok(Some(field.to_owned())),
    };
    let fields = each(data, named)?;
    Ok(match name {
        "CellMapping" => fields["uuid"].clone(),
        "InstancePCIRequests" => fields["requests"].clone(),
        "ComputeNodeList" => fields["objects"].clone(),
        "ComputeNode" => json!([fields["host"], fields["hypervisor_hostname"]]),
        _ => fields,
    })
}

fn each(
    fields: &Map<String, Value>,
    named: impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<Value, String> {
    let mut all = Map::new();
    for (field, value) in fields {
        if let Some(name) = named(field)? {
            all.insert(name, plain(value)?);
        }
    }
    Ok(all.into())
}

/// Image properties as an image service sends them: lists are a property for each of their items
/// there.
fn properties(data: &Map<String, Value>) -> Result<Value, String> {
    let mut raw = Map::new();
    for (name, value) in data {
        let items = || value.as_array().into_iter().flatten();
        let cells = || items().enumerate().map(|(cell, item)| (format!("{name}.{cell}"), item));
        match name.as_str() {
            "traits_required" => raw.extend(items().map(|name| (trait_key(name), json!("required")))),
            "hw_numa_mem" => raw.extend(cells().map(|(key, memory)| (key, memory.clone()))),
            "hw_numa_cpus" => raw.extend(cells().map(|(key, cpus)| (key, joined(cpus)))),
            known if ImageProperties::is_known(known) => {
                raw.insert(name.clone(), value.clone());
            }
            unknown => return Err(format!("nothing reads the image property {unknown}")),
        }
    }
    Ok(raw.into())
}

fn trait_key(name: &Value) -> String {
    format!("trait:{}", name.as_str().unwrap_or_default())
}

fn joined(cpus: &Value) -> Value {
    let cpus = cpus.as_array().into_iter().flatten().map(ToString::to_string);
    cpus.collect::<Vec<_>>().join(",").into()
}
