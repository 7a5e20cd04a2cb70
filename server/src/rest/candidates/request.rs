//! The allocation request of a candidate, which a client sends back to claim it.
//!
//! The candidates of one query are similar: they take the same amounts from different providers.
//! The text of one candidate is therefore copied for similar ones, with other UUIDs.

use std::iter::zip;
use std::ops::Range;

use berth_placement::candidates::{Candidate, Query};
use berth_placement::{Allocation, Row, Topology};
use uuid::Uuid;

use crate::json::Writer;
use crate::microversion::Microversion;
use crate::request::message::class_name;

/// The largest number of cached patterns: searching more would take longer than formatting.
const MAX_PATTERNS: usize = 32;

/// Writes the allocation requests of one response.
pub(super) struct Requests<'a> {
    version: Microversion,
    query: &'a Query,
    patterns: Vec<Pattern>,
}

/// The text of a candidate's allocation request.
struct Pattern {
    candidate: Candidate,
    text: Range<usize>,
    /// The offsets of the UUIDs in the text, in order.
    uuids: Vec<usize>,
}

impl<'a> Requests<'a> {
    pub(super) const fn new(version: Microversion, query: &'a Query) -> Self {
        Self { version, query, patterns: Vec::new() }
    }

    pub(super) fn write(&mut self, w: &mut Writer, topology: &Topology, candidate: &Candidate) {
        match self.patterns.iter().find(|pattern| pattern.is_like(candidate)) {
            Some(pattern) => pattern.write(w, topology, candidate),
            None => self.write_first(w, topology, candidate),
        }
    }

    /// Writes an allocation request and caches it as a pattern.
    fn write_first(&mut self, w: &mut Writer, topology: &Topology, candidate: &Candidate) {
        w.begin(b"{");
        let start = w.len() - 1;
        let mut draft = Draft { w, topology, start, uuids: Vec::new() };
        self.members(&mut draft, candidate);
        let uuids = draft.uuids;
        w.ready(b"}");
        if self.patterns.len() < MAX_PATTERNS {
            self.patterns.push(Pattern { candidate: candidate.clone(), text: start..w.len(), uuids });
        }
    }

    fn members(&self, draft: &mut Draft<'_>, candidate: &Candidate) {
        let by_provider = candidate.allocations.chunk_by(|a, b| a.row == b.row);
        draft.w.ready(br#""allocations":"#);
        if self.version.at_least(12) {
            draft.w.ready(b"{");
            by_provider.for_each(|of_provider| draft.allocations(of_provider));
            draft.w.ready(b"}");
        } else {
            draft.w.ready(b"[");
            by_provider.for_each(|of_provider| draft.listed_allocations(of_provider));
            draft.w.ready(b"]");
        }
        if self.version.at_least(34) {
            self.mappings(draft, candidate);
        }
    }

    /// Writes the providers of each group.
    fn mappings(&self, draft: &mut Draft<'_>, candidate: &Candidate) {
        draft.w.ready(br#","mappings":{"#);
        for of_group in candidate.mappings.chunk_by(|a, b| a.0 == b.0) {
            draft.w.key(&self.query.groups[of_group[0].0 as usize].suffix).ready(b"[");
            of_group.iter().for_each(|&(_, row)| draft.uuid(row));
            draft.w.ready(b"]");
        }
        draft.w.ready(b"}");
    }
}

/// The text of an allocation request while it is written, and the offsets of the UUIDs in it.
struct Draft<'a> {
    w: &'a mut Writer,
    topology: &'a Topology,
    start: usize,
    uuids: Vec<usize>,
}

impl Draft<'_> {
    fn allocations(&mut self, of_provider: &[Allocation]) {
        self.uuid(of_provider[0].row);
        self.w.ready(br#":{"resources":{"#);
        self.amounts(of_provider);
        self.w.ready(b"}}");
    }

    fn listed_allocations(&mut self, of_provider: &[Allocation]) {
        self.w.begin(br#"{"resource_provider":{"uuid":"#);
        self.uuid(of_provider[0].row);
        self.w.ready(br#"},"resources":{"#);
        self.amounts(of_provider);
        self.w.ready(b"}}");
    }

    fn amounts(&mut self, of_provider: &[Allocation]) {
        for allocation in of_provider {
            self.w.key(class_name(self.topology, allocation.class)).integer(allocation.amount);
        }
    }

    fn uuid(&mut self, row: Row) {
        let place = self.w.placed_uuid(uuid_of(self.topology, row));
        self.uuids.push(place - self.start);
    }
}

impl Pattern {
    /// Whether the texts of both candidates differ only in UUIDs.
    fn is_like(&self, other: &Candidate) -> bool {
        let Candidate { allocations, mappings } = &self.candidate;
        let same_amounts = || {
            zip(allocations, &other.allocations)
                .all(|(own, other)| own.class == other.class && own.amount == other.amount)
        };
        let same_groups = || zip(mappings, &other.mappings).all(|(own, other)| own.0 == other.0);
        let same_split = || {
            zip(allocations.windows(2), other.allocations.windows(2))
                .all(|(own, other)| (own[0].row == own[1].row) == (other[0].row == other[1].row))
        };
        allocations.len() == other.allocations.len()
            && mappings.len() == other.mappings.len()
            && same_amounts()
            && same_groups()
            && same_split()
    }

    /// Writes the allocation request of a similar candidate.
    fn write(&self, w: &mut Writer, topology: &Topology, candidate: &Candidate) {
        let start = w.begin_again(self.text.clone());
        for (&place, row) in zip(&self.uuids, named(candidate)) {
            w.overwrite_uuid(start + place, uuid_of(topology, row));
        }
    }
}

/// The providers in the order in which an allocation request names them. Older microversions have
/// no mappings.
fn named(candidate: &Candidate) -> impl Iterator<Item = Row> {
    let by_provider = candidate.allocations.chunk_by(|a, b| a.row == b.row);
    by_provider.map(|of_provider| of_provider[0].row).chain(candidate.mappings.iter().map(|&(_, row)| row))
}

fn uuid_of(topology: &Topology, row: Row) -> Uuid {
    topology.provider(row).expect("candidates take from providers of their snapshot").uuid
}

#[cfg(test)]
mod tests {
    use berth_placement::candidates::QueryGroup;
    use berth_placement::{ClassId, Index};
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    const PROVIDERS: u32 = 6;
    const CLASSES: u16 = 3;
    const GROUPS: [&str; 3] = ["", "1", "_NET"];

    fn topology() -> std::sync::Arc<Topology> {
        let index = Index::default();
        let mut writer = index.write();
        for number in 0..PROVIDERS {
            let uuid = Uuid::from_u128(u128::from(number + 1) * 0x0123_4567_89ab_cdef);
            writer.add_provider(uuid, &number.to_string(), None).unwrap();
        }
        drop(writer);
        index.topology()
    }

    /// Few shapes and few amounts, so that many candidates are similar, but more patterns than the
    /// cache holds.
    fn candidate() -> impl Strategy<Value = Candidate> {
        let row = || (0..PROVIDERS).prop_map(Row);
        let class = (0..CLASSES).prop_map(ClassId);
        let allocations = btree_map((row(), class), 1..3_u32, 0..4);
        let mappings = btree_set((0..3_u32, row()), 0..4);
        (allocations, mappings).prop_map(|(allocations, mappings)| Candidate {
            allocations: allocations
                .into_iter()
                .map(|((row, class), amount)| Allocation { row, class, amount })
                .collect(),
            mappings: mappings.into_iter().collect(),
        })
    }

    /// The allocation request as JSON, built without patterns.
    fn plain(version: Microversion, topology: &Topology, candidate: &Candidate) -> Value {
        let uuid = |row| uuid_of(topology, row).to_string();
        let resources = |of_provider: &[Allocation]| -> Map<String, Value> {
            let name = |class| class_name(topology, class).to_owned();
            of_provider.iter().map(|one| (name(one.class), json!(one.amount))).collect()
        };
        let by_provider = candidate.allocations.chunk_by(|a, b| a.row == b.row);
        let mut request = Map::new();
        let allocations = if version.at_least(12) {
            let one = |of: &[Allocation]| (uuid(of[0].row), json!({ "resources": resources(of) }));
            Value::Object(by_provider.map(one).collect())
        } else {
            let one = |of: &[Allocation]| json!({ "resource_provider": { "uuid": uuid(of[0].row) }, "resources": resources(of) });
            by_provider.map(one).collect()
        };
        request.insert("allocations".to_owned(), allocations);
        if version.at_least(34) {
            let one = |of: &[(u32, Row)]| {
                let rows: Vec<String> = of.iter().map(|&(_, row)| uuid(row)).collect();
                (GROUPS[of[0].0 as usize].to_owned(), json!(rows))
            };
            let mappings = candidate.mappings.chunk_by(|a, b| a.0 == b.0).map(one).collect();
            request.insert("mappings".to_owned(), Value::Object(mappings));
        }
        Value::Object(request)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn requests_that_repeat_others_read_as_if_they_were_alone(
            candidates in vec(candidate(), 0..60),
            minor in prop::sample::select(&[10_u16, 12, 34, 39][..]),
        ) {
            let (version, topology) = (Microversion(minor), topology());
            let groups = GROUPS.map(|suffix| QueryGroup { suffix: suffix.into(), ..QueryGroup::default() });
            let query = Query { groups: groups.into(), ..Query::default() };
            let (mut requests, mut w) = (Requests::new(version, &query), Writer::default());
            w.array(|w| candidates.iter().for_each(|candidate| requests.write(w, &topology, candidate)));
            let read: Vec<Value> = serde_json::from_slice(&w.finish()).unwrap();
            let expected: Vec<Value> =
                candidates.iter().map(|candidate| plain(version, &topology, candidate)).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
