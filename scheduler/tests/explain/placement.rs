//! Placement's own answer for a recorded fleet: which hosts have an allocation candidate, by
//! searching an index.

use berth_placement::candidates::{Query, QueryGroup, SearchOptions};
use berth_placement::{Allocation, ClassId, ConsumerId, Index, Inventory, Row, Units};
use berth_scheduler::explain::{Case, CaseRecord};
use berth_scheduler::hosts::HostRecord;
use berth_scheduler::placement_query::{
    ComputeNode, PrefilterFacts, QueryError, RequestGroup, ResourceRequest, placement_query,
};
use uuid::Uuid;

/// Whether Placement's part is explained for the record.
pub(crate) fn describes_placement(record: &CaseRecord) -> bool {
    record.hosts.iter().any(|host| host.traits.is_some() || host.inventories.is_some())
}

/// The record with those hosts alone that Placement would name, and without what is known of
/// Placement.
pub(crate) fn answered(record: &CaseRecord) -> Result<CaseRecord, QueryError> {
    let case = Case::load(record.clone(), false).expect("a case");
    let question = case.question();
    let mut request = question.scene.request.clone();
    let computes: Vec<_> = record.hosts.iter().map(compute).collect();
    let known = PrefilterFacts {
        aggregates: &record.aggregates,
        computes: &computes,
        oldest_compute: record.oldest_compute,
        networks: None,
    };
    let asked = placement_query(&mut request, question.scene.options, &known)?.request;
    let rows = search(&index(record), &asked);
    let named = |row: Row| rows.contains(&row);
    let hosts = (0..)
        .map(Row)
        .zip(&record.hosts)
        .filter(|(row, _)| named(*row))
        .map(|(_, host)| HostRecord { traits: None, inventories: None, ..host.clone() });
    Ok(CaseRecord { hosts: hosts.collect(), ..record.clone() })
}

fn compute(host: &HostRecord) -> ComputeNode {
    ComputeNode {
        host: host.host.clone(),
        node: host.node.clone(),
        uuid: host.uuid,
        cell_uuid: Some(host.cell_uuid.clone()),
    }
}

/// The fleet as compute services would have reported it: one provider for each host, in order.
fn index(record: &CaseRecord) -> Index {
    let index = Index::default();
    for host in &record.hosts {
        let mut writer = index.write();
        let row = writer.add_provider(host.uuid, &host.node, None).expect("a new provider");
        let mut traits = host.traits.clone().unwrap_or_default();
        if host.service.disabled {
            traits.push("COMPUTE_STATUS_DISABLED".to_owned());
        }
        let traits: Vec<_> = traits.iter().map(|name| writer.trait_named(name)).collect();
        writer.set_traits(row, &traits).expect("traits");
        let holding = record.aggregates.iter().filter(|aggregate| aggregate.hosts.contains(&host.host));
        let ids: Vec<_> = holding.map(|aggregate| aggregate.uuid.expect("an id")).collect();
        writer.set_aggregates(row, &ids).expect("aggregates");
        drop(writer);
        for (class, inventory, used) in inventories(host) {
            fill(&index, row, &class, &inventory, used);
        }
    }
    index
}

fn inventories(host: &HostRecord) -> Vec<(String, Inventory, i64)> {
    if let Some(inventories) = &host.inventories {
        let used =
            |class: &String| host.usages.get(class).map_or(0, |used| i64::try_from(*used).expect("small"));
        return inventories
            .iter()
            .map(|(class, record)| (class.clone(), Inventory::from(*record), used(class)))
            .collect();
    }
    let of = |class: &str, total: i64, ratio: Option<f64>, used| {
        let total = Inventory::of(u32::try_from(total).expect("small"));
        (class.to_owned(), Inventory { allocation_ratio: ratio.unwrap_or(1.0), ..total }, used)
    };
    vec![
        of("VCPU", host.vcpus, host.cpu_allocation_ratio, host.vcpus_used),
        of("MEMORY_MB", host.memory_mb, host.ram_allocation_ratio, host.memory_mb - host.free_ram_mb),
        of("DISK_GB", host.local_gb, host.disk_allocation_ratio, host.local_gb_used),
    ]
}

/// What is used is held by one consumer, for which the unit rules did not hold yet; a host is at
/// most full.
fn fill(index: &Index, row: Row, class: &str, inventory: &Inventory, used: i64) {
    let set = |inventory: &Inventory| -> ClassId {
        let mut writer = index.write();
        let class = writer.resource_class(class).expect("a class");
        writer.set_inventory(row, class, Some(inventory)).expect("an inventory");
        class
    };
    let class = set(&Inventory { units: Units::ANY, ..*inventory });
    let amount = u32::try_from(used.min(inventory.capacity())).expect("small");
    if amount > 0 {
        let consumer = ConsumerId((u128::from(row.0) << 32) | class.0 as u128);
        index.claim(consumer, &[Allocation { row, class, amount }]).expect("within capacity");
    }
    set(inventory);
}

fn search(index: &Index, asked: &ResourceRequest) -> Vec<Row> {
    let names =
        |names: &std::collections::BTreeSet<String>| names.iter().map(|name| name.as_str().into()).collect();
    let query = Query {
        groups: vec![group(&asked.unsuffixed)],
        root_required: names(&asked.root_required),
        root_forbidden: names(&asked.root_forbidden),
        nested: true,
        ..Query::default()
    };
    // Placement knows every trait that Nova may ask for.
    let mut writer = index.write();
    let group = &query.groups[0];
    let lists =
        [&query.root_required, &query.root_forbidden, &group.forbidden].into_iter().chain(&group.required);
    lists.flatten().for_each(|name| {
        writer.trait_named(name);
    });
    drop(writer);
    let found = index.candidates(&query, &SearchOptions::default()).expect("known names");
    found.map(|candidate| candidate.expect("little work").allocations[0].row).collect()
}

fn group(asked: &RequestGroup) -> QueryGroup {
    let ids = |ids: &std::collections::BTreeSet<Uuid>| ids.iter().copied().collect();
    QueryGroup {
        suffix: "".into(),
        resources: asked.resources.iter().map(|(class, amount)| (class.as_str().into(), *amount)).collect(),
        required: asked.required_traits.iter().map(|name| vec![name.as_str().into()]).collect(),
        forbidden: asked.forbidden_traits.iter().map(|name| name.as_str().into()).collect(),
        member_of: asked.member_of.iter().map(ids).collect(),
        not_member_of: ids(&asked.forbidden_aggregates),
        in_tree: asked.in_tree,
    }
}
