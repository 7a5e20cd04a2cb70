//! The destination that a move or an operator requests.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// A requested destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// Service host; none if any will do.
    pub host: Option<String>,
    /// One of its nodes; none if any will do.
    pub node: Option<String>,
    /// The cell to stay in or to prefer.
    pub cell_uuid: Option<String>,
    /// Whether other cells are allowed, though less wanted.
    pub allow_cross_cell_move: bool,
    /// Whether hosts of other cells are out of the question. Nova looks this up before its filters
    /// see any host, so it is no part of a recorded request.
    #[serde(skip)]
    pub is_cell_bound: bool,
    /// Sets of aggregates: the host has to be in at least one of each set. In JSON, a set is its
    /// UUIDs, separated by commas.
    #[serde(deserialize_with = "sets")]
    pub aggregates: Vec<BTreeSet<Uuid>>,
    /// Aggregates that are out of the question.
    #[serde(deserialize_with = "super::or_default")]
    pub forbidden_aggregates: BTreeSet<Uuid>,
}

impl Destination {
    /// Reads a set of aggregates: UUIDs, separated by commas.
    ///
    /// # Errors
    /// The first text that is not a UUID.
    pub fn aggregate_set(text: &str) -> Result<BTreeSet<Uuid>, NotAnAggregate> {
        let aggregate = |id: &str| Uuid::try_parse(id).map_err(|_| NotAnAggregate(id.to_owned()));
        text.split(',').map(aggregate).collect()
    }
}

/// A text in place of the UUID of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the UUID of an aggregate")]
pub struct NotAnAggregate(pub String);

fn sets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BTreeSet<Uuid>>, D::Error> {
    let sets: Vec<String> = super::or_default(from)?;
    sets.iter().map(|set| Destination::aggregate_set(set)).collect::<Result<_, _>>().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_are_read_once_and_refused_by_name() {
        let read = |sets: &str| serde_json::from_str(&format!(r#"{{"aggregates": {sets}}}"#));
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let destination: Destination = read(&format!(r#"["{b},{a}", "{a}"]"#)).expect("a destination");
        assert_eq!(destination.aggregates, [BTreeSet::from([a, b]), BTreeSet::from([a])]);
        assert_eq!(read("null").expect("a destination"), Destination::default());
        let error = read(&format!(r#"["{a},az1"]"#)).expect_err("a name");
        assert!(error.to_string().contains(r#""az1" is not the UUID of an aggregate"#), "{error}");
    }
}
