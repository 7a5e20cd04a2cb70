//! The rows of a dump: lines of JSON arrays, each beginning with the row's name.

use berth_placement::{Inventory, Timestamp, Units};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::Value;

use crate::utc;

/// A row of the database. Numbers named `…_id` are the database's own.
pub(super) enum Row {
    Class {
        id: u64,
        name: String,
        since: Timestamp,
    },
    Trait {
        id: u64,
        name: String,
        since: Timestamp,
    },
    Provider(ProviderRow),
    Inventory {
        provider_id: u64,
        class_id: u64,
        inventory: Inventory,
    },
    ProviderTrait {
        provider_id: u64,
        trait_id: u64,
    },
    ProviderAggregate {
        provider_id: u64,
        aggregate: String,
    },
    Consumer(ConsumerRow),
    Allocation {
        consumer: String,
        provider_id: u64,
        class_id: u64,
        used: u32,
    },
    /// The number of rows of each table, as the database counts them.
    End {
        counts: Vec<u64>,
    },
}

/// A row of the providers' table.
pub(super) struct ProviderRow {
    pub(super) id: u64,
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) generation: u64,
    pub(super) parent_id: Option<u64>,
    pub(super) changed_at: Timestamp,
}

/// A row of the consumers' table.
pub(super) struct ConsumerRow {
    pub(super) uuid: String,
    pub(super) project: String,
    pub(super) user: String,
    pub(super) consumer_type: Option<String>,
    pub(super) generation: u64,
    pub(super) changed_at: Timestamp,
}

impl Row {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Result<Self, serde_json::Error> {
        let mut row: Vec<Value> = serde_json::from_str(line)?;
        let name = if row.is_empty() { Value::Null } else { row.remove(0) };
        let row = Value::Array(row);
        match name.as_str().unwrap_or_default() {
            "class" => fields(row).map(|(id, name, Time(since))| Self::Class { id, name, since }),
            "trait" => fields(row).map(|(id, name, Time(since))| Self::Trait { id, name, since }),
            "provider" => fields(row).map(|(id, uuid, name, generation, parent_id, Time(changed_at))| {
                Self::Provider(ProviderRow { id, uuid, name, generation, parent_id, changed_at })
            }),
            "inventory" => inventory(row),
            "provider_trait" => {
                fields(row).map(|(provider_id, trait_id)| Self::ProviderTrait { provider_id, trait_id })
            }
            "provider_aggregate" => {
                fields(row).map(|(provider_id, aggregate)| Self::ProviderAggregate { provider_id, aggregate })
            }
            "consumer" => {
                fields(row).map(|(uuid, project, user, consumer_type, generation, Time(changed_at))| {
                    Self::Consumer(ConsumerRow { uuid, project, user, consumer_type, generation, changed_at })
                })
            }
            "allocation" => fields(row).map(|(consumer, provider_id, class_id, used)| Self::Allocation {
                consumer,
                provider_id,
                class_id,
                used,
            }),
            "end" => fields(row).map(|counts| Self::End { counts }),
            _ => Err(Error::custom(format!("there are no rows called {name}"))),
        }
    }

    /// Its name in the query.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Class { .. } => "class",
            Self::Trait { .. } => "trait",
            Self::Provider(_) => "provider",
            Self::Inventory { .. } => "inventory",
            Self::ProviderTrait { .. } => "provider_trait",
            Self::ProviderAggregate { .. } => "provider_aggregate",
            Self::Consumer(_) => "consumer",
            Self::Allocation { .. } => "allocation",
            Self::End { .. } => "end",
        }
    }
}

fn inventory(row: Value) -> Result<Row, serde_json::Error> {
    let (provider_id, class_id, total, reserved, min_unit, max_unit, step_size, Ratio(allocation_ratio)) =
        fields(row)?;
    let units = Units { min_unit, max_unit, step_size };
    let inventory = Inventory { total, reserved, units, allocation_ratio };
    Ok(Row::Inventory { provider_id, class_id, inventory })
}

fn fields<T: DeserializeOwned>(row: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(row)
}

/// A time as databases print it; 1970 when there is none.
struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(Self(Timestamp::default()));
        };
        utc::parse(&text).map(Self).ok_or_else(|| Error::custom(format!("{text:?} is no time")))
    }
}

/// An allocation ratio, as a number or as its digits.
struct Ratio(f64);

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64().map(Self).ok_or_else(|| Error::custom("no ratio")),
            Value::String(text) => {
                text.parse().map(Self).map_err(|_| Error::custom(format!("{text:?} is no ratio")))
            }
            other => Err(Error::custom(format!("{other} is no ratio"))),
        }
    }
}
