//! The lines of a state file, versions 1 and 2: JSON, one object with one member a line.

use std::sync::Arc;

use berth_placement::{
    AllocationRecord, ConsumerRecord, Inventory, NameRecord, Owner, ProviderRecord, Record, Timestamp, Units,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The content of a line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line {
    /// The first line.
    BerthState(Header),
    Class(Name),
    Trait(Name),
    Provider(Provider),
    Consumer(Consumer),
    /// A record of the fleet; since version 2.
    Fleet(Entry),
    /// The last line.
    End(End),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// The number of lines between the first and the last.
    pub(crate) records: u64,
    /// The checksum of all lines before the last, in hexadecimal digits.
    pub(crate) sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    name: Arc<str>,
    /// Microseconds since 1970, like all times in this file.
    since: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    uuid: Uuid,
    name: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Uuid>,
    generation: u64,
    changed_at: u64,
    inventories: Vec<Stock>,
    traits: Vec<Arc<str>>,
    aggregates: Vec<Uuid>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stock {
    class: Arc<str>,
    total: u32,
    reserved: u32,
    min_unit: u32,
    max_unit: u32,
    step_size: u32,
    allocation_ratio: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consumer {
    uuid: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Belongs>,
    generation: u64,
    written_at: u64,
    /// Provider, resource class and amount.
    allocations: Vec<(Uuid, Arc<str>, u32)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Belongs {
    project: Arc<str>,
    user: Arc<str>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    consumer_type: Option<Arc<str>>,
}

/// A record of a fleet; key and value in hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        match record {
            Record::Class(name) => Self::Class(name.into()),
            Record::Trait(name) => Self::Trait(name.into()),
            Record::Provider(provider) => Self::Provider(provider.into()),
            Record::Consumer(consumer) => Self::Consumer(consumer.into()),
        }
    }
}

impl Line {
    /// The index record of the line, if it has one.
    pub(crate) fn into_record(self) -> Option<Record> {
        match self {
            Self::Class(name) => Some(Record::Class(name.into())),
            Self::Trait(name) => Some(Record::Trait(name.into())),
            Self::Provider(provider) => Some(Record::Provider(provider.into())),
            Self::Consumer(consumer) => Some(Record::Consumer(consumer.into())),
            Self::BerthState(_) | Self::Fleet(_) | Self::End(_) => None,
        }
    }
}

impl From<NameRecord> for Name {
    fn from(record: NameRecord) -> Self {
        Self { name: record.name, since: record.since.0 }
    }
}

impl From<Name> for NameRecord {
    fn from(name: Name) -> Self {
        Self { name: name.name, since: Timestamp(name.since) }
    }
}

impl From<ProviderRecord> for Provider {
    fn from(record: ProviderRecord) -> Self {
        let ProviderRecord { uuid, name, parent, generation, changed_at, inventories, traits, aggregates } =
            record;
        let inventories = inventories.into_iter().map(Stock::of).collect();
        Self { uuid, name, parent, generation, changed_at: changed_at.0, inventories, traits, aggregates }
    }
}

impl From<Provider> for ProviderRecord {
    fn from(line: Provider) -> Self {
        let Provider { uuid, name, parent, generation, changed_at, inventories, traits, aggregates } = line;
        let inventories = inventories.into_iter().map(Stock::into_inventory).collect();
        let changed_at = Timestamp(changed_at);
        Self { uuid, name, parent, generation, changed_at, inventories, traits, aggregates }
    }
}

impl Stock {
    fn of((class, inventory): (Arc<str>, Inventory)) -> Self {
        let Inventory { total, reserved, units, allocation_ratio } = inventory;
        let Units { min_unit, max_unit, step_size } = units;
        Self { class, total, reserved, min_unit, max_unit, step_size, allocation_ratio }
    }

    fn into_inventory(self) -> (Arc<str>, Inventory) {
        let Self { class, total, reserved, min_unit, max_unit, step_size, allocation_ratio } = self;
        let units = Units { min_unit, max_unit, step_size };
        (class, Inventory { total, reserved, units, allocation_ratio })
    }
}

impl From<ConsumerRecord> for Consumer {
    fn from(record: ConsumerRecord) -> Self {
        let owner = record.owner.map(|owner| {
            let Owner { project, user, consumer_type } = Owner::clone(&owner);
            Belongs { project, user, consumer_type }
        });
        let held = record.allocations.into_iter();
        let allocations = held.map(|held| (held.provider, held.class, held.amount)).collect();
        let (uuid, generation, written_at) = (record.uuid, record.generation, record.written_at.0);
        Self { uuid, owner, generation, written_at, allocations }
    }
}

impl From<Consumer> for ConsumerRecord {
    fn from(line: Consumer) -> Self {
        let Consumer { uuid, owner, generation, written_at, allocations } = line;
        let owner = owner
            .map(|Belongs { project, user, consumer_type }| Arc::new(Owner { project, user, consumer_type }));
        let held = allocations.into_iter();
        let allocations = held.map(|(provider, class, amount)| AllocationRecord { provider, class, amount });
        let (allocations, written_at) = (allocations.collect(), Timestamp(written_at));
        Self { uuid, owner, generation, written_at, allocations }
    }
}
