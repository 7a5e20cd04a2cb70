//! `/resource_providers/{uuid}/inventories`: what providers have.

use axum::http::StatusCode;
use berth_placement::{ClassId, Inventory, Row, Timestamp, Topology, TopologyError, Units, Writer};
use serde_json::Value;

use super::call::{Call, no_provider};
use super::{refusals, schemas};
use crate::error::{Code, Failure, UPDATE_CONFLICT};
use crate::http::reply::Reply;
use crate::json;
use crate::json::schema::integer_of;
use crate::microversion::Microversion;
use crate::policy::rules;
use crate::request::message;

pub(super) fn list(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::INVENTORIES_LIST)?;
    let found = call.provider(uuid)?;
    let (generation, inventories) = call.index.inventories(found.row);
    Ok(answer(&found.topology, generation, &inventories, call.index.changed_at(found.row)))
}

pub(super) fn show(call: &Call<'_>, uuid: &str, class: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::INVENTORIES_SHOW)?;
    let found = call.provider(uuid)?;
    let (generation, inventories) = call.index.inventories(found.row);
    let wanted = found.topology.class(class);
    let inventory = inventories.iter().find(|(of, _)| Some(*of) == wanted).map(|(_, inventory)| inventory);
    let inventory =
        inventory.ok_or_else(|| Failure::not_found(format!("No inventory of class {class} for {uuid}")))?;
    Ok(answer_one(inventory, generation).modified(call.index.changed_at(found.row)))
}

pub(super) fn create(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::INVENTORIES_CREATE)?;
    let row = call.provider(uuid)?.row;
    let body = call.json(&schemas::NEW_INVENTORY)?;
    let name = body["resource_class"].as_str().unwrap_or_default();
    let cannot = |reason: &str| {
        Failure::bad_request(format!("Unable to create inventory for resource provider {uuid}: {reason}"))
    };
    let inventory = read(&body, call.version, name, uuid).map_err(|reason| cannot(&reason))?;
    let mut writer = call.index.write_at(call.now);
    let class = writer.topology().class(name).ok_or_else(|| cannot(&message::no_such_class(name)))?;
    let (_, mut inventories) = call.index.inventories(row);
    if inventories.iter().any(|(of, _)| *of == class) {
        let reason = format!("Update conflict: there is an inventory of {name} already");
        return Err(refusals::concurrent_update(&reason));
    }
    inventories.push((class, inventory));
    let generation = write(&mut writer, uuid, row, None, inventories)?;
    drop(writer);
    let reply = answer_one(&inventory, generation).with_status(StatusCode::CREATED);
    Ok(reply.at(format!("/resource_providers/{uuid}/inventories/{name}")).modified(call.now))
}

pub(super) fn update(call: &Call<'_>, uuid: &str, name: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::INVENTORIES_UPDATE)?;
    let row = call.provider(uuid)?.row;
    let body = call.json(&schemas::INVENTORY)?;
    let given = expected(call, row, &body)?;
    let cannot = |reason: &str| {
        Failure::bad_request(format!("Unable to update inventory for resource provider {uuid}: {reason}"))
    };
    let inventory = read(&body, call.version, name, uuid).map_err(|reason| cannot(&reason))?;
    let mut writer = call.index.write_at(call.now);
    let class =
        writer.topology().class(name).ok_or_else(|| Failure::not_found(message::no_such_class(name)))?;
    let (_, mut inventories) = call.index.inventories(row);
    let Some((_, old)) = inventories.iter_mut().find(|(of, _)| *of == class) else {
        let reason = format!("No inventory of class {name} found.");
        return Err(Failure::bad_request(format!(
            "No inventory record with resource class for resource provider {uuid}: {reason}"
        )));
    };
    *old = inventory;
    let generation = write(&mut writer, uuid, row, Some(given), inventories).map_err(update_conflict)?;
    drop(writer);
    Ok(answer_one(&inventory, generation).modified(call.now))
}

pub(super) fn replace(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::INVENTORIES_UPDATE)?;
    let row = call.provider(uuid)?.row;
    let body = call.json(&schemas::INVENTORIES)?;
    let given = expected(call, row, &body)?;
    let records = read_all(&body["inventories"], call.version, uuid).map_err(|reason| {
        Failure::bad_request(format!("Unable to update inventory for resource provider {uuid}: {reason}"))
    })?;
    let mut writer = call.index.write_at(call.now);
    let inventories = resolve(records, writer.topology()).map_err(|reason| {
        Failure::bad_request(format!(
            "Unknown resource class in inventory for resource provider {uuid}: {reason}"
        ))
    })?;
    let generation =
        write(&mut writer, uuid, row, Some(given), inventories.clone()).map_err(update_conflict)?;
    let topology = writer.topology().clone();
    drop(writer);
    Ok(answer(&topology, generation, &inventories, call.now))
}

pub(super) fn delete_all(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    if !call.version.at_least(5) {
        return Err(Failure::method_not_allowed("DELETE", None));
    }
    call.may(rules::INVENTORIES_DELETE)?;
    let row = call.provider(uuid)?.row;
    let mut writer = call.index.write_at(call.now);
    write(&mut writer, uuid, row, None, Vec::new())?;
    Ok(Reply::no_content())
}

pub(super) fn delete(call: &Call<'_>, uuid: &str, name: &str) -> Result<Reply, Failure> {
    call.may(rules::INVENTORIES_DELETE)?;
    let row = call.provider(uuid)?.row;
    let gone =
        |reason: &str| Failure::not_found(format!("No inventory of class {name} found for delete: {reason}"));
    let mut writer = call.index.write_at(call.now);
    let class = writer.topology().class(name).ok_or_else(|| gone(&message::no_such_class(name)))?;
    let (_, mut inventories) = call.index.inventories(row);
    let before = inventories.len();
    inventories.retain(|(of, _)| *of != class);
    if inventories.len() == before {
        return Err(gone("there is none"));
    }
    write(&mut writer, uuid, row, None, inventories).map_err(|failure| Failure {
        code: Code::ConcurrentUpdate,
        detail: format!("Unable to delete inventory of class {name}: {}", failure.detail),
        ..failure
    })?;
    Ok(Reply::no_content())
}

/// The generation that a body gives for the provider, when that is the one it has.
fn expected(call: &Call<'_>, row: Row, body: &Value) -> Result<u64, Failure> {
    let given = integer_of(&body["resource_provider_generation"]);
    let found = call.index.generation(row);
    u64::try_from(given).ok().filter(|&given| given == found).ok_or_else(|| conflict(""))
}

fn conflict(more: &str) -> Failure {
    refusals::concurrent_update(&format!("resource provider generation conflict{more}"))
}

/// A conflict in the words that Nova looks for.
fn update_conflict(failure: Failure) -> Failure {
    match failure.status {
        StatusCode::CONFLICT => {
            let detail = format!("{UPDATE_CONFLICT}{}", failure.detail);
            Failure { detail, ..failure }
        }
        _ => failure,
    }
}

/// Writes all inventories of a provider; returns its new generation.
fn write(
    writer: &mut Writer<'_>,
    uuid: &str,
    row: Row,
    generation: Option<u64>,
    inventories: Vec<(ClassId, Inventory)>,
) -> Result<u64, Failure> {
    let topology = writer.topology().clone();
    let classes: Vec<ClassId> = inventories.iter().map(|(class, _)| *class).collect();
    writer.set_inventories(row, generation, inventories).map_err(|error| match error {
        // Removed a moment ago.
        TopologyError::UnknownProvider(_) => Failure::not_found(no_provider(uuid)),
        // Another client has made a change in the meantime.
        TopologyError::Generation { given, found } => conflict(&format!(": actual: {found}, given: {given}")),
        // Consumers hold allocations of an inventory to be removed.
        TopologyError::InUse(in_use) => {
            let used = used_beside(writer, &topology, row, &classes, in_use.class);
            Failure::conflict(format!("Inventory for '{used}' on resource provider '{uuid}' in use."))
                .code(Code::InventoryInUse)
        }
        other => refusals::unexpected(other),
    })
}

/// The names of the classes in use that would be removed.
fn used_beside(
    writer: &Writer<'_>,
    topology: &Topology,
    row: Row,
    kept: &[ClassId],
    first: ClassId,
) -> String {
    let goes = |class: &ClassId| !kept.contains(class) && (*class == first || writer.used(row, *class) != 0);
    let classes = topology.provider(row).map(|provider| provider.classes.clone()).unwrap_or_default();
    let names: Vec<&str> =
        classes.iter().copied().filter(goes).map(|class| message::class_name(topology, class)).collect();
    names.join(", ")
}

/// The inventories of a body, by name of class.
pub(super) fn read_all(
    records: &Value,
    version: Microversion,
    uuid: &str,
) -> Result<Vec<(String, Inventory)>, String> {
    let records = records.as_object().into_iter().flatten();
    records.map(|(name, record)| Ok((name.clone(), read(record, version, name, uuid)?))).collect()
}

/// The same by number of class.
pub(super) fn resolve(
    records: Vec<(String, Inventory)>,
    topology: &Topology,
) -> Result<Vec<(ClassId, Inventory)>, String> {
    let found = records.into_iter().map(|(name, inventory)| {
        let class = topology.class(&name).ok_or_else(|| message::no_such_class(&name))?;
        Ok((class, inventory))
    });
    found.collect()
}

/// One inventory of a body; missing fields have their defaults.
fn read(record: &Value, version: Microversion, class: &str, uuid: &str) -> Result<Inventory, String> {
    let amount = |name: &str, default: u32| {
        record.get(name).map_or(default, |value| u32::try_from(integer_of(value)).unwrap_or(default))
    };
    let inventory = Inventory {
        total: amount("total", 0),
        reserved: amount("reserved", 0),
        units: Units {
            min_unit: amount("min_unit", 1),
            max_unit: amount("max_unit", Inventory::MAX_AMOUNT),
            step_size: amount("step_size", 1),
        },
        allocation_ratio: record["allocation_ratio"].as_f64().unwrap_or(1.0),
    };
    let invalid =
        |reason: &str| format!("Invalid inventory for '{class}' on resource provider '{uuid}'. {reason}");
    if inventory.allocation_ratio <= 0.0 {
        return Err(invalid("allocation_ratio has to be greater than 0."));
    }
    // From 1.26 on, everything may be reserved.
    if version.at_least(26) {
        if inventory.capacity() < 0 {
            return Err(invalid("The reserved value is greater than total."));
        }
    } else if inventory.capacity() <= 0 {
        return Err(invalid("The reserved value is greater than or equal to total."));
    }
    inventory.validate().map_err(|error| invalid(&error.to_string()))?;
    Ok(inventory)
}

fn answer(
    topology: &Topology,
    generation: u64,
    inventories: &[(ClassId, Inventory)],
    changed_at: Timestamp,
) -> Reply {
    let reply = Reply::object(|w| {
        w.key("resource_provider_generation").integer(generation);
        w.key("inventories").object(|w| {
            for (class, inventory) in inventories {
                w.key(message::class_name(topology, *class)).object(|w| describe(w, inventory));
            }
        });
    });
    if inventories.is_empty() { reply.never_modified() } else { reply.modified(changed_at) }
}

fn answer_one(inventory: &Inventory, generation: u64) -> Reply {
    Reply::object(|w| {
        describe(w, inventory);
        w.key("resource_provider_generation").integer(generation);
    })
}

fn describe(w: &mut json::Writer, inventory: &Inventory) {
    w.key("total").integer(inventory.total);
    w.key("reserved").integer(inventory.reserved);
    w.key("min_unit").integer(inventory.units.min_unit);
    w.key("max_unit").integer(inventory.units.max_unit);
    w.key("step_size").integer(inventory.units.step_size);
    w.key("allocation_ratio").float(inventory.allocation_ratio);
}
