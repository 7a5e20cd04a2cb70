//! The rows of a dump: lines of JSON arrays, each beginning with the row's name.

use berth_placement::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
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
    Provider {
        id: u64,
        uuid: String,
        name: String,
        generation: u64,
        parent_id: Option<u64>,
        changed_at: Timestamp,
    },
    Inventory {
        provider_id: u64,
        class_id: u64,
        amounts: [u32; 5],
        ratio: f64,
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
        let (name,): (String,) = serde_json::from_str::<Vec<Value>>(line)
            .and_then(|row| serde_json::from_value(Value::Array(row.into_iter().take(1).collect())))?;
        match name.as_str() {
            "class" => fields(line).map(|(Tag, id, name, Time(since))| Self::Class { id, name, since }),
            "trait" => fields(line).map(|(Tag, id, name, Time(since))| Self::Trait { id, name, since }),
            "provider" => {
                fields(line).map(|(Tag, id, uuid, name, generation, parent_id, Time(changed_at))| {
                    Self::Provider { id, uuid, name, generation, parent_id, changed_at }
                })
            }
            "inventory" => fields(line).map(|(Tag, provider_id, class_id, a, b, c, d, e, Ratio(ratio))| {
                Self::Inventory { provider_id, class_id, amounts: [a, b, c, d, e], ratio }
            }),
            "provider_trait" => {
                fields(line).map(|(Tag, provider_id, trait_id)| Self::ProviderTrait { provider_id, trait_id })
            }
            "provider_aggregate" => fields(line)
                .map(|(Tag, provider_id, aggregate)| Self::ProviderAggregate { provider_id, aggregate }),
            "consumer" => {
                fields(line).map(|(Tag, uuid, project, user, consumer_type, generation, Time(changed_at))| {
                    Self::Consumer(ConsumerRow { uuid, project, user, consumer_type, generation, changed_at })
                })
            }
            "allocation" => fields(line).map(|(Tag, consumer, provider_id, class_id, used)| {
                Self::Allocation { consumer, provider_id, class_id, used }
            }),
            "end" => {
                let row: Vec<Value> = serde_json::from_str(line)?;
                let counts = serde_json::from_value(Value::Array(row.into_iter().skip(1).collect()))?;
                Ok(Self::End { counts })
            }
            other => Err(Error::custom(format!("there are no rows called {other:?}"))),
        }
    }
}

fn fields<'line, T: Deserialize<'line>>(line: &'line str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line)
}

/// The row's name, which is known already.
struct Tag;

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
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
