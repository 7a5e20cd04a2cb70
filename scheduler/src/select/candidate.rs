//! Allocation candidates of Placement.

use std::collections::BTreeMap;

use berth_placement::Allocations;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pci::ProviderMapping;

/// The amounts to allocate, and the providers to allocate them from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AllocationCandidate {
    /// Amounts by provider.
    pub allocations: CandidateAllocations,
    /// The providers of each request group, by its suffix. Candidates of the index contain it only
    /// if a filter examines it.
    #[serde(default)]
    pub mappings: ProviderMapping,
}

/// The amounts that a candidate takes from each provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateAllocations {
    /// By UUID and name: an allocation request as in Placement's API.
    Named(BTreeMap<String, ProviderAllocation>),
    /// By row, as in the index.
    Rows(Allocations),
}

/// Resources of one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ProviderAllocation {
    /// Amounts by resource class.
    pub resources: BTreeMap<String, u64>,
}

impl AsRef<ProviderMapping> for AllocationCandidate {
    fn as_ref(&self) -> &ProviderMapping {
        &self.mappings
    }
}

impl CandidateAllocations {
    /// The UUIDs of the providers, in order; empty for a candidate by row.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        let named = match self {
            Self::Named(named) => Some(named),
            Self::Rows(_) => None,
        };
        named.into_iter().flatten().map(|(provider, _)| provider.as_str())
    }
}

impl Default for CandidateAllocations {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

impl<'de> Deserialize<'de> for CandidateAllocations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::Named)
    }
}

impl Serialize for CandidateAllocations {
    /// Rows have no meaning outside the process.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(named) => named.serialize(serializer),
            Self::Rows(_) => Err(serde::ser::Error::custom("allocations by row have no names")),
        }
    }
}
