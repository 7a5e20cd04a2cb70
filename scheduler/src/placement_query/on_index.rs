//! The query put to the index: allocation candidates for the hosts of a table, without a text being
//! made or read.

use berth_placement::candidates::{self, Candidate, Candidates, Query, UnknownName, WorkExceeded};
use berth_placement::{Allocations, Index, Provider, Row, Topology};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::index_query::MalformedQuery;
use super::resource_request::ResourceRequest;
use super::{PlacementQuery, standard};
use crate::filters::RequestState;
use crate::hosts::{HostRow, HostTable};
use crate::pci::ProviderMapping;
use crate::select::{AllocationCandidate, CandidateAllocations};
use crate::{Options, RequestSpec};

/// How many candidates of each host are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateExtent {
    /// The first one. Once every host had its turn the search ends, though wide trees may have many
    /// more.
    First,
    /// All, up to the limit.
    All,
    /// The first one, and of the others as many as make this number in all hosts together.
    Several(u64),
}

impl CandidateExtent {
    /// What serves the request: a claim takes a host's first candidate, so all are wanted only when
    /// a filter may drop some for the sake of NUMA cells or devices.
    #[must_use]
    pub fn of(request: &RequestSpec, options: &Options) -> Self {
        let mut filters = options.filter_scheduler.enabled_filters.iter();
        let has_cells = request.numa_topology.as_ref().is_some_and(|topology| !topology.cells.is_empty());
        let has_devices = request.pci_requests.as_ref().is_some_and(|devices| !devices.is_empty());
        let may_drop = (has_cells || has_devices) && filters.any(|name| name.filters_candidates());
        if may_drop { Self::All } else { Self::First }
    }
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct HostCandidates {
    /// Each host with its candidates, for
    /// [`SelectDestinations::decide`](crate::SelectDestinations::decide).
    pub state: RequestState,
    /// Why there are no candidates, or not all, of the request and its fallback. Nova logs this and
    /// goes on without them.
    pub unanswered: Vec<Unanswered>,
}

/// Why a request was not answered, or not in full.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Placement would refuse to read it.
    #[error(transparent)]
    Malformed(#[from] MalformedQuery),
    /// It names a custom resource class or trait that does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// The search gave up; the candidates it had found until then are right.
    #[error(transparent)]
    WorkExceeded(#[from] WorkExceeded),
}

impl PlacementQuery {
    /// Asks the index. As in Nova, a host has the candidates that take something from its own
    /// provider, those of the fallback after the others; a host of which only children serve has
    /// none, and hosts that are not in the table are passed over.
    ///
    /// The limit counts candidates. With
    /// [`Strategy::BreadthFirst`](candidates::Strategy::BreadthFirst) no host has a second one
    /// before each has its first, so that wide trees do not crowd out other hosts.
    #[must_use]
    pub fn ask(
        &self,
        index: &Index,
        hosts: &HostTable,
        extent: CandidateExtent,
        options: &candidates::SearchOptions,
    ) -> HostCandidates {
        let mut found = Found { hosts, extent, by_host: FxHashMap::default(), waiting: 0, added: 0 };
        let requests = std::iter::once(&self.request).chain(&self.fallback);
        let unanswered = requests.filter_map(|request| found.ask(request, index, options).err()).collect();
        let mut state = RequestState::default();
        found.by_host.into_iter().for_each(|(host, candidates)| state.give(host, candidates));
        HostCandidates { state, unanswered }
    }
}

/// Candidates by host, while they are being found. Providers and hosts are numbered independently;
/// UUIDs connect them.
struct Found<'a> {
    hosts: &'a HostTable,
    extent: CandidateExtent,
    by_host: FxHashMap<HostRow, Vec<AllocationCandidate>>,
    /// Hosts whose trees have candidates, but none that takes from the host itself.
    waiting: usize,
    /// How many candidates were added.
    added: u64,
}

impl Found<'_> {
    fn ask(
        &mut self,
        request: &ResourceRequest,
        index: &Index,
        options: &candidates::SearchOptions,
    ) -> Result<(), Unanswered> {
        let query = request.to_index_query(&index.topology())?;
        let mut candidates = match index.candidates(&query, options) {
            Err(unknown) if is_standard(&unknown) => return Ok(()), // it exists, and no provider has it
            candidates => candidates?,
        };
        // A host that shares what it has may come up in any candidate of another.
        let may_end = !self.shares(candidates.topology());
        while let Some(candidate) = candidates.next() {
            let candidate = candidate?;
            if may_end && self.is_complete(&candidates) {
                break;
            }
            self.take(&candidate, &query, candidates.topology());
        }
        Ok(())
    }

    /// Whether no host can get a first candidate any more, and none wants a second.
    fn is_complete(&self, candidates: &Candidates<'_>) -> bool {
        candidates.has_opened_all() && self.waiting == 0 && !self.wants_more()
    }

    /// Whether a provider in the tree of some host shares what it has.
    fn shares(&self, topology: &Topology) -> bool {
        let is_of_host = |row: u32| {
            let root = topology.provider(Row(row)).and_then(|provider| topology.provider(provider.root));
            root.is_some_and(|root| self.host(root.uuid).is_some())
        };
        topology.sharing().is_some_and(|rows| rows.iter().any(is_of_host))
    }

    /// Whether a host that has a candidate wants another.
    const fn wants_more(&self) -> bool {
        match self.extent {
            CandidateExtent::First => false,
            CandidateExtent::All => true,
            CandidateExtent::Several(most) => self.added < most,
        }
    }

    /// Gives the candidate to the hosts that it takes from.
    fn take(&mut self, candidate: &Candidate, query: &Query, topology: &Topology) {
        let mut rows: Vec<Row> = candidate.allocations.iter().map(|allocation| allocation.row).collect();
        rows.dedup();
        let providers: Vec<&Provider> = rows.iter().filter_map(|&row| topology.provider(row)).collect();
        for provider in &providers {
            if let Some(host) = self.host(provider.uuid) {
                let with_mappings = needs_mappings(query, self.extent);
                self.add_candidate(host, || taken(candidate, query, topology, with_mappings));
            }
        }
        let children = providers.iter().filter(|provider| provider.parent.is_some());
        for root in children.filter_map(|child| topology.provider(child.root)) {
            if let Some(host) = self.host(root.uuid) {
                self.add_host(host);
            }
        }
    }

    fn add_candidate(&mut self, host: HostRow, candidate: impl FnOnce() -> Option<AllocationCandidate>) {
        self.add_host(host);
        let wants_more = self.wants_more();
        let Some(candidates) = self.by_host.get_mut(&host) else { return };
        let waited = candidates.is_empty();
        if let Some(candidate) = (waited || wants_more).then(candidate).flatten() {
            candidates.push(candidate);
            self.waiting -= usize::from(waited);
            self.added += 1;
        }
    }

    /// The host is one to choose from, if only to be compared with.
    fn add_host(&mut self, host: HostRow) {
        self.by_host.entry(host).or_insert_with(|| {
            self.waiting += 1;
            Vec::new()
        });
    }

    fn host(&self, provider: Uuid) -> Option<HostRow> {
        self.hosts.row_of(provider)
    }
}

fn is_standard(name: &UnknownName) -> bool {
    match name {
        UnknownName::Class(name) => standard::is_standard_class(name),
        UnknownName::Trait(name) => standard::is_trait(name),
    }
}

/// Whether filters, or the claim, look at which provider serves which group.
pub(crate) fn needs_mappings(query: &Query, extent: CandidateExtent) -> bool {
    extent != CandidateExtent::First || query.groups.iter().any(|group| !group.suffix.is_empty())
}

/// The candidate as decisions take it, with mappings if they are needed. There is none for a row
/// that the topology it was found in does not have.
pub(crate) fn taken(
    candidate: &Candidate,
    query: &Query,
    topology: &Topology,
    with_mappings: bool,
) -> Option<AllocationCandidate> {
    let mut mappings = ProviderMapping::default();
    for &(group, row) in candidate.mappings.iter().filter(|_| with_mappings) {
        let suffix = &query.groups.get(group as usize)?.suffix;
        let uuid = topology.provider(row)?.uuid.to_string();
        mappings.0.entry(suffix.to_string()).or_default().push(uuid);
    }
    // However the candidate was searched for, its allocations are in one order.
    let mut allocations: Allocations = candidate.allocations.iter().copied().collect();
    allocations.sort_unstable_by_key(|allocation| (allocation.row, allocation.class));
    Some(AllocationCandidate { allocations: CandidateAllocations::Rows(allocations), mappings })
}
