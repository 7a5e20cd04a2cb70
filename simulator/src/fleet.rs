//! Builds the index of a fleet.

use std::collections::BTreeMap;

use berth_placement::{ClassId, Index, Inventory, Row, TopologyError};
use berth_traces::TraceHost;
use uuid::Uuid;

/// The UUID of the provider in this row.
pub(crate) const fn host_uuid(row: u32) -> Uuid {
    Uuid::from_u128(row as u128)
}

/// A host aggregate: the hosts with one pair of metadata in common.
pub(crate) struct HostAggregate {
    pub(crate) uuid: Uuid,
    pub(crate) metadata: (String, String),
    /// Indexes in the fleet, in order.
    pub(crate) hosts: Vec<usize>,
}

/// The aggregates of a fleet, in order of their metadata. A zone is an aggregate, as in Nova.
pub(crate) fn aggregates_of(hosts: &[TraceHost]) -> Vec<HostAggregate> {
    let mut members: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (number, host) in hosts.iter().enumerate() {
        let zone = (!host.zone.is_empty()).then(|| ("availability_zone".to_owned(), host.zone.to_string()));
        let pairs = host.aggregates.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        for pair in pairs.chain(zone) {
            let of_pair = members.entry(pair).or_default();
            if of_pair.last() != Some(&number) {
                of_pair.push(number);
            }
        }
    }
    let uuids = (0_u128..).map(|number| Uuid::from_u128(1 << 64 | number));
    let with_uuid = members.into_iter().zip(uuids);
    with_uuid.map(|((metadata, hosts), uuid)| HostAggregate { uuid, metadata, hosts }).collect()
}

/// An index with one root provider per host: host `i` is in row `i`.
pub(crate) fn index_of(hosts: &[TraceHost]) -> Result<Index, TopologyError> {
    let index = Index::default();
    let mut writer = index.write();
    for (number, host) in (0_u32..).zip(hosts) {
        let row = writer.add_provider(host_uuid(number), &host.id, None)?;
        debug_assert_eq!(row, Row(number));
        let capacity = host.capacity;
        let amounts = [
            (ClassId::VCPU, capacity.vcpus),
            (ClassId::MEMORY_MB, capacity.memory_mb),
            (ClassId::DISK_GB, capacity.disk_gb),
        ];
        for (class, total) in amounts.into_iter().filter(|(_, total)| *total > 0) {
            writer.set_inventory(row, class, Some(&Inventory::of(total)))?;
        }
        if !host.traits.is_empty() {
            let traits: Vec<_> = host.traits.iter().map(|name| writer.trait_named(name)).collect();
            writer.set_traits(row, &traits)?;
        }
    }
    let mut of_host: BTreeMap<usize, Vec<Uuid>> = BTreeMap::new();
    for aggregate in aggregates_of(hosts) {
        aggregate.hosts.iter().for_each(|&host| of_host.entry(host).or_default().push(aggregate.uuid));
    }
    for (row, host) in (0..).map(Row).zip(0..hosts.len()) {
        if let Some(aggregates) = of_host.get(&host) {
            writer.set_aggregates(row, aggregates)?;
        }
    }
    drop(writer);
    Ok(index)
}
