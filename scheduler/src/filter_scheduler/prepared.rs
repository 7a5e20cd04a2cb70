//! A request, compiled once for many decisions.

use berth_placement::{HostFree, Index, View};

use super::eligible::Eligible;
use super::places::Places;
use crate::placement_query::{CandidateExtent, PlacementQuery};
use crate::{Options, RankedRequest, RequestSpec};

/// A request for instances, valid for the scheduler that prepared it. The scheduler keeps it
/// current.
pub struct PreparedRequest {
    spec: RequestSpec,
    query: PlacementQuery,
    ranked: Option<RankedRequest>,
    eligible: Eligible,
    extent: CandidateExtent,
}

impl PreparedRequest {
    pub(super) fn new(
        spec: RequestSpec,
        query: PlacementQuery,
        ranked: Option<RankedRequest>,
        eligible: Eligible,
        options: &Options,
    ) -> Self {
        let extent = match CandidateExtent::of(&spec, options) {
            CandidateExtent::All => CandidateExtent::Several(query.request.limit.unwrap_or(u64::MAX)),
            other => other,
        };
        Self { spec, query, ranked, eligible, extent }
    }

    /// The request after the pre-filters.
    #[must_use]
    pub const fn spec(&self) -> &RequestSpec {
        &self.spec
    }

    /// The query that Nova would send to Placement.
    #[must_use]
    pub const fn query(&self) -> &PlacementQuery {
        &self.query
    }

    /// The amounts that must be free on the host itself.
    pub(super) const fn need(&self) -> HostFree {
        self.eligible.need()
    }

    pub(super) fn renew(&mut self, index: &Index, view: &View, places: &Places) {
        self.eligible.renew(&self.query, index, view, places);
    }

    /// Whether a decision needs the candidates of all hosts in advance: filters examine them, or
    /// one instance might take the candidate of the next.
    pub(super) fn needs_all_candidates(&self, instances: usize) -> bool {
        self.extent != CandidateExtent::First
            || self.spec.is_rebuild()
            || (instances > 1 && !self.eligible.is_exact())
    }

    /// The query that covers every host. (The limit protects Placement and the network. Here it
    /// only bounds the further candidates of a host.)
    pub(super) fn question(&self) -> (PlacementQuery, CandidateExtent) {
        let mut query = self.query.clone();
        query.request.limit = None;
        query.fallback.iter_mut().for_each(|fallback| fallback.limit = None);
        (query, self.extent)
    }

    pub(super) const fn parts(&mut self) -> (Option<&mut RankedRequest>, &Eligible) {
        (self.ranked.as_mut(), &self.eligible)
    }
}
