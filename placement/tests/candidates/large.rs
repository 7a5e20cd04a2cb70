//! Fleets and queries with too many combinations for a naive search.

use std::collections::BTreeSet;

use berth_placement::candidates::{
    Candidate, Query, QueryGroup, RequestGroupPolicy, SearchOptions, Strategy, WorkExceeded,
};
use berth_placement::{ClassId, Index, Inventory, Row, SHARES_VIA_AGGREGATE};

use crate::world::{aggregate, uuid};

/// A fleet of trees: `hosts` roots with `children` children each, every child with `disk`.
fn trees(hosts: usize, children: usize, disk: u32) -> Index {
    let index = Index::default();
    let mut writer = index.write();
    for host in 0..hosts {
        let number = |child| uuid(host * (children + 1) + child);
        let root = writer.add_provider(number(0), &format!("host {host}"), None).unwrap();
        writer.set_inventory(root, ClassId::VCPU, Some(&Inventory::of(64))).unwrap();
        for child in 1..=children {
            let name = format!("host {host} child {child}");
            let row = writer.add_provider(number(child), &name, Some(root)).unwrap();
            writer.set_inventory(row, ClassId::DISK_GB, Some(&Inventory::of(disk))).unwrap();
        }
    }
    drop(writer);
    index
}

fn groups(amounts: &[u64]) -> Vec<QueryGroup> {
    let group = |(number, &amount): (usize, &u64)| QueryGroup {
        suffix: number.to_string().into(),
        resources: vec![("DISK_GB".into(), amount)],
        ..QueryGroup::default()
    };
    amounts.iter().enumerate().map(group).collect()
}

fn query(amounts: &[u64], group_policy: RequestGroupPolicy, limit: Option<usize>) -> Query {
    Query { groups: groups(amounts), group_policy, limit, nested: true, ..Query::default() }
}

fn find(index: &Index, query: &Query, options: &SearchOptions) -> Result<Vec<Candidate>, WorkExceeded> {
    index.candidates(query, options).unwrap().collect()
}

/// 64! candidates: the first thousand are distinct and valid.
#[test]
fn as_many_groups_as_children_are_isolated_at_once() {
    let index = trees(1, 64, 1);
    let few = SearchOptions { work: 200_000, ..SearchOptions::default() };
    let found = find(&index, &query(&[1; 64], RequestGroupPolicy::Isolate, Some(1_000)), &few).unwrap();
    assert_eq!(found.iter().map(|one| &one.mappings).collect::<BTreeSet<_>>().len(), 1_000);
    for candidate in found {
        let rows: BTreeSet<Row> = candidate.allocations.iter().map(|one| one.row).collect();
        assert_eq!((rows.len(), candidate.allocations.len(), candidate.mappings.len()), (64, 64, 64));
    }
}

/// One child or a little capacity is missing. Trying every order would not end; the matching
/// detects it at once.
#[test]
fn that_groups_cannot_fit_is_found_without_trying() {
    let few = SearchOptions { work: 100_000, ..SearchOptions::default() };
    let none = |index: &Index, query: &Query| assert_eq!(find(index, query, &few), Ok(Vec::new()));
    none(&trees(1, 63, 1), &query(&[1; 64], RequestGroupPolicy::Isolate, None));
    none(&trees(1, 63, 1), &query(&[1; 64], RequestGroupPolicy::None, None));
    none(&trees(1, 20, 8), &query(&[3; 41], RequestGroupPolicy::None, None));
}

#[test]
fn more_candidates_than_may_be_tried_end_in_an_error() {
    let index = trees(1, 16, 1);
    let options = SearchOptions { work: 10_000, ..SearchOptions::default() };
    let mut found = index.candidates(&query(&[1; 16], RequestGroupPolicy::Isolate, None), &options).unwrap();
    let mut count = 0;
    let error = loop {
        match found.next().unwrap() {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(count > 100, "{count}");
    assert_eq!((error.limit, found.next()), (10_000, None));
    assert!(error.to_string().contains("10000 steps"), "{error}");
}

#[test]
fn trees_take_turns_or_come_one_after_the_other() {
    let index = trees(4, 3, 8);
    let query = query(&[1], RequestGroupPolicy::None, None);
    let hosts = |strategy, max_candidates| -> Vec<u32> {
        let options = SearchOptions { strategy, max_candidates, ..SearchOptions::default() };
        let found = find(&index, &query, &options).unwrap();
        found.iter().map(|candidate| candidate.allocations[0].row.0 / 4).collect()
    };
    assert_eq!(hosts(Strategy::BreadthFirst, None), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    assert_eq!(hosts(Strategy::DepthFirst, None), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
    assert_eq!(hosts(Strategy::DepthFirst, Some(4)), [0, 0, 0, 1]);
    assert_eq!(hosts(Strategy::BreadthFirst, Some(2)), [0, 1]);
}

#[test]
fn a_seed_changes_the_order_and_nothing_else() {
    let index = trees(300, 3, 8);
    let query = query(&[1], RequestGroupPolicy::None, None);
    let order = |seed| -> Vec<Row> {
        let found = find(&index, &query, &SearchOptions { seed, ..SearchOptions::default() }).unwrap();
        found.iter().map(|candidate| candidate.allocations[0].row).collect()
    };
    let (plain, one, two) = (order(None), order(Some(1)), order(Some(2)));
    assert!(plain != one && one != two);
    assert_eq!(one, order(Some(1)));
    let sorted = |mut rows: Vec<Row>| {
        rows.sort_unstable();
        rows
    };
    assert_eq!(sorted(plain), sorted(one.clone()));
    assert_eq!(sorted(one), sorted(two));
}

/// A class that only a sharing provider has gives one candidate, however many trees see the
/// provider.
#[test]
fn a_share_that_all_trees_see_is_found_once() {
    let index = trees(2_000, 0, 1);
    let mut writer = index.write();
    let shares = writer.trait_named(SHARES_VIA_AGGREGATE);
    let share = writer.add_provider(uuid(9_999), "share", None).unwrap();
    writer.set_traits(share, &[shares]).unwrap();
    writer.set_inventory(share, ClassId::DISK_GB, Some(&Inventory::of(100))).unwrap();
    for row in (0..2_000).map(Row).chain([share]) {
        writer.set_aggregates(row, &[aggregate(1)]).unwrap();
    }
    drop(writer);
    let disk = QueryGroup { resources: vec![("DISK_GB".into(), 10)], ..QueryGroup::default() };
    let both =
        QueryGroup { resources: vec![("VCPU".into(), 1), ("DISK_GB".into(), 10)], ..QueryGroup::default() };
    let count = |group: &QueryGroup| {
        let query = Query { groups: vec![group.clone()], nested: true, ..Query::default() };
        find(&index, &query, &SearchOptions::default()).unwrap().len()
    };
    assert_eq!((count(&disk), count(&both)), (1, 2_000));
    assert_eq!(index.check(), Ok(()));
}
