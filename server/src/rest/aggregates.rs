//! `/resource_providers/{uuid}/aggregates`: groups of providers.

use rustc_hash::FxHashSet;
use serde_json::Value;
use uuid::Uuid;

use super::call::{Call, no_provider};
use super::{refusals, schemas};
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::json::schema::integer_of;
use crate::policy::rules;
use crate::uuids;

/// From this microversion on, a provider's generation guards its aggregates.
const GUARDED: u16 = 19;

pub(super) fn list(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.since(1)?;
    call.may(rules::AGGREGATES_LIST)?;
    let generation = call.find(uuid).map_or(0, |found| call.index.generation(found.row));
    let found = call.provider(uuid)?;
    Ok(answer(call, &found.provider().aggregates, generation))
}

pub(super) fn replace(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.since(1)?;
    call.may(rules::AGGREGATES_UPDATE)?;
    let row = call.provider(uuid)?.row;
    let is_guarded = call.version.at_least(GUARDED);
    let body = call.json(if is_guarded { &schemas::GUARDED_AGGREGATES } else { &schemas::AGGREGATES })?;
    let list = if is_guarded { &body["aggregates"] } else { &body };
    let aggregates = each_once(list);
    let given = integer_of(&body["resource_provider_generation"]);
    let mut writer = call.index.write_at(call.now);
    if writer.topology().provider(row).is_none() {
        return Err(Failure::not_found(no_provider(uuid)));
    }
    if is_guarded {
        refusals::expect_generation(&writer, row, given)?;
        writer.set_aggregates(row, &aggregates).map_err(refusals::unexpected)?;
    } else {
        writer.associate(row, &aggregates).map_err(refusals::unexpected)?;
    }
    drop(writer);
    Ok(answer(call, &aggregates, u64::try_from(given).unwrap_or_default() + 1))
}

/// The UUIDs of a list. One that it has in two spellings is one aggregate.
fn each_once(list: &Value) -> Vec<Uuid> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut known = FxHashSet::default();
    texts.filter_map(uuids::read).filter(|&uuid| known.insert(uuid)).collect()
}

fn answer(call: &Call<'_>, aggregates: &[Uuid], generation: u64) -> Reply {
    let reply = Reply::object(|w| {
        w.key("aggregates").array(|w| aggregates.iter().for_each(|&aggregate| w.uuid(aggregate)));
        if call.version.at_least(GUARDED) {
            w.key("resource_provider_generation").integer(generation);
        }
    });
    reply.modified(call.now)
}
