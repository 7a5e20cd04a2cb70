//! Errors of the index as messages: the index numbers its providers, classes and traits, and a message names them.

use berth_placement::{ClassId, Refusal, Row, Topology, TopologyError};

/// The message of an error, with names and UUIDs in the place of numbers.
pub(crate) fn message_of(topology: &Topology, error: &TopologyError) -> String {
    match error {
        TopologyError::InUse(in_use) => {
            let (class, provider) = (class_name(topology, in_use.class), provider(topology, in_use.row));
            format!("the inventory of {class} on {provider} is in use")
        }
        TopologyError::UnknownProvider(_) => "the resource provider was removed".to_owned(),
        TopologyError::HasChildren(row) => format!("{} has child providers", provider(topology, *row)),
        TopologyError::Loop(row) => format!("{} would stand below itself", provider(topology, *row)),
        TopologyError::ClassInUse(of) => format!("resource class {} is in use", class_name(topology, *of)),
        TopologyError::UnknownClass(_) => "the resource class was removed".to_owned(),
        TopologyError::TraitInUse(of) => {
            let name = topology.traits().name(of.0).unwrap_or("(deleted)");
            format!("trait {name} is in use")
        }
        TopologyError::UnknownTrait(_) => "the trait was removed".to_owned(),
        TopologyError::DuplicateUuid(_)
        | TopologyError::DuplicateName(_)
        | TopologyError::Generation { .. }
        | TopologyError::NameTaken(_)
        | TopologyError::Inventory(_)
        | TopologyError::Full { .. } => error.to_string(),
    }
}

/// The message of a refused allocation, in the words of Placement.
pub(crate) fn allocation(refusal: &Refusal, topology: &Topology) -> String {
    let (row, class, what) = match *refusal {
        Refusal::NoInventory { row, class } => {
            return format!(
                "Inventory for '{}' on resource provider '{}' invalid.",
                class_name(topology, class),
                provider_uuid(topology, row)
            );
        }
        Refusal::Units { row, class, .. } => (row, class, "violate inventory constraints"),
        Refusal::Capacity { row, class, .. } => (row, class, "exceed the capacity"),
    };
    format!(
        "Unable to create allocation for '{}' on resource provider '{}'. The requested amount would {what}.",
        class_name(topology, class),
        provider_uuid(topology, row)
    )
}

/// The name of a resource class.
pub(crate) fn class_name(topology: &Topology, class: ClassId) -> &str {
    topology.classes().name(class.0.into()).unwrap_or("(deleted)")
}

/// The UUID of a resource provider.
pub(crate) fn provider_uuid(topology: &Topology, row: Row) -> String {
    topology.provider(row).map_or_else(|| "(deleted)".to_owned(), |provider| provider.uuid.to_string())
}

pub(crate) fn no_such_class(name: &str) -> String {
    format!("No such resource class {name}.")
}

pub(crate) fn no_such_trait(name: &str) -> String {
    format!("No such trait(s): {name}.")
}

fn provider(topology: &Topology, row: Row) -> String {
    let known = topology.provider(row);
    known.map_or_else(
        || "a removed resource provider".to_owned(),
        |known| format!("resource provider {:?} ({})", known.name, known.uuid),
    )
}

#[cfg(test)]
mod tests {
    use berth_placement::{Index, InventoryInUse};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_message_has_a_number_of_the_index() {
        let index = Index::default();
        let mut writer = index.write();
        let row = writer.add_provider(Uuid::from_u128(7), "host1", None).unwrap();
        let class = writer.resource_class("CUSTOM_GOLD").unwrap();
        let owned = writer.trait_named("CUSTOM_FAST");
        let topology = writer.topology();
        let named = "resource provider \"host1\" (00000000-0000-0000-0000-000000000007)";
        for (error, message) in [
            (
                TopologyError::InUse(InventoryInUse { row, class }),
                format!("the inventory of CUSTOM_GOLD on {named} is in use"),
            ),
            (TopologyError::HasChildren(row), format!("{named} has child providers")),
            (TopologyError::Loop(row), format!("{named} would stand below itself")),
            (TopologyError::ClassInUse(class), "resource class CUSTOM_GOLD is in use".to_owned()),
            (TopologyError::TraitInUse(owned), "trait CUSTOM_FAST is in use".to_owned()),
            (TopologyError::UnknownProvider(row), "the resource provider was removed".to_owned()),
        ] {
            assert_eq!(message_of(topology, &error), message);
        }
    }
}
