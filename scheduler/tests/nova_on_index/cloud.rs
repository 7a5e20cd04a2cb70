//! A fleet on an index and as Nova's table, with two ways to decide on it.

use std::sync::Arc;

use berth_placement::candidates;
use berth_placement::{ConsumerId, Index, Owner, Timestamp};
use berth_scheduler::filter_scheduler::{FilterScheduler, PreparedRequest, SelectionRequest};
use berth_scheduler::hosts::HostRow;
use berth_scheduler::hosts::HostTable;
use berth_scheduler::placement_query::{
    CandidateExtent, ComputeNode, HostCandidates, PlacementQuery, PrefilterFacts, QueryError, placement_query,
};
use berth_scheduler::select::{
    AllocationCandidate, Chooser, Claimant, Claims, Decision, DecisionDetail, IndexClaims,
};
use berth_scheduler::{Options, RequestSpec, SelectDestinations};

use crate::fleet::Fleet;
use crate::planting::plant;

pub(crate) const NOW: i64 = 1_780_272_000_000_000; // 2026-06-01

fn index(fleet: &Fleet) -> Index {
    let index = Index::default();
    plant(&index, fleet);
    index
}

pub(crate) fn hosts(fleet: &Fleet, options: &Options) -> HostTable {
    let records: Vec<_> =
        fleet.hosts.iter().map(|(_, record)| serde_json::from_value(record.clone()).unwrap()).collect();
    HostTable::load(&records, &fleet.aggregates, &options.general, NOW).unwrap()
}

pub(crate) fn computes(fleet: &Fleet) -> Vec<ComputeNode> {
    let compute = |(provider, record): &(usize, serde_json::Value)| ComputeNode {
        host: record["host"].as_str().unwrap().to_owned(),
        node: record["node"].as_str().unwrap().to_owned(),
        uuid: fleet.providers[*provider].uuid,
        cell_uuid: None,
    };
    fleet.hosts.iter().map(compute).collect()
}

pub(crate) fn known<'a>(fleet: &'a Fleet, computes: &'a [ComputeNode]) -> PrefilterFacts<'a> {
    PrefilterFacts { aggregates: &fleet.aggregates, computes, oldest_compute: 60, networks: None }
}

/// Decides the long way: candidates of all hosts, all filters and weighers over all of them.
pub(crate) struct LongWay {
    pub(crate) index: Index,
    pub(crate) hosts: HostTable,
    pub(crate) options: Options,
}

/// Decides on the index itself.
pub(crate) struct ShortWay {
    pub(crate) index: Arc<Index>,
    pub(crate) scheduler: FilterScheduler,
}

impl LongWay {
    pub(crate) fn new(fleet: &Fleet, options: &Options) -> Self {
        Self { index: index(fleet), hosts: hosts(fleet, options), options: options.clone() }
    }

    pub(crate) fn ask(&self, query: &PlacementQuery, spec: &RequestSpec) -> HostCandidates {
        let extent = CandidateExtent::of(spec, &self.options);
        query.ask(&self.index, &self.hosts, extent, &candidates::SearchOptions::default())
    }

    pub(crate) fn decide(
        &mut self,
        known: &PrefilterFacts<'_>,
        mut spec: RequestSpec,
        instances: &[ConsumerId],
        rival: &mut dyn FnMut(&Index, &AllocationCandidate),
    ) -> Result<Decision, QueryError> {
        let mut query = placement_query(&mut spec, &self.options, known)?;
        query.request.limit = None;
        query.fallback.iter_mut().for_each(|fallback| fallback.limit = None);
        let mut state = self.ask(&query, &spec).state;
        let mut claims = Contested::new(&self.index, rival);
        let what =
            SelectDestinations { options: &self.options, instances, return_alternates: true, now: NOW };
        Ok(what.decide(&mut self.hosts, &mut spec, &mut state, &mut claims, &mut Last))
    }
}

impl ShortWay {
    pub(crate) fn new(fleet: &Fleet, options: &Options) -> Self {
        let index = Arc::new(index(fleet));
        let scheduler = FilterScheduler::new(Arc::clone(&index), hosts(fleet, options), options.clone());
        Self { index, scheduler }
    }

    pub(crate) fn decide(
        &mut self,
        prepared: &mut PreparedRequest,
        instances: &[ConsumerId],
        rival: &mut dyn FnMut(&Index, &AllocationCandidate),
    ) -> Decision {
        let mut claims = Contested::new(&self.index, rival);
        let wanted = SelectionRequest {
            instances,
            alternates: true,
            each_alone: false,
            detail: DecisionDetail::Full,
            now: NOW,
        };
        self.scheduler.select(prepared, wanted, &mut claims, &mut Last)
    }
}

/// Claims on an index before which a rival may be faster.
struct Contested<'a> {
    index: &'a Index,
    claims: IndexClaims<'a>,
    rival: &'a mut dyn FnMut(&Index, &AllocationCandidate),
}

impl<'a> Contested<'a> {
    fn new(index: &'a Index, rival: &'a mut dyn FnMut(&Index, &AllocationCandidate)) -> Self {
        let owner = Arc::new(Owner { project: "project".into(), user: "user".into(), consumer_type: None });
        let claimant =
            Claimant { owner, group: None, keeps_allocations: false, migration: None, now: Timestamp(0) };
        Self { index, claims: IndexClaims::new(index, claimant), rival }
    }
}

impl Claims for Contested<'_> {
    fn claim(&mut self, instance: ConsumerId, row: HostRow, candidate: &AllocationCandidate) -> bool {
        (self.rival)(self.index, candidate);
        self.claims.claim(instance, row, candidate)
    }

    fn release(&mut self, instance: ConsumerId) {
        self.claims.release(instance);
    }
}

/// The last of whatever may be drawn.
pub(crate) struct Last;

impl Chooser for Last {
    fn choose(&mut self, len: usize) -> usize {
        len - 1
    }

    fn shuffle(&mut self, positions: &mut [usize]) {
        positions.reverse();
    }
}
