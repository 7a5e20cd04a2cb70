//! The destination that a move or an operator requests.

use serde::Deserialize;

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
    /// Aggregates: each entry lists alternatives, separated by commas; all entries have to hold.
    #[serde(deserialize_with = "super::or_default")]
    pub aggregates: Vec<String>,
    /// Aggregates that are out of the question.
    #[serde(deserialize_with = "super::or_default")]
    pub forbidden_aggregates: Vec<String>,
}
