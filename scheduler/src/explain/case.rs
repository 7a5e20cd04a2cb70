//! A question as one record: fleet, configuration and request.

use berth_placement::Row;
use serde::Deserialize;
use uuid::Uuid;

use super::placement::{InvalidProvider, PlacementAnswer, PlacementFacts, RecordedFleet};
use super::question::Question;
use crate::aggregates::AggregateRecord;
use crate::filters::{FilterName, RequestState, Scene};
use crate::hosts::{HostLoadError, HostRecord, HostRow, HostTable};
use crate::options::{InvalidOption, Options};
use crate::pci::ProviderMapping;
use crate::request_spec::RequestSpec;
use crate::select::{AllocationCandidate, CandidateAllocations, ProviderAllocation};
use crate::time::micros;
use crate::weighers::WeigherName;

/// The record, as the recorded cases in `scheduler/tests/nova` have it.
#[derive(Debug, Clone, Deserialize)]
pub struct CaseRecord {
    /// The time, UTC.
    #[serde(default = "default_now")]
    pub now: String,
    /// Options by group.
    #[serde(default)]
    pub config: Options,
    /// Enabled filters; absent: those of `config`.
    #[serde(default)]
    pub filters: Option<Vec<FilterName>>,
    /// Enabled weighers; absent: those of `config`.
    #[serde(default)]
    pub weighers: Option<Vec<WeigherName>>,
    /// Host aggregates.
    #[serde(default)]
    pub aggregates: Vec<AggregateRecord>,
    /// The version of the oldest compute service.
    #[serde(default)]
    pub oldest_compute: u32,
    /// The fleet.
    pub hosts: Vec<HostRecord>,
    /// The request.
    #[serde(default)]
    pub request: Option<RequestSpec>,
    /// Which instance of the request.
    #[serde(default)]
    pub index: usize,
}

/// Why a record makes no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCase {
    /// `now` is not a time.
    #[error("now: '{0}' is not a time such as 2026-06-01T00:00:00")]
    Now(String),
    /// There is no request.
    #[error("request: missing")]
    NoRequest,
    /// An option makes no sense.
    #[error("config")]
    Option(#[from] InvalidOption),
    /// A host cannot be read.
    #[error("hosts")]
    Host(#[from] HostLoadError),
    /// The facts of Placement about a host cannot be read.
    #[error("hosts")]
    Provider(#[from] InvalidProvider),
}

/// A fleet, a configuration and a request, ready to be asked about.
pub struct Case {
    hosts: HostTable,
    options: Options,
    request: RequestSpec,
    state: RequestState,
    placement: Option<PlacementFacts>,
    answers: Vec<PlacementAnswer>,
    now: i64,
    index: usize,
}

fn default_now() -> String {
    "2026-06-01T00:00:00".to_owned()
}

impl Case {
    /// Loads a record. Placement's constraints are part of it if `with_placement` says so, or if a
    /// host has traits or inventories.
    ///
    /// # Errors
    ///
    /// [`InvalidCase`], which names the field.
    pub fn load(record: CaseRecord, with_placement: bool) -> Result<Self, InvalidCase> {
        let now = micros(&record.now).ok_or_else(|| InvalidCase::Now(record.now.clone()))?;
        let request = record.request.ok_or(InvalidCase::NoRequest)?;
        let mut options = record.config;
        if let Some(filters) = record.filters {
            options.filter_scheduler.enabled_filters = filters;
        }
        if let Some(weighers) = record.weighers {
            options.filter_scheduler.weight_classes = weighers;
        }
        options.validate()?;
        let hosts = HostTable::load(&record.hosts, &record.aggregates, &options.general, now)?;
        let mut state = RequestState::default();
        for (row, host) in (0..).map(HostRow).zip(&record.hosts) {
            state.give(row, candidates(host));
        }
        let describes_placement = |host: &HostRecord| host.traits.is_some() || host.inventories.is_some();
        let with_placement = with_placement || record.hosts.iter().any(describes_placement);
        let fleet = with_placement
            .then(|| RecordedFleet::load(&record.hosts, &hosts, record.aggregates))
            .transpose()?;
        let placement = fleet.map(|fleet| PlacementFacts::of_file(fleet, &hosts, record.oldest_compute));
        let answers = Vec::new();
        Ok(Self { hosts, options, request, state, placement, answers, now, index: record.index })
    }

    /// A request to hosts as a decider knows them, and the index behind them.
    pub(crate) fn new(
        hosts: HostTable,
        options: Options,
        request: RequestSpec,
        placement: PlacementFacts,
        now: i64,
    ) -> Self {
        let mut state = RequestState::default();
        for row in hosts.rows() {
            state.give(row, vec![on_host_itself(hosts.uuid(row).unwrap_or_default())]);
        }
        let placement = Some(placement);
        Self { hosts, options, request, state, placement, answers: Vec::new(), now, index: 0 }
    }

    /// A request to hosts, what another Placement service answered about them, and the allocation
    /// candidates of the whole request.
    #[must_use]
    pub fn answered(
        hosts: HostTable,
        options: Options,
        request: RequestSpec,
        (answers, state): (Vec<PlacementAnswer>, RequestState),
        now: i64,
    ) -> Self {
        Self { hosts, options, request, state, placement: None, answers, now, index: 0 }
    }

    /// The host with this root provider in the index of a decider.
    #[must_use]
    pub fn host_at(&self, provider: Row) -> Option<HostRow> {
        self.placement.as_ref()?.host_at(provider)
    }

    /// The hosts.
    #[must_use]
    pub const fn hosts(&self) -> &HostTable {
        &self.hosts
    }

    /// The case before the index of a service.
    #[must_use]
    pub fn with_placement(self, placement: PlacementFacts) -> Self {
        Self { placement: Some(placement), ..self }
    }

    /// The question.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        let scene =
            Scene { hosts: &self.hosts, options: &self.options, request: &self.request, now: self.now };
        let placement = self.placement.as_ref();
        Question { scene, index: self.index, state: &self.state, placement, answers: &self.answers }
    }
}

/// The host's candidates; without any record of them, one that takes everything from the host
/// itself.
fn candidates(host: &HostRecord) -> Vec<AllocationCandidate> {
    host.allocation_candidates.clone().unwrap_or_else(|| vec![on_host_itself(host.uuid)])
}

fn on_host_itself(provider: Uuid) -> AllocationCandidate {
    let provider = provider.to_string();
    let mappings = ProviderMapping([(String::new(), vec![provider.clone()])].into());
    let allocations = [(provider, ProviderAllocation::default())].into();
    AllocationCandidate { allocations: CandidateAllocations::Named(allocations), mappings }
}
