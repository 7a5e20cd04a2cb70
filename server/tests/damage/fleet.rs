//! A fleet large enough that its store has branches.

use std::sync::Arc;

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Row,
    Timestamp,
};
use berth_server::ServiceOptions;
use uuid::Uuid;

pub(crate) const PROVIDERS: usize = 200;
pub(crate) const CONSUMERS: usize = 1500;

pub(crate) fn consumer(number: usize) -> Uuid {
    // Spread over all bits, so that no two look alike.
    Uuid::from_u128((number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

pub(crate) fn made() -> Index {
    of(PROVIDERS, CONSUMERS)
}

pub(crate) fn of(providers: usize, consumers: usize) -> Index {
    let index = Index::with_holders();
    let mut writer = index.write_at(Timestamp(7));
    let gold = writer.resource_class("CUSTOM_GOLD").unwrap();
    let fast = writer.trait_named("CUSTOM_FAST");
    let rows: Vec<Row> = (0..providers)
        .map(|number| {
            let uuid = Uuid::from_u128(number as u128 + 1);
            let row = writer.add_provider(uuid, &format!("host {number}"), None).unwrap();
            let inventories = vec![(ClassId::VCPU, Inventory::of(1000)), (gold, Inventory::of(5000))];
            writer.set_inventories(row, None, inventories).unwrap();
            writer.set_traits(row, &[fast]).unwrap();
            writer.set_aggregates(row, &[Uuid::from_u128(77)]).unwrap();
            row
        })
        .collect();
    drop(writer);
    for number in 0..consumers {
        write(&index, number, rows[number % providers], gold);
    }
    index
}

fn write(index: &Index, number: usize, row: Row, gold: ClassId) {
    let project = format!("project {}", number % 9);
    let owner = Arc::new(Owner { project: project.into(), user: "u".into(), consumer_type: None });
    let amount = u32::try_from(number % 5 + 1).unwrap();
    let allocations =
        [Allocation { row, class: ClassId::VCPU, amount }, Allocation { row, class: gold, amount: 7 }];
    let allocations = allocations.into_iter().collect();
    let consumer = ConsumerId::from(consumer(number));
    let write = ConsumerWrite { consumer, generation: ExpectedGeneration::New, owner, allocations };
    index.transfer(&[write], Timestamp(9)).unwrap();
}

/// Consumers go and come, in several commits.
pub(crate) fn use_it(index: &Index) {
    let gold = index.topology().class("CUSTOM_GOLD").unwrap();
    for number in (0..CONSUMERS).step_by(3) {
        index.release_uncounted(ConsumerId::from(consumer(number))).unwrap();
        if number % 2 == 0 {
            let row = index.find(Uuid::from_u128((number % PROVIDERS) as u128 + 1)).unwrap();
            write(index, CONSUMERS + number, row, gold);
        }
    }
}

pub(crate) fn options() -> ServiceOptions {
    ServiceOptions::noauth2()
}
