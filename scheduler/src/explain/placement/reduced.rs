//! Placement's part of an explanation where its index is not in this process: the caller asks the
//! service for a part of the request at a time.

use std::collections::BTreeSet;

use super::{PlacementConstraint, aggregates_of_zone, constraints};
use crate::aggregates::AggregateRecord;
use crate::filters::{Filter, Reason, RequestState, Verdict};
use crate::hosts::HostRow;
use crate::placement_query::ResourceRequest;

/// A request for the constraints up to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReducedQuery {
    /// The last of its constraints.
    pub constraint: PlacementConstraint,
    /// The request. It has no limit.
    pub request: ResourceRequest,
}

/// The hosts that meet the constraints up to one of them, as a Placement service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementAnswer {
    /// The last of the constraints.
    pub constraint: PlacementConstraint,
    /// The hosts with allocation candidates.
    pub hosts: BTreeSet<HostRow>,
}

/// The queries that explain a request, each with one constraint more; the last is the whole
/// request. Amounts come first, since Placement answers no query without any. Aggregates of the
/// asked zone are named after it.
#[must_use]
pub fn reduced_queries(
    asked: &ResourceRequest,
    zone: Option<&String>,
    aggregates: &[AggregateRecord],
) -> Vec<ReducedQuery> {
    use PlacementConstraint as P;
    let rank = |constraint: &P| match constraint {
        P::Resource { .. } => 0,
        P::Group { .. } => 2,
        _ => 1,
    };
    let mut all = constraints(asked);
    all.sort_by_key(rank);
    // A group without amounts makes sense beside others alone: it comes with the whole request.
    all.retain(|constraint| !matches!(constraint, P::Group { group, .. } if group.resources.is_empty()));
    let ResourceRequest { group_policy, cpu_pinning_requested, .. } = *asked;
    let mut reduced = ResourceRequest { group_policy, cpu_pinning_requested, ..ResourceRequest::default() };
    let mut queries = Vec::new();
    for mut constraint in all {
        add(&mut reduced, &constraint, asked);
        let asks_for_something = reduced.groups().any(|(_, group)| !group.resources.is_empty());
        if asks_for_something {
            constraint.name_zone(zone, |zone| aggregates_of_zone(aggregates, zone));
            queries.push(ReducedQuery { constraint, request: reduced.clone() });
        }
    }
    let whole = ResourceRequest { limit: None, ..asked.clone() };
    if queries.last().is_some_and(|last| last.request != whole) {
        queries.push(ReducedQuery { constraint: P::Together, request: whole });
    }
    queries
}

/// Adds a constraint to a request.
fn add(reduced: &mut ResourceRequest, constraint: &PlacementConstraint, asked: &ResourceRequest) {
    use PlacementConstraint as P;
    let own = &mut reduced.unsuffixed;
    match constraint {
        P::Resource { class, amount } => drop(own.resources.insert(class.clone(), *amount)),
        P::RootTrait(name) => {
            reduced.root_required.insert(name.clone());
            if asked.unsuffixed.required_traits.contains(name) {
                own.required_traits.insert(name.clone());
            }
        }
        P::ForbiddenRootTrait(name) => drop(reduced.root_forbidden.insert(name.clone())),
        P::RequiredTrait(name) => drop(own.required_traits.insert(name.clone())),
        P::ForbiddenTrait(name) => drop(own.forbidden_traits.insert(name.clone())),
        P::Zone { aggregates: ids, .. } | P::Aggregates(ids) => own.member_of.push(ids.clone()),
        P::ForbiddenAggregates(ids) => own.forbidden_aggregates.clone_from(ids),
        P::Provider(uuid) => own.in_tree = Some(*uuid),
        P::Group { suffix, group } => drop(reduced.suffixed.insert(suffix.clone(), group.clone())),
        P::Together => {}
    }
}

/// Passes the hosts of an answer.
pub(in crate::explain) struct Answered<'a>(pub(in crate::explain) &'a PlacementAnswer);

impl Filter for Answered<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        Ok(if self.0.hosts.contains(&row) { Ok(()) } else { Err(Reason::NoCandidate) })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::aggregates::AVAILABILITY_ZONE;
    use crate::placement_query::RequestGroup;

    fn group(class: &str, amount: u64) -> RequestGroup {
        RequestGroup { resources: [(class.to_owned(), amount)].into(), ..RequestGroup::default() }
    }

    #[test]
    fn each_query_has_one_constraint_more() {
        let zone = Uuid::from_u128(7);
        let mut asked = ResourceRequest { limit: Some(1_000), ..ResourceRequest::default() };
        asked.unsuffixed = group("VCPU", 2);
        asked.unsuffixed.resources.insert("MEMORY_MB".to_owned(), 512);
        asked.unsuffixed.member_of = vec![[zone].into()];
        asked.root_forbidden = ["COMPUTE_STATUS_DISABLED".to_owned()].into();
        asked.suffixed.insert("_net".to_owned(), group("SRIOV_NET_VF", 1));
        asked.suffixed.insert("_root".to_owned(), RequestGroup::default());
        let record = AggregateRecord {
            uuid: Some(zone),
            metadata: [(AVAILABILITY_ZONE.to_owned(), "az1".to_owned())].into(),
            ..AggregateRecord::default()
        };
        let queries = reduced_queries(&asked, Some(&"az1".to_owned()), &[record]);
        let named: Vec<String> = queries.iter().map(|query| query.constraint.to_string()).collect();
        assert_eq!(
            named,
            [
                "MEMORY_MB 512",
                "VCPU 2",
                "no trait COMPUTE_STATUS_DISABLED",
                "zone az1",
                "group _net: 1 SRIOV_NET_VF",
                "together"
            ]
        );
        assert_eq!(queries[0].request.to_query_string(), "resources=MEMORY_MB%3A512");
        assert!(queries.iter().all(|query| query.request.limit.is_none()));
        assert_eq!(queries[4].request.suffixed.len(), 1);
        assert_eq!(queries[5].request, ResourceRequest { limit: None, ..asked });
    }

    #[test]
    fn what_asks_for_no_amount_is_not_asked() {
        let root_required = ["CUSTOM_SSD".to_owned()].into();
        let asked = ResourceRequest { root_required, ..ResourceRequest::default() };
        assert_eq!(reduced_queries(&asked, None, &[]), []);
    }
}
