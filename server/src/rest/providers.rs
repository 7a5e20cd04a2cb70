//! `/resource_providers`: the providers and their trees.

use std::iter::successors;

use axum::http::StatusCode;
use berth_placement::{Row, Topology, TopologyError, Writer};
use serde_json::Value;
use uuid::Uuid;

use super::call::{Call, no_provider};
use super::provider_filter::Filter;
use super::{refusals, schemas};
use crate::error::{Code, Failure};
use crate::http::reply::Reply;
use crate::json;
use crate::policy::rules;
use crate::uuids;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::PROVIDERS_LIST)?;
    call.query.check(schemas::PROVIDER_QUERY.at(call.version))?;
    let topology = call.index.topology();
    let rows =
        Filter::of(call, &topology)?.map_or_else(Vec::new, |filter| filter.rows(call.index, &topology));
    let mut document = json::Writer::with_capacity(64 + rows.len() * 768);
    document.object(|w| {
        w.key("resource_providers").array(|w| {
            for &row in &rows {
                w.object(|w| describe(w, call, &topology, row));
            }
        });
    });
    let last = rows.iter().map(|&row| call.index.changed_at(row)).max();
    Ok(Reply::json(document.finish()).modified(last.unwrap_or(call.now)))
}

pub(super) fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::PROVIDERS_CREATE)?;
    let body = call.json(schemas::NEW_PROVIDER.at(call.version))?;
    let name = body["name"].as_str().unwrap_or_default();
    let uuid = body["uuid"].as_str().filter(|uuid| !uuid.is_empty());
    #[expect(clippy::disallowed_methods, reason = "the API gives UUIDs to providers that come without")]
    let uuid = uuid.and_then(uuids::read).unwrap_or_else(Uuid::new_v4);
    let cannot = |reason: &str| {
        Failure::bad_request(format!("Unable to create resource provider \"{name}\", {uuid}: {reason}"))
    };
    if name.is_empty() {
        return Err(cannot("Object action create failed because: name is required"));
    }
    let mut writer = call.index.write_at(call.now);
    let parent = parent(call, &body, uuid).map_err(cannot)?;
    let mut added = writer.add_provider(uuid, name, parent);
    if matches!(added, Err(TopologyError::DuplicateName(_))) && call.fleet.yield_name(&mut writer, name) {
        added = writer.add_provider(uuid, name, parent);
    }
    let row = added.map_err(|error| match error {
        TopologyError::DuplicateUuid(_) | TopologyError::DuplicateName(_) => {
            duplicate(&writer, call, uuid, name)
        }
        TopologyError::UnknownProvider(_) => cannot(NO_PARENT),
        other => refusals::unexpected(other),
    })?;
    drop(writer);
    let reply = Reply::status(StatusCode::CREATED).at(path(uuid));
    if !call.version.at_least(20) {
        return Ok(reply);
    }
    let topology = call.index.topology();
    let body = json::Writer::document(|w| describe(w, call, &topology, row));
    Ok(Reply { body: body.into(), ..reply }.with_status(StatusCode::OK).modified(call.now))
}

const NO_PARENT: &str = "Object action create failed because: parent provider UUID does not exist.";

/// The parent that a body names, if it names one.
fn parent(call: &Call<'_>, body: &Value, child: Uuid) -> Result<Option<Row>, &'static str> {
    let Some(parent) = body["parent_provider_uuid"].as_str() else { return Ok(None) };
    if uuids::read(parent) == Some(child) {
        return Err("Object action create failed because: parent provider UUID cannot be same as UUID. \
             Please set parent provider UUID to None if there is no parent.");
    }
    call.find(parent).map(|found| Some(found.row)).ok_or(NO_PARENT)
}

/// Another provider has the name, the UUID, or both.
fn duplicate(writer: &Writer<'_>, call: &Call<'_>, uuid: Uuid, name: &str) -> Failure {
    let _ = writer; // held: what is looked up stands still
    let uuid_is_taken = call.index.find(uuid).is_some();
    let name_is_taken = call.index.find_named(name).is_some();
    let both = [(uuid_is_taken, format!("uuid: {uuid}")), (name_is_taken, format!("name: {name}"))];
    let taken: Vec<String> = both.into_iter().filter(|(taken, _)| *taken).map(|(_, what)| what).collect();
    let reason = format!("Conflicting resource provider {} already exists.", taken.join(", "));
    Failure::conflict(reason).code(Code::DuplicateName)
}

pub(super) fn show(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::PROVIDERS_SHOW)?;
    let found = call.provider(uuid)?;
    Ok(answer(call, &found.topology, found.row))
}

pub(super) fn update(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::PROVIDERS_UPDATE)?;
    let row = call.provider(uuid)?.row;
    let body = call.json(schemas::PROVIDER.at(call.version))?;
    let name = body["name"].as_str().unwrap_or_default();
    let cannot =
        |reason: &str| Failure::bad_request(format!("Unable to save resource provider {uuid}: {reason}"));
    let mut writer = call.index.write_at(call.now);
    let provider = writer.topology().provider(row).ok_or_else(|| Failure::not_found(no_provider(uuid)))?;
    let (old_parent, old_name) = (provider.parent, provider.name.clone());
    let moves = body.get("parent_provider_uuid").is_some();
    let parent =
        if moves { new_parent(call, writer.topology(), row, &body).map_err(cannot)? } else { old_parent };
    let is_taken = *old_name != *name && call.index.find_named(name).is_some();
    if is_taken && !call.fleet.yield_name(&mut writer, name) {
        let reason = format!("Conflicting resource provider {name} already exists.");
        return Err(Failure::conflict(reason).code(Code::DuplicateName));
    }
    writer.move_provider(row, parent).map_err(refusals::unexpected)?;
    writer.rename_provider(row, name).map_err(refusals::unexpected)?;
    let topology = writer.topology().clone();
    drop(writer);
    Ok(answer(call, &topology, row))
}

/// The parent that the body names, when the provider may have it.
fn new_parent(
    call: &Call<'_>,
    topology: &Topology,
    row: Row,
    body: &Value,
) -> Result<Option<Row>, &'static str> {
    let may_move = call.version.at_least(37);
    let old = topology.provider(row).and_then(|provider| provider.parent);
    let parent = match body["parent_provider_uuid"].as_str() {
        Some(uuid) => Some(call.find(uuid).ok_or(NO_PARENT)?.row),
        None => None,
    };
    let parent_of = |row: &Row| topology.provider(*row).and_then(|provider| provider.parent);
    match (old, parent) {
        (Some(_), None) if !may_move => {
            Err("Object action update failed because: un-parenting a provider is not currently allowed.")
        }
        (Some(old), Some(parent)) if old != parent && !may_move => {
            Err("Object action update failed because: re-parenting a provider is not currently allowed.")
        }
        _ if successors(parent, parent_of).any(|above| above == row) => {
            Err("Object action update failed because: creating loop in the provider tree is not allowed.")
        }
        _ => Ok(parent),
    }
}

pub(super) fn delete(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.may(rules::PROVIDERS_DELETE)?;
    let gone = || Failure::not_found(format!("{} for delete", no_provider(uuid)));
    let row = call.find(uuid).ok_or_else(gone)?.row;
    call.index.write_at(call.now).remove_provider(row).map_err(|error| match error {
        TopologyError::UnknownProvider(_) => gone(),
        TopologyError::HasChildren(_) => Failure::conflict(format!(
            "Unable to delete parent resource provider {uuid}: It has child resource providers."
        ))
        .code(Code::CannotDeleteParent),
        // Consumers hold some of it.
        TopologyError::InUse(_) => Failure::conflict(format!(
            "Unable to delete resource provider {uuid}: Resource provider has allocations."
        ))
        .code(Code::ProviderInUse),
        other => refusals::unexpected(other),
    })?;
    Ok(Reply::no_content())
}

fn answer(call: &Call<'_>, topology: &Topology, row: Row) -> Reply {
    let modified = call.index.changed_at(row);
    Reply::object(|w| describe(w, call, topology, row)).modified(modified)
}

fn describe(w: &mut json::Writer, call: &Call<'_>, topology: &Topology, row: Row) {
    let Some(provider) = topology.provider(row) else { return };
    w.key("uuid").uuid(provider.uuid);
    w.key("name").string(&provider.name);
    w.key("generation").integer(call.index.generation(row));
    w.key("links").array(|w| links(w, call, provider.uuid));
    if call.version.at_least(14) {
        let uuid_of = |row: Row| topology.provider(row).map(|provider| provider.uuid);
        w.key("parent_provider_uuid").uuid_or_null(provider.parent.and_then(uuid_of));
        w.key("root_provider_uuid").uuid_or_null(uuid_of(provider.root));
    }
}

fn links(w: &mut json::Writer, call: &Call<'_>, uuid: Uuid) {
    let all = [(0, "inventories"), (0, "usages"), (1, "aggregates"), (6, "traits"), (11, "allocations")];
    let base = format!("{}{}", call.service.mount.prefix(), path(uuid));
    let mut link = |rel: &str, href: &str| {
        w.object(|w| {
            w.key("rel").string(rel);
            w.key("href").string(href);
        });
    };
    link("self", &base);
    for (_, rel) in all.into_iter().filter(|(since, _)| call.version.at_least(*since)) {
        link(rel, &format!("{base}/{rel}"));
    }
}

fn path(uuid: Uuid) -> String {
    format!("/resource_providers/{uuid}")
}
