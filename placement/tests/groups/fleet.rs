//! A small fleet, and helpers that build claims.

use std::sync::Arc;

use berth_placement::{
    Allocation, Allocations, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory,
    Member, Owner, Row,
};
use uuid::Uuid;

/// A fleet with one class; the hosts are in rows 0 and up.
pub(crate) fn fleet(hosts: u32, capacity: u32) -> Index {
    let index = Index::default();
    let mut writer = index.write();
    for host in 0..hosts {
        let row = writer.add_provider(Uuid::from_u128(host.into()), &format!("host {host}"), None).unwrap();
        writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(capacity))).unwrap();
    }
    drop(writer);
    index
}

pub(crate) fn owner() -> Arc<Owner> {
    Arc::new(Owner { project: "project".into(), user: "user".into(), consumer_type: None })
}

/// A write after which the consumer holds `amount` on each of the hosts and nothing else.
pub(crate) fn write(consumer: ConsumerId, hosts: &[Row], amount: u32) -> ConsumerWrite {
    let allocations: Allocations =
        hosts.iter().map(|&row| Allocation { row, class: ClassId::VCPU, amount }).collect();
    ConsumerWrite { consumer, generation: ExpectedGeneration::Any, owner: owner(), allocations }
}

/// New instances, one unit each.
pub(crate) fn instances(places: &[(ConsumerId, Row)]) -> (Vec<Member>, Vec<ConsumerWrite>) {
    let member = |&(consumer, host)| Member::new(consumer, host);
    let write = |&(consumer, host)| ConsumerWrite {
        generation: ExpectedGeneration::New,
        ..write(consumer, &[host], 1)
    };
    (places.iter().map(member).collect(), places.iter().map(write).collect())
}
