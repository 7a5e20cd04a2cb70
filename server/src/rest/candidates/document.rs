//! The answer as JSON text.
//!
//! One answer may hold thousands of candidates and providers: what they have in common is written once and copied from then
//! on, and nothing is allocated for any of them.

use berth_placement::candidates::{Candidate, Candidates, ProviderSummary, Query};
use berth_placement::{Allocation, Row, Topology};
use uuid::Uuid;

use super::TooMuch;
use super::text::{ClassNames, TraitLists};
use crate::json::Writer;
use crate::microversion::Microversion;

/// An answer in the making.
pub(super) struct Document {
    w: Writer,
    version: Microversion,
    classes: ClassNames,
    /// The name of each request group, and the beginning of its list.
    groups: Vec<Vec<u8>>,
    most: usize,
}

impl Document {
    /// All of the candidates and their summaries, as the version has them, in about `most` bytes.
    pub(super) fn of(
        candidates: &mut Candidates<'_>,
        query: &Query,
        version: Microversion,
        most: usize,
    ) -> Result<Vec<u8>, TooMuch> {
        let name = |suffix: &str| Writer::text(|w| w.key(suffix).ready(b"["));
        let groups = query.groups.iter().map(|group| name(&group.suffix)).collect();
        let w = Writer::with_capacity(4096);
        let mut document = Self { w, version, classes: ClassNames::default(), groups, most };
        document.w.ready(br#"{"allocation_requests":["#);
        document.requests(candidates)?;
        document.w.ready(br#"],"provider_summaries":{"#);
        document.summaries(candidates)?;
        document.w.ready(b"}}");
        Ok(document.w.finish())
    }

    fn requests(&mut self, candidates: &mut Candidates<'_>) -> Result<(), TooMuch> {
        while let Some(candidate) = candidates.next().transpose()? {
            self.request(candidates.topology(), &candidate);
            if self.w.len() > self.most {
                return Err(TooMuch::Bytes(self.most));
            }
        }
        Ok(())
    }

    /// What a client can send back to claim the candidate.
    fn request(&mut self, topology: &Topology, candidate: &Candidate) {
        let by_provider = candidate.allocations.chunk_by(|a, b| a.row == b.row);
        self.w.begin(br#"{"allocations":"#);
        if self.version.at_least(12) {
            self.w.ready(b"{");
            by_provider.for_each(|of_provider| self.allocations(topology, of_provider));
            self.w.ready(b"}");
        } else {
            self.w.ready(b"[");
            by_provider.for_each(|of_provider| self.listed_allocations(topology, of_provider));
            self.w.ready(b"]");
        }
        if self.version.at_least(34) {
            self.mappings(topology, candidate);
        }
        self.w.ready(b"}");
    }

    fn allocations(&mut self, topology: &Topology, of_provider: &[Allocation]) {
        self.w.uuid_key(uuid_of(topology, of_provider[0].row)).ready(br#"{"resources":{"#);
        self.amounts(topology, of_provider);
        self.w.ready(b"}}");
    }

    fn listed_allocations(&mut self, topology: &Topology, of_provider: &[Allocation]) {
        self.w.begin(br#"{"resource_provider":{"uuid":"#).uuid(uuid_of(topology, of_provider[0].row));
        self.w.ready(br#"},"resources":{"#);
        self.amounts(topology, of_provider);
        self.w.ready(b"}}");
    }

    fn amounts(&mut self, topology: &Topology, of_provider: &[Allocation]) {
        for allocation in of_provider {
            self.classes.key(&mut self.w, topology, allocation.class).integer(allocation.amount);
        }
    }

    /// Which providers serve which group.
    fn mappings(&mut self, topology: &Topology, candidate: &Candidate) {
        self.w.ready(br#","mappings":{"#);
        for of_group in candidate.mappings.chunk_by(|a, b| a.0 == b.0) {
            self.w.begin(&self.groups[of_group[0].0 as usize]);
            of_group.iter().for_each(|&(_, row)| self.w.uuid(uuid_of(topology, row)));
            self.w.ready(b"]");
        }
        self.w.ready(b"}");
    }

    fn summaries(&mut self, candidates: &Candidates<'_>) -> Result<(), TooMuch> {
        let topology = candidates.topology();
        let mut traits = TraitLists::default();
        for summary in candidates.summaries()? {
            self.summary(topology, &summary, &mut traits);
        }
        Ok(())
    }

    fn summary<'a>(&mut self, topology: &Topology, of: &ProviderSummary<'a>, traits: &mut TraitLists<'a>) {
        let provider = of.provider;
        self.w.uuid_key(provider.uuid).ready(br#"{"resources":{"#);
        for class in &of.resources {
            let w = self.classes.key(&mut self.w, topology, class.class);
            w.ready(br#"{"capacity":"#).integer(class.capacity);
            w.ready(br#","used":"#).integer(class.used);
            w.ready(b"}");
        }
        self.w.ready(b"}");
        if self.version.at_least(17) {
            traits.write(self.w.ready(br#","traits":"#), topology, &provider.traits);
        }
        if self.version.at_least(29) {
            let uuid_of = |row| topology.provider(row).map(|provider| provider.uuid);
            self.w.ready(br#","parent_provider_uuid":"#).uuid_or_null(provider.parent.and_then(uuid_of));
            self.w.ready(br#","root_provider_uuid":"#).uuid_or_null(uuid_of(provider.root));
        }
        self.w.ready(b"}");
    }
}

fn uuid_of(topology: &Topology, row: Row) -> Uuid {
    topology.provider(row).expect("candidates take from providers of their snapshot").uuid
}
