//! The hosts of a request's candidates are those that a naive search finds, and a limit leaves some
//! of them out.

use std::collections::BTreeSet;

use berth_placement::{Allocation, ClassId};
use berth_scheduler::placement_query::{Unanswered, placement_query};
use berth_scheduler::{Options, RequestSpec};

use crate::cloud::{LongWay, computes, known};
use crate::fleet::{Fleet, Kind, uuid};
use crate::naive;
use crate::numbers::Numbers;
use crate::requests::request;

/// Of what kinds the requests were.
#[derive(Debug, Default)]
struct Counts {
    some: usize,
    none: usize,
    unknown: usize,
    limited: usize,
    in_aggregates: usize,
    in_tree: usize,
    in_groups: usize,
    of_traits: usize,
    with_fallback: usize,
}

/// Fills part of the fleet.
fn fill(fleet: &Fleet, cloud: &LongWay, random: &mut Numbers) {
    for (number, (provider, _)) in fleet.hosts.iter().enumerate() {
        let row = cloud.index.find(fleet.providers[*provider].uuid).unwrap();
        let amount = random.pick(&[0, 2, 4, 6]);
        let consumer = berth_placement::ConsumerId(uuid(8, number).as_u128());
        // Where it does not fit, the host stays empty.
        let _ = cloud.index.claim(consumer, &[Allocation { row, class: ClassId::VCPU, amount }]);
    }
}

fn compare(kind: Kind, random: &mut Numbers, counts: &mut Counts) {
    let fleet = Fleet::new(kind, random.pick(&[2, 6, 12]), random);
    let mut options = Options::default();
    options.scheduler.limit_tenants_to_placement_aggregate = random.one_in(2);
    options.scheduler.enable_isolated_aggregate_filtering = random.one_in(3);
    options.scheduler.query_placement_for_image_type_support = random.one_in(4);
    let cloud = LongWay::new(&fleet, &options);
    fill(&fleet, &cloud, random);
    let computes = computes(&fleet);
    for _ in 0..20 {
        let mut spec: RequestSpec = serde_json::from_value(request(&fleet, random)).unwrap();
        let Ok(mut query) = placement_query(&mut spec, &options, &known(&fleet, &computes)) else { continue };
        let limit = query.request.limit.take();
        query.fallback.iter_mut().for_each(|fallback| fallback.limit = None);
        let answer = cloud.ask(&query, &spec);
        let found: BTreeSet<usize> = answer.state.hosts().iter().map(|row| row.index()).collect();
        let unknown = answer.unanswered.iter().any(|why| matches!(why, Unanswered::Unknown(_)));
        let requests = std::iter::once(&query.request).chain(&query.fallback);
        let expected: BTreeSet<usize> = if unknown {
            BTreeSet::new()
        } else {
            requests.flat_map(|request| naive::hosts(&fleet, &cloud.index, request)).collect()
        };
        assert_eq!(found, expected, "{query:?}");
        let unsuffixed = &query.request.unsuffixed;
        counts.some += usize::from(!found.is_empty());
        counts.none += usize::from(found.is_empty() && !unknown);
        counts.unknown += usize::from(unknown);
        counts.in_aggregates += usize::from(!unsuffixed.member_of.is_empty() && !found.is_empty());
        counts.in_tree += usize::from(unsuffixed.in_tree.is_some() && !found.is_empty());
        counts.in_groups += usize::from(!query.request.suffixed.is_empty() && !found.is_empty());
        counts.of_traits += usize::from(!unsuffixed.required_traits.is_empty() && !found.is_empty());
        counts.with_fallback += usize::from(query.fallback.is_some() && !found.is_empty());
        if limit.is_some() && query.fallback.is_none() && kind == Kind::Plain && found.len() > 2 {
            query.request.limit = Some(2);
            let few: BTreeSet<usize> =
                cloud.ask(&query, &spec).state.hosts().iter().map(|row| row.index()).collect();
            assert!(few.len() == 2 && few.is_subset(&found));
            counts.limited += 1;
        }
    }
}

#[test]
fn hosts_are_those_of_a_naive_search() {
    let mut counts = Counts::default();
    for seed in 0..400 {
        let kind = [Kind::Plain, Kind::Devices, Kind::Pools, Kind::Tangled][seed as usize % 4];
        compare(kind, &mut Numbers(seed), &mut counts);
    }
    let Counts { some, none, unknown, limited, in_aggregates, in_tree, in_groups, of_traits, with_fallback } =
        counts;
    let each = [some, none, unknown, limited, in_aggregates, in_tree, in_groups, of_traits, with_fallback];
    assert!(each.iter().all(|&count| count > 20), "{each:?}");
}
