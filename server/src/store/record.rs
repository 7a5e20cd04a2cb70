//! What the service keeps, as records of a store: keys, values, and back.
//!
//! A key is a letter for the kind and the number or UUID, in big-endian order. The letters are in the order in which an index
//! is made again: what is named comes before what names it.

use std::sync::Arc;

use berth_placement::store::Changes;
use berth_placement::{
    Allocation, ClassId, Consumer, ConsumerId, Index, Inventory, NameRecord, Owner, ProviderState, Row,
    StateChange, Timestamp, TraitId, Units,
};
use prost::Message;
use uuid::Uuid;

use super::message;

/// The format that is written.
pub(super) const FORMAT: u32 = 1;

/// The key of the record that says which format the others have.
pub(super) const FORMAT_KEY: &[u8] = b"a";

const CLASS: u8 = b'b';
const TRAIT: u8 = b'c';
const PROVIDER: u8 = b'd';
const INVENTORIES: u8 = b'e';
const COUNT: u8 = b'f';
/// The only kind of which there are very many.
pub(super) const CONSUMER: u8 = b'g';

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    Format(u32),
    Class(ClassId, NameRecord),
    Trait(TraitId, NameRecord),
    Provider(Row, ProviderState),
    Inventories(Row, Vec<(ClassId, Inventory)>),
    Count(Row, u64, Timestamp),
    Consumer(ConsumerId, Consumer),
}

/// A record that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("its key is of no kind that is known")]
    Key,
    #[error("its value is not of the format: {0}")]
    Value(#[from] prost::DecodeError),
    #[error("its field {0} is out of bounds")]
    Field(&'static str),
}

/// The record of this format.
pub(super) fn format_record() -> (Vec<u8>, Vec<u8>) {
    let message = message::Format { version: FORMAT, written_by: env!("CARGO_PKG_VERSION").to_owned() };
    (FORMAT_KEY.to_vec(), message.encode_to_vec())
}

/// Puts a change with those before it. A provider's count is what the index says now, so it never goes back.
pub(super) fn enter(changes: &mut Changes, change: StateChange, index: &Index) {
    match change {
        StateChange::Class(id, record) => {
            put(changes, key(CLASS, &id.0.to_be_bytes()), record.as_ref().map(name))
        }
        StateChange::Trait(id, record) => {
            put(changes, key(TRAIT, &id.0.to_be_bytes()), record.as_ref().map(name))
        }
        StateChange::Provider(row, state) => {
            if state.is_none() {
                changes.insert(row_key(INVENTORIES, row), None);
                changes.insert(row_key(COUNT, row), None);
            }
            put(changes, row_key(PROVIDER, row), state.as_ref().map(provider));
        }
        StateChange::Inventories(row, inventories) => {
            let inventories = inventories.into_iter().map(inventory).collect();
            put(changes, row_key(INVENTORIES, row), Some(message::Inventories { inventories }));
        }
        StateChange::Counted(row) => {
            let (generation, changed_at) = (index.generation(row), index.changed_at(row).0);
            put(changes, row_key(COUNT, row), Some(message::Count { generation, changed_at }));
        }
        StateChange::Consumer(id, entry) => {
            put(changes, key(CONSUMER, &id.0.to_be_bytes()), entry.as_ref().map(consumer));
        }
    }
}

fn put(changes: &mut Changes, key: Vec<u8>, message: Option<impl Message>) {
    changes.insert(key, message.map(|message| message.encode_to_vec()));
}

fn key(kind: u8, id: &[u8]) -> Vec<u8> {
    [&[kind], id].concat()
}

fn row_key(kind: u8, row: Row) -> Vec<u8> {
    key(kind, &row.0.to_be_bytes())
}

fn name(record: &NameRecord) -> message::Name {
    message::Name { name: record.name.to_string(), since: record.since.0 }
}

fn provider(state: &ProviderState) -> message::Provider {
    message::Provider {
        uuid: state.uuid.into_bytes().to_vec(),
        name: state.name.to_string(),
        parent: state.parent.map(|parent| parent.0),
        traits: state.traits.iter().map(|id| id.0).collect(),
        aggregates: state.aggregates.iter().map(|uuid| uuid.into_bytes().to_vec()).collect(),
    }
}

fn inventory((class, inventory): (ClassId, Inventory)) -> message::Inventory {
    let Inventory { total, reserved, units, allocation_ratio } = inventory;
    let Units { min_unit, max_unit, step_size } = units;
    message::Inventory {
        class: class.0.into(),
        total,
        reserved,
        min_unit,
        max_unit,
        step_size,
        allocation_ratio,
    }
}

fn consumer(entry: &Consumer) -> message::Consumer {
    let owner = entry.owner.as_ref().map(|owner| message::Owner {
        project: owner.project.to_string(),
        user: owner.user.to_string(),
        consumer_type: owner.consumer_type.as_ref().map(ToString::to_string),
    });
    let allocation = |&Allocation { row, class, amount }: &Allocation| message::Allocation {
        row: row.0,
        class: class.0.into(),
        amount,
    };
    message::Consumer {
        generation: entry.generation,
        written_at: entry.written_at.0,
        owner,
        allocations: entry.allocations.iter().map(allocation).collect(),
    }
}

impl Kept {
    /// What a record says.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, Unreadable> {
        let (&kind, id) = key.split_first().ok_or(Unreadable::Key)?;
        let row = || number(id).map(Row);
        Ok(match kind {
            b'a' if id.is_empty() => Self::Format(message::Format::decode(value)?.version),
            CLASS => {
                let id: [u8; 2] = id.try_into().map_err(|_| Unreadable::Key)?;
                Self::Class(ClassId(u16::from_be_bytes(id)), read_name(value)?)
            }
            TRAIT => Self::Trait(TraitId(number(id)?), read_name(value)?),
            PROVIDER => Self::Provider(row()?, read_provider(value)?),
            INVENTORIES => Self::Inventories(row()?, read_inventories(value)?),
            COUNT => {
                let message::Count { generation, changed_at } = message::Count::decode(value)?;
                Self::Count(row()?, generation, Timestamp(changed_at))
            }
            CONSUMER => {
                let id: [u8; 16] = id.try_into().map_err(|_| Unreadable::Key)?;
                Self::Consumer(ConsumerId(u128::from_be_bytes(id)), read_consumer(value)?)
            }
            _ => return Err(Unreadable::Key),
        })
    }
}

fn number(id: &[u8]) -> Result<u32, Unreadable> {
    id.try_into().map(u32::from_be_bytes).map_err(|_| Unreadable::Key)
}

fn read_name(value: &[u8]) -> Result<NameRecord, Unreadable> {
    let message::Name { name, since } = message::Name::decode(value)?;
    Ok(NameRecord { name: name.into(), since: Timestamp(since) })
}

fn read_provider(value: &[u8]) -> Result<ProviderState, Unreadable> {
    let message = message::Provider::decode(value)?;
    let aggregates = message.aggregates.iter().map(|bytes| uuid("aggregates", bytes));
    Ok(ProviderState {
        uuid: uuid("uuid", &message.uuid)?,
        name: message.name.into(),
        parent: message.parent.map(Row),
        traits: message.traits.into_iter().map(TraitId).collect(),
        aggregates: aggregates.collect::<Result<_, _>>()?,
    })
}

fn uuid(field: &'static str, bytes: &[u8]) -> Result<Uuid, Unreadable> {
    Uuid::from_slice(bytes).map_err(|_| Unreadable::Field(field))
}

fn read_inventories(value: &[u8]) -> Result<Vec<(ClassId, Inventory)>, Unreadable> {
    let read = |stored: message::Inventory| {
        let message::Inventory { total, reserved, min_unit, max_unit, step_size, allocation_ratio, .. } =
            stored;
        let units = Units { min_unit, max_unit, step_size };
        Ok((class(stored.class)?, Inventory { total, reserved, units, allocation_ratio }))
    };
    message::Inventories::decode(value)?.inventories.into_iter().map(read).collect()
}

fn read_consumer(value: &[u8]) -> Result<Consumer, Unreadable> {
    let message = message::Consumer::decode(value)?;
    let allocation = |held: message::Allocation| {
        Ok(Allocation { row: Row(held.row), class: class(held.class)?, amount: held.amount })
    };
    let allocations = message.allocations.into_iter().map(allocation).collect::<Result<_, Unreadable>>()?;
    let owner = message.owner.map(|owner| {
        let message::Owner { project, user, consumer_type } = owner;
        Arc::new(Owner {
            project: project.into(),
            user: user.into(),
            consumer_type: consumer_type.map(Into::into),
        })
    });
    Ok(Consumer::new(allocations, owner, message.generation, Timestamp(message.written_at)))
}

fn class(number: u32) -> Result<ClassId, Unreadable> {
    u16::try_from(number).map(ClassId).map_err(|_| Unreadable::Field("class"))
}
