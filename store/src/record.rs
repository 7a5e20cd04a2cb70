//! The records of a store: keys, values and their conversions.
//!
//! A key is a letter for the kind followed by a number in big-endian order. The letters sort
//! records in the order in which an index is loaded: a record comes before those that refer to it.
//! The key of a consumer contains the serial of its entry, not its UUID, so that new consumers are
//! neighbours and a tree on disk writes one page for many of them.

use std::sync::Arc;

use berth_placement::{
    Allocation, ClassId, Consumer, ConsumerId, Inventory, NameRecord, Owner, ProviderState, Row, Timestamp,
    TraitId, Units,
};
use prost::Message;
use uuid::Uuid;

use crate::fleet_records::{FleetRecords, InvalidFleetRecord};
use crate::message;
use crate::state_file::hex;
use crate::store::Changes;

/// The format that this release writes.
pub(crate) const FORMAT: u32 = 1;

/// The key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The format of the other records.
    Format,
    /// The number of rows that were ever assigned to providers.
    Rows,
    Class(ClassId),
    Trait(TraitId),
    Provider(Row),
    /// All inventories of a provider.
    Inventories(Row),
    /// The generations of a block of providers.
    CountBlock(u32),
    /// The generations that one commit changed. The generation of a row is the largest among these
    /// records and its block.
    CountDelta(u64),
    Owner(u32),
    /// A consumer, by serial.
    Consumer(u64),
    /// A record of the fleet (see [`FleetRecords`]), by the first byte of its key.
    Fleet(u8),
}

/// A record that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("its key is of no kind that is known")]
    Key,
    #[error("its value is not of the format: {0}")]
    Value(#[from] prost::DecodeError),
    #[error("its field {0} is out of bounds")]
    Field(&'static str),
    #[error(transparent)]
    Fleet(#[from] InvalidFleetRecord),
}

impl Key {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let key = |kind: u8, number: &[u8]| [&[kind], number].concat();
        match self {
            Self::Format => key(b'a', &[]),
            Self::Rows => key(b'b', &[]),
            Self::Class(id) => key(b'c', &id.0.to_be_bytes()),
            Self::Trait(id) => key(b'd', &id.0.to_be_bytes()),
            Self::Provider(row) => key(b'e', &row.0.to_be_bytes()),
            Self::Inventories(row) => key(b'f', &row.0.to_be_bytes()),
            Self::CountBlock(block) => key(b'g', &block.to_be_bytes()),
            Self::CountDelta(number) => key(b'h', &number.to_be_bytes()),
            Self::Owner(number) => key(b'i', &number.to_be_bytes()),
            Self::Consumer(serial) => key(b'j', &serial.to_be_bytes()),
            Self::Fleet(kind) => key(kind, &[]),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (&kind, number) = bytes.split_first().ok_or(Unreadable::Key)?;
        Ok(match kind {
            b'a' if number.is_empty() => Self::Format,
            b'b' if number.is_empty() => Self::Rows,
            b'c' => Self::Class(ClassId(u16::from_be_bytes(array(number)?))),
            b'd' => Self::Trait(TraitId(u32::from_be_bytes(array(number)?))),
            b'e' => Self::Provider(Row(u32::from_be_bytes(array(number)?))),
            b'f' => Self::Inventories(Row(u32::from_be_bytes(array(number)?))),
            b'g' => Self::CountBlock(u32::from_be_bytes(array(number)?)),
            b'h' => Self::CountDelta(u64::from_be_bytes(array(number)?)),
            b'i' => Self::Owner(u32::from_be_bytes(array(number)?)),
            b'j' => Self::Consumer(u64::from_be_bytes(array(number)?)),
            b'k'..=b'z' => Self::Fleet(kind),
            _ => return Err(Unreadable::Key),
        })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format => write!(f, "the format"),
            Self::Rows => write!(f, "the number of rows"),
            Self::Class(ClassId(number)) => write!(f, "the resource class with number {number}"),
            Self::Trait(TraitId(number)) => write!(f, "the trait with number {number}"),
            Self::Provider(Row(row)) => write!(f, "the resource provider in row {row}"),
            Self::Inventories(Row(row)) => write!(f, "the inventories of row {row}"),
            Self::CountBlock(block) => write!(f, "the counts of block {block}"),
            Self::CountDelta(number) => write!(f, "the counts of commit {number}"),
            Self::Owner(number) => write!(f, "the owner with number {number}"),
            Self::Consumer(serial) => write!(f, "the consumer with serial {serial}"),
            Self::Fleet(kind) => write!(f, "a record of the fleet of kind {:?}", char::from(*kind)),
        }
    }
}

/// Describes a key in words, including an invalid one.
pub(crate) fn words<F: FleetRecords>(key: &[u8]) -> String {
    let of_index = || Key::read(key).ok().map(|key| key.to_string());
    let known = F::describe(key).or_else(of_index);
    known.unwrap_or_else(|| format!("a record with the unknown key {}", hex(key)))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    bytes.try_into().map_err(|_| Unreadable::Key)
}

pub(crate) fn put(changes: &mut Changes, key: Key, message: &impl Message) {
    changes.insert(key.bytes(), Some(message.encode_to_vec()));
}

pub(crate) fn remove(changes: &mut Changes, key: Key) {
    changes.insert(key.bytes(), None);
}

pub(crate) fn format() -> message::Format {
    message::Format { version: FORMAT, written_by: env!("CARGO_PKG_VERSION").to_owned() }
}

pub(crate) fn name(record: &NameRecord) -> message::Name {
    message::Name { name: record.name.to_string(), since: record.since.0 }
}

pub(crate) fn provider(state: &ProviderState) -> message::Provider {
    message::Provider {
        uuid: state.uuid.into_bytes().to_vec(),
        name: state.name.to_string(),
        parent: state.parent.map(|parent| parent.0),
        traits: state.traits.iter().map(|id| id.0).collect(),
        aggregates: state.aggregates.iter().map(|uuid| uuid.into_bytes().to_vec()).collect(),
    }
}

pub(crate) fn inventories(inventories: &[(ClassId, Inventory)]) -> message::Inventories {
    let inventory = |&(class, inventory): &(ClassId, Inventory)| {
        let Inventory { total, reserved, units, allocation_ratio } = inventory;
        let Units { min_unit, max_unit, step_size } = units;
        let class = class.0.into();
        message::Inventory { class, total, reserved, min_unit, max_unit, step_size, allocation_ratio }
    };
    message::Inventories { inventories: inventories.iter().map(inventory).collect() }
}

pub(crate) fn owner(owner: &Owner) -> message::Owner {
    message::Owner {
        project: owner.project.to_string(),
        user: owner.user.to_string(),
        consumer_type: owner.consumer_type.as_ref().map(ToString::to_string),
    }
}

pub(crate) fn consumer(id: ConsumerId, entry: &Consumer, owner: Option<u32>) -> message::Consumer {
    let allocation = |&Allocation { row, class, amount }: &Allocation| message::Allocation {
        row: row.0,
        class: class.0.into(),
        amount,
    };
    message::Consumer {
        uuid: id.0.to_be_bytes().to_vec(),
        generation: entry.generation,
        written_at: entry.written_at.0,
        owner,
        allocations: entry.allocations.iter().map(allocation).collect(),
    }
}

pub(crate) fn read_format(value: &[u8]) -> Result<u32, Unreadable> {
    Ok(message::Format::decode(value)?.version)
}

pub(crate) fn read_rows(value: &[u8]) -> Result<u32, Unreadable> {
    Ok(message::Rows::decode(value)?.rows)
}

pub(crate) fn read_name(value: &[u8]) -> Result<NameRecord, Unreadable> {
    let message::Name { name, since } = message::Name::decode(value)?;
    Ok(NameRecord { name: name.into(), since: Timestamp(since) })
}

pub(crate) fn read_provider(value: &[u8]) -> Result<ProviderState, Unreadable> {
    let message = message::Provider::decode(value)?;
    let aggregates = message.aggregates.iter().map(|bytes| read_uuid("aggregates", bytes));
    Ok(ProviderState {
        uuid: read_uuid("uuid", &message.uuid)?,
        name: message.name.into(),
        parent: message.parent.map(Row),
        traits: message.traits.into_iter().map(TraitId).collect(),
        aggregates: aggregates.collect::<Result<_, _>>()?,
    })
}

pub(crate) fn read_inventories(value: &[u8]) -> Result<Vec<(ClassId, Inventory)>, Unreadable> {
    let read = |stored: message::Inventory| {
        let message::Inventory { total, reserved, min_unit, max_unit, step_size, allocation_ratio, .. } =
            stored;
        let units = Units { min_unit, max_unit, step_size };
        Ok((read_class(stored.class)?, Inventory { total, reserved, units, allocation_ratio }))
    };
    message::Inventories::decode(value)?.inventories.into_iter().map(read).collect()
}

/// Rows with their generations and times of change.
pub(crate) fn read_counts(value: &[u8]) -> Result<Vec<(Row, u64, Timestamp)>, Unreadable> {
    let message::Counts { rows, generations, changed_at } = message::Counts::decode(value)?;
    if generations.len() != rows.len() || changed_at.len() != rows.len() {
        return Err(Unreadable::Field("rows"));
    }
    let counts = rows.into_iter().zip(generations).zip(changed_at);
    Ok(counts.map(|((row, generation), at)| (Row(row), generation, Timestamp(at))).collect())
}

pub(crate) fn read_owner(value: &[u8]) -> Result<Owner, Unreadable> {
    let message::Owner { project, user, consumer_type } = message::Owner::decode(value)?;
    let consumer_type = consumer_type.map(Into::into);
    Ok(Owner { project: project.into(), user: user.into(), consumer_type })
}

/// Decodes the consumer with this serial, whose owner is one of these, and the number of that
/// owner.
pub(crate) fn read_consumer(
    serial: u64,
    value: &[u8],
    owners: &[Option<Arc<Owner>>],
) -> Result<(ConsumerId, Consumer, Option<u32>), Unreadable> {
    let message = message::Consumer::decode(value)?;
    let number = message.owner;
    let owner =
        |number: u32| owners.get(number as usize).cloned().flatten().ok_or(Unreadable::Field("owner"));
    let owner = number.map(owner).transpose()?;
    let (id, consumer) = consumer_of(serial, message, owner)?;
    Ok((id, consumer, number))
}

/// Decodes the number of a consumer's owner.
pub(crate) fn read_owner_number(value: &[u8]) -> Result<Option<u32>, Unreadable> {
    Ok(message::Consumer::decode(value)?.owner)
}

/// Decodes the consumer with this serial and this owner.
pub(crate) fn read_consumer_of(
    serial: u64,
    value: &[u8],
    owner: Option<Arc<Owner>>,
) -> Result<(ConsumerId, Consumer), Unreadable> {
    consumer_of(serial, message::Consumer::decode(value)?, owner)
}

fn consumer_of(
    serial: u64,
    message: message::Consumer,
    owner: Option<Arc<Owner>>,
) -> Result<(ConsumerId, Consumer), Unreadable> {
    let allocation = |held: message::Allocation| {
        Ok(Allocation { row: Row(held.row), class: read_class(held.class)?, amount: held.amount })
    };
    let allocations = message.allocations.into_iter().map(allocation).collect::<Result<_, Unreadable>>()?;
    let mut entry = Consumer::new(allocations, owner, message.generation, Timestamp(message.written_at));
    entry.serial = serial;
    Ok((read_uuid("uuid", &message.uuid)?.into(), entry))
}

fn read_uuid(field: &'static str, bytes: &[u8]) -> Result<Uuid, Unreadable> {
    Uuid::from_slice(bytes).map_err(|_| Unreadable::Field(field))
}

fn read_class(number: u32) -> Result<ClassId, Unreadable> {
    u16::try_from(number).map(ClassId).map_err(|_| Unreadable::Field("class"))
}
