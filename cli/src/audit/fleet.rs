//! The input of an audit: providers and the allocations of consumers.

use std::collections::BTreeMap;

use berth_placement::Inventory;
use uuid::Uuid;

/// A Placement service at one moment; online, every provider at one moment of its own.
#[derive(Default)]
pub(super) struct Fleet {
    pub(super) providers: BTreeMap<Uuid, Provider>,
    pub(super) consumers: BTreeMap<Uuid, Consumer>,
    /// Providers that kept changing while they were read.
    pub(super) restless: Vec<Uuid>,
}

pub(super) struct Provider {
    pub(super) name: String,
    /// Time of the last change in seconds since 1970, if known.
    pub(super) changed_at: Option<u64>,
    pub(super) inventories: BTreeMap<String, Inventory>,
    /// What the service counts as used.
    pub(super) used: BTreeMap<String, i64>,
}

/// What a consumer holds of each class on each provider.
pub(super) type Holdings = BTreeMap<(Uuid, String), u32>;

#[derive(Default)]
pub(super) struct Consumer {
    pub(super) holds: Holdings,
    /// Details that are requested only for consumers in a finding.
    pub(super) about: Option<About>,
}

/// What is known of a consumer besides its allocations.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    /// Changes with every write; `None` if unknown.
    pub(super) generation: Option<u64>,
    pub(super) project: Option<String>,
    pub(super) user: Option<String>,
    pub(super) kind: Option<String>,
    /// Time at which its allocations were written, in seconds since 1970, if known.
    pub(super) written_at: Option<u64>,
}

impl Fleet {
    /// The name of a provider, or its UUID.
    pub(super) fn name(&self, provider: Uuid) -> String {
        self.providers.get(&provider).map_or_else(|| provider.to_string(), |provider| provider.name.clone())
    }
}
