//! Resources that have to come from one provider.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use uuid::Uuid;

/// A group of resources, as a network port or a device asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RequesterGroup {
    /// The requester: the suffix of the group in the query and the key of `mappings` in an
    /// allocation candidate.
    pub requester_id: Option<String>,
    /// Amounts by resource class.
    pub resources: BTreeMap<String, i64>,
    /// Traits the provider must have.
    pub required_traits: BTreeSet<String>,
    /// Traits the provider must not have.
    pub forbidden_traits: BTreeSet<String>,
    /// Sets of aggregates: the provider has to be in at least one of each set.
    pub aggregates: Vec<BTreeSet<Uuid>>,
    /// Aggregates the provider must not be in.
    pub forbidden_aggregates: BTreeSet<Uuid>,
    /// The tree the provider must be in.
    pub in_tree: Option<Uuid>,
}

/// The requirements for all providers of a request together, besides its groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RequestLevelParams {
    /// Traits the root provider must have.
    pub root_required: BTreeSet<String>,
    /// Traits the root provider must not have.
    pub root_forbidden: BTreeSet<String>,
    /// Requesters whose providers must lie in one subtree.
    pub same_subtree: Vec<Vec<String>>,
}
