//! `/reshaper`: inventories and allocations move between providers, as one change.

use berth_placement::{ReshapeError, Rewrite, Topology, TopologyError};
use serde_json::Value;

use super::call::{Call, no_provider};
use super::{allocations, consumers, inventories, refusals, schemas};
use crate::error::{Code, Failure, UPDATE_CONFLICT};
use crate::http::reply::Reply;
use crate::json::schema::integer_of;
use crate::microversion::Microversion;
use crate::policy::rules;
use crate::request::message;

pub(super) fn reshape(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(30)?;
    call.sends_json()?;
    call.may(rules::RESHAPE)?;
    let body = call.json(schemas::RESHAPE.at(call.version))?;
    let topology = call.index.topology();
    let parts = body["inventories"].as_object().into_iter().flatten();
    let parts = parts.map(|(uuid, part)| Ok((uuid.as_str(), part, expect(call, uuid, part)?)));
    let parts: Vec<_> = parts.collect::<Result<_, Failure>>()?;
    let malformed = |reason: String| format!("malformed reshaper data: {reason}");
    let writes = allocations::read_many(call, &topology, &body["allocations"], malformed)?;
    let rewrites = parts.into_iter().map(|(uuid, part, rewrite)| {
        let records = inventories::read_all(&part["inventories"], Microversion::MAX, uuid);
        let inventories = records.and_then(|records| inventories::resolve(records, &topology));
        let inventories = inventories.map_err(|reason| Failure::bad_request(malformed(reason)))?;
        Ok(Rewrite { inventories, ..rewrite })
    });
    let rewrites: Vec<Rewrite> = rewrites.collect::<Result<_, Failure>>()?;
    call.index.reshape(&rewrites, &writes, call.now).map_err(|error| refused(error, &topology))?;
    Ok(Reply::no_content())
}

/// The provider, when it has the generation that the body gives; its inventories are read later.
fn expect(call: &Call<'_>, uuid: &str, part: &Value) -> Result<Rewrite, Failure> {
    let found = call.find(uuid).ok_or_else(|| {
        let reason = no_provider(uuid);
        Failure::bad_request(format!("Resource provider {uuid} in inventories not found: {reason}"))
            .code(Code::ProviderNotFound)
    })?;
    let given = integer_of(&part["resource_provider_generation"]);
    let actual = call.index.generation(found.row);
    if u64::try_from(given) != Ok(actual) {
        return Err(generation_conflict(uuid, actual, given));
    }
    Ok(Rewrite { row: found.row, generation: Some(actual), inventories: Vec::new() })
}

fn generation_conflict(uuid: &str, actual: u64, given: impl std::fmt::Display) -> Failure {
    refusals::concurrent_update(&format!(
        "resource provider generation conflict for provider {uuid}: actual: {actual}, given: {given}"
    ))
}

fn refused(error: ReshapeError, topology: &Topology) -> Failure {
    use berth_placement::InventoryError;
    match error {
        ReshapeError::Transfer(error) => consumers::refused(&error, topology),
        // Another client has changed the provider in the meantime.
        ReshapeError::Inventory(InventoryError::Generation { row, given, found }) => {
            generation_conflict(&message::provider_uuid(topology, row), found, given)
        }
        // Consumers would still hold allocations of an inventory to be removed.
        ReshapeError::Inventory(InventoryError::InUse(in_use)) => Failure::conflict(format!(
            "{UPDATE_CONFLICT}Inventory for '{}' on resource provider '{}' in use.",
            message::class_name(topology, in_use.class),
            message::provider_uuid(topology, in_use.row)
        ))
        .code(Code::InventoryInUse),
        // Removed a moment ago.
        ReshapeError::Topology(TopologyError::UnknownProvider(row)) => {
            let uuid = message::provider_uuid(topology, row);
            Failure::bad_request(format!("Resource provider {uuid} in inventories not found"))
                .code(Code::ProviderNotFound)
        }
        ReshapeError::Topology(other) => refusals::unexpected(other),
    }
}
