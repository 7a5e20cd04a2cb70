//! Fleets in an index.

use berth_placement::{Index, Row, Writer};

use super::fleet::{Fleet, Provider};

/// Adds all providers of the fleet.
pub fn plant(index: &Index, fleet: &Fleet) {
    let mut writer = index.write();
    let mut rows: Vec<Row> = Vec::new();
    for (number, provider) in fleet.providers.iter().enumerate() {
        let parent = provider.parent.map(|parent| rows[parent]);
        let row = writer.add_provider(provider.uuid, &format!("provider {number}"), parent).unwrap();
        describe(&mut writer, row, provider);
        rows.push(row);
    }
}

/// Writes all properties of a provider.
pub fn describe(writer: &mut Writer<'_>, row: Row, provider: &Provider) {
    for (class, inventory) in &provider.inventories {
        let class = writer.resource_class(class).unwrap();
        writer.set_inventory(row, class, Some(inventory)).unwrap();
    }
    let traits: Vec<_> = provider.traits.iter().map(|name| writer.trait_named(name)).collect();
    writer.set_traits(row, &traits).unwrap();
    writer.set_aggregates(row, &provider.aggregates).unwrap();
}
