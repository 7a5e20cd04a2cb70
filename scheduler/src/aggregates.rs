//! Host aggregates, and what the aggregates of a host say together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use uuid::Uuid;

use super::python::{NotANumber, strip};

/// A host aggregate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AggregateRecord {
    /// Its number.
    pub id: u64,
    /// Its id in Placement.
    pub uuid: Option<Uuid>,
    /// Its name.
    pub name: Option<String>,
    /// Service hosts in it.
    pub hosts: Vec<String>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// The metadata of all aggregates of a host, merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AggregateMetadata {
    parts: BTreeMap<String, BTreeSet<String>>,
    values: BTreeMap<String, BTreeSet<String>>,
    zones: Vec<String>,
}

impl AggregateMetadata {
    /// The metadata of these aggregates.
    pub(crate) fn merged<'a>(aggregates: impl IntoIterator<Item = &'a AggregateRecord>) -> Self {
        let mut merged = Self::default();
        for (key, value) in aggregates.into_iter().flat_map(|aggregate| &aggregate.metadata) {
            merged.values.entry(key.clone()).or_default().insert(value.clone());
            let parts = merged.parts.entry(key.clone()).or_default();
            for part in value.split(',').map(strip) {
                if key == AVAILABILITY_ZONE && !parts.contains(part) {
                    merged.zones.push(part.to_owned());
                }
                parts.insert(part.to_owned());
            }
        }
        merged
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Every key and its values, split at commas.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.parts.iter().map(|(key, parts)| (key.as_str(), parts))
    }

    /// The values of a key, split at commas.
    #[must_use]
    pub fn parts(&self, key: &str) -> Option<&BTreeSet<String>> {
        self.parts.get(key)
    }

    /// The values of a key as they were written, one for each aggregate that has it.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.values.get(key).into_iter().flatten().map(String::as_str)
    }

    /// The smallest of a key's numbers. None without the key, and if only one of its values is not
    /// a number: then the configured value holds.
    pub fn least<T: PartialOrd>(&self, key: &str, read: impl Fn(&str) -> Result<T, NotANumber>) -> Option<T> {
        let numbers: Vec<T> = self.values(key).map(read).collect::<Result<_, _>>().ok()?;
        numbers.into_iter().reduce(|least, other| if other < least { other } else { least })
    }

    /// The availability zone; the first if there are several by mistake.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zones.first().map(String::as_str)
    }
}

/// The key of the availability zone.
pub(super) const AVAILABILITY_ZONE: &str = "availability_zone";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::integer;

    fn metadata(values: &[&str]) -> AggregateMetadata {
        let aggregates = values.iter().map(|value| AggregateRecord {
            metadata: BTreeMap::from([("limit".to_owned(), (*value).to_owned())]),
            ..AggregateRecord::default()
        });
        AggregateMetadata::merged(&aggregates.collect::<Vec<_>>())
    }

    #[test]
    fn the_least_number_counts_unless_one_is_none() {
        assert_eq!(metadata(&["7", " +6 "]).least("limit", integer), Some(6));
        assert_eq!(metadata(&["7", "6,5"]).least("limit", integer), None);
        assert_eq!(metadata(&["5", "\u{663}"]).least("limit", integer), Some(3));
        assert_eq!(metadata(&[]).least("limit", integer), None);
    }

    #[test]
    fn values_are_split_and_trimmed() {
        let metadata = metadata(&["b, a", "a"]);
        assert_eq!(metadata.parts("limit").expect("a value").iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
