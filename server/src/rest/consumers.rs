//! The requested allocations of consumers in request bodies: one consumer or several, list or
//! object, with or without generations.

use std::sync::Arc;

use berth_placement::{
    Allocation, Allocations, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Owner, Row,
    Topology, TransferError,
};
use rustc_hash::FxHashSet;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::call::Call;
use super::refusals;
use crate::error::Failure;
use crate::json::schema::integer_of;
use crate::request::message;
use crate::uuids;

/// The project and user of consumers that clients write with a microversion without owners.
pub(super) const INCOMPLETE: &str = "00000000-0000-0000-0000-000000000000";

/// The part of a body about one consumer, with names that are not resolved yet.
pub(super) struct Wanted<'body> {
    consumer: Uuid,
    generation: Option<ExpectedGeneration>,
    owner: Arc<Owner>,
    /// (provider, resources)
    allocations: Vec<(&'body str, &'body Map<String, Value>)>,
}

impl<'body> Wanted<'body> {
    /// Reads one consumer's part of a body that has been checked.
    pub(super) fn read(call: &Call<'_>, consumer: Uuid, body: &'body Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or(INCOMPLETE).into();
        let consumer_type = body["consumer_type"].as_str().map(Arc::from);
        let owner = Owner { project: text("project_id"), user: text("user_id"), consumer_type };
        let generation = call.version.at_least(28).then(|| expected(&body["consumer_generation"])).flatten();
        let allocations = match &body["allocations"] {
            Value::Array(list) => last_of_each_provider(list),
            Value::Object(providers) => {
                providers.iter().filter_map(|(uuid, entry)| by_provider(uuid, entry)).collect()
            }
            _ => Vec::new(),
        };
        let any = if call.version.at_least(28) { None } else { Some(ExpectedGeneration::Any) };
        Self { consumer, generation: generation.or(any), owner: Arc::new(owner), allocations }
    }

    /// Checks the generation of the consumer. The write checks it again.
    pub(super) fn expect(&self, index: &Index) -> Result<ExpectedGeneration, Failure> {
        let found = index.consumer(self.consumer.into()).map(|consumer| consumer.generation);
        match self.generation {
            Some(expected) if expected.met_by(found) => Ok(expected),
            Some(expected) => Err(generation_conflict(expected, found)),
            None => Err(conflict(&shown(found), "a negative number")),
        }
    }

    /// Resolves the providers and classes.
    pub(super) fn resolve(
        &self,
        call: &Call<'_>,
        topology: &Topology,
        generation: ExpectedGeneration,
    ) -> Result<ConsumerWrite, Unresolved> {
        let mut allocations = Allocations::new();
        // All providers before the first class, as in the original.
        let rows = self.allocations.iter().map(|(uuid, _)| row_of(call, topology, uuid));
        let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
        for (row, (_, resources)) in rows.into_iter().zip(&self.allocations) {
            for (class, amount) in *resources {
                allocations.push(allocation(topology, row, class, amount)?);
            }
        }
        let allocations = last_of_each(allocations);
        let (consumer, owner) = (ConsumerId::from(self.consumer), Arc::clone(&self.owner));
        Ok(ConsumerWrite { consumer, generation, owner, allocations })
    }
}

/// A name in a body that does not exist.
pub(super) enum Unresolved {
    Provider(String),
    Class(String),
}

impl Unresolved {
    /// The refusal; `class` makes the message about an unknown class.
    pub(super) fn into_failure(self, class: impl FnOnce(String) -> String) -> Failure {
        match self {
            Self::Provider(uuid) => Failure::bad_request(format!(
                "Allocation for resource provider '{uuid}' that does not exist."
            )),
            Self::Class(name) => Failure::bad_request(class(message::no_such_class(&name))),
        }
    }
}

fn row_of(call: &Call<'_>, topology: &Topology, uuid: &str) -> Result<Row, Unresolved> {
    let row = uuids::read(uuid).and_then(|uuid| call.index.find(uuid));
    row.filter(|&row| topology.provider(row).is_some()).ok_or_else(|| Unresolved::Provider(uuid.to_owned()))
}

fn allocation(topology: &Topology, row: Row, class: &str, amount: &Value) -> Result<Allocation, Unresolved> {
    let class: ClassId = topology.class(class).ok_or_else(|| Unresolved::Class(class.to_owned()))?;
    // An amount beyond what any inventory can hold stays beyond it.
    let amount = u32::try_from(integer_of(amount)).unwrap_or(u32::MAX);
    Ok(Allocation { row, class, amount })
}

/// Of several allocations on the same provider and class, the last.
fn last_of_each(mut allocations: Allocations) -> Allocations {
    allocations.reverse(); // the sort is stable
    allocations.sort_by_key(|allocation| (allocation.row, allocation.class));
    allocations.dedup_by_key(|allocation| (allocation.row, allocation.class));
    allocations
}

/// The entries of a list, of several for one provider the last, as in the original.
fn last_of_each_provider(list: &[Value]) -> Vec<(&str, &Map<String, Value>)> {
    let mut known = FxHashSet::default();
    let entries = list.iter().rev().filter_map(by_list);
    let mut kept: Vec<_> = entries.filter(|(uuid, _)| known.insert(uuids::read(uuid))).collect();
    kept.reverse();
    kept
}

fn by_list(entry: &Value) -> Option<(&str, &Map<String, Value>)> {
    Some((entry["resource_provider"]["uuid"].as_str()?, entry["resources"].as_object()?))
}

fn by_provider<'body>(
    uuid: &'body str,
    entry: &'body Value,
) -> Option<(&'body str, &'body Map<String, Value>)> {
    Some((uuid, entry["resources"].as_object()?))
}

/// The expected generation in a body; `None` for a negative number, which no generation is.
fn expected(value: &Value) -> Option<ExpectedGeneration> {
    if value.is_null() {
        return Some(ExpectedGeneration::New);
    }
    u64::try_from(integer_of(value)).ok().map(ExpectedGeneration::Exactly)
}

fn shown(generation: Option<u64>) -> String {
    generation.map_or_else(|| "null".to_owned(), |generation| generation.to_string())
}

fn generation_conflict(expected: ExpectedGeneration, found: Option<u64>) -> Failure {
    let given = match expected {
        ExpectedGeneration::Exactly(given) => given.to_string(),
        ExpectedGeneration::Any | ExpectedGeneration::New => "None".to_owned(),
    };
    conflict(&shown(found), &given)
}

fn conflict(found: &str, given: &str) -> Failure {
    refusals::concurrent_update(&format!("consumer generation conflict - expected {found} but got {given}"))
}

/// The response to a transfer that was refused.
pub(super) fn refused(error: &TransferError, topology: &Topology) -> Failure {
    match *error {
        // Another client has written the consumer in the meantime.
        TransferError::ConsumerGeneration { expected, found, .. } => generation_conflict(expected, found),
        // The body itself is contradictory.
        TransferError::WrittenTwice(consumer) => {
            Failure::bad_request(format!("Consumer {} is named twice.", Uuid::from(consumer)))
        }
        // The policy of the consumer's server group forbids the allocation.
        TransferError::Group(error) => Failure::conflict(format!("Unable to allocate inventory: {error}")),
        // The capacity is too small by now, or unit rules forbid the amount.
        TransferError::Refused(ref refusal) => Failure::conflict(format!(
            "Unable to allocate inventory: {}",
            message::allocation(refusal, topology)
        )),
    }
}
