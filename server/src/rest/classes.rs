//! `/resource_classes`: kinds of things that providers have.

use axum::http::StatusCode;
use berth_fleet::IntroducedName;
use berth_placement::standard::CUSTOM_PREFIX;
use berth_placement::{ClassId, TopologyError, Writer};

use super::call::Call;
use super::{refusals, schemas};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::json;
use crate::policy::rules;
use crate::request::message;

pub(super) fn list(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(2)?;
    call.takes_json()?;
    call.may(rules::CLASSES_LIST)?;
    let topology = call.index.topology();
    let classes = topology.classes();
    let reply = Reply::object(|w| {
        w.key("resource_classes")
            .array(|w| classes.iter().for_each(|(_, name)| w.object(|w| describe(w, call, name))));
    });
    let last = classes.iter().filter_map(|(number, _)| classes.since(number)).max();
    Ok(reply.modified(last.unwrap_or(call.now)))
}

pub(super) fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(2)?;
    call.sends_json()?;
    call.may(rules::CLASSES_CREATE)?;
    let body = call.json(&schemas::CLASS)?;
    let name = body["name"].as_str().unwrap_or_default();
    let mut writer = call.index.write_at(call.now);
    if writer.topology().class(name).is_some() {
        return Err(Failure::conflict(format!("Conflicting resource class already exists: {name}")));
    }
    create_in(&mut writer, call, name)?;
    Ok(Reply::status(StatusCode::CREATED).at(path(name)))
}

/// Creates the class if it is new. From now on, it stays when no provider has it.
fn create_in(writer: &mut Writer<'_>, call: &Call<'_>, name: &str) -> Result<ClassId, Failure> {
    call.fleet.keep_name(&IntroducedName::Class(name.to_owned()));
    writer.resource_class(name).map_err(refusals::unexpected)
}

pub(super) fn show(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.since(2)?;
    call.takes_json()?;
    call.may(rules::CLASSES_SHOW)?;
    let topology = call.index.topology();
    let class = topology.class(name).ok_or_else(|| unknown(name))?;
    let since = topology.classes().since(class.0.into());
    Ok(Reply::object(|w| describe(w, call, name)).modified(since.unwrap_or(call.now)))
}

/// Until 1.6 this renames; from 1.7 on it makes sure that there is such a class.
pub(super) fn update(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.since(2)?;
    if call.version.at_least(7) { ensure(call, name) } else { rename(call, name) }
}

fn rename(call: &Call<'_>, old: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::CLASSES_UPDATE)?;
    let body = call.json(&schemas::CLASS)?;
    let new = body["name"].as_str().unwrap_or_default();
    let mut writer = call.index.write_at(call.now);
    let class = writer.topology().class(old).ok_or_else(|| unknown(old))?;
    if !old.starts_with(CUSTOM_PREFIX) {
        return Err(Failure::bad_request(format!("Cannot update standard resource class {old}")));
    }
    writer.rename_class(class, new).map_err(|error| match error {
        // Another class has the name.
        TopologyError::NameTaken(name) => Failure::conflict(format!("Resource class already exists: {name}")),
        other => refusals::unexpected(other),
    })?;
    drop(writer);
    Ok(Reply::object(|w| describe(w, call, new)))
}

fn ensure(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.may(rules::CLASSES_UPDATE)?;
    schemas::CLASS
        .check(&serde_json::json!({ "name": name }))
        .map_err(|error| Failure::bad_request(format!("JSON does not validate: {error}")))?;
    let mut writer = call.index.write_at(call.now);
    let is_known = writer.topology().class(name).is_some();
    create_in(&mut writer, call, name)?;
    let status = if is_known { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    Ok(Reply::status(status).at(path(name)))
}

pub(super) fn delete(call: &Call<'_>, name: &str) -> Result<Reply, Failure> {
    call.since(2)?;
    call.may(rules::CLASSES_DELETE)?;
    let mut writer = call.index.write_at(call.now);
    let class: ClassId = writer.topology().class(name).ok_or_else(|| unknown(name))?;
    if !name.starts_with(CUSTOM_PREFIX) {
        let reason = format!("Error in delete resource class: Cannot delete standard resource class {name}.");
        return Err(Failure::bad_request(reason));
    }
    writer.remove_class(class).map_err(|error| match error {
        // Some provider has an inventory of it.
        TopologyError::ClassInUse(_) => Failure::conflict(format!(
            "Error in delete resource class: Cannot delete resource class {name}. Class is in use in inventory."
        )),
        other => refusals::unexpected(other),
    })?;
    Ok(Reply::no_content())
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(message::no_such_class(name))
}

fn describe(w: &mut json::Writer, call: &Call<'_>, name: &str) {
    w.key("name").string(name);
    w.key("links").array(|w| {
        w.object(|w| {
            w.key("rel").string("self");
            w.key("href").string(&format!("{}{}", call.service.mount.prefix(), path(name)));
        });
    });
}

fn path(name: &str) -> String {
    format!("/resource_classes/{name}")
}
