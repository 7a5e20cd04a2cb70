//! Servers as they are printed.

use berth_api::v1::{Instance, InstanceEvent};
use serde_json::{Value, json};

use crate::operator::flavor;
use crate::operator::record::Record;

/// The words for `status` that a server in a list can have.
pub(super) const STATUSES: [&str; 14] = [
    "BUILD",
    "ACTIVE",
    "SHUTOFF",
    "PAUSED",
    "SUSPENDED",
    "SHELVED_OFFLOADED",
    "REBOOT",
    "HARD_REBOOT",
    "RESIZE",
    "VERIFY_RESIZE",
    "REVERT_RESIZE",
    "REBUILD",
    "RESCUE",
    "ERROR",
];

pub(super) const COLUMNS: [&str; 7] =
    ["uuid", "name", "status", "task_state", "power_state", "host", "flavor_name"];

pub(super) const COLUMNS_OF_ALL: [&str; 8] =
    ["uuid", "name", "project", "status", "task_state", "power_state", "host", "flavor_name"];

pub(super) fn record(instance: Instance) -> Record {
    let flavor = instance.flavor.unwrap_or_default();
    let image = instance.image.map(|image| json!({ "name": image.name, "properties": image.properties }));
    Record::new()
        .with("uuid", instance.uuid)
        .with("name", instance.name)
        .with("project", instance.project)
        .text("user", instance.user)
        .with("status", instance.status)
        .with("vm_state", instance.vm_state)
        .text("task_state", instance.task_state)
        .with("power_state", instance.power_state)
        .text("fault", instance.fault)
        .text("host", instance.host)
        .text("availability_zone", instance.availability_zone)
        .with("flavor_name", flavor.name.clone())
        .with("flavor", flavor::value(&flavor))
        .with("image", image.unwrap_or(Value::Null))
        .text("server_group", instance.server_group)
        .text("key_name", instance.key_name)
        .with("locked", instance.locked)
        .text("locked_reason", instance.locked_reason)
        .time("created_at", instance.created_at)
        .time("updated_at", instance.updated_at)
        .with("generation", instance.generation)
        .map("properties", instance.metadata)
}

pub(super) fn event(event: InstanceEvent) -> Record {
    Record::new()
        .time("at", event.at)
        .with("action", event.action)
        .text("user", event.user)
        .text("message", event.message)
}
