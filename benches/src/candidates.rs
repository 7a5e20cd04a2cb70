//! The queries for allocation candidates that the harness and the criterion benches measure.

use std::sync::Arc;

use berth_placement::candidates::{Query, QueryGroup, RequestGroupPolicy, SearchOptions, WorkExceeded};
use berth_placement::{HOST_CLASSES, Index, Inventory, TopologyError};
use uuid::Uuid;

use crate::fleet::{DISABLED, FilledFleet, zone};

/// The resource class of the children in nested fleets.
const FUNCTION: &str = "SRIOV_NET_VF";

/// A query and the fleet that it runs on.
pub struct NamedQuery {
    /// The name of the query.
    pub name: &'static str,
    /// The fleet.
    pub index: Arc<Index>,
    /// The query.
    pub query: Query,
}

impl NamedQuery {
    /// Finds the candidates; returns their number.
    ///
    /// # Errors
    /// More work than the default limit.
    ///
    /// # Panics
    /// The fleet does not have a name in the query.
    pub fn ask(&self) -> Result<usize, WorkExceeded> {
        let found =
            self.index.candidates(&self.query, &SearchOptions::default()).expect("all names are known");
        let mut count = 0;
        for candidate in found {
            std::hint::black_box(candidate?);
            count += 1;
        }
        Ok(count)
    }
}

/// Queries on a fleet without trees.
#[must_use]
pub fn flat(fleet: &FilledFleet) -> Vec<NamedQuery> {
    let loose = QueryGroup {
        resources: vec![("VCPU".into(), 2), ("MEMORY_MB".into(), 4_096), ("DISK_GB".into(), 20)],
        ..QueryGroup::default()
    };
    let constrained = QueryGroup {
        required: vec![vec!["STORAGE_DISK_SSD".into()]],
        forbidden: vec![DISABLED.into()],
        member_of: vec![vec![zone(1)]],
        ..loose.clone()
    };
    let mut hopeless = loose.clone();
    hopeless.resources[0].1 = 4_096;
    let question = |name, group: &QueryGroup, limit| {
        let query = Query { groups: vec![group.clone()], limit: Some(limit), ..modern() };
        NamedQuery { name, index: Arc::clone(&fleet.index), query }
    };
    vec![
        question("one", &loose, 1),
        question("one constrained", &constrained, 1),
        question("none", &hopeless, 1),
        question("thousand", &loose, 1_000),
        question("thousand constrained", &constrained, 1_000),
    ]
}

/// Queries on hosts with four network cards each, with `providers` in total.
///
/// # Errors
/// More providers than an index holds.
pub fn nested(providers: u32) -> Result<Vec<NamedQuery>, TopologyError> {
    let index = Arc::new(trees(providers / 5, 4, 8)?);
    let loose = QueryGroup {
        resources: vec![("VCPU".into(), 2), ("MEMORY_MB".into(), 4_096)],
        ..QueryGroup::default()
    };
    let groups = vec![loose, functions(1), functions(2)];
    let question = |name, limit| {
        let query = Query {
            groups: groups.clone(),
            group_policy: RequestGroupPolicy::Isolate,
            limit: Some(limit),
            ..modern()
        };
        NamedQuery { name, index: Arc::clone(&index), query }
    };
    Ok(vec![question("one nested isolated", 1), question("thousand nested isolated", 1_000)])
}

/// 64 groups that each need a child of one host with 64 children: 64! candidates.
///
/// # Errors
/// None: an index holds that many providers.
pub fn wide() -> Result<Vec<NamedQuery>, TopologyError> {
    let index = Arc::new(trees(1, 64, 1)?);
    let lacking = Arc::new(trees(1, 63, 1)?);
    let groups: Vec<QueryGroup> = (1..=64).map(functions).collect();
    let question = |name, index: &Arc<Index>, limit| {
        let query = Query {
            groups: groups.clone(),
            group_policy: RequestGroupPolicy::Isolate,
            limit: Some(limit),
            ..modern()
        };
        NamedQuery { name, index: Arc::clone(index), query }
    };
    Ok(vec![
        question("one of 64 x 64", &index, 1),
        question("thousand of 64 x 64", &index, 1_000),
        question("64 groups on 63 children", &lacking, 1),
    ])
}

fn modern() -> Query {
    Query { nested: true, all_resources: true, ..Query::default() }
}

fn functions(suffix: u32) -> QueryGroup {
    QueryGroup {
        suffix: suffix.to_string().into(),
        resources: vec![(FUNCTION.into(), 1)],
        ..QueryGroup::default()
    }
}

fn trees(hosts: u32, children: u32, functions: u32) -> Result<Index, TopologyError> {
    let index = Index::default();
    let mut writer = index.write();
    let class = writer.resource_class(FUNCTION)?;
    for host in 0..hosts {
        let uuid = |number: u32| Uuid::from_u128(u128::from(host) << 32 | u128::from(number));
        let root = writer.add_provider(uuid(0), &format!("host {host}"), None)?;
        for class in HOST_CLASSES {
            writer.set_inventory(root, class, Some(&Inventory::of(262_144)))?;
        }
        for child in 1..=children {
            let row = writer.add_provider(uuid(child), &format!("host {host} card {child}"), Some(root))?;
            writer.set_inventory(row, class, Some(&Inventory::of(functions)))?;
        }
    }
    drop(writer);
    Ok(index)
}
