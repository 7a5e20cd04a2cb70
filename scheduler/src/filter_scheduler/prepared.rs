//! A request, compiled once for many decisions.

use berth_placement::{HostFree, Index, View};

use super::eligible::Eligible;
use super::places::Places;
use crate::placement_query::{CandidateExtent, PlacementQuery};
use crate::{Options, RankedRequest, RequestSpec};

/// A request for instances, true to the scheduler that prepared it; it follows what changes there.
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

    /// The request as the pre-filters left it.
    #[must_use]
    pub const fn spec(&self) -> &RequestSpec {
        &self.spec
    }

    /// What Nova would ask Placement.
    #[must_use]
    pub const fn query(&self) -> &PlacementQuery {
        &self.query
    }

    /// What has to be free on a host itself.
    pub(super) const fn need(&self) -> HostFree {
        self.eligible.need()
    }

    pub(super) fn renew(&mut self, index: &Index, view: &View, places: &Places) {
        self.eligible.renew(&self.query, index, view, places);
    }

    /// Whether the candidates of all hosts have to be known before one is chosen: filters look at them, or an instance
    /// might take what was a candidate for the next.
    pub(super) fn needs_all_candidates(&self, instances: usize) -> bool {
        self.extent != CandidateExtent::First
            || self.spec.is_rebuild()
            || (instances > 1 && !self.eligible.is_exact())
    }

    /// The question whose answer has every host. (The limit is there to spare Placement and the network; here it bounds
    /// only what a host has beyond its first candidate.)
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
