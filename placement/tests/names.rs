//! Numbers of removed classes and traits are used again, but never while a caller can know their
//! former meaning.

use berth_placement::{ClassId, Index, Inventory, StateChange, TopologyError, TraitId};
use uuid::Uuid;

/// Four thousand pairs of creation and deletion used up all numbers until the next start.
#[test]
fn creating_and_deleting_uses_nothing_up() {
    let index = Index::default();
    let before = (index.topology().classes().len(), index.topology().traits().len());
    for number in 0..10_000 {
        let mut writer = index.write();
        let class = writer.resource_class(&format!("CUSTOM_{number}")).unwrap();
        let of_trait = writer.trait_named(&format!("CUSTOM_{number}"));
        drop(writer);
        let mut writer = index.write();
        writer.remove_class(class).unwrap();
        writer.remove_trait(of_trait).unwrap();
    }
    let topology = index.topology();
    assert_eq!((topology.classes().len() - before.0, topology.traits().len() - before.1), (1, 1));
    index.check().unwrap();
}

#[test]
fn all_numbers_can_be_in_use_and_are_free_again() {
    let index = Index::default();
    let fill = || {
        let mut writer = index.write();
        let made = (0..).map_while(|number| writer.resource_class(&format!("CUSTOM_{number}")).ok()).count();
        let full = writer.resource_class("CUSTOM_MORE").unwrap_err();
        assert_eq!(full, TopologyError::Full { what: "resource classes", limit: 4096 });
        made
    };
    let made = fill();
    assert_eq!(made, 4096 - 3);
    let mut writer = index.write();
    for number in 0..made {
        let class = writer.topology().class(&format!("CUSTOM_{number}")).unwrap();
        writer.remove_class(class).unwrap();
    }
    drop(writer);
    assert_eq!(fill(), made);
    index.check().unwrap();
}

/// A caller that has looked up a class claims from what it looked up, or from nothing.
#[test]
fn a_caller_that_holds_a_topology_keeps_its_numbers() {
    let index = Index::default();
    let mut writer = index.write();
    let host = writer.add_provider(Uuid::from_u128(1), "host", None).unwrap();
    let gold = writer.resource_class("CUSTOM_GOLD").unwrap();
    drop(writer);
    let caller = index.topology();
    index.write().remove_class(gold).unwrap();
    let mut writer = index.write();
    let silver = writer.resource_class("CUSTOM_SILVER").unwrap();
    writer.set_inventory(host, silver, Some(&Inventory::of(1))).unwrap();
    drop(writer);
    assert_ne!(caller.class("CUSTOM_GOLD"), Some(silver));
    drop(caller);
    assert_eq!(index.write().resource_class("CUSTOM_BRONZE"), Ok(gold));
    index.check().unwrap();
}

/// Numbers that were free when the state was saved are free after a start.
#[test]
fn a_restored_index_knows_its_free_numbers() {
    let index = Index::default();
    let mut writer = index.write();
    let classes = ["CUSTOM_A", "CUSTOM_B", "CUSTOM_C"].map(|name| writer.resource_class(name).unwrap());
    let traits = ["CUSTOM_A", "CUSTOM_B"].map(|name| writer.trait_named(name));
    drop(writer);
    let mut writer = index.write();
    writer.remove_class(classes[1]).unwrap();
    writer.remove_trait(traits[0]).unwrap();
    drop(writer);
    let restored = Index::default();
    let mut rebuild = restored.rebuild();
    for change in index.snapshot().changes() {
        match change {
            StateChange::Class(id, Some(record)) => rebuild.class(id, record).unwrap(),
            StateChange::Trait(id, Some(record)) => rebuild.of_trait(id, record).unwrap(),
            _ => {}
        }
    }
    rebuild.finish().unwrap();
    let mut writer = restored.write();
    let numbers: [Result<ClassId, _>; 2] = ["CUSTOM_D", "CUSTOM_E"].map(|name| writer.resource_class(name));
    assert_eq!(numbers, [Ok(classes[1]), Ok(ClassId(classes[2].0 + 1))]);
    let numbers: [TraitId; 2] = ["CUSTOM_D", "CUSTOM_E"].map(|name| writer.trait_named(name));
    assert_eq!(numbers, [traits[0], TraitId(traits[1].0 + 1)]);
}
