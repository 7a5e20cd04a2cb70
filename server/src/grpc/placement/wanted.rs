//! The request of a claim, resolved to rows and classes.

use std::sync::Arc;

use berth_api::v1;
use berth_placement::{
    Allocation, Allocations, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Topology,
};
use uuid::Uuid;

/// Characters of a project, a user or a consumer type.
const TEXT_LENGTH: usize = 255;

/// The write that a claim stands for; else what is wrong with it.
pub(super) fn read(
    index: &Index,
    topology: &Topology,
    claim: &v1::ConsumerClaim,
) -> Result<ConsumerWrite, String> {
    let consumer = ConsumerId::from(uuid("consumer", &claim.consumer)?);
    let allocations = allocations(index, topology, &claim.allocations)?;
    let owner = Arc::new(owner(claim, !allocations.is_empty())?);
    Ok(ConsumerWrite {
        consumer,
        generation: expected(index, consumer, claim.generation),
        owner,
        allocations,
    })
}

/// A consumer that was written and never held anything counts as one that does not exist.
fn expected(index: &Index, consumer: ConsumerId, generation: Option<u64>) -> ExpectedGeneration {
    match generation {
        None => ExpectedGeneration::Any,
        Some(0) if index.consumer(consumer).is_none_or(|known| known.generation != 0) => {
            ExpectedGeneration::New
        }
        Some(generation) => ExpectedGeneration::Exactly(generation),
    }
}

fn owner(claim: &v1::ConsumerClaim, is_needed: bool) -> Result<Owner, String> {
    let text = |field: &str, text: &str| match text.chars().count() {
        0 if is_needed => Err(format!("{field}: is required")),
        length if length > TEXT_LENGTH => Err(format!("{field}: has more than {TEXT_LENGTH} characters")),
        _ => Ok(Arc::from(text)),
    };
    let consumer_type = match &*claim.consumer_type {
        "" => None,
        name => Some(consumer_type(name)?),
    };
    Ok(Owner { project: text("project", &claim.project)?, user: text("user", &claim.user)?, consumer_type })
}

fn consumer_type(name: &str) -> Result<Arc<str>, String> {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() <= TEXT_LENGTH && name.bytes().all(is_plain) {
        return Ok(name.into());
    }
    Err(format!("consumer_type: has to be up to {TEXT_LENGTH} of A-Z, 0-9 and _, not {name:?}"))
}

fn allocations(index: &Index, topology: &Topology, wanted: &[v1::Allocation]) -> Result<Allocations, String> {
    let mut allocations = Allocations::new();
    for (place, of_provider) in wanted.iter().enumerate() {
        let field = || format!("allocations[{place}]");
        let uuid = uuid(&format!("{}.provider", field()), &of_provider.provider)?;
        let row = index.find(uuid).filter(|&row| topology.provider(row).is_some());
        let row = row.ok_or_else(|| format!("{}.provider: there is no resource provider {uuid}", field()))?;
        if of_provider.resources.is_empty() {
            return Err(format!("{}.resources: has to name at least one class", field()));
        }
        for (name, &amount) in &of_provider.resources {
            let resource = || format!("{}.resources[{name}]", field());
            let class = topology.class(name);
            let class = class.ok_or_else(|| format!("{}: there is no such resource class", resource()))?;
            if !(1..=Inventory::MAX_AMOUNT).contains(&amount) {
                return Err(format!("{}: {amount} is not from 1 to {}", resource(), Inventory::MAX_AMOUNT));
            }
            allocations.push(Allocation { row, class, amount });
        }
    }
    named_once(allocations)
}

/// Each provider has to come once.
fn named_once(mut allocations: Allocations) -> Result<Allocations, String> {
    allocations.sort_unstable();
    let is_same = |pair: &[Allocation]| (pair[0].row, pair[0].class) == (pair[1].row, pair[1].class);
    if allocations.windows(2).any(is_same) {
        return Err("allocations: a provider is named twice".to_owned());
    }
    Ok(allocations)
}

fn uuid(field: &str, text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|_| format!("{field}: has to be a UUID, not {text:?}"))
}
