//! `/allocations` and `/resource_providers/{uuid}/allocations`: the amounts that consumers hold.

use berth_placement::{Allocation, Consumer, ConsumerId, ConsumerWrite, Topology};
use uuid::Uuid;

use super::call::Call;
use super::consumers::{INCOMPLETE, Wanted, refused};
use super::schemas;
use crate::error::Failure;
use crate::http::reply::Reply;
use crate::policy::rules;
use crate::request::{self, message};
use crate::{json, uuids};

/// How consumers without a type are called.
pub(super) const UNKNOWN_TYPE: &str = "unknown";

pub(super) fn of_consumer(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::ALLOCATIONS_LIST)?;
    let id = uuids::read(uuid).map(ConsumerId::from);
    let consumer = id.and_then(|id| call.index.consumer(id)).filter(|found| !found.allocations.is_empty());
    let topology = call.index.topology();
    let allocations = consumer.as_ref().map(|consumer| consumer.allocations.clone()).unwrap_or_default();
    let reply = Reply::object(|w| {
        w.key("allocations").object(|w| by_provider(w, call, &topology, allocations.to_vec()));
        if let Some(consumer) = consumer.as_ref().filter(|_| call.version.at_least(12)) {
            describe(w, call, consumer);
        }
    });
    Ok(reply.modified(consumer.map_or(call.now, |consumer| consumer.written_at)))
}

fn by_provider(w: &mut json::Writer, call: &Call<'_>, topology: &Topology, mut allocations: Vec<Allocation>) {
    allocations.sort_unstable();
    for of_provider in allocations.chunk_by(|a, b| a.row == b.row) {
        let row = of_provider[0].row;
        let Some(provider) = topology.provider(row) else { continue };
        w.uuid_key(provider.uuid).object(|w| {
            w.key("resources").object(|w| resources(w, topology, of_provider));
            w.key("generation").integer(call.index.generation(row));
        });
    }
}

fn resources<'a>(
    w: &mut json::Writer,
    topology: &Topology,
    allocations: impl IntoIterator<Item = &'a Allocation>,
) {
    for allocation in allocations {
        w.key(message::class_name(topology, allocation.class)).integer(allocation.amount);
    }
}

fn describe(w: &mut json::Writer, call: &Call<'_>, consumer: &Consumer) {
    let owner = consumer.owner.as_deref();
    w.key("project_id").string(owner.map_or(INCOMPLETE, |owner| &owner.project));
    w.key("user_id").string(owner.map_or(INCOMPLETE, |owner| &owner.user));
    if call.version.at_least(28) {
        w.key("consumer_generation").integer(consumer.generation);
    }
    if call.version.at_least(38) {
        let kind = owner.and_then(|owner| owner.consumer_type.as_deref());
        w.key("consumer_type").string(kind.unwrap_or(UNKNOWN_TYPE));
    }
}

pub(super) fn of_provider(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.takes_json()?;
    call.may(rules::PROVIDER_ALLOCATIONS_LIST)?;
    let found = call.provider(uuid)?;
    let generation = call.index.generation(found.row); // before the rest: too old is harmless, too new is not
    let mut last = None;
    let reply = Reply::object(|w| {
        w.key("allocations").object(|w| {
            for id in call.index.holders(found.row) {
                let Some(consumer) = call.index.consumer(id) else { continue };
                let held = consumer.allocations.iter().filter(|allocation| allocation.row == found.row);
                w.uuid_key(id.into()).object(|w| {
                    w.key("resources").object(|w| resources(w, &found.topology, held));
                    if call.version.at_least(28) {
                        w.key("consumer_generation").integer(consumer.generation);
                    }
                });
                last = last.max(Some(consumer.written_at));
            }
        });
        w.key("resource_provider_generation").integer(generation);
    });
    Ok(reply.modified(last.unwrap_or(call.now)))
}

pub(super) fn write_one(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.sends_json()?;
    call.may(rules::ALLOCATIONS_UPDATE)?;
    let consumer = consumer_of(uuid)?;
    let body = call.json(schemas::ALLOCATIONS.at(call.version))?;
    let wanted = Wanted::read(call, consumer, &body);
    let generation = wanted.expect(call.index)?;
    let topology = call.index.topology();
    let write = wanted.resolve(call, &topology, generation).map_err(|unresolved| {
        unresolved
            .into_failure(|reason| format!("Unable to allocate inventory for consumer {consumer}: {reason}"))
    })?;
    transfer(call, &topology, &[write])
}

pub(super) fn write_many(call: &Call<'_>) -> Result<Reply, Failure> {
    call.since(13)?;
    call.sends_json()?;
    call.may(rules::ALLOCATIONS_MANAGE)?;
    let body = call.json(schemas::MANY_ALLOCATIONS.at(call.version))?;
    let topology = call.index.topology();
    let writes =
        read_many(call, &topology, &body, |reason| format!("Unable to allocate inventory {reason}"))?;
    transfer(call, &topology, &writes)
}

/// The requested allocations of the consumers in a body.
pub(super) fn read_many(
    call: &Call<'_>,
    topology: &Topology,
    body: &serde_json::Value,
    unknown_class: impl Fn(String) -> String,
) -> Result<Vec<ConsumerWrite>, Failure> {
    let mut wanted = Vec::new();
    for (uuid, part) in body.as_object().into_iter().flatten() {
        let consumer = consumer_of(uuid)?;
        let one = Wanted::read(call, consumer, part);
        let generation = one.expect(call.index)?;
        wanted.push((one, generation));
    }
    let writes = wanted.iter().map(|(one, generation)| {
        one.resolve(call, topology, *generation).map_err(|unresolved| unresolved.into_failure(&unknown_class))
    });
    writes.collect()
}

fn consumer_of(text: &str) -> Result<Uuid, Failure> {
    uuids::read(text).ok_or_else(|| Failure::bad_request(format!("Malformed consumer_uuid: {text}")))
}

fn transfer(call: &Call<'_>, topology: &Topology, writes: &[ConsumerWrite]) -> Result<Reply, Failure> {
    request::transfer(call.index, writes, call.now).map_err(|error| refused(&error, topology))?;
    Ok(Reply::no_content())
}

pub(super) fn delete(call: &Call<'_>, uuid: &str) -> Result<Reply, Failure> {
    call.may(rules::ALLOCATIONS_DELETE)?;
    let id = uuids::read(uuid).map(ConsumerId::from);
    match id.and_then(|id| call.index.release_uncounted(id)) {
        Some(_) => Ok(Reply::no_content()),
        None => Err(Failure::not_found(format!("No allocations for consumer '{uuid}'"))),
    }
}
