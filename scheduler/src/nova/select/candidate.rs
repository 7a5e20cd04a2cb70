//! Allocation candidates of placement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::nova::pci::ProviderMapping;

/// What would be allocated on which providers: an allocation request as placement returns it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AllocationCandidate {
    /// Resources by provider.
    pub allocations: BTreeMap<String, ProviderAllocation>,
    /// The providers of each request group, by its suffix.
    #[serde(default)]
    pub mappings: ProviderMapping,
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
