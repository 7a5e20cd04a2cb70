//! The input of a record.

use std::collections::BTreeMap;

use berth_scheduler::filters::{RequestState, Scene};
use berth_scheduler::hosts::{HostRecord, HostRow, HostTable};
use berth_scheduler::pci::ProviderMapping;
use berth_scheduler::select::{AllocationCandidate, CandidateAllocations, ProviderAllocation};
use berth_scheduler::{AggregateRecord, FilterName, Options, RequestSpec, WeigherName, time};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(default = "default_now")]
    now: String,
    #[serde(default)]
    config: Options,
    #[serde(default)]
    filters: Vec<FilterName>,
    #[serde(default)]
    weighers: Vec<WeigherName>,
    #[serde(default)]
    aggregates: Vec<AggregateRecord>,
    hosts: Vec<HostRecord>,
    pub(crate) request: RequestSpec,
    #[serde(default)]
    pub(crate) index: usize,
    #[serde(default)]
    pub(crate) select: Option<Select>,
    /// Whether the recording has the request as it is on the message bus.
    #[serde(default)]
    pub(crate) emit_wire: bool,
}

#[derive(Deserialize)]
pub(crate) struct Select {
    pub(crate) instance_uuids: Vec<Uuid>,
    #[serde(default = "yes")]
    pub(crate) return_alternates: bool,
    #[serde(default)]
    pub(crate) claim_failures: Vec<ClaimFailure>,
    #[serde(default)]
    pub(crate) rng: Draws,
}

#[derive(Deserialize)]
pub(crate) struct ClaimFailure {
    pub(crate) instance: usize,
    pub(crate) host: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Draws {
    pub(crate) choice: String,
    pub(crate) shuffle: String,
}

fn default_now() -> String {
    "2026-06-01T00:00:00".to_owned()
}

fn yes() -> bool {
    true
}

impl Case {
    /// The options with what the case says beside them.
    pub(crate) fn prepared(mut self) -> Self {
        self.config.keep_nova_faults = true;
        self.config.filter_scheduler.enabled_filters = self.filters.clone();
        self.config.filter_scheduler.weight_classes = self.weighers.clone();
        self
    }

    pub(crate) fn parts(&self) -> Vec<String> {
        let filters = self.filters.iter().map(ToString::to_string);
        filters.chain(self.weighers.iter().map(ToString::to_string)).collect()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.config
    }

    pub(crate) fn now(&self) -> i64 {
        time::micros(&self.now).unwrap_or_default()
    }

    pub(crate) fn hosts(&self) -> Result<HostTable, String> {
        HostTable::load(&self.hosts, &self.aggregates, &self.config.general, self.now())
            .map_err(|e| e.to_string())
    }

    pub(crate) fn scene<'a>(&'a self, hosts: &'a HostTable) -> Scene<'a> {
        Scene { hosts, options: &self.config, request: &self.request, now: self.now() }
    }

    /// Each host with the candidates that are written beside it.
    pub(crate) fn state(&self) -> RequestState {
        let mut state = RequestState::default();
        for (row, host) in (0..).zip(&self.hosts) {
            state.give(HostRow(row), self.candidates(host));
        }
        state
    }

    /// Each host with all candidates that allocate something on it, as `select_destinations` finds
    /// them.
    pub(crate) fn state_by_provider(&self, hosts: &HostTable) -> RequestState {
        let mut by_provider: BTreeMap<String, Vec<AllocationCandidate>> = BTreeMap::new();
        for candidate in self.hosts.iter().flat_map(|host| self.candidates(host)) {
            for provider in candidate.allocations.providers() {
                by_provider.entry(provider.to_owned()).or_default().push(candidate.clone());
            }
        }
        let mut state = RequestState::default();
        for row in hosts.rows() {
            let found = hosts.uuid(row).and_then(|uuid| by_provider.get(&uuid.to_string()));
            state.give(row, found.cloned().unwrap_or_default());
        }
        state
    }

    fn candidates(&self, host: &HostRecord) -> Vec<AllocationCandidate> {
        host.allocation_candidates.clone().unwrap_or_else(|| vec![self.plain_candidate(host.uuid)])
    }

    fn plain_candidate(&self, provider: Uuid) -> AllocationCandidate {
        let flavor = &self.request.flavor;
        let amounts = [("VCPU", flavor.vcpus), ("MEMORY_MB", flavor.memory_mb)];
        let resources =
            amounts.map(|(class, amount)| (class.to_owned(), u64::try_from(amount).unwrap_or_default()));
        let allocation = ProviderAllocation { resources: BTreeMap::from(resources) };
        AllocationCandidate {
            allocations: CandidateAllocations::Named([(provider.to_string(), allocation)].into()),
            mappings: ProviderMapping(BTreeMap::from([(String::new(), vec![provider.to_string()])])),
        }
    }

    /// The index of the host with this provider.
    pub(crate) fn host_of(&self, provider: &str) -> Option<usize> {
        self.hosts.iter().rposition(|host| host.uuid.to_string() == provider)
    }
}
