//! Allocation candidates as Placement answers them.

use std::collections::{BTreeMap, BTreeSet};

use berth_scheduler::HostTable;
use berth_scheduler::filters::RequestState;
use berth_scheduler::hosts::HostRow;
use berth_scheduler::select::{AllocationCandidate, CandidateAllocations};
use serde::Deserialize;

/// The answer to `GET /allocation_candidates`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct RemoteCandidates {
    allocation_requests: Vec<AllocationCandidate>,
    provider_summaries: BTreeMap<String, ProviderSummary>,
}

/// The resources of a provider of the candidates.
#[derive(Debug, Clone, Deserialize)]
struct ProviderSummary {
    #[serde(default)]
    resources: BTreeMap<String, SummaryAmounts>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct SummaryAmounts {
    capacity: i64,
    used: i64,
}

impl RemoteCandidates {
    /// Adds the candidates of the fallback, which come after the others.
    pub(super) fn extend(&mut self, other: Self) {
        self.allocation_requests.extend(other.allocation_requests);
        for (provider, summary) in other.provider_summaries {
            let known = self.provider_summaries.entry(provider).or_insert_with(|| summary.clone());
            known.resources.extend(summary.resources);
        }
    }

    /// The hosts to choose from, each with the candidates that take something from its own
    /// provider, as in Nova. A host of which only children serve has none.
    pub(super) fn state(&self, hosts: &HostTable) -> RequestState {
        let row_of = |provider: &str| hosts.row_of(provider.parse().ok()?);
        let known = self.provider_summaries.keys().filter_map(|provider| row_of(provider));
        let mut by_host: BTreeMap<HostRow, Vec<AllocationCandidate>> =
            known.map(|row| (row, Vec::new())).collect();
        for candidate in &self.allocation_requests {
            for provider in candidate.allocations.providers() {
                if let Some(candidates) = row_of(provider).and_then(|row| by_host.get_mut(&row)) {
                    candidates.push(candidate.clone());
                }
            }
        }
        let mut state = RequestState::default();
        by_host.into_iter().for_each(|(row, candidates)| state.give(row, candidates));
        state
    }

    /// The hosts that have candidates, or children that have.
    pub(super) fn hosts(&self, hosts: &HostTable) -> BTreeSet<HostRow> {
        let providers = self.provider_summaries.keys();
        providers.filter_map(|provider| hosts.row_of(provider.parse().ok()?)).collect()
    }

    /// The free amount of a class; none for a provider or a class that the response does not have.
    pub(super) fn free(&self, provider: &str, class: &str) -> Option<i64> {
        let amounts = self.provider_summaries.get(provider)?.resources.get(class)?;
        Some(amounts.capacity - amounts.used)
    }

    /// The providers that the candidate takes from, with classes and amounts.
    pub(super) fn amounts(candidate: &AllocationCandidate) -> Vec<(&str, &str, i64)> {
        let CandidateAllocations::Named(named) = &candidate.allocations else { return Vec::new() };
        let mut all = Vec::new();
        for (provider, taken) in named {
            for (class, amount) in &taken.resources {
                all.push((provider.as_str(), class.as_str(), i64::try_from(*amount).unwrap_or(i64::MAX)));
            }
        }
        all
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.allocation_requests.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use berth_scheduler::hosts::HostRecord;
    use berth_scheduler::options::GeneralOptions;
    use uuid::Uuid;

    use super::*;

    /// Two hosts with 4 vCPUs each, of which the second has 3 in use.
    pub(in super::super) fn two_hosts() -> RemoteCandidates {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let answer = serde_json::json!({
            "allocation_requests": [
                {"allocations": {one.to_string(): {"resources": {"VCPU": 1}}}, "mappings": {"": [one]}},
                {"allocations": {two.to_string(): {"resources": {"VCPU": 1}}}, "mappings": {"": [two]}},
            ],
            "provider_summaries": {
                one.to_string(): {"resources": {"VCPU": {"capacity": 4, "used": 0}}, "traits": [],
                    "root_provider_uuid": one, "parent_provider_uuid": null},
                two.to_string(): {"resources": {"VCPU": {"capacity": 4, "used": 3}}, "traits": [],
                    "root_provider_uuid": two, "parent_provider_uuid": null},
            },
        });
        serde_json::from_value(answer).expect("reads")
    }

    pub(in super::super) fn records() -> Vec<HostRecord> {
        let record = |number: u128| {
            let name = format!("c{number}");
            let mut record = HostRecord::new(&name, &name, Uuid::from_u128(number));
            (record.vcpus, record.memory_mb, record.free_ram_mb) =
                (4, 4096, 4096 - 1024 * i64::try_from(number).unwrap_or(0));
            (record.local_gb, record.free_disk_gb) = (100, Some(100));
            record
        };
        (1..=2).map(record).collect()
    }

    #[test]
    fn hosts_have_the_candidates_that_take_from_them() {
        let table = HostTable::load(&records(), &[], &GeneralOptions::default(), 0).expect("loads");
        let mut candidates = two_hosts();
        let state = candidates.state(&table);
        assert_eq!((state.hosts().len(), candidates.hosts(&table).len()), (2, 2));
        assert!(state.hosts().iter().all(|&row| state.first(row).is_some()));
        let (one, two) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
        assert_eq!((candidates.free(&one, "VCPU"), candidates.free(&two, "VCPU")), (Some(4), Some(1)));
        assert_eq!(candidates.free(&one, "PCPU"), None);
        candidates.extend(two_hosts());
        assert_eq!(candidates.allocation_requests.len(), 4);
        assert!(RemoteCandidates::default().is_empty());
    }
}
